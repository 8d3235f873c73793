/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of the issuer share. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/identity/decide.h"
#include "nmi/issue.h"
#include "nmi/limits.h"
#include "nmi/pods/pod.h"
#include "nmi/token/cache.h"
#include "tests/unit/fake-resolver.h"
#include "tests/unit/fake-source.h"
#include "tests/unit/mk-identity.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define HOUR 3600

/* An issuer whose pod, decision and tokens the test holds in its hands. */
struct bench {
	struct loop *loop;
	struct resolver resolver;
	struct by_name names;
	struct pod *pod, *other_pod;
	bool is_ready;
	struct match_answer match;
	char decided_on[32];
	bool no_exceptions; /* as the last decision was asked */
	struct decider decider;
	struct fake_source source, node;
	const struct token_source *by_type[1];
	struct token_cache *cache;
	struct azure_identity *identity, *other_identity;
	struct issuer *issuer;
};

static inline bool is_ready(void *ctx)
{
	struct bench *b = ctx;

	return b->is_ready;
}

static inline void decide(void *ctx, const struct match_pod *pod, const struct selector *sel,
			  struct match_answer *out)
{
	struct bench *b = ctx;

	ck_assert_str_eq(pod->namespace, "shop");
	(void)snprintf(b->decided_on, sizeof(b->decided_on), "%s", sel->value);
	b->no_exceptions = pod->no_exceptions;
	*out = b->match;
}

static char shop[] = "shop", uid_1[] = "u1", uid_2[] = "u2", web_0[] = "web-0", web_1[] = "web-1";

static inline void bench_init(struct bench *b)
{
	struct token_cache_spec tokens = { .max_tokens = 10, .max_waiting = 10 };

	*b = (struct bench){
		.loop = loop_new_fake(NULL),
		.is_ready = true,
		.identity = mk_identity(),
		.other_identity = mk_identity(.name = "other", .client_id = "c2"),
		.pod = xnew(struct pod),
		.other_pod = xnew(struct pod),
	};
	*b->pod = (struct pod){ .uid = uid_1, .namespace = shop, .name = web_0 };
	*b->other_pod = (struct pod){ .uid = uid_2, .namespace = shop, .name = web_1 };
	b->resolver = (struct resolver){ .result = RESOLVE_FOUND, .pod = b->pod };
	b->match = (struct match_answer){ .result = MATCH_GRANTED,
					  .identity = b->identity,
					  .candidates = 1 };
	b->decider = (struct decider){ "fake", b, is_ready, decide };
	fake_source_init(&b->source, b->loop);
	fake_source_init(&b->node, b->loop);
	b->by_type[0] = &b->source.vtable;
	tokens.by_type = b->by_type;
	tokens.n_types = 1;
	tokens.node = &b->node.vtable;
	b->cache = token_cache_new(b->loop, &tokens, NULL);
	b->issuer = issuer_new(b->loop, &(struct issuer_spec){ .resolver = &b->resolver,
							       .names = &b->names,
							       .decider = &b->decider,
							       .tokens = b->cache,
							       .sync_wait_msec = 5000,
							       .token_wait_msec = 20000,
							       .named_wait_msec = 80000,
							       .assigned_wait_msec = 100000 });
}

static inline void bench_deinit(struct bench *b)
{
	b->issuer = issuer_free(b->issuer);
	ck_assert_uint_eq(b->resolver.n_waits, 0);
	ck_assert_uint_eq(b->names.n_waits, 0);
	ck_assert_uint_eq(b->pod->refs, 0);
	ck_assert_uint_eq(b->other_pod->refs, 0);
	free(b->pod);
	free(b->other_pod);
	ck_assert_uint_eq(token_cache_stats(b->cache)->waiting, 0);
	b->cache = token_cache_free(b->cache);
	fake_source_deinit(&b->source);
	fake_source_deinit(&b->node);
	ck_assert_uint_eq(b->identity->refs, 1);
	(void)azure_identity_unref(b->identity);
	(void)azure_identity_unref(b->other_identity);
	(void)loop_free(b->loop);
}

struct got {
	unsigned calls;
	struct issue_answer a; /* what it borrowed is not to be read any more */
	char token[32], uid[32], pod[32], client_id[64];
};

static inline void keep(struct got *g, const struct issue_answer *a)
{
	g->calls++;
	g->a = *a;
	ck_assert_int_eq(a->token != NULL, a->reason == REASON_NONE);
	ck_assert_int_eq(a->text[0] == '\0', a->reason == REASON_NONE);
	g->token[0] = '\0';
	(void)snprintf(g->uid, sizeof(g->uid), "%s", a->pod_uid ? a->pod_uid : "");
	(void)snprintf(g->pod, sizeof(g->pod), "%s", a->pod_name ? a->pod_name : "");
	(void)snprintf(g->client_id, sizeof(g->client_id), "%s", a->client_id ? a->client_id : "");
	if (a->token)
		(void)snprintf(g->token, sizeof(g->token), "%.*s", (int)a->token->access_token.n,
			       (const char *)a->token->access_token.p);
}

static inline void on_done(void *ctx, const struct issue_answer *a)
{
	keep(ctx, a);
}

static inline struct issue_request request(void)
{
	struct issue_request req = { .resource = "r",
				     .selector = { SELECTOR_NONE, "" },
				     .id = "q1" };

	ck_assert_int_eq(inet_ip_parse("10.1.2.3", &req.peer, NULL), 0);
	return req;
}

/* Starts a request; one that is answered at once is kept like the others. */
static inline struct issue *start_with(struct bench *b, const struct issue_request *req,
				       struct got *g)
{
	struct issue_answer a;
	struct issue *q = issue_start(b->issuer, req, &a, on_done, g);

	ck_assert_uint_eq(g->calls, 0);
	if (!q)
		keep(g, &a);
	return q;
}

static inline struct issue *start(struct bench *b, struct got *g)
{
	struct issue_request req = request();

	return start_with(b, &req, g);
}

static inline void turn(struct bench *b)
{
	ck_assert_int_eq(loop_turn(b->loop, 0, NULL), 0);
}

static inline void give(struct bench *b, const char *text)
{
	ck_assert(fake_source_give(&b->source, text, HOUR));
	turn(b);
}
