/* SPDX-License-Identifier: MIT */

/*
 * An HTTP listener: see server.h.
 *
 * Theory of operation. libmicrohttpd runs without threads: its epoll fd is a source of our loop, and
 * MHD_run() does what is due. A request that cannot be answered at once suspends its connection.
 * Measured on 0.9.75, and the reason for most of what follows:
 *
 * - The response is queued on the second call of the access handler. On the first, the library closes
 *   the connection after the answer, which costs six sevenths of the throughput.
 * - A suspended connection is out of the library's sight: nobody sees the client hang up. So its fd is
 *   watched by us meanwhile. A client that only closes its sending half looks the same and is taken
 *   for gone; no Azure SDK does that.
 * - MHD_stop_daemon() aborts the process if a connection is suspended: all are resumed first.
 * - Its timeout restarts with every byte, so a sender of one byte a second lives for ever. Ours are
 *   deadlines for a whole request, for an idle connection and for taking an answer. Each phase of a
 *   connection has one fixed duration, so the connections of a phase stand in a list in the order of
 *   their deadlines: entering a phase is O(1), and one timer serves all.
 * - It has no listener. Out of files it would take that out of its epoll set, and put it back only after one
 *   of its connections has ended, which an idle one does in a minute. So we accept: see acceptor.h.
 * - The header checks are ours: see head.c.
 * - A NUL ends the target that the library hands out, but not the request line: see is_cut().
 * - A connection whose peer has lost its address is reset, not closed: what the kernel still holds of an
 *   answer would else be sent again, and again, to whoever has the address next. So one that ends before
 *   the peer has acknowledged its answer lingers: see linger.h.
 *
 * A connection is in one phase (who is slow?), and its exchange in one stage (what is to be done when
 * the library calls next?). Both are below.
 */

#include "nmi/front/server.h"

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/front/acceptor.h"
#include "nmi/front/crowd.h"
#include "nmi/front/lines.h"
#include "nmi/front/linger.h"
#include "nmi/front/listen.h"
#include "nmi/front/response.h"
#include "nmi/limits.h"

#include <assert.h>
#include <malloc.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utlist.h>

enum phase {
	PHASE_FRESH,   /* accepted; a request line is due */
	PHASE_IDLE,    /* kept alive; a request line may come */
	PHASE_REQUEST, /* request line read; the rest is due */
	PHASE_HANDLER, /* with the handler, which has deadlines of its own */
	PHASE_ANSWER,  /* the answer is being sent */
	PHASE_CUT,     /* shut down or reset by us; the library will notice */
	PHASES,
};

static const unsigned phase_msec[PHASES] = {
	[PHASE_FRESH] = LIMIT_REQUEST_MSEC,	[PHASE_IDLE] = LIMIT_IDLE_SEC * 1000,
	[PHASE_REQUEST] = LIMIT_REQUEST_MSEC,	[PHASE_HANDLER] = 0,
	[PHASE_ANSWER] = LIMIT_IDLE_SEC * 1000, [PHASE_CUT] = 0,
};

enum stage {
	STAGE_NONE,    /* no request */
	STAGE_LINE,    /* request line read: the next call brings the headers */
	STAGE_BODY,    /* headers read: calls bring the body, then its end */
	STAGE_HANDLER, /* the handler was called; answered if `answer` is set */
	STAGE_QUEUED,  /* the library has the response */
	STAGE_LOST,    /* no answer will come: close */
};

struct conn {
	struct exchange x;
	struct server *server;
	struct MHD_Connection *mhd;
	int fd;
	enum phase phase;
	enum stage stage;
	struct mono deadline;
	struct conn *prev, *next; /* in the list of its phase */
	struct crowd_place place; /* until it is cut */
	struct response *answer;
	bool suspended;
	struct loop_fd watch; /* while suspended */
	const char *uri;      /* the library's, for is_cut(): it changes the bytes, later on */
	size_t uri_n;
	struct buf target, body;
};

struct server {
	struct loop *loop;
	struct server_spec spec;
	struct MHD_Daemon *daemon;
	struct loop_fd source;
	struct loop_timer again;    /* the library has more to do */
	struct loop_timer deadline; /* of the connection that is first in some phase */
	struct conn *phases[PHASES];
	struct crowd crowd;
	struct lingering linger;
	size_t n_conns, n_most; /* the most since memory was given back */
	int listening;		/* ours; -EBADF: it listens no more */
	struct acceptor acceptor;
	bool draining; /* idle ones are cut soon */
	bool ending;
};

