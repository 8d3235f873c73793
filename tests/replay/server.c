/* SPDX-License-Identifier: MIT */

/* A scripted server: see server.h. */

#include "tests/replay/server.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <utlist.h>

#define REQUEST_MAX ((size_t)1 << 20)
#define SAY_MAX	    ((size_t)64 << 20)

struct server_conn {
	struct loop_fd source;
	struct server *server;
	struct buf in, out;
	size_t step;
	bool closing;
	struct server_conn *prev, *next;
};

struct server {
	struct loop *loop;
	struct loop_fd source;
	int fd;
	char host[INET_ADDRSTRLEN];
	uint16_t port;
	unsigned accepted;
	unsigned long activity;
	server_fn *fn;
	void *ctx;
	struct server_conn *conns;
};

static void conn_free(struct server_conn *c)
{
	DL_DELETE(c->server->conns, c);
	loop_fd_del(&c->source);
	close(c->source.fd);
	buf_deinit(&c->in);
	buf_deinit(&c->out);
	free(c);
}

/* The length of the first request in `in`, 0 while it is not whole. */
static size_t request_len(const struct buf *in)
{
	const char *head = in->p ? strstr(in->p, "\r\n\r\n") : NULL;
	const char *length = in->p ? strcasestr(in->p, "\r\nContent-Length:") : NULL;
	size_t n, body = 0;

	if (!head)
		return 0;
	n = (size_t)(head - in->p) + 4;
	if (length && length < head)
		body = strtoul(length + 17, NULL, 10);
	return in->n >= n + body ? n + body : 0;
}

static void answer(struct server_conn *c)
{
	size_t n;

	while ((n = request_len(&c->in))) {
		char *text = xstrndup(c->in.p, n);

		buf_consume(&c->in, n);
		c->server->fn(c->server->ctx, c, text);
		free(text);
	}
}

/* False: the connection is gone. */
static bool flush(struct server_conn *c)
{
	while (c->out.n) {
		size_t n = c->step && c->step < c->out.n ? c->step : c->out.n;
		ssize_t w = send(c->source.fd, c->out.p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (w < 0 && errno == EAGAIN)
			break;
		if (w < 0) {
			conn_free(c);
			return false;
		}
		c->server->activity++;
		buf_consume(&c->out, (size_t)w);
		if (c->step)
			break; /* the rest in the next turn, when the client has seen this */
	}
	if (!c->out.n && c->closing) {
		conn_free(c);
		return false;
	}
	return true;
}

static void on_conn(struct loop_fd *f, uint32_t events)
{
	struct server_conn *c = container_of(f, struct server_conn, source);
	char chunk[4096];
	ssize_t n;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = recv(f->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			c->server->activity++;
			conn_free(c);
			return;
		}
		if (n > 0) {
			c->server->activity++;
			(void)buf_append(&c->in, chunk, (size_t)n, REQUEST_MAX, NULL);
			answer(c);
		}
	}
	if (flush(c))
		(void)loop_fd_mod(f, EPOLLIN | (c->out.n ? (uint32_t)EPOLLOUT : 0u), NULL);
}

static void on_accept(struct loop_fd *f, uint32_t events)
{
	struct server *s = container_of(f, struct server, source);
	int on = 1, fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct server_conn *c;

	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
			 sizeof(on)); /* fails on a unix socket */
	c = xnew(struct server_conn);
	c->server = s;
	s->accepted++;
	s->activity++;
	DL_APPEND(s->conns, c);
	(void)loop_fd_add(s->loop, &c->source, fd, EPOLLIN, on_conn, NULL);
}

/*
 * A port that was closed here stays taken for a minute (TIME-WAIT), and all clients of the loopback network have
 * theirs at 127.0.0.1. So each test has addresses of its own there, and moves on when it makes thousands of servers.
 */
static struct in_addr next_address(void)
{
	static unsigned made;
	unsigned at = made++ / 1000;

	return (struct in_addr){ htonl(127U << 24 | (1 + (unsigned)getpid() % 250) << 16 | at << 8 |
				       1) };
}

struct server *server_new(struct loop *l, const char *unix_path, server_fn *fn, void *ctx,
			  struct err *err)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = next_address() };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(in);
	struct server *s = xnew(struct server);
	struct sockaddr *sa = (void *)&in;

	if (unix_path) {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", unix_path);
		sa = (void *)&un;
		len = sizeof(un);
	}
	s->loop = l;
	s->fn = fn;
	s->ctx = ctx;
	s->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0 || bind(s->fd, sa, len) < 0 || listen(s->fd, 128) < 0) {
		(void)err_set_errno(err, errno, "listening");
		return server_free(s);
	}
	if (!unix_path && getsockname(s->fd, sa, &len) == 0) {
		s->port = ntohs(in.sin_port);
		(void)inet_ntop(AF_INET, &in.sin_addr, s->host, sizeof(s->host));
	}
	if (loop_fd_add(l, &s->source, s->fd, EPOLLIN, on_accept, err) < 0)
		return server_free(s);
	return s;
}

struct server *server_free(struct server *s)
{
	struct server_conn *c, *next;

	if (!s)
		return NULL;
	DL_FOREACH_SAFE (s->conns, c, next)
		conn_free(c);
	loop_fd_del(&s->source);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	return NULL;
}

const char *server_host(const struct server *s)
{
	return s->host;
}

uint16_t server_port(const struct server *s)
{
	return s->port;
}

unsigned server_accepted(const struct server *s)
{
	return s->accepted;
}

unsigned long server_activity(const struct server *s)
{
	return s->activity;
}

/* Sent from on_conn(), which flushes after the handler, or later: then the loop is told to write. */
void server_say(struct server_conn *c, const void *p, size_t n, size_t step)
{
	c->step = step;
	(void)buf_append(&c->out, p, n, SAY_MAX, NULL);
	(void)loop_fd_mod(&c->source, EPOLLIN | EPOLLOUT, NULL);
}

void server_hang_up(struct server_conn *c)
{
	c->closing = true;
	(void)loop_fd_mod(&c->source, EPOLLIN | EPOLLOUT, NULL);
}
