/* SPDX-License-Identifier: MIT */

/* Instance metadata: forwarded to IMDS, unless blocked. */

#include "lib/base/mem.h"
#include "nmi/front/internal.h"
#include "nmi/limits.h"
#include "nmi/proxy.h"

#include <stdio.h>

/* Far more than any client sends; the library's pool holds some 100 of the smallest. */
#define HEADERS_MAX 64

struct headers {
	struct proxy_header at[HEADERS_MAX];
	size_t n; /* may be more than there is room for */
};

static void add_header(void *ctx, const char *name, const char *value)
{
	struct headers *h = ctx;

	if (h->n < HEADERS_MAX)
		h->at[h->n] = (struct proxy_header){ name, value };
	h->n++;
}

static void on_answer(void *ctx, const struct proxy_answer *a)
{
	_cleanup_(response_unrefp) struct response *r = NULL;
	struct exchange *x = ctx;
	struct front *f = x->owner;

	x->op = NULL;
	if (a->reason != REASON_NONE) {
		front_refuse(f, x, &(struct refusal){ .reason = a->reason, .text = a->err.msg });
		return;
	}
	r = response_new(&(struct response_spec){
		.status = (unsigned)a->status,
		.headers = {
			{ "Content-Type", a->content_type },
			{ "Retry-After", a->retry_after },
			{ "Server", a->server },
		},
		.body = xmemdup(a->body ? a->body : "", a->body_len + 1),
		.body_len = a->body_len,
		.close = f->closing,
	});
	front_answer(f, x, r, NULL, NULL);
}

static void on_gone(struct exchange *x)
{
	proxy_cancel(x->op);
	x->op = NULL;
}

/* All or nothing: a Connection that was left out would let through what it names. */
static bool is_forwardable(struct front *f, struct exchange *x, const struct target *t,
			   const struct headers *headers)
{
	struct refusal why = { .reason = REASON_BAD_REQUEST };
	char text[96];

	if (!front_check_metadata(f, x))
		return false;
	if (x->body_too_long) {
		why.reason = REASON_TOO_LARGE;
		(void)snprintf(
			text, sizeof(text),
			"The request's body is longer than %d bytes, and is not passed on: send "
			"less",
			LIMIT_FORWARD_REQUEST_BYTES);
		why.text = text;
		why.close = true;
	} else if (headers->n > HEADERS_MAX) {
		(void)snprintf(text, sizeof(text),
			       "The request has more than %d headers, and is not passed on: send "
			       "less",
			       HEADERS_MAX);
		why.text = text;
	} else if (!query_is_plain(t->query)) {
		why.text = "The request's query has a byte that must be percent-encoded";
	} else {
		return true;
	}
	front_refuse(f, x, &why);
	return false;
}

static enum reason reason_of(const struct err *err)
{
	if (err->kind == ERR_REFUSED)
		return REASON_POD_LIMIT;
	return err->kind == ERR_LIMIT ? REASON_OVERLOADED : REASON_BAD_REQUEST;
}

void h_forward(struct front *f, struct exchange *x, const struct target *t)
{
	_cleanup_free_ char *target = NULL;
	struct headers headers = { .n = 0 };
	struct err err = { 0 };

	exchange_each_header(x, add_header, &headers);
	if (!is_forwardable(f, x, t, &headers))
		return;
	/* the canonical path: what was judged is what IMDS reads */
	target = xasprintf("%s%s%.*s", t->path.p, t->query.p ? "?" : "", (int)t->query.n,
			   t->query.p ? t->query.p : "");
	x->op = proxy_forward(f->spec.proxy,
			      &(struct proxy_request){
				      .peer = x->peer,
				      .method = x->method,
				      .target = target,
				      .headers = headers.at,
				      .n_headers = headers.n,
				      .body = x->body.p,
				      .body_len = x->body.n,
			      },
			      on_answer, x, &err);
	if (x->op) {
		x->gone = on_gone;
		return;
	}
	front_refuse(f, x, &(struct refusal){ .reason = reason_of(&err), .text = err.msg });
}

void h_instance(struct front *f, struct exchange *x, const struct target *t)
{
	if (!f->spec.block_instance_metadata) {
		h_forward(f, x, t);
		return;
	}
	front_refuse(f, x,
		     &(struct refusal){ .reason = REASON_BLOCKED,
					.text = "Instance metadata is blocked on this node "
						"(--block-instance-metadata): do without it, "
						"or ask whoever runs the cluster" });
}
