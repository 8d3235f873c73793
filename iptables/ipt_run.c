/* SPDX-License-Identifier: MIT */

/*
 * Running a program: see ipt_run.h.
 *
 * The redirector is confined, see confine.c: after execve() a process has the capabilities that are
 * ambient, so the child makes them so, and only it. The child is the leader of a process group of its own,
 * which is killed as a whole; it dies with us in any case.
 */

#include "iptables/ipt_run.h"

#include "iptables/confine.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* 100,000 rules are 10 MB; a line is a rule. */
#define OUTPUT_MAX     ((size_t)64 * 1024 * 1024)
#define LINE_MAX_BYTES ((size_t)16 * 1024)
#define STDERR_KEPT    160
#define WAIT_STEP_NSEC 1000000L

static const char *const directories[] = { "/usr/sbin", "/sbin", "/usr/bin", "/bin" };

int ipt_run_find(const char *name, char path[static IPT_PATH_MAX], struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		int n = snprintf(path, IPT_PATH_MAX, "%s/%s", directories[i], name);

		if (n < IPT_PATH_MAX && access(path, X_OK) == 0)
			return 0;
	}
	return err_set(err, ERR_UNAVAILABLE, "%.40s is not installed", name);
}

/* in the child; nothing here can be reported but by its exit status */

_Noreturn static void become(const struct ipt_run *r, const int fds[3])
{
	static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
						   NULL };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setpgid(0, 0);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL); /* what is ignored would stay so */
	confine_hand_on();
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			_exit(126);
	closefrom(STDERR_FILENO + 1); /* what libraries may have opened */
	/* execve() does not write to what it is given */
	(void)execve(r->path, (char *const *)(uintptr_t)r->argv,
		     (char *const *)(uintptr_t)environment);
	_exit(127);
}

/* in the parent */

struct running {
	const struct ipt_run *r;
	pid_t pid;
	int in, out, said; /* its stdin, stdout and stderr; -1 once closed */
	size_t written, read;
	struct buf line; /* the last one, as far as it has come */
	char first_said[STDERR_KEPT];
	size_t n_said;
	unsigned msec;
	struct timespec until;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static long msec_left(const struct running *g)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	return (g->until.tv_sec - now.tv_sec) * 1000 + (g->until.tv_nsec - now.tv_nsec) / 1000000;
}

static void on_writable(struct running *g)
{
	size_t left = strlen(g->r->in) - g->written;
	ssize_t n = write(g->in, g->r->in + g->written, left);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		g->written += (size_t)n;
	/* It does not want more: its exit status says why. */
	if (n < 0 || g->written == strlen(g->r->in))
		close_fd(&g->in);
}

static int take_output(struct running *g, const char *p, size_t n, struct err *err)
{
	g->read += n;
	if (g->read > OUTPUT_MAX)
		return err_set(err, ERR_LIMIT, "it says more than %zu MB", OUTPUT_MAX >> 20);
	if (!g->r->line)
		return 0;
	while (n) {
		const char *end = memchr(p, '\n', n);
		size_t part = end ? (size_t)(end - p) : n;

		if (buf_append(&g->line, p, part, LINE_MAX_BYTES, err) < 0)
			return err_set(err, ERR_LIMIT, "it says a line of more than %zu bytes",
				       LINE_MAX_BYTES);
		if (end) {
			g->r->line(g->r->ctx,
				   (struct str){ g->line.p ? g->line.p : "", g->line.n });
			buf_consume(&g->line, g->line.n);
		}
		part += end != NULL;
		p += part;
		n -= part;
	}
	return 0;
}

static int on_output(struct running *g, struct err *err)
{
	char bytes[16 * 1024];
	ssize_t n = read(g->out, bytes, sizeof(bytes));

	if (n > 0)
		return take_output(g, bytes, (size_t)n, err);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == 0 && g->line.n) /* a last line without its end */
		g->r->line(g->r->ctx, (struct str){ g->line.p, g->line.n });
	close_fd(&g->out);
	return 0;
}

