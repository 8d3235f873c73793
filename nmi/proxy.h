/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/inet.h"
#include "nmi/reason.h"

#include <stdbool.h>
#include <stddef.h>

struct http_client;
struct loop;

/*
 * Instance metadata passed through to IMDS: everything that is not below /metadata/identity.
 *
 * A request's headers pass unless there is a reason against it, as RFC 9110 (5.1, 7.6.1) has it of an
 * intermediary: IMDS may learn new ones. Against it: hop-by-hop, or made so by Connection; ours to
 * say, such as Host; who asks according to somebody else, X-Forwarded-For and its kin;
 * x-ms-azure-host-*. Nothing is added. Of an answer only those pass that proxy_answer has. Bodies and
 * answers have limits, and no pod has more than its share of the requests under way, and of those in a second.
 */
struct proxy;
struct proxy_call;

struct proxy_header {
	const char *name, *value;
};

struct proxy_request {
	struct inet_ip peer; /* who asks: each has its share */
	const char *method;
	const char *target; /* raw path and query, as the client sent it, already judged harmless */
	const struct proxy_header *headers;
	size_t n_headers;
	const char *body;
	size_t body_len;
};

struct proxy_answer {
	enum reason reason; /* REASON_NONE: the rest is IMDS's answer */
	long status;
	const char *content_type; /* or NULL */
	const char *retry_after;  /* or NULL */
	const char *server;	  /* or NULL */
	const char *body;
	size_t body_len;
	struct err err; /* with a reason */
};

/* Strings are borrowed for the call. */
typedef void proxy_done_fn(void *ctx, const struct proxy_answer *a);

struct proxy *proxy_new(struct loop *l, struct http_client *http, const char *base_url);
struct proxy *proxy_free(struct proxy *p);
DEFINE_CLEANUP(struct proxy, proxy_free);
/* NULL with err (ERR_LIMIT: too many at once; ERR_REFUSED: too often; ERR_INPUT) when it could not be started. */
struct proxy_call *proxy_forward(struct proxy *p, const struct proxy_request *req,
				 proxy_done_fn *done, void *ctx, struct err *err);
void proxy_cancel(struct proxy_call *c);
/* Pure: may this header of a pod's request go to IMDS? */
bool proxy_header_passes(const char *name);
