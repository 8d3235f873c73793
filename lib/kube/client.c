/* SPDX-License-Identifier: MIT */

/*
 * Requests to the API server: see client.h.
 *
 * Certificates that are files are read by libcurl for each new connection, so a rotated CA needs
 * nothing from us; a client certificate is bound to the connection, which a 401 therefore renews. The
 * token is ours to re-read: the kubelet replaces the file by swapping a symlink, so it is opened by
 * its path each time.
 */

#include "lib/kube/client.h"

#include "lib/base/buf.h"
#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/http/client.h"
#include "lib/kube/config.h"
#include "lib/kube/knock.h"
#include "lib/loop/loop.h"

#include <string.h>
#include <utlist.h>

/* An object is at most 1.5 MiB in etcd, and each byte of it may take six in JSON. */
#define BODY_MAX ((size_t)16 << 20)
/* As client-go: the kubelet renews the token at 80 % of its hour, so a minute is soon enough. */
#define TOKEN_FRESH_MSEC 60000
#define DEAD_PEER_MSEC	 5000
#define RETRY_AFTER_MAX	 300

struct kube_client {
	struct loop *loop;
	struct http_client *http;
	struct kube_config config; /* .token is the current one, also when it came from a file */
	bool token_read;
	struct mono token_at; /* when it was */
	struct kube_call *calls;
	struct knock knock;
};

struct kube_call {
	struct kube_client *client;
	char *method;
	char *path;
	char *accept;	    /* the header; NULL: JSON */
	char *content_type; /* likewise */
	bool is_secret;
	char *body;
	size_t body_len;
	unsigned timeout_msec;
	void (*open)(void *ctx);
	int (*data)(void *ctx, const char *p, size_t n);
	kube_done_fn *done;
	void *ctx;
	struct http_call *http;
	struct loop_defer failed; /* with `early`, when there was nothing to send */
	struct err early;
	bool retried;  /* after a 401, with a newer token */
	bool finished; /* inside its done */
	unsigned retry_after;
	struct kube_call *prev, *next;
};

/* the credential */

/* True when there is another token than before. A file that cannot be read leaves the old one. */
static bool read_token(struct kube_client *c, struct err *err)
{
	struct secret now = { 0 };
	struct secret *was = &c->config.token;
	bool changed;

	c->token_read = true;
	c->token_at = loop_mono(c->loop);
	if (kube_token_read(&now, c->config.token_file, err) < 0)
		return false;
	changed = !was->p || now.n != was->n || memcmp(now.p, was->p, now.n) != 0;
	secret_deinit(was);
	*was = now;
	return changed;
}

static int fresh_token(struct kube_client *c, struct err *err)
{
	struct mono stale = mono_add_msec(c->token_at, TOKEN_FRESH_MSEC);
	struct err why = { 0 };

	if (!c->config.token_file ||
	    (c->token_read && c->config.token.p && mono_before(loop_mono(c->loop), stale)))
		return 0;
	(void)read_token(c, &why);
	if (!c->config.token.p) {
		if (err)
			*err = why;
		return err_wrap(err, "token");
	}
	if (why.kind)
		log_debug("token not re-read, the old one is used: %s", why.msg);
	return 0;
}

/* A refused credential may have been replaced meanwhile. True: ask again. */
static bool renew_credential(struct kube_client *c)
{
	/* a client certificate is re-read with the next connection */
	if (c->config.cert_file)
		http_client_reconnect(c->http, NULL);
	return c->config.token_file && read_token(c, NULL);
}

/* ending */

static void call_free(struct kube_call *call)
{
	http_cancel(call->http);
	loop_defer_del(&call->failed);
	DL_DELETE(call->client->calls, call);
	free(call->method);
	free(call->path);
	free(call->accept);
	free(call->content_type);
	if (call->body)
		explicit_bzero(call->body, call->body_len);
	free(call->body);
	free(call);
}

static int path_len(const struct kube_call *call)
{
	return (int)strcspn(call->path, "?");
}

