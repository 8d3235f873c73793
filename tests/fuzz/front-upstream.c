/* SPDX-License-Identifier: MIT */

/* The HTTP client's functions, answered as an input says: see front-upstream.h. */

#include "tests/fuzz/front-upstream.h"

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/http/client.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#define IDENTITY "/metadata/identity"
#define INSTANCE "/metadata/instance"

struct http_call {
	struct http_client *client;
	http_done_fn *done;
	void *ctx;
	char *url;
	const char *retry_after;
	size_t body_max;
	struct loop_timer timeout;
	struct http_call *prev, *next;
};

/* what may be asked */

/* Decoded once, in place. */
static void decode(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		char hex[3], c = *p;

		(void)snprintf(hex, sizeof(hex), "%.2s", p + 1);
		if (c == '%' && isxdigit((unsigned char)hex[0]) &&
		    isxdigit((unsigned char)hex[1]) && strtoul(hex, NULL, 16)) {
			c = (char)strtoul(hex, NULL, 16);
			p += 2;
		}
		*to++ = c;
	}
	*to = '\0';
}

/* A path as the most lenient server would read it: decoded again and again, slashes and dots folded, lower case. */
static void lenient(const char *path, char *out, size_t size)
{
	size_t n = 0;

	(void)snprintf(out, size, "%.*s", (int)strcspn(path, "?#"), path);
	for (int round = 0; round < 3; round++)
		decode(out);
	for (const char *p = out; *p; p++) {
		char c = *p;

		if (c == '\\')
			c = '/';
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == '/' && n >= 2 && strncmp(&out[n - 2], "/.", 2) == 0)
			n -= 2;
		if (c == '/' && n >= 3 && strncmp(&out[n - 3], "/..", 3) == 0) {
			n -= 3;
			while (n && out[--n] != '/')
				;
		}
		if (c != '/' || !n || out[n - 1] != '/')
			out[n++] = c;
	}
	out[n] = '\0';
}

static void check_header(const struct http_client *c, const char *h)
{
	static const char *const never[] = { "host:",	   "connection:", "transfer-encoding:",
					     "te:",	   "upgrade:",	  "x-forwarded-for:",
					     "forwarded:", "expect:",	  "content-length:" };

	for (const char *p = h; *p; p++)
		assert(*p == '\t' || (unsigned char)*p >= ' ');
	assert(strchr(h, ':') && *h != ':');
	for (size_t i = 0; c->who == UPSTREAM_FORWARD && i < ARRAY_SIZE(never); i++)
		assert(strncasecmp(h, never[i], strlen(never[i])) != 0);
}

static void check_request(const struct http_client *c, const struct http_request *req)
{
	const char *path = strchr(req->url + strlen("http://"), '/');
	char plain[8192];

	assert(path != NULL);
	for (const char *p = req->url; *p; p++)
		assert(*p > ' ' && *p < 0x7f);
	for (const char *const *h = req->headers; h && *h; h++)
		check_header(c, *h);
	if (c->who != UPSTREAM_FORWARD) {
		assert(strncmp(path, IDENTITY "/oauth2/token?", 30) == 0 && !req->body);
		return;
	}
	lenient(path, plain, sizeof(plain));
	assert(strncmp(plain, IDENTITY, strlen(IDENTITY)) != 0);
	assert(!c->blocks_instance || strncmp(plain, INSTANCE, strlen(INSTANCE)) != 0);
}

/* calls */

static void call_free(struct http_call *call)
{
	DL_DELETE(call->client->calls, call);
	call->client->n_calls--;
	loop_timer_del(&call->timeout);
	free(call->url);
	free(call);
}

static void on_timeout(struct loop_timer *t)
{
	struct http_call *call = container_of(t, struct http_call, timeout);
	struct http_call was = *call;
	struct err err = { 0 };

	call_free(call);
	(void)err_set(&err, ERR_TIMEOUT, "no answer in time");
	was.done(was.ctx, NULL, &err);
}

struct http_call *http_send(struct http_client *c, const struct http_request *req, struct err *err)
{
	struct http_call *call = xnew(struct http_call);

	(void)err; /* it can be formed always */
	check_request(c, req);
	*call = (struct http_call){ .client = c,
				    .done = req->done,
				    .ctx = req->ctx,
				    .url = xstrdup(req->url),
				    .body_max = req->body_max };
	DL_APPEND(c->calls, call);
	c->n_calls++;
	if (req->timeout_msec)
		loop_timer_set_msec(c->loop, &call->timeout, req->timeout_msec, on_timeout);
	return call;
}

void http_cancel(struct http_call *call)
{
	call_free(call);
}