/* phases */

static uint64_t phase_limit(const struct server *s, enum phase p)
{
	if (s->draining && (p == PHASE_IDLE || p == PHASE_FRESH))
		return LIMIT_DRAIN_IDLE_MSEC;
	return phase_msec[p];
}

static void on_deadline(struct loop_timer *t);

static void enter(struct conn *c, enum phase p, struct mono now)
{
	struct server *s = c->server;

	DL_DELETE(s->phases[c->phase], c); /* NOLINT(clang-analyzer-core.NullDereference): a ring */
	DL_APPEND(s->phases[p], c);
	c->phase = p;
	if (p == PHASE_CUT)
		crowd_leave(&s->crowd, &c->place);
	if (!phase_limit(s, p))
		return;
	c->deadline = mono_add_msec(now, phase_limit(s, p));
	if (!s->deadline.loop || mono_before(c->deadline, s->deadline.at))
		loop_timer_set(s->loop, &s->deadline, c->deadline, on_deadline);
}

/* The library sees the end of the stream and closes the connection; answering RST is the kernel's. */
static void cut(struct conn *c, struct mono now)
{
	char peer[INET_IP_TEXT_MAX];

	log_debug("connection of %s is cut: %s", inet_ip_print(&c->x.peer, peer),
		  c->phase == PHASE_IDLE     ? "idle for too long, or its file is needed"
		  : c->phase == PHASE_ANSWER ? "the answer was not taken in time"
					     : "no whole request came in time");
	enter(c, PHASE_CUT, now);
	(void)shutdown(c->fd, SHUT_RDWR); /* fails only if it is gone already */
}

static void reset(struct conn *c, struct mono now)
{
	enter(c, PHASE_CUT, now);
	linger_abort(c->fd);
}

static void on_deadline(struct loop_timer *t)
{
	struct server *s = container_of(t, struct server, deadline);
	struct mono now = loop_mono(s->loop), next = { UINT64_MAX };

	for (enum phase p = 0; p < PHASES; p++) {
		struct conn *c;

		if (!phase_limit(s, p))
			continue;
		while ((c = s->phases[p]) && !mono_before(now, c->deadline))
			cut(c, now);
		if (c && mono_before(c->deadline, next))
			next = c->deadline;
	}
	if (next.ns != UINT64_MAX)
		loop_timer_set(s->loop, &s->deadline, next, on_deadline);
}

/* running the library */

static void on_again(struct loop_timer *t);

static void resume(struct conn *c)
{
	struct server *s = c->server;

	loop_fd_del(&c->watch); /* before the library adds the fd to its own set again */
	c->suspended = false;
	MHD_resume_connection(c->mhd);
	loop_timer_set_msec(s->loop, &s->again, 0, on_again);
}

static void run(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG wait_msec;
	struct crowd_place *place;

	crowd_round(&s->crowd);
	while ((place = crowd_next(&s->crowd)))
		resume(container_of(place, struct conn, place));
	(void)MHD_run(s->daemon); /* fails only if its own epoll fd does, which is a bug of ours */
	if (s->crowd.waiting)
		loop_timer_set_msec(s->loop, &s->again, 0, on_again);
	else if (MHD_get_timeout(s->daemon, &wait_msec) == MHD_YES)
		loop_timer_set_msec(s->loop, &s->again, wait_msec, on_again);
}

static void on_again(struct loop_timer *t)
{
	run(container_of(t, struct server, again));
}

static void on_epoll(struct loop_fd *f, uint32_t events)
{
	(void)events; /* level-triggered and nested: MHD_run() asks again */
	run(container_of(f, struct server, source));
}

/* suspending */

/* Nobody waits for the answer any more: tell the handler, let the library close. */
static void lose(struct conn *c)
{
	void (*gone)(struct exchange * x) = c->x.gone;

	c->stage = STAGE_LOST;
	c->x.gone = NULL;
	if (gone)
		gone(&c->x);
}

static void on_hangup(struct loop_fd *f, uint32_t events)
{
	struct conn *c = container_of(f, struct conn, watch);

	(void)events; /* RDHUP, HUP and ERR mean the same to us */
	lose(c);
	resume(c);
}