static void finish(struct kube_call *call, long status, const struct jval *doc, struct err *err)
{
	call->http = NULL;
	call->finished = true;
	if (err && err->kind) {
		(void)err_wrap(err, "%s %.*s", call->method, path_len(call), call->path);
		err->http_status = (int)status;
		call->done(call->ctx, status, doc, err);
	} else {
		call->done(call->ctx, status, doc, NULL);
	}
	call_free(call);
}

static void on_early(struct loop_defer *d)
{
	struct kube_call *call = container_of(d, struct kube_call, failed);

	finish(call, 0, NULL, &call->early);
}

/* answers */

static unsigned retry_after(const struct http_reply *reply)
{
	const char *text = reply->header(reply, "Retry-After");
	unsigned sec = 0;

	/* the other form, a date, is not what the API server sends */
	for (; text && *text >= '0' && *text <= '9' && sec <= RETRY_AFTER_MAX; text++)
		sec = sec * 10 + (unsigned)(*text - '0');
	return sec < RETRY_AFTER_MAX ? sec : RETRY_AFTER_MAX;
}

/* What a Status says, else the status line's number, for which there may be a line of plain text. */
static void describe(const struct http_reply *reply, const struct jval *doc, struct err *err)
{
	char text[LOG_Q_MAX] = "";
	const char *msg = NULL;
	enum err_kind kind = ERR_REFUSED;
	const struct jval_field fields[] = { { "message", JVAL_STR, JVAL_MAY, &msg } };

	if (reply->status == 429 || reply->status >= 500 || reply->status < 400)
		kind = ERR_UNAVAILABLE;
	if (!doc || jval_read(doc, fields, 1, JVAL_CASE_EXACT, NULL) < 0 || !msg)
		msg = reply->body_len ? log_q(text, reply->body) : "no reason given";
	(void)err_set(err, kind, "HTTP %ld: %s", reply->status, msg);
}

static void send_call(struct kube_call *call);

static void on_reply(void *ctx, const struct http_reply *reply, const struct err *why)
{
	_cleanup_(jval_freep) struct jval *doc = NULL;
	struct kube_call *call = ctx;
	struct err err = { 0 };
	bool good;

	call->http = NULL;
	if (why) {
		err = *why;
		finish(call, 0, NULL, &err);
		return;
	}
	if (reply->status == 401 && renew_credential(call->client) && !call->retried) {
		call->retried = true;
		send_call(call);
		return;
	}
	good = reply->status >= 200 && reply->status < 300;
	call->retry_after = retry_after(reply);
	if (reply->body && reply->body_len)
		doc = jval_parse(reply->body, reply->body_len, BODY_MAX, good ? &err : NULL);
	if (!good)
		describe(reply, doc, &err);
	finish(call, reply->status, doc, &err);
}

static int on_data(void *ctx, const char *p, size_t n)
{
	struct kube_call *call = ctx;

	return call->data(call->ctx, p, n);
}

static void on_status(void *ctx, long status)
{
	struct kube_call *call = ctx;

	if (call->open && status >= 200 && status < 300)
		call->open(call->ctx);
}

/* asking */

static void send_call(struct kube_call *call)
{
	struct kube_client *c = call->client;
	const struct secret *token = &c->config.token;
	_cleanup_free_ char *url = xasprintf("%s%s", c->config.server, call->path);
	char *bearer = NULL;
	const char *headers[4] = { call->accept ? call->accept : "Accept: application/json" };
	size_t n = 1;
	struct http_request req = {
		.method = call->method,
		.url = url,
		.headers = headers,
		.body = call->body,
		.body_len = call->body_len,
		.body_max = BODY_MAX,
		.timeout_msec = call->timeout_msec,
		.is_secret = call->is_secret,
		.on_data = call->data ? on_data : NULL,
		.on_status = on_status,
		.done = on_reply,
		.ctx = call,
	};

	if (fresh_token(c, &call->early) < 0) {
		loop_defer(c->loop, &call->failed, on_early);
		return;
	}
	if (call->body)
		headers[n++] = call->content_type ? call->content_type
						  : "Content-Type: application/json";
	if (token->p) {
		bearer = xasprintf("Authorization: Bearer %.*s", (int)token->n,
				   (const char *)token->p);
		headers[n++] = bearer;
	}
	call->http = http_send(c->http, &req, &call->early);
	if (!call->http)
		loop_defer(c->loop, &call->failed, on_early);
	if (bearer)
		explicit_bzero(bearer, strlen(bearer));
	free(bearer);
}

