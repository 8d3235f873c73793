/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/http/client.h"

#include <stdbool.h>

/*
 * Stands in for lib/http/client.c at link time: one call at a time, kept for the test to look at and
 * to answer.
 */
struct fake_http {
	unsigned sent, cancelled;
	bool refuses; /* http_send() itself fails */
	char url[1024];
	char headers[256]; /* each followed by a newline */
	char method[16];
	unsigned timeout_msec;
	size_t body_max;
	http_done_fn *done; /* NULL: no call is under way */
	void *ctx;
};
extern struct fake_http fake_http;

void fake_http_reply(long status, const char *body, const char *retry_after);
void fake_http_error(enum err_kind kind, const char *text);
