/* SPDX-License-Identifier: MIT */

#include "iptables/redirect.h"
#include "lib/base/log.h"
#include "lib/loop/loop.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Without privileges and without touching a rule: the backend "none". The rest is tests/platform. */

struct seen {
	struct loop *loop;
	struct redirect_status last;
	unsigned n;
};

static void on_status(void *ctx, const struct redirect_status *s)
{
	struct seen *seen = ctx;

	seen->last = *s;
	seen->n++;
}

static void wait_for(struct seen *s, enum redirect_state state)
{
	for (int i = 0; i < 100 && (s->n == 0 || s->last.state != state); i++)
		ck_assert_int_eq(loop_turn(s->loop, 50, NULL), 0);
	ck_assert_uint_gt(s->n, 0);
	ck_assert_int_eq(s->last.state, state);
}

static struct redirect_spec mk_spec(enum redirect_backend backend)
{
	struct redirect_spec s = { .backend = backend, .metadata_port = 80, .agent_port = 2579 };

	ck_assert_int_eq(inet_ip_parse("169.254.169.254", &s.metadata_ip, NULL), 0);
	ck_assert_int_eq(inet_ip_parse("192.0.2.1", &s.agent_ip, NULL), 0);
	return s;
}

static pid_t only_child(void)
{
	char path[64], text[64] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getpid(), getpid());
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
	(void)fclose(f);
	return (pid_t)strtol(text, NULL, 10);
}

START_TEST(without_rules_it_is_active_and_says_what_that_means)
{
	_cleanup_(loop_freep) struct loop *l = loop_new(NULL);
	_cleanup_(redirect_freep) struct redirect *r = redirect_spawn(REDIRECT_NONE, NULL);
	struct seen seen = { .loop = l };
	struct redirect_spec spec = mk_spec(REDIRECT_NONE);

	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(redirect_status(r)->state, REDIRECT_STARTING);
	ck_assert_int_eq(redirect_start(r, l, &spec, on_status, &seen, NULL), 0);
	ck_assert_uint_eq(seen.n, 0);
	wait_for(&seen, REDIRECT_ACTIVE);
	ck_assert_int_eq(seen.last.protection, REDIRECT_REPAIRED);
	ck_assert_ptr_nonnull(strstr(seen.last.why, "network plugin"));
	ck_assert_int_eq(redirect_status(r)->state, REDIRECT_ACTIVE);
}
END_TEST

START_TEST(ports_that_cannot_be_tied_are_refused_before_they_are_sent)
{
	_cleanup_(redirect_freep) struct redirect *r = redirect_spawn(REDIRECT_NONE, NULL);
	struct redirect_port port = { .link = "veth*" };
	struct err err = { 0 };

	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(inet_ip_parse("10.0.0.1", &port.ip, NULL), 0);
	ck_assert_int_eq(redirect_set_ports(r, &port, 1, &err), -ERR_INPUT);
	ck_assert_str_ne(err.msg, "");
}
END_TEST

/* More than a socket holds, before the redirector may read them: only the last ones count. */
START_TEST(ports_never_wait_and_may_come_before_the_start)
{
	static struct redirect_port ports[REDIRECT_PORTS_MAX];
	_cleanup_(loop_freep) struct loop *l = loop_new(NULL);
	_cleanup_(redirect_freep) struct redirect *r = redirect_spawn(REDIRECT_NONE, NULL);
	struct seen seen = { .loop = l };
	struct redirect_spec spec = mk_spec(REDIRECT_NONE);

	for (size_t i = 0; i < REDIRECT_PORTS_MAX; i++) {
		(void)snprintf(ports[i].link, sizeof(ports[i].link), "veth%zu", i);
		ck_assert_int_eq(inet_ip_parse("10.0.0.1", &ports[i].ip, NULL), 0);
	}
	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(redirect_set_ports(r, ports, REDIRECT_PORTS_MAX, NULL), 0);
	ck_assert_int_eq(redirect_start(r, l, &spec, on_status, &seen, NULL), 0);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(redirect_set_ports(r, ports, REDIRECT_PORTS_MAX, NULL), 0);
	wait_for(&seen, REDIRECT_ACTIVE);
	ck_assert_uint_eq(seen.last.ports, 0); /* there are no rules to put them in */
}
END_TEST

