/* SPDX-License-Identifier: MIT */

#include "iptables/ipt_run.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct lines {
	char text[4096];
	size_t n, bytes;
};

static void on_line(void *ctx, struct str line)
{
	struct lines *l = ctx;
	size_t at = strlen(l->text);

	l->n++;
	l->bytes += line.n;
	(void)snprintf(l->text + at, sizeof(l->text) - at, "%.*s|", (int)line.n, line.p);
}

static int sh(const char *script, const char *in, struct lines *out, struct err *err)
{
	const char *const argv[] = { "a-name", "-c", script, NULL };
	const struct ipt_run run = {
		.path = "/bin/sh", .argv = argv, .in = in, .line = on_line, .ctx = out, .msec = 500
	};

	memset(out, 0, sizeof(*out));
	(void)signal(SIGPIPE, SIG_IGN);
	return ipt_run(&run, NULL, err);
}

/* clang-format off */
static const struct {
	const char *script, *in;
	int result;
	const char *lines, *msg;
} runs[] = {
	{ "true", NULL, 0, "", "" },
	{ "echo a; echo; printf b", NULL, 0, "a||b|", "" },
	{ "cat", "x\ny\n", 0, "x|y|", "" },
	{ "cat; echo $0 $#", NULL, 0, "a-name 0|", "" },
	{ "true", "never read", 0, "", "" },
	{ "/usr/bin/env | LC_ALL=C sort | grep -v ^PWD= | grep -v ^_= | grep -v ^SHLVL=; ls /proc/self/fd | wc -l", NULL, 0,
	  "LC_ALL=C|PATH=/usr/sbin:/usr/bin:/sbin:/bin|4|", "" }, /* the fourth is ls' own, of the directory */
	{ "echo one >&2; echo two >&2; exit 3", NULL, -(int)ERR_REFUSED, "", "/bin/sh: status 3, one" },
	{ "exit 1", NULL, -(int)ERR_REFUSED, "", "/bin/sh: status 1, no reason given" },
	{ "printf 'a\\033b' >&2; exit 1", NULL, -(int)ERR_REFUSED, "", "a\\u001bb" },
	{ "kill -SEGV $$", NULL, -(int)ERR_REFUSED, "", "/bin/sh: ended by signal 11" },
	{ "sleep 60", NULL, -(int)ERR_TIMEOUT, "", "does not end within 500 ms" },
	{ "echo early; exec sleep 60 >/dev/null 2>&1", NULL, -(int)ERR_TIMEOUT, "early|", "does not end" },
	{ "sleep 60 & wait", NULL, -(int)ERR_TIMEOUT, "", "does not end" },
	{ "trap '' TERM INT; sleep 60", NULL, -(int)ERR_TIMEOUT, "", "does not end" },
	{ "head -c 20000 /dev/zero", NULL, -(int)ERR_LIMIT, "", "a line of more than" },
	{ "yes >&2", NULL, -(int)ERR_TIMEOUT, "", "does not end" },
};
/* clang-format on */

START_TEST(what_it_says_and_how_it_ends_is_told)
{
	struct lines l;
	struct err err = { 0 };
	time_t before = time(NULL);

	ck_assert_int_eq(sh(runs[_i].script, runs[_i].in, &l, &err), runs[_i].result);
	ck_assert_str_eq(l.text, runs[_i].lines);
	ck_assert_msg(strstr(err.msg, runs[_i].msg), "%s", err.msg);
	ck_assert_int_lt(time(NULL) - before, 10);
}
END_TEST

START_TEST(more_than_the_limit_is_not_taken)
{
	const char *const argv[] = { "yes", NULL };
	struct err err = { 0 };
	const struct ipt_run run = { .path = "/usr/bin/yes", .argv = argv, .msec = 60000 };

	ck_assert_int_eq(ipt_run(&run, NULL, &err), -(int)ERR_LIMIT);
	ck_assert_msg(strstr(err.msg, "more than 64 MB"), "%s", err.msg);
}
END_TEST

START_TEST(long_input_and_output_do_not_wait_for_each_other)
{
	size_t n = 300000;
	char *in = xcalloc(1, n + 1);
	struct lines l;

	for (size_t i = 0; i < n; i++)
		in[i] = i % 100 == 99 ? '\n' : 'x';
	ck_assert_int_eq(sh("tee /dev/stderr", in, &l, NULL), 0);
	ck_assert_uint_eq(l.n, n / 100);
	ck_assert_uint_eq(l.bytes, n / 100 * 99);
	free(in);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_an_error)
{
	const char *const argv[] = { "x", NULL };
	const struct ipt_run run = { .path = "/nonexistent/x", .argv = argv };
	char path[IPT_PATH_MAX];
	struct err err = { 0 };
	uint64_t cpu = 1;

	ck_assert_int_eq(ipt_run(&run, &cpu, &err), -(int)ERR_OS);
	ck_assert_str_eq(err.msg, "/nonexistent/x: it cannot be run");
	ck_assert_int_eq(ipt_run_find("no-such-program", path, &err), -(int)ERR_UNAVAILABLE);
	ck_assert_str_eq(err.msg, "no-such-program is not installed");
	ck_assert_int_eq(ipt_run_find("sh", path, NULL), 0);
	ck_assert_msg(path[0] == '/' && strstr(path, "bin/sh"), "%s", path);
}
END_TEST

START_TEST(what_it_cost_is_told)
{
	const char *const argv[] = { "sh", "-c",
				     "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done", NULL };
	const struct ipt_run run = { .path = "/bin/sh", .argv = argv };
	uint64_t cpu = 0;

	ck_assert_int_eq(ipt_run(&run, &cpu, NULL), 0);
	ck_assert_uint_ge(cpu, 1000);
}
END_TEST

UNIT_MAIN("ipt_run", UNIT_LOOP(what_it_says_and_how_it_ends_is_told, runs),
	  UNIT(more_than_the_limit_is_not_taken),
	  UNIT(long_input_and_output_do_not_wait_for_each_other),
	  UNIT(a_program_that_is_not_there_is_an_error), UNIT(what_it_cost_is_told))
