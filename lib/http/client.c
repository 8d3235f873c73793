/* SPDX-License-Identifier: MIT */

/*
 * HTTP requests on the loop: see client.h.
 *
 * libcurl's multi handle does the protocol; this file gives it our loop's sockets and timer. The rule
 * that shapes it: libcurl refuses to add or remove a request while it is inside one of its callbacks,
 * and our callers may send and cancel from everywhere. So http_send() and http_cancel() only put the
 * request on a list, and a deferred call (`pump`) hands it over before the loop next waits.
 *
 * Deadlines are timers of the loop and not libcurl's, so that a test's fake clock moves them.
 */

#include "lib/http/client.h"

#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "lib/http/client_internal.h"

#include <assert.h>
#include <string.h>
#include <sys/epoll.h>
#include <utlist.h>

/* A socket of libcurl's as a source of the loop. */
struct sock {
	struct loop_fd source;
	struct pool *pool;
};

static void pump(struct loop_defer *d);

static void wake(struct http_client *c)
{
	loop_defer(c->loop, &c->pump, pump);
}

/* lists; the analyzer does not know that utlist's are closed at the back */

static void unlink_call(struct http_call **head, struct http_call *call)
{
	DL_DELETE(*head, call); /* NOLINT(clang-analyzer-core.NullDereference) */
}

static void unlink_pool(struct http_client *c, struct pool *p)
{
	DL_DELETE(c->pools, p); /* NOLINT(clang-analyzer-core.NullDereference) */
}

/* freeing */

static void tls_deinit(struct tls_copy *t)
{
	char *all[] = { t->ca_file,  t->ca_data,  t->cert_file,	 t->cert_data,
			t->key_file, t->key_data, t->server_name };

	if (t->key_data)
		explicit_bzero(t->key_data, strlen(t->key_data));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
	*t = (struct tls_copy){ 0 };
}

static struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;
	if (p->multi)
		curl_multi_cleanup(
			p->multi); /* closes connections: on_socket() frees the sources */
	loop_timer_del(&p->timer);
	tls_deinit(&p->tls);
	free(p);
	return NULL;
}

/* Never from inside libcurl. */
static void call_free(struct http_call *call)
{
	struct pool *p = call->pool;

	loop_timer_del(&call->deadline);
	if (call->in_multi)
		curl_multi_remove_handle(p->multi, call->easy);
	easy_deinit(call);
	p->n_calls--;
	free(call);
}

static void free_idle_pools(struct http_client *c)
{
	struct pool *p, *next;

	DL_FOREACH_SAFE (c->pools, p, next) {
		if (p != c->pools && !p->n_calls) {
			unlink_pool(c, p);
			pool_free(p);
		}
	}
}

/* What can go once none of our callbacks is on the stack. */
static void leave(struct http_client *c)
{
	if (--c->busy)
		return;
	if (c->zombie)
		(void)http_client_free(c);
	else
		free_idle_pools(c);
}

/* answers */

static const char *reply_header(const struct http_reply *r, const char *name)
{
	const struct http_call *call = r->impl;
	struct curl_header *h;

	return curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value
											: NULL;
}

static void finish(struct http_call *call, const struct err *err)
{
	struct http_reply reply = {
		.status = call->status,
		.body_len = call->in.n,
		.header = reply_header,
		.impl = call,
	};

	if (call->state == CALL_RUNNING)
		unlink_call(&call->client->running, call);
	else
		unlink_call(&call->client->todo, call);
	call->state = CALL_DONE;
	loop_timer_del(&call->deadline);
	if (!call->on_data || call->status < 200 || call->status >= 300)
		reply.body = call->in.p ? call->in.p : "";
	call->done(call->ctx, err ? NULL : &reply, err);
	call_free(call);
}

static void drop(struct http_call *call)
{
	unlink_call(&call->client->todo, call);
	call_free(call);
}

static enum err_kind kind_of(CURLcode why)
{
	/* everything else is some way of not getting through */
	return why == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE;
}

