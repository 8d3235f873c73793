/* SPDX-License-Identifier: MIT */

/*
 * The agent's side of its socket: see server.h.
 */

#include "nmi/status/server.h"

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/local_socket.h"
#include "nmi/status/line.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 4
/* From the connection to the last byte: who asks is a program on this node. */
#define DEADLINE_MSEC 2000

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
	struct local_listener *listener;
	const struct status_command *commands;
	size_t n_commands;
	void *ctx;
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

static void on_connection(void *ctx, int fd)
{
	struct status_server *s = ctx;
	struct conn *c;
	uid_t uid;

	if (!local_peer_is_ours(fd, 0, &uid)) {
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

struct status_server *status_server_new(struct loop *l, const char *dir,
					const struct status_command *commands, size_t n, void *ctx,
					struct err *err)
{
	_cleanup_(status_server_freep) struct status_server *s = xnew(struct status_server);

	s->loop = l;
	s->commands = commands;
	s->n_commands = n;
	s->ctx = ctx;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		s->conns[i].fd = -1;
	s->listener = local_listener_new(l, dir, STATUS_SOCKET, SOCK_STREAM, on_connection, s, err);
	return s->listener ? steal_ptr(s) : NULL;
}

struct status_server *status_server_free(struct status_server *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		conn_close(&s->conns[i]);
	(void)local_listener_free(s->listener);
	free(s);
	return NULL;
}