/* Its first line is kept, the rest is read so that it does not wait for us. */
static void on_said(struct running *g)
{
	char bytes[1024];
	ssize_t n = read(g->said, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		close_fd(&g->said);
	for (ssize_t i = 0; i < n && g->n_said < sizeof(g->first_said) - 1; i++)
		g->first_said[g->n_said++] = bytes[i];
}

static int talk(struct running *g, struct err *err)
{
	while (g->out >= 0 || g->said >= 0) {
		struct pollfd p[] = { { g->in, POLLOUT, 0 },
				      { g->out, POLLIN, 0 },
				      { g->said, POLLIN, 0 } };
		long left = msec_left(g);
		int n = left > 0 ? poll(p, ARRAY_SIZE(p), (int)left) : 0;

		if (n < 0 && errno != EINTR)
			return err_set_errno(err, errno, "waiting for it");
		if (n == 0)
			return err_set(err, ERR_TIMEOUT, "it does not end within %u ms", g->msec);
		if (n > 0 && p[0].revents)
			on_writable(g);
		if (n > 0 && p[2].revents)
			on_said(g);
		if (n > 0 && p[1].revents && on_output(g, err) < 0)
			return -(int)err->kind;
	}
	return 0;
}

/* Until it ends, or is ended. */
static int reap(struct running *g, bool kill_it, int *out_status, struct rusage *usage,
		struct err *err)
{
	const struct timespec step = { .tv_nsec = WAIT_STEP_NSEC };
	pid_t got;

	while (!kill_it) {
		got = wait4(g->pid, out_status, WNOHANG, usage);
		if (got == g->pid)
			return 0;
		if (got < 0 && errno != EINTR)
			return err_set_errno(err, errno, "waiting for its end");
		kill_it = msec_left(g) <= 0;
		(void)nanosleep(&step, NULL); /* woken early, it looks early */
	}
	(void)kill(-g->pid, SIGKILL); /* before its setpgid() there is no such group */
	(void)kill(g->pid, SIGKILL);
	while (wait4(g->pid, out_status, 0, usage) < 0)
		if (errno != EINTR)
			return err_set_errno(err, errno, "waiting for its end");
	return err_set(err, ERR_TIMEOUT, "it does not end within %u ms", g->msec);
}

static int judge_end(const struct running *g, int status, struct err *err)
{
	char said[2 * STDERR_KEPT];
	size_t n = strcspn(g->first_said, "\n");

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	str_escape(said, sizeof(said),
		   n ? (struct str){ g->first_said, n } : STR("no reason given"));
	if (WIFSIGNALED(status))
		return err_set(err, ERR_REFUSED, "ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) >= 126 && !n)
		return err_set(err, ERR_OS, "it cannot be run");
	return err_set(err, ERR_REFUSED, "status %d, %s", WEXITSTATUS(status), said);
}

/* Its end of each pipe in `theirs`, ours in `g`. */
static int start(struct running *g, struct err *err)
{
	int pipes[3][2], theirs[3] = { -1, -1, -1 };
	int made = 0;

	while (made < 3 && pipe2(pipes[made], O_CLOEXEC) == 0)
		made++;
	if (made == 3) {
		theirs[0] = pipes[0][0], g->in = pipes[0][1];
		for (int i = 1; i < 3; i++)
			theirs[i] = pipes[i][1];
		g->out = pipes[1][0], g->said = pipes[2][0];
		(void)fcntl(g->in, F_SETFL, O_NONBLOCK); /* of a pipe: cannot fail */
		g->pid = fork();
		if (g->pid == 0)
			become(g->r, theirs);
	}
	if (g->pid > 0) {
		for (int i = 0; i < 3; i++)
			close(theirs[i]);
		return 0;
	}
	(void)err_set_errno(err, errno, "starting it");
	for (int i = 0; i < made; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	g->in = g->out = g->said = -1;
	return -(int)ERR_OS;
}

int ipt_run(const struct ipt_run *r, uint64_t *out_cpu_usec, struct err *err)
{
	struct running g = { .r = r, .pid = -1, .in = -1, .out = -1, .said = -1 };
	struct rusage usage = { 0 };
	struct err why = { 0 };
	int status = 0, e;

	(void)clock_gettime(CLOCK_MONOTONIC, &g.until); /* cannot fail */
	g.msec = r->msec ? r->msec : IPT_RUN_MSEC;
	g.until.tv_sec += g.msec / 1000;
	g.until.tv_nsec += (long)(g.msec % 1000) * 1000000;
	e = start(&g, &why);
	if (e == 0) {
		if (!r->in)
			close_fd(&g.in);
		e = talk(&g, &why);
		close_fd(&g.in);
		close_fd(&g.out);
		close_fd(&g.said);
		/* killed because of `why`, which stays the reason */
		if (e < 0)
			(void)reap(&g, true, &status, &usage, NULL);
		else
			e = reap(&g, false, &status, &usage, &why);
		if (e == 0)
			e = judge_end(&g, status, &why);
	}
	buf_deinit(&g.line);
	if (out_cpu_usec)
		*out_cpu_usec = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
					1000000 +
				(uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	if (e < 0 && err)
		*err = why;
	return e < 0 ? err_wrap(err, "%s", r->path) : 0;
}