/* Requests that libcurl is through with. */
static void collect(struct pool *p)
{
	struct CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(p->multi, &left))) {
		struct http_call *call = NULL;
		CURLcode why = msg->data.result;
		struct err err = { 0 };

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		if (call->state == CALL_CANCELLED) {
			drop(call);
			continue;
		}
		if (call->err.kind)
			err = call->err;
		else if (why != CURLE_OK)
			(void)err_set(&err, kind_of(why), "%s: %s", call->origin,
				      call->why[0] ? call->why : curl_easy_strerror(why));
		else if (!call->status) /* libcurl takes a head that was cut for a whole one */
			(void)err_set(&err, ERR_UNAVAILABLE, "%s: the answer ended in its head",
				      call->origin);
		finish(call, err.kind ? &err : NULL);
	}
}

static void on_deadline(struct loop_timer *t)
{
	struct http_call *call = container_of(t, struct http_call, deadline);
	struct http_client *c = call->client;
	struct err err = { 0 };

	if (call->state == CALL_CANCELLED)
		return;
	c->busy++;
	(void)err_set(&err, ERR_TIMEOUT, "%s: %s in time", call->origin,
		      call->status ? "the answer did not end" : "no answer");
	finish(call, &err);
	leave(c);
}

/* libcurl and the loop */

static void rearm(struct pool *p);

static void drive(struct pool *p, int fd, int mask)
{
	struct http_client *c = p->client;
	int running;

	c->busy++;
	(void)curl_multi_socket_action(p->multi, fd, mask, &running);
	collect(p);
	rearm(p);
	leave(c);
}

static void on_timer(struct loop_timer *t)
{
	drive(container_of(t, struct pool, timer), CURL_SOCKET_TIMEOUT, 0);
}

/*
 * Asked for after each turn instead of waiting to be told by CURLMOPT_TIMERFUNCTION, which keeps
 * silent when the time has not changed, although our timer is one-shot and may just have fired.
 */
static void rearm(struct pool *p)
{
	long msec = -1;

	(void)curl_multi_timeout(p->multi, &msec);
	if (msec < 0)
		loop_timer_del(&p->timer);
	else
		loop_timer_set_msec(p->client->loop, &p->timer, (uint64_t)msec, on_timer);
}

static void on_fd(struct loop_fd *f, uint32_t events)
{
	struct sock *s = container_of(f, struct sock, source);
	int mask = 0;

	if (events & EPOLLIN)
		mask |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	drive(s->pool, f->fd, mask); /* may free s */
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known)
{
	struct pool *p = ctx;
	struct sock *s = known;
	uint32_t events = 0;

	(void)easy; /* a socket may serve several */
	if (what == CURL_POLL_REMOVE) {
		if (s)
			loop_fd_del(&s->source);
		free(s);
		return 0;
	}
	if (what != CURL_POLL_OUT)
		events |= EPOLLIN;
	if (what != CURL_POLL_IN)
		events |= EPOLLOUT;
	if (s)
		return loop_fd_mod(&s->source, events, NULL);
	s = xnew(struct sock);
	s->pool = p;
	if (loop_fd_add(p->client->loop, &s->source, fd, events, on_fd, NULL) < 0) {
		free(s);
		return -1; /* ends what uses the multi handle, with an error */
	}
	curl_multi_assign(p->multi, fd, s);
	return 0;
}

static void hand_over(struct http_call *call)
{
	struct http_client *c = call->client;
	struct err err = { 0 };

	if (curl_multi_add_handle(call->pool->multi, call->easy) != CURLM_OK) {
		(void)err_set(&err, ERR_OS, "%s: libcurl did not take the request", call->origin);
		finish(call, &err);
		return;
	}
	call->in_multi = true;
	unlink_call(&c->todo, call);
	call->state = CALL_RUNNING;
	DL_APPEND(c->running, call);
}

/* Hand over what is new, take back what was cancelled. */
static void pump(struct loop_defer *d)
{
	struct http_client *c = container_of(d, struct http_client, pump);
	struct http_call *call;

	c->busy++;
	/* each turn takes the first one off the list, which the analyzer does not see */
	while ((call = c->todo)) {
		if (call->state == CALL_CANCELLED) /* NOLINT(clang-analyzer-unix.Malloc) */
			drop(call);
		else
			hand_over(call);
	}
	for (struct pool *p = c->pools; p; p = p->next)
		rearm(p);
	leave(c);
}

/* exported */

