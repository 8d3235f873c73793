/* SPDX-License-Identifier: MIT */

/*
 * HTTP for the API: see server.h.
 *
 * Theory of operation: MHD has no thread of its own. Its epoll fd and its timeout are a source and a
 * timer of the loop, and MHD_run() is called when either is due or when a connection was resumed. A
 * watch without anything to send is suspended. MHD does not look at a suspended socket, so that we watch
 * it for the client's end; and it aborts when it is stopped with one, so that all are resumed first.
 *
 * The answer is queued on the second call of the handler: queued on the first, MHD closes the
 * connection after it.
 */

#include "tests/sandbox/apiserver/server.h"

#include "lib/base/inet.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/files.h"
#include "tests/sandbox/apiserver/meta.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/apiserver/status.h"
#include "tests/sandbox/apiserver/watch.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utlist.h>

#define BODY_MAX	(3 * 1024 * 1024) /* as etcd's limit on a request makes it */
#define PEM_MAX		(1024 * 1024)
#define CONNECTIONS_MAX 8192
#define IDLE_S		300
#define CHUNK		(32 * 1024)

struct server {
	struct api *api;
	struct MHD_Daemon *daemon;
	struct loop_fd source;
	struct loop_timer timer;
	struct loop_defer run;
	struct exchange *first;
	char *cert, *key; /* MHD keeps the pointers */
	int listener;
	uint16_t port;
	bool stopping;
};

/* One request and its answer. */
struct exchange {
	struct exchange *prev, *next;
	struct server *server;
	struct MHD_Connection *conn;
	struct buf body;
	struct watch *watch;
	struct loop_fd hangup; /* while suspended */
	bool suspended, dropped, too_large, gone;
};

/* A connection; lives longer than its exchanges. */
struct peer {
	char *target; /* of the request being read, as it came */
};

/* driving MHD */

static void run_again(struct loop_defer *d);

static void on_timer(struct loop_timer *t)
{
	struct server *s = container_of(t, struct server, timer);

	loop_defer(s->api->loop, &s->run, run_again);
}

static void run_again(struct loop_defer *d)
{
	struct server *s = container_of(d, struct server, run);
	MHD_UNSIGNED_LONG_LONG msec;

	(void)MHD_run(s->daemon); /* its failures are those of single connections */
	if (MHD_get_timeout(s->daemon, &msec) == MHD_YES)
		loop_timer_set_msec(s->api->loop, &s->timer, msec, on_timer);
}

static void on_ready(struct loop_fd *f, uint32_t events)
{
	struct server *s = container_of(f, struct server, source);

	run_again(&s->run);
}

/* suspended exchanges */

static void resume(struct exchange *x)
{
	if (!x->suspended)
		return;
	x->suspended = false;
	loop_fd_del(&x->hangup);
	MHD_resume_connection(x->conn);
	loop_defer(x->server->api->loop, &x->server->run, run_again);
}

static void on_hangup(struct loop_fd *f, uint32_t events)
{
	struct exchange *x = container_of(f, struct exchange, hangup);

	x->gone = true;
	resume(x);
}

static void suspend(struct exchange *x)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->conn, MHD_CONNECTION_INFO_CONNECTION_FD);

	MHD_suspend_connection(x->conn);
	x->suspended = true;
	if (loop_fd_add(x->server->api->loop, &x->hangup, info->connect_fd, EPOLLRDHUP, on_hangup,
			NULL) < 0)
		x->hangup.loop = NULL; /* then its end is seen at the next event */
}

static void on_wake(void *ctx)
{
	resume(ctx);
}

/* Requests that were left unanswered get their turn when that fault ends. */
static void wake_dropped(struct server *s)
{
	struct exchange *x;

	if (s->api->fault.drop)
		return;
	DL_FOREACH (s->first, x) {
		if (x->dropped)
			resume(x);
	}
}

/* answers */

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
	(void)MHD_add_response_header(r, name, value); /* only fails for lack of memory */
}