static void suspend(struct conn *c)
{
	struct server *s = c->server;
	struct err err = { 0 };

	assert(c->x.gone);
	c->suspended = true;
	MHD_suspend_connection(c->mhd);
	enter(c, PHASE_HANDLER, c->x.start);
	if (loop_fd_add(s->loop, &c->watch, c->fd, EPOLLRDHUP, on_hangup, &err) < 0)
		log_debug("a waiting client's hang-up will not be seen: %s", err.msg);
}

void exchange_answer(struct exchange *x, struct response *r)
{
	struct conn *c = container_of(x, struct conn, x);

	assert(c->stage == STAGE_HANDLER && !c->answer);
	c->answer = response_ref(r);
	x->gone = NULL;
	if (c->suspended)
		resume(c);
}

/* It is at the same place in both families. */
static uint16_t port_of(const struct sockaddr_storage *ss)
{
	struct sockaddr_in in;

	memcpy(&in, ss, sizeof(in));
	return ntohs(in.sin_port);
}

/*
 * The rest comes from the loop: the library, or the watch of a suspended connection, is told by the
 * kernel. So this may be called from anywhere, also from what a handler is waiting for.
 */
static void end(struct conn *c, struct mono now)
{
	reset(c, now);
	if (!c->suspended || c->watch.loop)
		return;
	lose(c); /* there is no watch */
	resume(c);
}

void exchange_drop(struct exchange *x)
{
	struct conn *c = container_of(x, struct conn, x);

	assert(c->stage == STAGE_HANDLER && !c->answer);
	x->gone = NULL;
	end(c, loop_mono(c->server->loop));
}

void server_close_peer(struct server *s, const struct inet_ip *ip, server_meant_fn *meant,
		       const char *pod_uid)
{
	struct mono now = loop_mono(s->loop);

	linger_close_peer(&s->linger, ip, meant, pod_uid);
	for (enum phase p = 0; p < PHASES; p++) {
		struct conn *c, *next;

		if (p == PHASE_CUT)
			continue;
		DL_FOREACH_SAFE (s->phases[p], c, next) {
			if (inet_ip_eq(&c->x.peer, ip) && meant(&c->x, pod_uid))
				end(c, now);
		}
	}
}

bool exchange_ends(const struct exchange *x, struct tcp_ends *out)
{
	const struct conn *c = container_of(x, struct conn, x);
	struct sockaddr_storage client = { 0 }, server = { 0 };
	socklen_t n = sizeof(client), m = sizeof(server);

	if (getpeername(c->fd, (struct sockaddr *)&client, &n) < 0 ||
	    getsockname(c->fd, (struct sockaddr *)&server, &m) < 0 ||
	    !inet_ip_from_sockaddr((struct sockaddr *)&client, &out->client) ||
	    !inet_ip_from_sockaddr((struct sockaddr *)&server, &out->server))
		return false;
	out->client_port = port_of(&client);
	out->server_port = port_of(&server);
	return true;
}

/* the library's callbacks */

static struct conn *conn_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void change_target(struct conn *c)
{
	free(c->x.asked);
	c->x.asked = NULL;
	buf_reset(&c->target);
	if (buf_append(&c->target, c->uri, c->uri_n, LIMIT_TARGET_BYTES, NULL) < 0)
		c->x.target_too_long = true;
}

static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct conn *c = conn_of(mhd);
	struct exchange was = c->x;
	struct str last = { c->target.p, c->target.n };

	(void)cls; /* the connection knows its server */
	c->uri = uri;
	c->uri_n = strlen(uri);
	c->x = (struct exchange){
		.is_same_target = str_eq(last, (struct str){ uri, c->uri_n }),
		.peer = was.peer,
		.pod_uid = was.pod_uid,
		.told = was.told,
		.told_as = was.told_as,
		.asked = was.asked,
		.start = loop_mono(c->server->loop),
	};
	c->stage = STAGE_LINE;
	buf_reset(&c->body);
	if (!c->x.is_same_target)
		change_target(c);
	c->x.target = (struct str){ c->target.p, c->target.n };
	crowd_use(&c->place);
	enter(c, PHASE_REQUEST, c->x.start);
	return c;
}

/* The library decodes the path, the names and the values of the query. We read the raw target, and none of it. */
static size_t leave_as_it_is(void *cls, struct MHD_Connection *mhd, char *s)
{
	(void)cls;
	(void)mhd;
	return strlen(s);
}