static char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static struct pool *pool_new(struct http_client *c, const struct http_tls *tls)
{
	struct pool *p = xnew(struct pool);

	p->client = c;
	p->multi = curl_multi_init();
	if (!p->multi)
		return pool_free(p);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_PIPELINING,
			  c->http2 ? (long)CURLPIPE_MULTIPLEX : (long)CURLPIPE_NOTHING);
	p->tls = (struct tls_copy){
		.ca_file = copy(tls->ca_file),
		.ca_data = copy(tls->ca_data),
		.cert_file = copy(tls->cert_file),
		.cert_data = copy(tls->cert_data),
		.key_file = copy(tls->key_file),
		.key_data = copy(tls->key_data),
		.server_name = copy(tls->server_name),
		.insecure = tls->insecure,
	};
	return p;
}

struct http_client *http_client_new(struct loop *l, const struct http_client_spec *spec,
				    struct err *err)
{
	struct http_client *c;
	struct pool *p;

	/* requests and answers pass through libcurl's buffers: they are wiped when it frees them */
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, secret_malloc, secret_free, secret_realloc,
				 secret_strdup, secret_calloc) != CURLE_OK) {
		(void)err_set(err, ERR_OS, "libcurl did not start");
		return NULL;
	}
	c = xnew(struct http_client);
	c->loop = l;
	c->user_agent = copy(spec->user_agent);
	c->local_address = copy(spec->local_address);
	c->http2 = spec->http2;
	c->dead_peer_msec = spec->dead_peer_msec;
	p = pool_new(c, &spec->tls);
	if (!p) {
		(void)err_set(err, ERR_OS, "libcurl: out of memory");
		return http_client_free(c);
	}
	DL_PREPEND(c->pools, p);
	return c;
}

static void forget(struct http_call *call)
{
	if (call->state == CALL_RUNNING) {
		unlink_call(&call->client->running, call);
		DL_APPEND(call->client->todo, call);
	}
	call->state = CALL_CANCELLED;
	loop_timer_del(&call->deadline);
}

struct http_client *http_client_free(struct http_client *c)
{
	struct http_call *call, *next;
	struct pool *p, *next_pool;

	if (!c)
		return NULL;
	DL_FOREACH_SAFE (c->running, call, next)
		forget(call);
	DL_FOREACH (c->todo, call)
		forget(call);
	c->zombie = true;
	if (c->busy)
		return NULL; /* leave() comes back here */
	DL_FOREACH_SAFE (c->todo, call, next)
		drop(call);
	DL_FOREACH_SAFE (c->pools, p, next_pool) {
		unlink_pool(c, p);
		pool_free(p);
	}
	loop_defer_del(&c->pump);
	free(c->user_agent);
	free(c->local_address);
	free(c);
	curl_global_cleanup();
	return NULL;
}

struct http_call *http_send(struct http_client *c, const struct http_request *req, struct err *err)
{
	struct http_call *call = xnew(struct http_call);

	assert(req->done && !c->zombie);
	call->client = c;
	call->pool = c->pools;
	call->pool->n_calls++;
	call->on_data = req->on_data;
	call->on_status = req->on_status;
	call->done = req->done;
	call->ctx = req->ctx;
	if (easy_init(call, req, err) < 0) {
		call_free(call);
		return NULL;
	}
	DL_APPEND(c->todo, call);
	if (req->timeout_msec)
		loop_timer_set_msec(c->loop, &call->deadline, req->timeout_msec, on_deadline);
	wake(c);
	return call;
}

void http_cancel(struct http_call *call)
{
	if (!call || call->state == CALL_CANCELLED || call->state == CALL_DONE)
		return;
	forget(call);
	wake(call->client);
}

bool http_is_answering(const struct http_call *call)
{
	return call->status != 0;
}

void http_client_reconnect(struct http_client *c, const struct http_tls *tls_or_null)
{
	const struct tls_copy *was = &c->pools->tls;
	struct http_tls same = {
		.ca_file = was->ca_file,
		.ca_data = was->ca_data,
		.cert_file = was->cert_file,
		.cert_data = was->cert_data,
		.key_file = was->key_file,
		.key_data = was->key_data,
		.server_name = was->server_name,
		.insecure = was->insecure,
	};
	struct pool *p = pool_new(c, tls_or_null ? tls_or_null : &same);

	if (!p)
		return; /* out of memory: the old connections go on */
	DL_PREPEND(c->pools, p);
	wake(c); /* pump() ends in leave(), which frees pools that nobody uses */
}
