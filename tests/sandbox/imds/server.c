/* SPDX-License-Identifier: MIT */

/*
 * libmicrohttpd on the loop: see server.h. MHD's own epoll descriptor is a source of ours, and its
 * timeouts are a timer of ours. A suspended connection must be resumed before MHD is stopped, or MHD
 * aborts: server_free() drops what still waits.
 */

#include "tests/sandbox/imds/server.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utlist.h>

#define BODY_MAX    ((size_t)1024 * 1024)
#define CONNECTIONS 4096U
#define IDLE_SEC    120U

struct server {
	struct loop *loop;
	struct server_spec spec;
	struct MHD_Daemon *mhd;
	struct loop_fd fd;
	struct loop_timer timer;
	struct request *waiting;
};

static void run(struct server *s);

static void on_timer(struct loop_timer *t)
{
	run(container_of(t, struct server, timer));
}

static void run(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG msec;

	(void)MHD_run(s->mhd);
	if (MHD_get_timeout(s->mhd, &msec) == MHD_YES)
		loop_timer_set_msec(s->loop, &s->timer, msec, on_timer);
	else
		loop_timer_del(&s->timer);
}

static void on_readable(struct loop_fd *f, uint32_t events)
{
	run(container_of(f, struct server, fd));
}

/* Comes first, with the target as it was sent; what it returns is the request from then on. */
static void *on_target(void *ctx, const char *target, struct MHD_Connection *conn)
{
	struct request *rq = xnew(struct request);
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	rq->server = ctx;
	rq->conn = conn;
	rq->target = xstrdup(target);
	(void)inet_ip_from_sockaddr(info->client_addr, &rq->peer); /* stays :: when it is neither */
	return rq;
}

static void on_completed(void *ctx, struct MHD_Connection *conn, void **con_cls,
			 enum MHD_RequestTerminationCode how)
{
	struct request *rq = *con_cls;
	struct server *s = ctx;

	if (!rq)
		return;
	*con_cls = NULL;
	if (rq->state == REQUEST_WAITING)
		DL_DELETE(s->waiting, rq);
	if (s->spec.on_end)
		s->spec.on_end(s->spec.ctx, rq);
	buf_deinit(&rq->body);
	free(rq->target);
	free(rq->answer);
	free(rq);
}

static enum MHD_Result queue(struct request *rq)
{
	struct MHD_Response *resp;
	enum MHD_Result r;

	resp = MHD_create_response_from_buffer(rq->answer_len, rq->answer, MHD_RESPMEM_MUST_COPY);
	if (!resp)
		return MHD_NO;
	r = MHD_add_response_header(resp, "Server", rq->server->spec.name);
	if (r == MHD_YES && rq->type)
		r = MHD_add_response_header(resp, "Content-Type", rq->type);
	if (r == MHD_YES && rq->allow)
		r = MHD_add_response_header(resp, "Allow", rq->allow);
	if (r == MHD_YES && *rq->retry_after)
		r = MHD_add_response_header(resp, "Retry-After", rq->retry_after);
	if (r == MHD_YES)
		r = MHD_queue_response(rq->conn, rq->status, resp);
	MHD_destroy_response(resp);
	return r;
}

/* MHD calls on_access once for the head; the answer is queued from the second call on (see c-stack). */
static enum MHD_Result on_access(void *ctx, struct MHD_Connection *conn, const char *url,
				 const char *method, const char *version, const char *data,
				 size_t *n, void **con_cls)
{
	struct request *rq = *con_cls;
	struct server *s = ctx;

	if (!rq->method) {
		rq->method = method;
		return MHD_YES;
	}
	if (*n) {
		int r = buf_append(&rq->body, data, *n, BODY_MAX, NULL);

		*n = 0;
		return r < 0 ? MHD_NO : MHD_YES;
	}
	if (rq->state == REQUEST_READING) {
		s->spec.on_request(s->spec.ctx, rq);
		if (rq->state == REQUEST_READING) {
			rq->state = REQUEST_WAITING;
			DL_APPEND(s->waiting, rq);
			MHD_suspend_connection(conn);
			return MHD_YES;
		}
	}
	return rq->state == REQUEST_ANSWERED ? queue(rq) : MHD_NO;
}

struct server *server_new(struct loop *l, const struct server_spec *spec, struct err *err)
{
	_cleanup_(server_freep) struct server *s = xnew(struct server);
	const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
	const union MHD_DaemonInfo *info;
	struct sockaddr_storage ss;
	char ip[INET_IP_TEXT_MAX];

	s->loop = l;
	s->spec = *spec;
	(void)inet_ip_to_sockaddr(&spec->ip, spec->port, &ss); /* the length is MHD's to know */
	s->mhd = MHD_start_daemon(inet_ip_is_v4(&spec->ip) ? flags : flags | (unsigned)MHD_USE_IPv6,
				  spec->port, NULL, NULL, on_access, s, MHD_OPTION_SOCK_ADDR, &ss,
				  MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
				  MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
				  MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
				  MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SEC,
				  MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_END);
	if (!s->mhd) {
		(void)err_set_errno(err, errno, "listening on %s port %u",
				    inet_ip_print(&spec->ip, ip), spec->port);
		return NULL;
	}
	info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	if (loop_fd_add(l, &s->fd, info->epoll_fd, EPOLLIN, on_readable, err) < 0)
		return NULL;
	return steal_ptr(s);
}

struct server *server_free(struct server *s)
{
	if (!s)
		return NULL;
	while (s->waiting)
		request_drop(s->waiting);
	if (s->fd.loop)
		loop_fd_del(&s->fd);
	if (s->mhd) {
		(void)MHD_run(s->mhd); /* resumes the dropped ones */
		MHD_stop_daemon(s->mhd);
	}
	loop_timer_del(&s->timer);
	free(s);
	return NULL;
}

struct request *server_first_waiting(const struct server *s)
{
	return s->waiting;
}

static void settle(struct request *rq, enum request_state state)
{
	bool waited = rq->state == REQUEST_WAITING;
	struct server *s = rq->server;

	rq->state = state;
	if (waited) {
		DL_DELETE(s->waiting, rq);
		MHD_resume_connection(rq->conn);
		loop_timer_set_msec(s->loop, &s->timer, 0, on_timer);
	}
}

void request_answer(struct request *rq, unsigned status, const char *type, char *body_take)
{
	rq->status = status;
	rq->type = type;
	rq->answer = body_take;
	rq->answer_len = strlen(body_take);
	settle(rq, REQUEST_ANSWERED);
}

void request_drop(struct request *rq)
{
	settle(rq, REQUEST_DROPPED);
}

struct each_header {
	request_header_fn *fn;
	void *ctx;
};

static enum MHD_Result one_header(void *ctx, enum MHD_ValueKind kind, const char *name,
				  const char *value)
{
	const struct each_header *e = ctx;

	e->fn(e->ctx, name, value ? value : "");
	return MHD_YES;
}

void request_each_header(struct request *rq, request_header_fn *fn, void *ctx)
{
	struct each_header e = { fn, ctx };

	(void)MHD_get_connection_values(rq->conn, MHD_HEADER_KIND, one_header, &e); /* a count */
}
