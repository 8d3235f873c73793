/* SPDX-License-Identifier: MIT */

/*
 * The agent's side of its socket: see server.h.
 *
 * The socket is bound to a name that nobody knows and then renamed, so that there is no moment without one
 * that answers, and so that what an agent that died left behind is replaced without being asked. When the
 * agent ends, the name may be another's by then: the inode tells.
 */

#include "nmi/status/server.h"

#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/status/line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CONNECTIONS_MAX 4
#define BACKLOG		64
/* From the connection to the last byte: who asks is a program on this node. */
#define DEADLINE_MSEC 2000
/* No file descriptor is left: the next look. */
#define AGAIN_MSEC 1000

struct conn {
	struct status_server *server;
	int fd; /* -1: free */
	uint64_t nth;
	struct loop_fd source;
	struct loop_timer deadline;
	char in[STATUS_LINE_MAX];
	size_t n;
	char *out; /* NULL: the line is not whole yet */
	size_t out_n, sent;
};

struct status_server {
	struct loop *loop;
	int fd;
	struct loop_fd source;
	struct loop_timer again;
	const struct status_command *commands;
	size_t n_commands;
	void *ctx;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int dir; /* what is above it may be closed to the user that we become */
	dev_t dev;
	ino_t ino;
	uint64_t accepted;
	struct conn conns[CONNECTIONS_MAX];
};

static void conn_close(struct conn *c)
{
	if (c->fd < 0)
		return;
	loop_fd_del(&c->source);
	loop_timer_del(&c->deadline);
	close(c->fd);
	free(c->out);
	c->fd = -1;
	c->out = NULL;
}

static void on_deadline(struct loop_timer *t)
{
	conn_close(container_of(t, struct conn, deadline));
}

static char *error_document(const char *code, const char *message, size_t *out_n)
{
	const struct jval_item items[] = {
		{ "error.code", JVAL_STR, .str = code },
		{ "error.message", JVAL_STR, .str = message },
	};

	return jval_print_items(items, ARRAY_SIZE(items), out_n);
}

static char *answer_unknown(const struct status_server *s, struct str command, size_t *out_n)
{
	char said[64], message[400];
	size_t n;

	str_escape(said, sizeof(said), command);
	(void)snprintf(message, sizeof(message),
		       "this agent does not know the command '%s'; it "
		       "knows:",
		       said);
	for (size_t i = 0; i < s->n_commands; i++) {
		n = strlen(message);
		(void)snprintf(message + n, sizeof(message) - n, "%s %s", i ? "," : "",
			       s->commands[i].name);
	}
	return error_document("unknown_command", message, out_n);
}

/* NULL: the line is not whole. */
static char *answer(const struct status_server *s, const char *p, size_t n, bool ended,
		    size_t *out_n)
{
	struct str command, args;

	switch (status_line_parse(p, n, ended, &command, &args)) {
	case STATUS_LINE_PART:
		return NULL;
	case STATUS_LINE_BAD:
		return error_document("bad_line",
				      "a line of printable ASCII is expected, such as 'status'",
				      out_n);
	case STATUS_LINE_WHOLE:
		break;
	}
	for (size_t i = 0; i < s->n_commands; i++)
		if (str_eq(command, str_of(s->commands[i].name)))
			return s->commands[i].answer(s->ctx, args, out_n);
	return answer_unknown(s, command, out_n);
}

static void conn_write(struct conn *c)
{
	ssize_t n = send(c->fd, c->out + c->sent, c->out_n - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->sent += n > 0 ? (size_t)n : 0;
	if (n < 0 || c->sent == c->out_n)
		conn_close(c);
}

static void conn_read(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->n, sizeof(c->in) - c->n, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && c->n == 0)) {
		conn_close(c);
		return;
	}
	c->n += (size_t)n;
	c->out = answer(c->server, c->in, c->n, n == 0, &c->out_n);
	if (!c->out)
		return;
	(void)loop_fd_mod(&c->source, EPOLLOUT, NULL); /* else the deadline ends it */
	conn_write(c);
}

static void on_conn(struct loop_fd *f, uint32_t events)
{
	struct conn *c = container_of(f, struct conn, source);

	if (c->out)
		conn_write(c);
	else
		conn_read(c);
}

/* One that is free, or the oldest one's. */
static struct conn *take_slot(struct status_server *s)
{
	struct conn *oldest = &s->conns[0];

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct conn *c = &s->conns[i];

		if (c->fd < 0)
			return c;
		oldest = c->nth < oldest->nth ? c : oldest;
	}
	conn_close(oldest);
	return oldest;
}