static void add_headers(struct MHD_Response *r, const struct reply *reply)
{
	char id[META_UID_MAX], seconds[16];

	meta_new_uid(id);
	add_header(r, "Audit-Id", id);
	add_header(r, "Cache-Control", reply->cache ? reply->cache : "no-cache, private");
	add_header(r, "Content-Type", reply->type);
	if (reply->nosniff)
		add_header(r, "X-Content-Type-Options", "nosniff");
	add_header(r, "X-Kubernetes-Pf-Flowschema-Uid", "059e4976-857c-4d90-a3f8-6c119acc38b0");
	add_header(r, "X-Kubernetes-Pf-Prioritylevel-Uid", "ec9d470c-dea7-420f-8265-522f0657ad4e");
	if (reply->retry_after_s) {
		(void)snprintf(seconds, sizeof(seconds), "%u", reply->retry_after_s);
		add_header(r, "Retry-After", seconds);
	}
	if (reply->warning) {
		char quoted[1024];
		_cleanup_free_ char *text = NULL;

		(void)str_escape(quoted, sizeof(quoted), str_of(reply->warning));
		text = xasprintf("299 - \"%s\"", quoted);
		add_header(r, "Warning", text);
	}
}

static ssize_t read_watch(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct exchange *x = cls;
	ssize_t n;

	if (x->gone || x->server->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = watch_read(x->watch, buf, max);
	if (n == WATCH_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == WATCH_ABORT)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0)
		suspend(x);
	return n;
}

static enum MHD_Result queue(struct exchange *x, struct reply *reply)
{
	struct MHD_Response *r;
	enum MHD_Result ok;

	if (reply->watch) {
		x->watch = reply->watch;
		watch_set_wake(x->watch, on_wake, x);
		r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CHUNK, read_watch, x, NULL);
	} else {
		r = MHD_create_response_from_buffer(reply->n, reply->body, MHD_RESPMEM_MUST_FREE);
		reply->body = NULL;
	}
	add_headers(r, reply);
	ok = MHD_queue_response(x->conn, (unsigned)reply->code, r);
	MHD_destroy_response(r);
	return ok;
}

static const char *header(struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->conn, MHD_HEADER_KIND, name);
}

static void too_large(struct reply *reply)
{
	reply_status_take(reply, status_failure(413, "RequestEntityTooLarge", json_object(),
						"Request entity too large: limit is %d", BODY_MAX));
}

static enum MHD_Result answer(struct exchange *x, const char *method, const char *target)
{
	struct reply reply = { 0 };
	struct req req = { 0 };
	struct err err = { 0 };
	enum MHD_Result ok;

	if (x->too_large) {
		too_large(&reply);
	} else if (req_parse_target(&req, target, &err) < 0) {
		reply_text(&reply, 400, "400 Bad Request");
	} else {
		req.method = method;
		req.accept = header(x, "Accept");
		req.accept_encoding = header(x, "Accept-Encoding");
		req.authorization = header(x, "Authorization");
		req.content_type = header(x, "Content-Type");
		req.body = x->body.p;
		req.n_body = x->body.n;
		api_handle(x->server->api, &req, &reply);
		log_debug("%s %s: %d", method, LOG_Q(target), reply.code);
	}
	ok = queue(x, &reply);
	reply_deinit(&reply);
	req_deinit(&req);
	wake_dropped(x->server);
	return ok;
}

/* MHD's callbacks */

static struct peer *peer_of(struct MHD_Connection *conn)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info->socket_context;
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct peer *p = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = xnew(struct peer);
	} else if (p) {
		free(p->target);
		free(p);
		*context = NULL;
	}
}

static void *on_target(void *cls, const char *target, struct MHD_Connection *conn)
{
	struct peer *p = peer_of(conn);

	free(p->target);
	p->target = xstrdup(target);
	return NULL;
}

static enum MHD_Result start(struct server *s, struct MHD_Connection *conn, void **context)
{
	struct exchange *x = xnew(struct exchange);

	x->server = s;
	x->conn = conn;
	DL_APPEND(s->first, x);
	*context = x;
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *n_data, void **context)
{
	struct server *s = cls;
	struct exchange *x = *context;
	const char *target = peer_of(conn)->target;

	if (!x)
		return start(s, conn, context);
	if (*n_data) {
		if (buf_append(&x->body, data, *n_data, BODY_MAX, NULL) < 0)
			x->too_large = true;
		*n_data = 0;
		return MHD_YES;
	}
	if (x->gone || s->stopping)
		return MHD_NO;
	x->dropped = s->api->fault.drop && strncmp(target, "/_sandbox/", 10) != 0;
	if (x->dropped) {
		suspend(x);
		return MHD_YES;
	}
	return answer(x, method, target);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **context,
			 enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *context;

	if (!x)
		return;
	*context = NULL;
	loop_fd_del(&x->hangup);
	DL_DELETE(x->server->first, x);
	watch_free(x->watch);
	buf_deinit(&x->body);
	free(x);
}

