/* SPDX-License-Identifier: MIT */

/*
 * `nmi probe`, both ends: see probe.h. Whoever connects is told all there is, in one message, at once: there
 * is nothing to read, so nobody can hold the agent up.
 */

#include "nmi/probe.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/health.h"
#include "nmi/limits.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define PREFIX	"probe-"
#define SUFFIX	".sock"
#define BACKLOG 16
/* Where there is no file left to accept with. */
#define REST_MSEC 1000
/* The first byte of the answer; the checks follow. */
#define READY	  'R'
#define NOT_READY 'N'

struct probe {
	struct loop_fd source;
	struct loop_timer rested;
	const struct health *health;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
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

static int address_of(const char *dir, const char *name, struct sockaddr_un *out, struct err *err)
{
	int n;

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(out->sun_path, sizeof(out->sun_path), "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(out->sun_path))
		return err_set(err, ERR_LIMIT,
			       "--run-directory: its name is too long for a socket in it");
	return 0;
}

static int connect_to(const struct sockaddr_un *sun, int flags)
{
	const struct timeval patience = { .tv_sec = LIMIT_HANDOVER_MSEC / 1000,
					  .tv_usec = LIMIT_HANDOVER_MSEC % 1000 * 1000L };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* answering */

/* Accepts again in a while. */
static void on_rested(struct loop_timer *t)
{
	struct probe *x = container_of(t, struct probe, rested);

	(void)loop_fd_mod(&x->source, EPOLLIN, NULL); /* fails for a bug of ours only */
}

static void rest(struct probe *x)
{
	(void)loop_fd_mod(&x->source, 0, NULL);
	loop_timer_set_msec(x->source.loop, &x->rested, REST_MSEC, on_rested);
}

static void on_connect(struct loop_fd *f, uint32_t events)
{
	struct probe *p = container_of(f, struct probe, source);
	_cleanup_close_ int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	char text[PROBE_TEXT_MAX];

	(void)events;
	if (fd < 0) {
		/* it hung up again; or there is no room for it, which would be told without end */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			rest(p);
		return;
	}
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
		    address_of(dir, e->d_name, &sun, NULL) < 0)
			continue;
		fd = connect_to(&sun, SOCK_NONBLOCK);
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
	struct sockaddr_un sun, made;

	p->source.fd = -EBADF;
	p->health = health;
	remove_dead(dir);
	if (own_prefix(prefix, err) < 0)
		return NULL;
	(void)snprintf(name, sizeof(name), "%s%d" SUFFIX, prefix, (int)getpid());
	if (address_of(dir, name, &sun, err) < 0)
		return NULL;
	/* by another name until it listens: whoever starts at the same time would take it for dead */
	(void)snprintf(name, sizeof(name), "probe.%s%d", prefix + strlen(PREFIX), (int)getpid());
	if (address_of(dir, name, &made, err) < 0)
		return NULL;
	(void)unlink(made.sun_path); /* of an agent that died there with this pid */
	p->source.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* it tells what /readyz tells, to whoever may run it in this container */
	if (p->source.fd < 0 || bind(p->source.fd, (struct sockaddr *)&made, sizeof(made)) < 0 ||
	    chmod(made.sun_path, 0600) < 0 || listen(p->source.fd, BACKLOG) < 0 ||
	    rename(made.sun_path, sun.sun_path) < 0) {
		(void)err_set_errno(err, errno, "%s", sun.sun_path);
		return NULL;
	}
	memcpy(p->path, sun.sun_path, sizeof(p->path));
	if (loop_fd_add(l, &p->source, p->source.fd, EPOLLIN, on_connect, err) < 0)
		return NULL;
	return steal_ptr(p);
}

struct probe *probe_free(struct probe *p)
{
	if (!p)
		return NULL;
	loop_timer_del(&p->rested);
	loop_fd_del(&p->source);
	closep(&p->source.fd);
	if (*p->path)
		(void)unlink(p->path); /* else the next one does */
	free(p);
	return NULL;
}

/* asking */

/* 1: answered; 0: nobody is there any more. */
static int ask(const struct sockaddr_un *sun, bool *ready, char text[static PROBE_TEXT_MAX],
	       struct err *err)
{
	_cleanup_close_ int fd = connect_to(sun, 0);
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
		r = address_of(dir, e->d_name, &sun, err);
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
