/* SPDX-License-Identifier: MIT */

/*
 * `nmi probe`, both ends: see probe.h. Whoever connects is told all there is, in one message, at once: there
 * is nothing to read, so nobody can hold the agent up.
 */

#include "nmi/probe.h"

#include "lib/base/mem.h"
#include "nmi/health.h"
#include "nmi/limits.h"
#include "nmi/local_socket.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define PREFIX "probe-"
#define SUFFIX ".sock"
/* The first byte of the answer; the checks follow. */
#define READY	  'R'
#define NOT_READY 'N'

struct probe {
	const struct health *health;
	struct local_listener *listener;
};

/* "probe-4026531841-": of the agents of this mount namespace. */
static int own_prefix(char out[static 40], struct err *err)
{
	struct stat st;

	if (stat("/proc/self/ns/mnt", &st) < 0)
		return err_set_errno(err, errno, "/proc/self/ns/mnt");
	(void)snprintf(out, 40, PREFIX "%llu-", (unsigned long long)st.st_ino);
	return 0;
}

/* answering */

static void on_connect(void *ctx, int connection)
{
	const struct probe *p = ctx;
	_cleanup_close_ int fd = connection;
	char text[PROBE_TEXT_MAX];

	text[0] = health_ready(p->health, text + 1, sizeof(text) - 1) ? READY : NOT_READY;
	/* the first in its queue: it fits, or the other end is gone */
	(void)send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void remove_dead(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		struct sockaddr_un sun;
		int fd;

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0 ||
		    local_address(&sun, dir, e->d_name, NULL) < 0)
			continue;
		fd = local_connect(&sun, SOCK_SEQPACKET | SOCK_NONBLOCK, LIMIT_HANDOVER_MSEC);
		if (fd >= 0)
			close(fd);
		else if (fd == -ECONNREFUSED)
			(void)unlink(sun.sun_path); /* another agent that starts may be faster */
	}
	if (d)
		(void)closedir(d);
}

struct probe *probe_new(struct loop *l, const char *dir, const struct health *health,
			struct err *err)
{
	_cleanup_(probe_freep) struct probe *p = xnew(struct probe);
	char prefix[40], name[64];

	p->health = health;
	remove_dead(dir);
	if (own_prefix(prefix, err) < 0)
		return NULL;
	(void)snprintf(name, sizeof(name), "%s%d" SUFFIX, prefix, (int)getpid());
	/* it tells what /readyz tells, to whoever may run it in this container */
	p->listener = local_listener_new(l, dir, name, SOCK_SEQPACKET, on_connect, p, err);
	return p->listener ? steal_ptr(p) : NULL;
}

struct probe *probe_free(struct probe *p)
{
	if (!p)
		return NULL;
	(void)local_listener_free(p->listener);
	free(p);
	return NULL;
}

/* asking */

/* 1: answered; 0: nobody is there any more. */
static int ask(const struct sockaddr_un *sun, bool *ready, char text[static PROBE_TEXT_MAX],
	       struct err *err)
{
	_cleanup_close_ int fd = local_connect(sun, SOCK_SEQPACKET, LIMIT_HANDOVER_MSEC);
	char got[PROBE_TEXT_MAX];
	ssize_t n;

	if (fd == -ECONNREFUSED || fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_set_errno(err, -fd, "%s", sun->sun_path);
	n = recv(fd, got, sizeof(got) - 1, 0);
	if (n < 0 && errno == EAGAIN)
		return err_set(err, ERR_UNAVAILABLE, "the agent does not answer within %d ms",
			       LIMIT_HANDOVER_MSEC);
	if (n < 1 || (got[0] != READY && got[0] != NOT_READY))
		return err_set(err, ERR_UNAVAILABLE, "the agent hung up");
	got[n] = '\0';
	*ready = got[0] == READY;
	memcpy(text, got + 1, (size_t)n);
	return 1;
}

static bool is_meant(const char *name, const char *prefix, pid_t pid)
{
	char whole[64];

	if (pid == 0)
		return strncmp(name, prefix, strlen(prefix)) == 0;
	(void)snprintf(whole, sizeof(whole), "%s%d" SUFFIX, prefix, (int)pid);
	return strcmp(name, whole) == 0;
}

static int ask_all(DIR *d, const char *dir, pid_t pid, bool *ready,
		   char text[static PROBE_TEXT_MAX], struct err *err)
{
	char prefix[40];
	const struct dirent *e;
	int n = 0;

	if (own_prefix(prefix, err) < 0)
		return -(int)ERR_OS;
	while ((e = readdir(d))) {
		struct sockaddr_un sun;
		int r;

		if (!is_meant(e->d_name, prefix, pid))
			continue;
		r = local_address(&sun, dir, e->d_name, err);
		if (r == 0)
			r = ask(&sun, ready, text, err);
		if (r < 0)
			return r;
		n += r;
	}
	if (n == 0)
		return err_set(err, ERR_UNAVAILABLE,
			       "no agent of this container answers in %s: it is starting, or "
			       "has another --run-directory",
			       dir);
	if (n > 1)
		return err_set(err, ERR_INPUT, "%d agents answer here: say which, by its pid", n);
	return 0;
}

int probe_ask(const char *dir, pid_t pid, bool *ready, char text[static PROBE_TEXT_MAX],
	      struct err *err)
{
	DIR *d = opendir(dir);
	int r;

	if (!d)
		return err_set_errno(err, errno, "--run-directory: %s", dir);
	r = ask_all(d, dir, pid, ready, text, err);
	(void)closedir(d);
	return r;
}