/* life */

static int open_listener(struct server *s, const char *text, struct err *err)
{
	const char *colon = strrchr(text, ':');
	_cleanup_free_ char *host = NULL;
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	struct inet_ip ip;
	char *end = NULL;
	unsigned long port;
	int one = 1;

	if (!colon)
		return err_set(err, ERR_INPUT, "--listen=%s: not IP:PORT", text);
	host = text[0] == '[' && colon > text + 1 ? xstrndup(text + 1, (size_t)(colon - text) - 2)
						  : xstrndup(text, (size_t)(colon - text));
	port = strtoul(colon + 1, &end, 10);
	if (*end || end == colon + 1 || port > UINT16_MAX)
		return err_set(err, ERR_INPUT, "--listen=%s: not a port", text);
	if (inet_ip_parse(host, &ip, err) < 0)
		return err_wrap(err, "--listen=%s", text);
	len = inet_ip_to_sockaddr(&ip, (uint16_t)port, &ss);
	s->listener = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return err_set_errno(err, errno, "socket");
	(void)setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s->listener, (struct sockaddr *)&ss, len) < 0 || listen(s->listener, 1024) < 0)
		return err_set_errno(err, errno, "--listen=%s", text);
	len = sizeof(ss);
	(void)getsockname(s->listener, (struct sockaddr *)&ss, &len); /* it is bound */
	s->port = ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
						: ((struct sockaddr_in6 *)&ss)->sin6_port);
	return 0;
}

static int load_pem(struct server *s, const struct server_options *o, struct err *err)
{
	if (!o->cert && !o->key)
		return 0;
	if (!o->cert || !o->key)
		return err_set(err, ERR_INPUT, "--cert and --key belong together");
	s->cert = file_read(o->cert, PEM_MAX, NULL, err);
	s->key = s->cert ? file_read(o->key, PEM_MAX, NULL, err) : NULL;
	return s->key ? 0 : -ERR_OS;
}

static int start_daemon(struct server *s, struct err *err)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (s->cert ? MHD_USE_TLS : 0);
	struct MHD_OptionItem tls[] = { { MHD_OPTION_HTTPS_MEM_CERT, 0, s->cert },
					{ MHD_OPTION_HTTPS_MEM_KEY, 0, s->key },
					{ MHD_OPTION_END, 0, NULL } };
	struct MHD_OptionItem plain[] = { { MHD_OPTION_END, 0, NULL } };

	s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET,
				     s->listener, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
				     MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
				     MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
				     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
				     MHD_OPTION_ARRAY, s->cert ? tls : plain, MHD_OPTION_END);
	if (!s->daemon)
		return err_set(err, ERR_OS, "HTTP%s does not start: is the certificate good?",
			       s->cert ? "S" : "");
	s->listener = -EBADF; /* MHD closes it */
	return 0;
}

struct server *server_new(struct api *api, const struct server_options *options, struct err *err)
{
	_cleanup_(server_freep) struct server *s = xnew(struct server);
	const union MHD_DaemonInfo *info;

	s->api = api;
	s->listener = -EBADF;
	if (load_pem(s, options, err) < 0 || open_listener(s, options->listen, err) < 0 ||
	    start_daemon(s, err) < 0)
		return NULL;
	info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (loop_fd_add(api->loop, &s->source, info->epoll_fd, EPOLLIN, on_ready, err) < 0)
		return NULL;
	loop_defer(api->loop, &s->run, run_again);
	return steal_ptr(s);
}

struct server *server_free(struct server *s)
{
	struct exchange *x;

	if (!s)
		return NULL;
	s->stopping = true;
	if (s->daemon) {
		DL_FOREACH (s->first, x)
			resume(x);
		(void)MHD_run(s->daemon); /* takes the resumed ones in */
		MHD_stop_daemon(s->daemon);
	}
	loop_fd_del(&s->source);
	loop_timer_del(&s->timer);
	loop_defer_del(&s->run);
	if (s->listener >= 0)
		close(s->listener);
	free(s->cert);
	free(s->key);
	free(s);
	return NULL;
}

uint16_t server_port(const struct server *s)
{
	return s->port;
}
