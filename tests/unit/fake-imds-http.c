/* SPDX-License-Identifier: MIT */

/* An HTTP client that answers as the test says: see fake-imds-http.h. */

#include "tests/unit/fake-imds-http.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct fake_http fake_http;

struct http_call *http_send(struct http_client *c, const struct http_request *req, struct err *err)
{
	size_t n = 0;

	if (fake_http.refuses) {
		(void)err_set(err, ERR_INPUT, "no such scheme");
		return NULL;
	}
	fake_http.sent++;
	(void)snprintf(fake_http.url, sizeof(fake_http.url), "%s", req->url);
	(void)snprintf(fake_http.method, sizeof(fake_http.method), "%s",
		       req->method ? req->method : "GET");
	fake_http.headers[0] = '\0';
	for (size_t i = 0; req->headers && req->headers[i]; i++)
		n += (size_t)snprintf(fake_http.headers + n, sizeof(fake_http.headers) - n, "%s\n",
				      req->headers[i]);
	fake_http.timeout_msec = req->timeout_msec;
	fake_http.body_max = req->body_max;
	fake_http.done = req->done;
	fake_http.ctx = req->ctx;
	return (void *)&fake_http;
}

void http_cancel(struct http_call *call)
{
	fake_http.cancelled++;
	fake_http.done = NULL;
}

static const char *header(const struct http_reply *r, const char *name)
{
	return strcasecmp(name, "Retry-After") == 0 ? r->impl : NULL;
}

void fake_http_reply(long status, const char *body, const char *retry_after)
{
	const struct http_reply reply = { .status = status,
					  .body = body,
					  .body_len = strlen(body),
					  .header = header,
					  .impl = (void *)(uintptr_t)retry_after };
	http_done_fn *done = fake_http.done;

	fake_http.done = NULL;
	done(fake_http.ctx, &reply, NULL);
}

void fake_http_error(enum err_kind kind, const char *text)
{
	http_done_fn *done = fake_http.done;
	struct err err = { 0 };

	(void)err_set(&err, kind, "%s", text);
	fake_http.done = NULL;
	done(fake_http.ctx, NULL, &err);
}
