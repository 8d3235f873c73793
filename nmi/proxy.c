/* SPDX-License-Identifier: MIT */

/*
 * Instance metadata passed through: see proxy.h. No redirect is followed and no answer retried: what
 * IMDS says is what the pod hears, except where IMDS cannot be heard at all.
 */

#include "nmi/proxy.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/http/client.h"
#include "lib/loop/loop.h"
#include "nmi/allowance.h"
#include "nmi/limits.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

struct proxy_call {
	struct proxy *proxy;
	struct inet_ip peer;
	struct http_call *http;
	proxy_done_fn *done;
	void *ctx;
	struct proxy_call *prev, *next;
};

struct proxy {
	struct loop *loop;
	struct http_client *http;
	struct allowance allowance;
	char *base_url; /* without a slash at the end */
	struct proxy_call *calls;
	size_t n_calls;
};

struct proxy *proxy_new(struct loop *l, struct http_client *http, const char *base_url)
{
	struct proxy *p = xnew(struct proxy);
	size_t n = strlen(base_url);

	while (n && base_url[n - 1] == '/')
		n--;
	p->loop = l;
	p->http = http;
	p->allowance = (struct allowance){ .interval_ns = UINT64_C(1000000000) /
							  LIMIT_POD_FORWARD_PER_SECOND,
					   .burst = LIMIT_POD_FORWARD_BURST,
					   .remembered = LIMIT_POD_FORWARD_MEMORY };
	p->base_url = xstrndup(base_url, n);
	return p;
}

static void call_free(struct proxy_call *c)
{
	DL_DELETE(c->proxy->calls, c);
	c->proxy->n_calls--;
	free(c);
}

struct proxy *proxy_free(struct proxy *p)
{
	struct proxy_call *c, *next;

	if (!p)
		return NULL;
	DL_FOREACH_SAFE (p->calls, c, next)
		proxy_cancel(c);
	allowance_deinit(&p->allowance);
	free(p->base_url);
	free(p);
	return NULL;
}

void proxy_cancel(struct proxy_call *c)
{
	if (!c)
		return;
	http_cancel(c->http);
	call_free(c);
}

bool proxy_header_passes(const char *name)
{
	static const char *const never[] = {
		/* hop-by-hop: RFC 9110, 7.6.1, and those before it */
		"connection",
		"keep-alive",
		"proxy-authenticate",
		"proxy-authorization",
		"proxy-connection",
		"te",
		"trailer",
		"transfer-encoding",
		"upgrade",
		/* ours to say */
		"host",
		"content-length",
		"expect",
		"accept-encoding", /* the answer's Content-Encoding would not come back */
		"range",
		/* who asks, according to somebody else */
		"forwarded",
		"via",
		"x-real-ip",
		"x-client-ip",
		"true-client-ip",
	};
	static const char *const never_starts[] = {
		"x-forwarded",
		"x_forwarded",
		"x-ms-azure-host-", /* the host's own talk with its fabric */
		"x-original-",
	};

	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		if (str_ieq(str_of(name), str_of(never[i])))
			return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(never_starts); i++) {
		if (str_istarts(str_of(name), str_of(never_starts[i])))
			return false;
	}
	return true;
}

/* Connection: a, b makes headers a and b hop-by-hop as well. */
static bool is_nominated(const struct proxy_request *req, const char *name)
{
	for (size_t i = 0; i < req->n_headers; i++) {
		const char *p = req->headers[i].value;

		if (!str_ieq(str_of(req->headers[i].name), STR("connection")))
			continue;
		while (*p) {
			size_t n;

			p += strspn(p, ", \t");
			n = strcspn(p, ", \t");
			if (n && str_ieq((struct str){ p, n }, str_of(name)))
				return true;
			p += n;
		}
	}
	return false;
}

/* A NULL-terminated list on the heap, as http_send() wants it. */
static char **headers_new(const struct proxy_request *req)
{
	char **list = xcalloc(req->n_headers + 1, sizeof(char *));
	size_t n = 0;

	for (size_t i = 0; i < req->n_headers; i++) {
		const struct proxy_header *h = &req->headers[i];

		/* libcurl takes an empty value for "leave this header out" anyway */
		if (*h->value && proxy_header_passes(h->name) && !is_nominated(req, h->name))
			list[n++] = xasprintf("%s: %s", h->name, h->value);
	}
	return list;
}

static void headers_freep(char ***list)
{
	for (char **h = *list; h && *h; h++)
		free(*h);
	free(*list);
}

