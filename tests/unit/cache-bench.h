/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of the token cache share. */
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/metrics.h"
#include "nmi/token/cache.h"
#include "tests/unit/fake-source.h"
#include "tests/unit/mk-identity.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define HOUR	    INT64_C(3600)
#define MINUTE_MSEC UINT64_C(60000)

/* A cache on a fake clock with a source for identities and one for the node. */
struct bench {
	struct loop *loop;
	struct fake_source source, node;
	const struct token_source *by_type[2];
	struct metrics *metrics;
	struct azure_identity *identity;
	struct token_cache *cache;
};

/* `spec` without its sources. */
static inline void bench_init_spec(struct bench *b, struct token_cache_spec spec,
				   size_t max_in_flight)
{
	*b = (struct bench){ .loop = loop_new_fake(NULL) };
	fake_source_init(&b->source, b->loop);
	fake_source_init(&b->node, b->loop);
	b->source.vtable.budget.max_in_flight = (unsigned)max_in_flight;
	b->node.vtable.budget.max_in_flight = (unsigned)max_in_flight;
	b->by_type[0] = &b->source.vtable;
	b->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, 16);
	b->identity = mk_identity();
	spec.by_type = b->by_type;
	spec.n_types = 2;
	spec.node = &b->node.vtable;
	b->cache = token_cache_new(b->loop, &spec, b->metrics);
}

static inline void bench_init(struct bench *b, size_t max_tokens, size_t max_in_flight,
			      size_t max_waiting)
{
	const struct token_cache_spec spec = { .max_tokens = max_tokens,
					       .max_waiting = max_waiting };

	bench_init_spec(b, spec, max_in_flight);
}

static inline void bench_deinit(struct bench *b)
{
	b->cache = token_cache_free(b->cache);
	fake_source_deinit(&b->source);
	fake_source_deinit(&b->node);
	(void)azure_identity_unref(b->identity);
	(void)metrics_free(b->metrics);
	(void)loop_free(b->loop);
}

/* What a caller was told. */
struct got {
	unsigned calls;
	uint64_t id;
	char text[32];
	int fault; /* -1: none */
	unsigned retry_after_sec;
	char why[ERR_MSG_MAX];
};

static inline void on_done(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct got *g = ctx;

	ck_assert((tok != NULL) != (fail != NULL));
	g->calls++;
	g->fault = -1;
	if (tok) {
		g->id = tok->id;
		(void)snprintf(g->text, sizeof(g->text), "%.*s", (int)tok->access_token.n,
			       (const char *)tok->access_token.p);
		return;
	}
	g->fault = fail->fault;
	g->retry_after_sec = fail->retry_after_sec;
	(void)snprintf(g->why, sizeof(g->why), "%s", fail->err.msg);
}

static inline struct token_ask ask_for(struct bench *b, const char *resource)
{
	return (struct token_ask){ .identity = b->identity, .resource = resource };
}

static inline struct token_wait *get_within(struct bench *b, const struct token_ask *ask,
					    uint64_t msec, struct got *g)
{
	unsigned before = g->calls;
	struct token_wait *w = token_cache_get(b->cache, ask,
					       mono_add_msec(loop_mono(b->loop), msec), on_done, g);

	ck_assert_ptr_nonnull(w);
	ck_assert_uint_eq(g->calls, before); /* never from inside the call */
	return w;
}

static inline struct token_wait *get(struct bench *b, const struct token_ask *ask, struct got *g)
{
	return get_within(b, ask, 20000, g);
}

/* The same as a pod of this UID. */
static inline struct token_wait *get_as(struct bench *b, const char *uid, const char *resource,
					struct got *g)
{
	const struct token_pod pod = {
		.namespace = "shop", .name = uid, .uid = uid, .service_account = "web"
	};
	struct token_ask ask = { .pod = &pod, .identity = b->identity, .resource = resource };

	return get(b, &ask, g);
}

/* A cache, whose first caller asks for "r"; what it asked. */
static inline struct token_ask bench_init_asked(struct bench *b, struct got *g)
{
	struct token_ask ask;

	bench_init(b, 10, 4, 10);
	ask = ask_for(b, "r");
	(void)get(b, &ask, g);
	return ask;
}

static inline void turn(struct bench *b)
{
	ck_assert_int_eq(loop_turn(b->loop, 0, NULL), 0);
}

/* Fetches `resource` and answers it: it is cached now. */
static inline void fill(struct bench *b, const char *resource, const char *text, int64_t life)
{
	struct token_ask ask = ask_for(b, resource);
	struct got g = { 0 };

	(void)get(b, &ask, &g);
	ck_assert(fake_source_give(&b->source, text, life));
	turn(b);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_str_eq(g.text, text);
}

static const char *peek(struct bench *b, const char *resource)
{
	static char text[32];
	struct token_ask ask = ask_for(b, resource);
	const struct token *t = token_cache_peek(b->cache, &ask);

	(void)snprintf(text, sizeof(text), "%.*s", t ? (int)t->access_token.n : 0,
		       t ? (const char *)t->access_token.p : "");
	return text;
}