START_TEST(its_end_is_reported_once)
{
	_cleanup_(loop_freep) struct loop *l = loop_new(NULL);
	_cleanup_(redirect_freep) struct redirect *r = redirect_spawn(REDIRECT_NONE, NULL);
	struct seen seen = { .loop = l };
	struct redirect_spec spec = mk_spec(REDIRECT_NONE);

	ck_assert_int_eq(redirect_start(r, l, &spec, on_status, &seen, NULL), 0);
	wait_for(&seen, REDIRECT_ACTIVE);
	ck_assert_int_eq(kill(only_child(), SIGKILL), 0);
	wait_for(&seen, REDIRECT_GONE);
	ck_assert_ptr_nonnull(strstr(seen.last.why, "nobody repairs"));
	seen.n = 0;
	ck_assert_int_eq(loop_turn(l, 20, NULL), 0);
	ck_assert_uint_eq(seen.n, 0);
}
END_TEST

START_TEST(freed_before_it_was_started_it_ends)
{
	struct redirect *r = redirect_spawn(REDIRECT_NONE, NULL);
	pid_t child = only_child();

	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(kill(child, 0), 0);
	ck_assert_ptr_null(redirect_free(r));
	ck_assert_int_eq(kill(child, 0), -1);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_ptr_null(redirect_free(NULL));
}
END_TEST

START_TEST(a_signal_to_the_process_group_does_not_end_it)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	_cleanup_(loop_freep) struct loop *l = loop_new(NULL);
	_cleanup_(redirect_freep) struct redirect *r = redirect_spawn(REDIRECT_NONE, NULL);
	struct seen seen = { .loop = l };
	struct redirect_spec spec = mk_spec(REDIRECT_NONE);

	ck_assert_int_eq(redirect_start(r, l, &spec, on_status, &seen, NULL), 0);
	wait_for(&seen, REDIRECT_ACTIVE);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		ck_assert_int_eq(kill(only_child(), signals[i]), 0);
	ck_assert_int_eq(loop_turn(l, 50, NULL), 0);
	ck_assert_int_eq(redirect_status(r)->state, REDIRECT_ACTIVE);
}
END_TEST

/* What the redirector has logged, as soon as it has. */
static const char *logged(int fd, struct loop *l)
{
	static char text[4096];
	ssize_t n = 0;

	for (int i = 0; i < 100 && n == 0; i++) {
		ck_assert_int_eq(loop_turn(l, 20, NULL), 0);
		n = pread(fd, text, sizeof(text) - 1, 0);
	}
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	return text;
}

START_TEST(it_can_be_told_how_to_log_and_to_compare_and_nothing_out_of_range)
{
	_cleanup_close_ int log = memfd_create("log", MFD_CLOEXEC);
	_cleanup_close_ int stderr_was = dup(STDERR_FILENO);
	_cleanup_(loop_freep) struct loop *l = loop_new(NULL);
	_cleanup_(redirect_freep) struct redirect *r = NULL;
	struct seen seen = { .loop = l };
	struct redirect_spec spec = mk_spec(REDIRECT_NONE);
	const char *text;

	/* the redirector keeps no other file */
	ck_assert_int_ge(stderr_was, 0);
	ck_assert_int_eq(dup2(log, STDERR_FILENO), STDERR_FILENO);
	r = redirect_spawn(REDIRECT_NONE, NULL);
	ck_assert_int_eq(redirect_start(r, l, &spec, on_status, &seen, NULL), 0);
	wait_for(&seen, REDIRECT_ACTIVE);
	ck_assert_int_eq(ftruncate(log, 0), 0);
	(void)lseek(log, 0, SEEK_SET);
	ck_assert_int_eq(redirect_tune(r, 1000, true, false, NULL), 0);
	ck_assert_int_eq(redirect_tune(r, 999, true, false, NULL), 0);
	text = logged(log, l);
	ck_assert_msg(text[0] == '{' && strstr(text, "not every 999 ms"), "%s", text);
	ck_assert_int_eq(redirect_status(r)->state, REDIRECT_ACTIVE);
	(void)dup2(stderr_was, STDERR_FILENO);
}
END_TEST

START_TEST(it_keeps_no_file_of_ours)
{
	_cleanup_close_ int secret = open("/proc/self/status", O_RDONLY);
	_cleanup_(loop_freep) struct loop *l = loop_new(NULL);
	_cleanup_(redirect_freep) struct redirect *r = redirect_spawn(REDIRECT_NONE, NULL);
	struct seen seen = { .loop = l };
	struct redirect_spec spec = mk_spec(REDIRECT_NONE);
	char path[64], target[256];
	ssize_t n;

	ck_assert_int_ge(secret, 0);
	ck_assert_int_eq(redirect_start(r, l, &spec, on_status, &seen, NULL), 0);
	wait_for(&seen, REDIRECT_ACTIVE);
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", only_child(), secret);
	n = readlink(path, target, sizeof(target) - 1);
	if (n >= 0) /* the number is free again for a socket or the loop */
		ck_assert_ptr_null(memmem(target, (size_t)n, "status", 6));
}
END_TEST