static enum MHD_Result queue(struct conn *c)
{
	enum MHD_Result r = MHD_queue_response(c->mhd, c->answer->status, c->answer->mhd);

	c->stage = STAGE_QUEUED;
	c->answer = response_unref(c->answer);
	enter(c, PHASE_ANSWER, loop_mono_coarse(c->server->loop));
	return r;
}

/* It is resumed by run(), and what it is called with then is the same. */
static enum MHD_Result wait_for_turn(struct conn *c)
{
	if (c->server->spec.waits)
		c->server->spec.waits(c->server->spec.ctx, &c->x);
	c->suspended = true;
	MHD_suspend_connection(c->mhd);
	enter(c, PHASE_HANDLER, c->x.start);
	return MHD_YES;
}

static enum MHD_Result call_handler(struct conn *c)
{
	c->stage = STAGE_HANDLER;
	c->x.body = (struct str){ c->body.p, c->body.n };
	c->server->spec.handle(c->server->spec.ctx, &c->x);
	if (c->phase == PHASE_CUT) {
		lose(c); /* the handler may have begun to wait all the same */
		return MHD_NO;
	}
	if (c->answer)
		return queue(c);
	suspend(c);
	return MHD_YES;
}

/*
 * The version stands in the same buffer, behind the target and the blank that was made its end. If there
 * is more between them, a NUL has cut the target. (In 0.9.75; where a later library has it elsewhere, a
 * test of ours fails.)
 */
static bool is_cut(const struct conn *c, const char *version)
{
	uintptr_t from = (uintptr_t)c->uri, to = (uintptr_t)version;

	return to > from && to - from < LIMIT_CONNECTION_POOL && to - from > c->uri_n + 1;
}

static enum MHD_Result on_headers(struct conn *c, const char *method, const char *version)
{
	struct head *h = &c->x.head;
	const char *fault;

	c->stage = STAGE_BODY;
	c->x.method = method;
	fault = lines_read(c->mhd, method, version, h);
	head_end(h, version);
	if (!h->fault)
		h->fault = fault;
	if (is_cut(c, version))
		h->fault = "the request line has a NUL byte";
	if (!h->fault && h->content_length <= c->server->spec.body_max)
		return MHD_YES;
	/*
	 * Here the first call is right: where this body ends is not known, or not worth waiting for, so
	 * the connection has to close anyway. Such an answer is never one to wait for.
	 */
	c->x.body_too_long = !h->fault;
	return call_handler(c);
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url,
				 const char *method, const char *version, const char *upload,
				 size_t *upload_n, void **req_cls)
{
	struct server *s = cls;
	struct conn *c = *req_cls;

	(void)mhd;
	(void)url; /* cut at a NUL: the raw one is in x.target */
	if (s->ending || c->phase == PHASE_CUT)
		return MHD_NO;
	if (c->stage == STAGE_LINE)
		return on_headers(c, method, version);
	if (c->stage == STAGE_BODY && *upload_n) {
		if (buf_append(&c->body, upload, *upload_n, s->spec.body_max, NULL) < 0)
			c->x.body_too_long = true;
		*upload_n = 0;
		return MHD_YES;
	}
	if (c->stage == STAGE_BODY && !crowd_turn(&s->crowd, &c->place))
		return wait_for_turn(c);
	if (c->stage == STAGE_BODY) {
		/* what a chunked body brought behind it */
		lines_read_trailers(c->mhd, &c->x.head);
		return call_handler(c);
	}
	if (c->stage == STAGE_HANDLER && c->answer)
		return queue(c);
	return MHD_NO; /* lost: close */
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **req_cls,
			 enum MHD_RequestTerminationCode why)
{
	struct conn *c = *req_cls;

	(void)cls;
	(void)mhd;
	(void)why;
	if (!c)
		return;
	*req_cls = NULL;
	if (c->stage == STAGE_HANDLER)
		lose(c);
	c->stage = STAGE_NONE;
	c->answer = response_unref(c->answer);
	free(c->x.label);
	c->x.label = NULL;
	if (c->phase != PHASE_CUT)
		enter(c, PHASE_IDLE, loop_mono_coarse(c->server->loop));
}

static void make_room(struct server *s)
{
	struct crowd_place *place = crowd_excess(&s->crowd);
	struct conn *c = place ? container_of(place, struct conn, place) : NULL;

	if (!c)
		return;
	if (s->spec.crowded)
		s->spec.crowded(s->spec.ctx, &c->x.peer, true);
	end(c, loop_mono(s->loop));
}

