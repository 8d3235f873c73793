/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/str.h"
#include "lib/loop/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What lib/http/client.h promises, answered as an input says. Who asks has a client of his own, so that it is
 * known for whom an answer is.
 */
enum upstream {
	UPSTREAM_IMDS, /* tokens of identities */
	UPSTREAM_NODE, /* tokens of the node's own */
	UPSTREAM_FORWARD,
	UPSTREAMS,
};

struct http_call;

struct http_client {
	struct loop *loop;
	enum upstream who;
	struct http_call *calls; /* the oldest first */
	size_t n_calls;
	bool blocks_instance; /* nothing below /metadata/instance may come here */
	char mark[32];	      /* of this run: begins each token, and no input can guess it */
};

#define UPSTREAM_SERVER "scripted" /* the header Server of what is passed on */

/* The token of whoever's it is: mark, name, '~'. */
char *upstream_token(const struct http_client *c, const char *name);
/*
 * Answers call `i` of those that wait, modulo their number, with what four bytes say: form, status, Retry-After,
 * and what is odd about it. `raw`: a body, in which '@' is a token of the right one. Nothing if nobody waits.
 */
void upstream_answer(struct http_client *c, size_t i, const uint8_t how[static 4], struct str raw);
/* Nobody answers any of them. */
void upstream_fail_all(struct http_client *c);
