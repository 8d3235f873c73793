/* SPDX-License-Identifier: MIT */

/*
 * Uses redirect.h the way nmi does, for redirector.sh:
 *
 *	redirector-driver run AGENT_IP PORT [BACKEND]	one line for each status, until SIGTERM
 *	redirector-driver uninstall
 *	redirector-driver probe-ports
 *	redirector-driver list-iptables
 *
 * While it runs, each line of stdin is the ports: LINK=IP, separated by spaces; an empty one is none. The line
 * "try" has it make a self-test.
 */

#include "iptables/backend.h"
#include "iptables/redirect.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void on_status(void *ctx, const struct redirect_status *s)
{
	static const char *const names[] = { "starting", "active", "failing", "gone" };
	static const char *const protections[] = { "repaired", "doubled", "held", "guarded" };

	(void)printf("%s %s repairs=%u usec=%u ports=%u spoofed=%llu why=%s\n", names[s->state],
		     protections[s->protection], s->repairs, s->last_repair_usec, s->ports,
		     (unsigned long long)s->spoofed, s->why);
	(void)fflush(stdout);
}

static void on_signal(void *ctx, int signo)
{
	loop_quit(ctx, 0);
}

struct input {
	struct loop_fd source;
	struct redirect *redirect;
	char line[4096];
	size_t n;
};

static void set_ports(struct redirect *r, char *line)
{
	struct redirect_port ports[64] = { 0 };
	struct err err = { 0 };
	char *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(line, " ", &save); w && n < 64;
	     w = strtok_r(NULL, " ", &save), n++) {
		char *ip = strchr(w, '=');

		if (!ip || inet_ip_parse(ip + 1, &ports[n].ip, &err) < 0)
			break;
		*ip = '\0';
		(void)snprintf(ports[n].link, sizeof(ports[n].link), "%s", w);
	}
	if (err.kind || redirect_set_ports(r, ports, n, &err) < 0)
		(void)printf("refused: %s\n", err.msg);
	(void)fflush(stdout);
}

static void on_tested(void *ctx, const struct redirect_test *t)
{
	(void)printf("tried %u %u %s|%s|%s\n", (unsigned)t->outcome, t->status, t->text, t->server,
		     t->body);
	(void)fflush(stdout);
}

static void try_path(struct redirect *r)
{
	static const uint8_t nonce[REDIRECT_NONCE_BYTES] = "0123456789abcdef";
	struct err err = { 0 };

	if (redirect_try(r, nonce, on_tested, NULL, &err) < 0)
		(void)printf("refused: %s\n", err.msg);
}

static void on_input(struct loop_fd *f, uint32_t events)
{
	struct input *in = container_of(f, struct input, source);
	ssize_t got = read(f->fd, in->line + in->n, sizeof(in->line) - in->n - 1);
	char *end;

	if (got <= 0) {
		loop_fd_del(f);
		return;
	}
	in->n += (size_t)got;
	in->line[in->n] = '\0';
	while ((end = strchr(in->line, '\n'))) {
		*end++ = '\0';
		if (strcmp(in->line, "try") == 0)
			try_path(in->redirect);
		else
			set_ports(in->redirect, in->line);
		in->n -= (size_t)(end - in->line);
		memmove(in->line, end, in->n + 1);
	}
}

static int run(struct redirect *r, struct loop *l, const struct redirect_spec *spec,
	       struct err *err)
{
	static const int ends[] = { SIGTERM };
	struct input in = { .redirect = r };
	_cleanup_(loop_signals_freep) struct loop_signals *signals =
		loop_signals_new(l, ends, 1, on_signal, l, err);

	if (!signals || redirect_start(r, l, spec, on_status, NULL, err) < 0)
		return -1;
	/* /dev/null cannot be watched, and says nothing */
	(void)loop_fd_add(l, &in.source, STDIN_FILENO, EPOLLIN, on_input, NULL);
	return loop_run(l, err);
}

static int fail(const struct err *err)
{
	(void)fprintf(stderr, "redirector-driver: %s\n", err->msg);
	return 1;
}

int main(int argc, char **argv)
{
	struct redirect_spec spec = { .metadata_port = 80,
				      .sweep_msec = 60000,
				      .delete_conntrack = true };
	_cleanup_(loop_freep) struct loop *l = NULL; /* the last to go */
	_cleanup_(redirect_freep) struct redirect *r = NULL;
	struct err err = { 0 };

	if (argc == 2 && strcmp(argv[1], "uninstall") == 0)
		return redirect_uninstall(&err) < 0 ? fail(&err) : 0;
	if (argc == 2 && strcmp(argv[1], "probe-ports") == 0)
		return redirect_probe_ports(&err) < 0 ? fail(&err) : 0;
	if (argc == 2 && strcmp(argv[1], "list-iptables") == 0) {
		_cleanup_free_ char *text = NULL;

		if (ipt_backend.list(&text, &err) < 0)
			return fail(&err);
		(void)fputs(text, stdout);
		return 0;
	}
	if (argc < 4 || strcmp(argv[1], "run") != 0)
		return 2;
	spec.agent_port = (uint16_t)strtoul(argv[3], NULL, 10);
	if (inet_ip_parse("169.254.169.254", &spec.metadata_ip, &err) < 0 ||
	    inet_ip_parse(argv[2], &spec.agent_ip, &err) < 0 ||
	    (argc > 4 && redirect_backend_parse(argv[4], &spec.backend, &err) < 0))
		return fail(&err);
	r = redirect_spawn(spec.backend, &err);
	l = r ? loop_new(&err) : NULL;
	if (!l || run(r, l, &spec, &err) < 0)
		return fail(&err);
	return 0;
}