static void conn_start(struct server *s, struct MHD_Connection *mhd, void **context)
{
	const union MHD_ConnectionInfo *i;
	struct conn *c = xnew(struct conn);

	c->server = s;
	c->mhd = mhd;
	i = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->fd = i->connect_fd;
	i = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	(void)inet_ip_from_sockaddr(i->client_addr, &c->x.peer); /* else "::": no pod has that */
	DL_APPEND(s->phases[c->phase], c);
	enter(c, PHASE_FRESH, loop_mono(s->loop));
	s->n_conns++;
	s->n_most = s->n_conns > s->n_most ? s->n_conns : s->n_most;
	*context = c;
	crowd_enter(&s->crowd, &c->place, &c->x.peer);
	make_room(s);
	if (s->spec.accepted)
		s->spec.accepted(s->spec.ctx, &c->x.peer);
}

/* What so many had needed, the allocator would keep for ever: some 20 KiB each. It takes milliseconds, so seldom. */
static void give_back(struct server *s)
{
	if (s->n_most < LIMIT_MEMORY_KEPT || s->n_conns > s->n_most / 8)
		return;
	s->n_most = s->n_conns;
	(void)malloc_trim(0);
}

static void conn_end(struct server *s, struct conn *c)
{
	assert(!c->watch.loop);
	if (!s->ending)
		linger_begin(&s->linger, &c->x, c->fd);
	DL_DELETE(s->phases[c->phase], c);
	crowd_leave(&s->crowd, &c->place);
	s->n_conns--;
	acceptor_wake(&s->acceptor);
	response_unref(c->answer);
	free(c->x.label);
	free(c->x.pod_uid);
	free(c->x.asked);
	buf_deinit(&c->target);
	buf_deinit(&c->body);
	free(c);
	give_back(s);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		conn_start(cls, mhd, context);
	else if (*context)
		conn_end(cls, *context);
}

struct each {
	exchange_header_fn *fn;
	void *ctx;
};

static enum MHD_Result on_each(void *cls, enum MHD_ValueKind kind, const char *name,
			       const char *value)
{
	struct each *e = cls;

	(void)kind;
	e->fn(e->ctx, name, value ? value : "");
	return MHD_YES;
}

void exchange_each_header(struct exchange *x, exchange_header_fn *fn, void *ctx)
{
	struct conn *c = container_of(x, struct conn, x);
	struct each e = { fn, ctx };

	(void)MHD_get_connection_values(c->mhd, MHD_HEADER_KIND, on_each, &e);
}

/* accepting */

static bool has_room(void *ctx)
{
	const struct server *s = ctx;

	return s->n_conns < s->spec.connections;
}

static void take(void *ctx, int fd, const struct sockaddr *address, socklen_t n)
{
	struct server *s = ctx;
	struct inet_ip peer = { { 0 } };

	(void)inet_ip_from_sockaddr(address, &peer);
	if (!crowd_admits(&s->crowd, &peer)) {
		close(fd);
		if (s->spec.crowded)
			s->spec.crowded(s->spec.ctx, &peer, false);
		return;
	}
	if (MHD_add_connection(s->daemon, fd, address, n) != MHD_YES) /* which has closed it */
		log_debug("a connection is not kept: no memory for it");
}

/* Their deadlines are in that order. One on which a request has come that nobody has read yet is not idle. */
static uint64_t idle_since(const struct crowd_place *p)
{
	const struct conn *c = container_of(p, struct conn, place);
	char byte;

	if (c->phase != PHASE_IDLE || recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		return 0;
	return c->deadline.ns;
}

bool server_spare(struct server *const *servers, size_t n)
{
	struct crowd_place *best = NULL;
	struct server *s;

	for (size_t i = 0; i < n; i++) {
		struct crowd_place *p = crowd_spare(&servers[i]->crowd, idle_since);

		if (crowd_is_easier(p, best, idle_since))
			best = p;
	}
	if (!best)
		return false;
	s = container_of(best, struct conn, place)->server;
	cut(container_of(best, struct conn, place), loop_mono(s->loop));
	run(s); /* which closes it */
	return true;
}

static bool spare(void *ctx)
{
	struct server *s = ctx;

	return s->spec.spare ? s->spec.spare(s->spec.ctx) : server_spare(&s, 1);
}

static const struct acceptor_use accepting = { has_room, take, spare };

/* listening */

static struct MHD_Daemon *start(struct server *s)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME,
				0, NULL, NULL, on_access, s, /* */
				MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				(size_t)LIMIT_CONNECTION_POOL,			  /* */
				MHD_OPTION_CONNECTION_LIMIT, s->spec.connections, /* */
				MHD_OPTION_CONNECTION_TIMEOUT, 0U, /* see enum phase */
				MHD_OPTION_URI_LOG_CALLBACK, on_request_line, s, /* */
				MHD_OPTION_UNESCAPE_CALLBACK, leave_as_it_is, NULL,
				MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, /* */
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
}

