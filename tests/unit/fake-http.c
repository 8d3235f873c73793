/* SPDX-License-Identifier: MIT */

/* The HTTP client's functions for tests of its callers: see fake-http.h. */

#include "tests/unit/fake-http.h"

#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

struct http_call *http_send(struct http_client *c, const struct http_request *req, struct err *err)
{
	struct http_call *call;
	size_t n = 0;

	if (c->refuse) {
		(void)err_set(err, ERR_INPUT, "no such URL");
		return NULL;
	}
	c->sent++;
	snprintf(c->method, sizeof(c->method), "%s", req->method ? req->method : "GET");
	snprintf(c->url, sizeof(c->url), "%s", req->url);
	c->headers[0] = '\0';
	for (const char *const *h = req->headers; h && *h && n < sizeof(c->headers); h++)
		n += (size_t)snprintf(c->headers + n, sizeof(c->headers) - n, "%s\n", *h);
	c->body_len = req->body_len;
	snprintf(c->body, sizeof(c->body), "%.*s", (int)req->body_len, req->body ? req->body : "");
	c->body_max = req->body_max;
	c->timeout_msec = req->timeout_msec;
	call = xnew(struct http_call);
	*call = (struct http_call){ .client = c, .done = req->done, .ctx = req->ctx };
	DL_APPEND(c->calls, call);
	return call;
}

void http_cancel(struct http_call *call)
{
	call->client->cancelled++;
	DL_DELETE(call->client->calls, call);
	free(call);
}

bool http_is_answering(const struct http_call *call)
{
	return call->client->is_answering;
}

static const char *header(const struct http_reply *r, const char *name)
{
	const struct http_client *c = r->impl;
	size_t n = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(c->reply_headers); i++) {
		const char *h = c->reply_headers[i];

		if (h && strncasecmp(h, name, n) == 0 && h[n] == ':')
			return h + n + 2;
	}
	return NULL;
}

static void finish(struct http_client *c, const struct http_reply *reply, const struct err *err)
{
	while (c->calls) {
		struct http_call was = *c->calls, *call = c->calls;

		DL_DELETE(c->calls, call);
		free(call);
		was.done(was.ctx, reply, err);
	}
}

void fake_http_reply(struct http_client *c, long status, const char *body)
{
	struct http_reply reply = { .status = status,
				    .body = body,
				    .body_len = strlen(body),
				    .header = header,
				    .impl = c };

	finish(c, &reply, NULL);
}

void fake_http_fail(struct http_client *c, const struct err *err)
{
	finish(c, NULL, err);
}