/*
 * Not a status that IMDS answers with in good health: informational ones end an exchange for us, and
 * what is out of range cannot be sent on.
 */
static bool is_status(long status)
{
	return status >= 200 && status <= 599;
}

static void fail(struct proxy_answer *a, const struct err *why)
{
	if (why->kind == ERR_LIMIT) {
		a->reason = REASON_UPSTREAM_TOO_LARGE;
		(void)err_set(&a->err, ERR_LIMIT,
			      "The metadata service's answer is longer than %d bytes and is not "
			      "passed on: ask for a part of it",
			      LIMIT_FORWARD_ANSWER_BYTES);
		return;
	}
	a->reason = REASON_UPSTREAM_DOWN;
	(void)err_set(&a->err, why->kind,
		      "The instance metadata service did not answer: %.200s; ask again", why->msg);
}

static void on_done(void *ctx, const struct http_reply *reply, const struct err *err)
{
	struct proxy_call *c = ctx;
	proxy_done_fn *done = c->done;
	void *done_ctx = c->ctx;
	struct proxy_answer a = { .reason = REASON_NONE };

	call_free(c);
	if (reply && is_status(reply->status)) {
		a.status = reply->status;
		a.content_type = reply->header(reply, "Content-Type");
		a.retry_after = reply->header(reply, "Retry-After");
		a.server = reply->header(reply, "Server");
		a.body = reply->body ? reply->body : "";
		a.body_len = reply->body ? reply->body_len : 0;
	} else if (reply) {
		a.reason = REASON_UPSTREAM_DOWN;
		(void)err_set(&a.err, ERR_UNAVAILABLE,
			      "The instance metadata service answered with status %ld; ask again",
			      reply->status);
	} else {
		fail(&a, err);
	}
	done(done_ctx, &a);
}

static int check_room(struct proxy *p, const struct inet_ip *peer, struct err *err)
{
	const struct proxy_call *c;
	unsigned theirs = 0;

	if (p->n_calls >= LIMIT_FORWARDS)
		return err_set(
			err, ERR_LIMIT,
			"%d requests wait for the instance metadata service already: ask again "
			"in a moment",
			LIMIT_FORWARDS);
	DL_FOREACH (p->calls, c)
		theirs += inet_ip_eq(&c->peer, peer);
	if (theirs >= LIMIT_FORWARDS_PER_PEER)
		return err_set(
			err, ERR_LIMIT,
			"%d requests of this pod wait for the instance metadata service already: "
			"ask again when one of them is answered",
			LIMIT_FORWARDS_PER_PEER);
	if (!allowance_take(&p->allowance, peer, loop_mono(p->loop)))
		return err_set(
			err, ERR_REFUSED,
			"This pod asks the instance metadata service more often than %d times at "
			"once "
			"and then %d times a second: keep what it answers, and ask less often",
			LIMIT_POD_FORWARD_BURST, LIMIT_POD_FORWARD_PER_SECOND);
	return 0;
}

struct proxy_call *proxy_forward(struct proxy *p, const struct proxy_request *req,
				 proxy_done_fn *done, void *ctx, struct err *err)
{
	_cleanup_free_ char *url = NULL;
	_cleanup_(headers_freep) char **headers = NULL;
	struct proxy_call *c;

	assert(req->target[0] == '/');
	if (check_room(p, &req->peer, err) < 0)
		return NULL;
	url = xasprintf("%s%s", p->base_url, req->target);
	headers = headers_new(req);
	c = xnew(struct proxy_call);
	*c = (struct proxy_call){ .proxy = p, .peer = req->peer, .done = done, .ctx = ctx };
	DL_APPEND(p->calls, c);
	p->n_calls++;
	c->http = http_send(
		p->http,
		&(struct http_request){
			/* the listener leaves the body out: so HEAD costs no special case */
			.method = strcmp(req->method, "HEAD") == 0 ? "GET" : req->method,
			.url = url,
			.headers = (const char *const *)headers,
			.body = req->body_len ? req->body : NULL,
			.body_len = req->body_len,
			.body_max = LIMIT_FORWARD_ANSWER_BYTES,
			.timeout_msec = LIMIT_FORWARD_MSEC,
			.done = on_done,
			.ctx = c,
		},
		err);
	if (!c->http) {
		call_free(c);
		(void)err_wrap(err, "The request cannot be forwarded");
		return NULL;
	}
	return c;
}