struct server *server_new(struct loop *l, const struct server_spec *spec, struct err *err)
{
	_cleanup_(server_freep) struct server *s = xnew(struct server);

	s->loop = s->linger.loop = l;
	s->spec = *spec;
	if (spec->connections_per_peer)
		s->crowd = (struct crowd){ .full_at = spec->connections - spec->connections / 4,
					   .peer_max = spec->connections_per_peer,
					   .turns = spec->turns ? spec->turns : LIMIT_TURNS,
					   .turns_always = spec->turns > 0 };
	s->listening = spec->listening > 0 ? spec->listening : listen_on(spec, err);
	if (s->listening < 0)
		return NULL;
	s->daemon = start(s);
	if (!s->daemon) {
		(void)err_set(err, ERR_OS, "libmicrohttpd did not start on port %u", spec->port);
		return NULL;
	}
	if (spec->listening <= 0 && server_start(s, err) < 0)
		return NULL;
	return steal_ptr(s);
}

int server_start(struct server *s, struct err *err)
{
	const union MHD_DaemonInfo *info;
	int r;

	if (s->source.loop)
		return 0;
	info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	r = loop_fd_add(s->loop, &s->source, info->epoll_fd, EPOLLIN, on_epoll, err);
	if (r == 0 && s->listening >= 0)
		r = acceptor_start(&s->acceptor, s->loop, s->listening, &accepting, s, err);
	if (r < 0)
		loop_fd_del(&s->source);
	return r;
}

int server_listening(const struct server *s)
{
	return s->listening;
}

int server_release(struct server *s)
{
	acceptor_stop(&s->acceptor);
	return steal_fd(&s->listening);
}

void server_drain(struct server *s, bool cut_idle)
{
	struct mono now = loop_mono(s->loop);
	int fd;

	if (s->draining)
		return;
	/* closing a listener resets what waits to be accepted: accept it first */
	acceptor_all(&s->acceptor);
	fd = server_release(s);
	if (fd >= 0)
		close(fd);
	if (!cut_idle)
		return;
	s->draining = true;
	/* idle ones get a moment, so that a request that is on its way to us is answered */
	for (enum phase p = PHASE_FRESH; p <= PHASE_IDLE; p++) {
		struct conn *c;

		DL_FOREACH (s->phases[p], c)
			c->deadline = mono_add_msec(now, LIMIT_DRAIN_IDLE_MSEC);
	}
	loop_timer_set_msec(s->loop, &s->deadline, LIMIT_DRAIN_IDLE_MSEC, on_deadline);
}

size_t server_connections(const struct server *s)
{
	return s->n_conns + s->linger.n;
}

/* Others are answered, but the answer is not yet sent. */
static void end_suspended(struct conn *list)
{
	struct conn *c, *next;

	DL_FOREACH_SAFE (list, c, next) {
		if (!c->suspended)
			continue;
		lose(c);
		resume(c);
	}
}

struct server *server_free(struct server *s)
{
	int fd;

	if (!s)
		return NULL;
	s->ending = true;
	fd = server_release(s);
	if (fd >= 0)
		close(fd);
	if (s->daemon) {
		end_suspended(s->phases[PHASE_HANDLER]);
		end_suspended(s->phases[PHASE_CUT]);
		loop_fd_del(&s->source);
		(void)MHD_run(s->daemon); /* takes the resumed ones back; on_access() refuses all */
		MHD_stop_daemon(s->daemon);
	}
	assert(s->n_conns == 0);
	linger_deinit(&s->linger);
	loop_timer_del(&s->again);
	loop_timer_del(&s->deadline);
	free(s);
	return NULL;
}
