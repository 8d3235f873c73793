/* SPDX-License-Identifier: MIT */

/* The Unix sockets of the agent: see local_socket.h. */

#include "nmi/local_socket.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 64
/* Where there is no file descriptor left to accept with: the next look. */
#define REST_MSEC 1000

struct local_listener {
	struct loop *loop;
	struct loop_fd source;
	struct loop_timer rested;
	local_accept_fn *fn;
	void *ctx;
	int fd;
	int dir; /* what is above it may be closed to the user that we become */
	char *name;
	dev_t dev;
	ino_t ino; /* 0: it has no name yet */
};

int local_address(struct sockaddr_un *out, const char *dir, const char *name, struct err *err)
{
	int n;

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*dir)
		return err_set(err, ERR_INPUT, "--run-directory is empty: there are no sockets");
	n = snprintf(out->sun_path, sizeof(out->sun_path), "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(out->sun_path))
		return err_set(err, ERR_LIMIT,
			       "--run-directory: its name is too long for a socket in it");
	return 0;
}

int local_connect(const struct sockaddr_un *sun, int type, unsigned msec)
{
	const struct timeval patience = { .tv_sec = msec / 1000, .tv_usec = msec % 1000 * 1000L };
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0)
		return -errno;
	return steal_fd(&fd);
}

bool local_peer_is_ours(int fd, uid_t owner, uid_t *out)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t n = sizeof(peer);

	*out = peer.uid;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return false;
	*out = peer.uid;
	return peer.uid == 0 || peer.uid == geteuid() || peer.uid == owner;
}

static void on_rested(struct loop_timer *t)
{
	struct local_listener *x = container_of(t, struct local_listener, rested);

	(void)loop_fd_mod(&x->source, EPOLLIN, NULL); /* fails for a bug of ours only */
}

static void on_connection(struct loop_fd *f, uint32_t events)
{
	struct local_listener *x = container_of(f, struct local_listener, source);
	int fd = accept4(x->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0) {
		x->fn(x->ctx, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		/* it would be told without end */
		(void)loop_fd_mod(&x->source, 0, NULL);
		loop_timer_set_msec(x->loop, &x->rested, REST_MSEC, on_rested);
	}
}

/* For root, by its group, and whoever the directory belongs to. */
static int bind_to(const struct local_listener *x, const struct sockaddr_un *sun, struct err *err)
{
	struct stat st;
	mode_t mask = umask(0117);
	int r = bind(x->fd, (const struct sockaddr *)sun, sizeof(*sun));

	(void)umask(mask);
	if (r < 0)
		return err_set_errno(err, errno, "making %s", sun->sun_path);
	if (fstat(x->dir, &st) == 0 && st.st_uid != geteuid() &&
	    lchown(sun->sun_path, st.st_uid, (gid_t)-1) < 0)
		log_debug("%s: root alone may ask", sun->sun_path);
	return 0;
}

static int open_socket(struct local_listener *x, const char *dir, int type, struct err *err)
{
	struct sockaddr_un sun, made;
	uint32_t random = 0;
	char hidden[16];
	struct stat st;
	int e;

	/* differs from that of another container's pid 1; enough for a name that is in nobody's way */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)loop_mono(x->loop).ns;
	(void)snprintf(hidden, sizeof(hidden), ".%08x", random);
	if (local_address(&sun, dir, x->name, err) < 0 ||
	    local_address(&made, dir, hidden, err) < 0)
		return -(int)err->kind;
	x->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	x->fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (x->dir < 0 || x->fd < 0)
		return err_set_errno(err, errno, "%s", sun.sun_path);
	if (bind_to(x, &made, err) < 0)
		return -(int)err->kind;
	if (listen(x->fd, BACKLOG) == 0 && lstat(made.sun_path, &st) == 0 &&
	    rename(made.sun_path, sun.sun_path) == 0) {
		x->dev = st.st_dev;
		x->ino = st.st_ino;
		return 0;
	}
	e = errno;
	(void)unlink(made.sun_path);
	return err_set_errno(err, e, "making %s", sun.sun_path);
}

struct local_listener *local_listener_new(struct loop *l, const char *dir, const char *name,
					  int type, local_accept_fn *fn, void *ctx, struct err *err)
{
	_cleanup_(local_listener_freep) struct local_listener *x = xnew(struct local_listener);
	struct err why = { 0 };

	x->loop = l;
	x->fn = fn;
	x->ctx = ctx;
	x->fd = x->dir = -EBADF;
	x->name = xstrdup(name);
	if (open_socket(x, dir, type, &why) == 0 &&
	    loop_fd_add(l, &x->source, x->fd, EPOLLIN, on_connection, &why) == 0)
		return steal_ptr(x);
	if (err)
		*err = why;
	return NULL;
}

struct local_listener *local_listener_leave(struct local_listener *x)
{
	if (!x)
		return NULL;
	loop_timer_del(&x->rested);
	loop_fd_del(&x->source);
	closep(&x->fd);
	closep(&x->dir);
	free(x->name);
	free(x);
	return NULL;
}

struct local_listener *local_listener_free(struct local_listener *x)
{
	struct stat st;

	/* one that stays is dead, which is told */
	if (x && x->ino && fstatat(x->dir, x->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_ino == x->ino && st.st_dev == x->dev)
		(void)unlinkat(x->dir, x->name, 0);
	return local_listener_leave(x);
}
