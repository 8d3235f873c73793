/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/http/client.h"

#include <stdint.h>

/*
 * An HTTP client that remembers the last request and answers when the test says so. A header of the
 * answer is given as "Name: value" in `headers`.
 */
struct http_call {
	struct http_client *client;
	http_done_fn *done;
	void *ctx;
	struct http_call *prev, *next;
};

struct http_client {
	bool refuse;	   /* http_send() fails */
	bool is_answering; /* of all calls */
	struct http_call *calls;
	unsigned sent, cancelled;
	/* of the last request */
	char method[16], url[4200], headers[4096], body[8192];
	size_t body_len, body_max;
	unsigned timeout_msec;
	/* of the answer */
	const char *reply_headers[4];
};

/* Answers all calls with this status and body, or with err. */
void fake_http_reply(struct http_client *c, long status, const char *body);
void fake_http_fail(struct http_client *c, const struct err *err);