START_TEST(a_spec_that_cannot_work_is_refused_at_once)
{
	_cleanup_(loop_freep) struct loop *l = loop_new(NULL);
	_cleanup_(redirect_freep) struct redirect *r = redirect_spawn(REDIRECT_NONE, NULL);
	struct redirect_spec spec = mk_spec(REDIRECT_NFT);
	struct seen seen = { .loop = l };
	struct err err = { 0 };

	ck_assert_int_eq(inet_ip_parse("127.0.0.1", &spec.agent_ip, NULL), 0);
	ck_assert_int_eq(redirect_start(r, l, &spec, on_status, &seen, &err), -ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(err.msg, "127.0.0.1"));
}
END_TEST

static const struct {
	const char *name;
	int r;
	enum redirect_backend backend;
} backends[] = {
	{ "auto", 0, REDIRECT_AUTO }, { "nft", 0, REDIRECT_NFT },
	{ "none", 0, REDIRECT_NONE }, { "", -ERR_INPUT, 0 },
	{ "NFT", -ERR_INPUT, 0 },     { "iptables", 0, REDIRECT_IPTABLES },
};

START_TEST(a_backend_is_known_by_its_name)
{
	enum redirect_backend out = REDIRECT_BACKENDS;
	struct err err = { 0 };

	ck_assert_int_eq(redirect_backend_parse(backends[_i].name, &out, &err), backends[_i].r);
	ck_assert_int_eq(out, backends[_i].r ? REDIRECT_BACKENDS : backends[_i].backend);
	if (backends[_i].r == 0)
		ck_assert_str_eq(redirect_backend_name(out), backends[_i].name);
	else
		ck_assert_ptr_nonnull(strstr(err.msg, "auto, nft, iptables or none"));
}
END_TEST

START_TEST(each_protection_is_told_in_other_words)
{
	for (unsigned p = 0; p < REDIRECT_PROTECTIONS; p++)
		for (unsigned q = 0; q <= p; q++)
			ck_assert_int_eq(p == q, strcmp(redirect_protection_name(p),
							redirect_protection_name(q)) == 0);
	ck_assert_str_eq(redirect_protection_name(REDIRECT_PROTECTIONS), "?");
}
END_TEST

static const struct {
	const char *text;
	bool guards;
} read_back[] = {
	{ "", false },
	{ "table ip nmi {\n\tchain guard {\n\t\tip daddr 1.2.3.4 counter reject with tcp "
	  "reset\n\t}\n}\n",
	  true },
	{ "table ip nmi {\n\tchain guard {\n\t\tip daddr 1.2.3.4 drop\n\t}\n}\n", true },
	/* flushed: the drop is another chain's */
	{ "table ip nmi {\n\tchain guard {\n\t\ttype filter hook forward priority -300; policy "
	  "accept;\n\t}\n\tchain agent_port {\n\t\ttcp dport 2579 drop\n\t}\n}\n",
	  false },
	{ "table ip nmi {\n\tchain agent_port {\n\t\ttcp dport 2579 drop\n\t}\n}\n", false },
	{ "-A nmi-guard -d 1.2.3.4/32 -p tcp -j REJECT --reject-with tcp-reset\n", true },
	{ "-N nmi-guard\n-A INPUT -j DROP\n", false },
};

START_TEST(a_guard_is_a_rule_and_not_its_name)
{
	ck_assert_int_eq(redirect_listing_guards(read_back[_i].text), read_back[_i].guards);
}
END_TEST

UNIT_MAIN("redirect", UNIT_LOOP(a_guard_is_a_rule_and_not_its_name, read_back),
	  UNIT(without_rules_it_is_active_and_says_what_that_means),
	  UNIT(ports_that_cannot_be_tied_are_refused_before_they_are_sent),
	  UNIT(ports_never_wait_and_may_come_before_the_start), UNIT(its_end_is_reported_once),
	  UNIT(freed_before_it_was_started_it_ends),
	  UNIT(a_signal_to_the_process_group_does_not_end_it),
	  UNIT(it_can_be_told_how_to_log_and_to_compare_and_nothing_out_of_range),
	  UNIT(it_keeps_no_file_of_ours), UNIT(a_spec_that_cannot_work_is_refused_at_once),
	  UNIT_LOOP(a_backend_is_known_by_its_name, backends),
	  UNIT(each_protection_is_told_in_other_words))