bool http_is_answering(const struct http_call *call)
{
	(void)call; /* an answer is whole */
	return false;
}

/* answers */

char *upstream_token(const struct http_client *c, const char *name)
{
	return xasprintf("%s%s~", c->mark, name);
}

/* Of whom a token is asked for. */
static char *name_of(const struct http_call *call)
{
	const char *id = strstr(call->url, "client_id=");

	if (call->client->who == UPSTREAM_NODE)
		return xstrdup("node");
	assert(id != NULL); /* every identity of the model has one */
	id += strlen("client_id=");
	return xstrndup(id, strcspn(id, "&"));
}

static const char *header(const struct http_reply *r, const char *name)
{
	const struct http_call *call = r->impl;

	if (strcasecmp(name, "Retry-After") == 0)
		return call->retry_after;
	if (strcasecmp(name, "Content-Type") == 0)
		return "application/json; charset=utf-8";
	return strcasecmp(name, "Server") == 0 ? UPSTREAM_SERVER : NULL;
}

static void put_raw(struct buf *b, struct str raw, const char *token)
{
	for (size_t i = 0; i < raw.n; i++) {
		if (raw.p[i] == '@')
			buf_put(b, token, strlen(token));
		else
			buf_put(b, &raw.p[i], 1);
	}
}

static void put_token(struct buf *b, const struct http_call *call, const char *token,
		      const char *client_id, uint8_t odd)
{
	static const long lives[] = { 86400, 3600, 301, 299, 1, 0, -1, INT32_MAX };
	long life = lives[odd % ARRAY_SIZE(lives)];
	int filler = odd & 0x80 ? 9000 : 0;
	_cleanup_free_ char *text = xasprintf(
		"{\"access_token\":\"%s%0*d\",\"client_id\":\"%s\",\"expires_in\":\"%ld\","
		"\"expires_on\":\"%" PRId64 "\",\"not_before\":\"1\",\"resource\":\"r\","
		"\"token_type\":\"Bearer\"}",
		token, filler, 0, client_id, life, loop_wall(call->client->loop).s + life);

	buf_put(b, text, strlen(text));
}

static void reply(struct http_call *call, long status, const struct buf *body)
{
	struct http_call was = *call;
	struct http_reply r = { .status = status,
				.body = body->n ? body->p : "",
				.body_len = body->n,
				.header = header,
				.impl = &was };

	call_free(call);
	was.done(was.ctx, &r, NULL);
}

static void fail(struct http_call *call, enum err_kind kind, const char *text)
{
	struct http_call was = *call;
	struct err err = { 0 };

	call_free(call);
	(void)err_set(&err, kind, "%s", text);
	was.done(was.ctx, NULL, &err);
}

void upstream_answer(struct http_client *c, size_t i, const uint8_t how[static 4], struct str raw)
{
	static const long statuses[] = { 200, 200, 200, 200, 400, 401, 403, 404, 408, 410, 429,
					 500, 502, 503, 504, 302, 204, 304, 201, 100, 199, 600 };
	static const char *const retries[] = { NULL, "1",  "30",
					       "0",  "-1", "99999999999",
					       "1x", "",   "Sun, 06 Nov 1994 08:49:37 GMT" };
	_cleanup_(buf_deinit) struct buf body = { 0 };
	_cleanup_free_ char *name = NULL, *token = NULL;
	struct http_call *call = c->calls;

	if (!call)
		return;
	for (i %= c->n_calls; i; i--)
		call = call->next;
	name = c->who == UPSTREAM_FORWARD ? xstrdup("forward") : name_of(call);
	token = upstream_token(c, how[0] % 8 == 2 ? "evil" : name);
	call->retry_after = retries[how[2] % ARRAY_SIZE(retries)];
	if (c->who == UPSTREAM_FORWARD && how[0] % 8 < 6)
		put_raw(&body, raw, "@"); /* what is passed on has no token */
	else if (how[0] % 8 < 3)
		put_token(&body, call, token, how[0] % 8 == 0 ? name : "c-evil", how[3]);
	else if (how[0] % 8 < 6)
		put_raw(&body, raw, token);
	if (how[0] % 8 == 6)
		fail(call, ERR_UNAVAILABLE, "Network is unreachable");
	else if (how[0] % 8 == 7 || body.n > call->body_max)
		fail(call, ERR_LIMIT, "too long");
	else
		reply(call, statuses[how[1] % ARRAY_SIZE(statuses)], &body);
}

void upstream_fail_all(struct http_client *c)
{
	while (c->calls) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): another than before */
		fail(c->calls, ERR_UNAVAILABLE, "Network is unreachable");
}