static struct kube_call *call_new(struct kube_client *c, const struct kube_request *req,
				  kube_done_fn *done, void *ctx)
{
	struct kube_call *call = xnew(struct kube_call);

	call->client = c;
	call->method = xstrdup(req->method ? req->method : "GET");
	call->path = xstrdup(req->path);
	call->accept = req->accept ? xasprintf("Accept: %s", req->accept) : NULL;
	if (req->content_type)
		call->content_type = xasprintf("Content-Type: %s", req->content_type);
	call->is_secret = req->is_secret;
	if (req->body)
		call->body = xmemdup(req->body, req->body_len);
	call->body_len = req->body_len;
	call->timeout_msec = req->timeout_msec;
	call->done = done;
	call->ctx = ctx;
	DL_APPEND(c->calls, call);
	return call;
}

/* exported */

struct kube_client *kube_client_new(struct loop *l, const struct kube_config *config,
				    const char *user_agent, struct err *err)
{
	struct kube_client *c = xnew(struct kube_client);
	_cleanup_free_ char *key = NULL;
	struct http_client_spec spec = { .user_agent = user_agent,
					 .http2 = true,
					 .dead_peer_msec = DEAD_PEER_MSEC };

	c->loop = l;
	kube_config_copy(&c->config, config);
	if (config->key_data.p)
		key = xstrndup((const char *)config->key_data.p, config->key_data.n);
	spec.tls = (struct http_tls){
		.ca_file = config->ca_file,
		.ca_data = config->ca_data,
		.cert_file = config->cert_file,
		.cert_data = config->cert_data,
		.key_file = config->key_file,
		.key_data = key,
		.server_name = config->server_name,
		.insecure = config->insecure,
	};
	c->http = http_client_new(l, &spec, err);
	if (key)
		explicit_bzero(key, strlen(key));
	return c->http ? c : kube_client_free(c);
}

struct kube_client *kube_client_free(struct kube_client *c)
{
	struct kube_call *call, *next;

	if (!c)
		return NULL;
	DL_FOREACH_SAFE (c->calls, call, next)
		call_free(call);
	c->http = http_client_free(c->http);
	kube_config_deinit(&c->config);
	free(c);
	return NULL;
}

struct kube_call *kube_send(struct kube_client *c, const struct kube_request *req,
			    kube_done_fn *done, void *ctx)
{
	struct kube_call *call = call_new(c, req, done, ctx);

	send_call(call);
	return call;
}

struct kube_call *kube_get(struct kube_client *c, const char *path, unsigned timeout_msec,
			   kube_done_fn *done, void *ctx)
{
	return kube_send(c, &(struct kube_request){ .path = path, .timeout_msec = timeout_msec },
			 done, ctx);
}

struct kube_call *kube_post(struct kube_client *c, const char *path, const char *body,
			    size_t body_len, unsigned timeout_msec, kube_done_fn *done, void *ctx)
{
	return kube_send(c,
			 &(struct kube_request){ .method = "POST",
						 .path = path,
						 .body = body,
						 .body_len = body_len,
						 .timeout_msec = timeout_msec },
			 done, ctx);
}

struct kube_call *kube_stream(struct kube_client *c, const struct kube_stream *s)
{
	struct kube_call *call = call_new(c,
					  &(struct kube_request){ .path = s->path,
								  .accept = s->accept,
								  .timeout_msec = s->timeout_msec },
					  s->done, s->ctx);

	call->open = s->open;
	call->data = s->data;
	send_call(call);
	return call;
}

void kube_cancel(struct kube_call *call)
{
	if (call && !call->finished)
		call_free(call);
}

unsigned kube_call_retry_after(const struct kube_call *call)
{
	return call->retry_after;
}

struct knock *kube_client_knock(struct kube_client *c)
{
	return &c->knock;
}

char *kube_escape(const char *s)
{
	struct buf b = { 0 };

	buf_put_percent(&b, s, strlen(s));
	return buf_steal(&b, NULL);
}