static bool may_ask(int fd)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

static void take_connection(struct status_server *s, int fd)
{
	struct conn *c;

	if (!may_ask(fd)) {
		close(fd);
		return;
	}
	c = take_slot(s);
	*c = (struct conn){ .server = s, .fd = fd, .nth = s->accepted++ };
	if (loop_fd_add(s->loop, &c->source, fd, EPOLLIN, on_conn, NULL) < 0)
		conn_close(c);
	else
		loop_timer_set_msec(s->loop, &c->deadline, DEADLINE_MSEC, on_deadline);
}

static void on_listener(struct loop_fd *f, uint32_t events);

static void on_again(struct loop_timer *t)
{
	struct status_server *s = container_of(t, struct status_server, again);

	if (loop_fd_add(s->loop, &s->source, s->fd, EPOLLIN, on_listener, NULL) < 0)
		loop_timer_set_msec(s->loop, t, AGAIN_MSEC, on_again);
}

static void on_listener(struct loop_fd *f, uint32_t events)
{
	struct status_server *s = container_of(f, struct status_server, source);
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		take_connection(s, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		loop_fd_del(f);
		loop_timer_set_msec(s->loop, &s->again, AGAIN_MSEC, on_again);
	}
}

/* Bound to `name`, for root and whoever the directory belongs to. */
static int bind_to(struct status_server *s, const char *dir, const char *name, struct err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	int r;

	if (strlen(name) >= sizeof(sa.sun_path))
		return err_set(err, ERR_OS, "%s is too long for the name of a socket", name);
	memcpy(sa.sun_path, name, strlen(name) + 1);
	mask = umask(0177);
	r = bind(s->fd, (const struct sockaddr *)&sa, sizeof(sa));
	(void)umask(mask);
	if (r < 0)
		return err_set_errno(err, errno, "making %s", name);
	if (stat(dir, &st) == 0 && st.st_uid != geteuid() && lchown(name, st.st_uid, (gid_t)-1) < 0)
		log_debug("%s: root alone may ask", name);
	return 0;
}

static int open_socket(struct status_server *s, const char *dir, struct err *err)
{
	char temporary[sizeof(s->path) + 16];
	unsigned random = 0;
	struct stat st;
	int n;

	n = snprintf(s->path, sizeof(s->path), "%s/" STATUS_SOCKET, dir);
	if (n < 0 || (size_t)n >= sizeof(s->path))
		return err_set(err, ERR_OS, "%s is too long for the name of a socket", dir);
	if (getrandom(&random, sizeof(random), 0) < 0)
		return err_set_errno(err, errno, "a name for %s", s->path);
	(void)snprintf(temporary, sizeof(temporary), "%s.%08x", s->path, random);
	s->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return err_set_errno(err, errno, "opening %s", dir);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return err_set_errno(err, errno, "a socket for %s", s->path);
	if (bind_to(s, dir, temporary, err) < 0)
		return -(int)err->kind;
	if (listen(s->fd, BACKLOG) == 0 && lstat(temporary, &st) == 0 &&
	    rename(temporary, s->path) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
		return 0;
	}
	(void)err_set_errno(err, errno, "making %s", s->path);
	(void)unlink(temporary); /* a name that nobody knows is in nobody's way */
	return -(int)err->kind;
}

struct status_server *status_server_new(struct loop *l, const char *dir,
					const struct status_command *commands, size_t n, void *ctx,
					struct err *err)
{
	struct status_server *s = xnew(struct status_server);
	struct err why = { 0 };

	s->loop = l;
	s->fd = s->dir = -1;
	s->commands = commands;
	s->n_commands = n;
	s->ctx = ctx;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		s->conns[i].fd = -1;
	if (open_socket(s, dir, &why) == 0 &&
	    loop_fd_add(l, &s->source, s->fd, EPOLLIN, on_listener, &why) == 0)
		return s;
	if (err)
		*err = why;
	return status_server_free(s);
}

struct status_server *status_server_free(struct status_server *s)
{
	struct stat st;

	if (!s)
		return NULL;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		conn_close(&s->conns[i]);
	loop_timer_del(&s->again);
	loop_fd_del(&s->source);
	if (s->ino && fstatat(s->dir, STATUS_SOCKET, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_ino == s->ino && st.st_dev == s->dev)
		(void)unlinkat(s->dir, STATUS_SOCKET,
			       0); /* one that stays is dead, which is told */
	if (s->fd >= 0)
		close(s->fd);
	if (s->dir >= 0)
		close(s->dir);
	free(s);
	return NULL;
}
