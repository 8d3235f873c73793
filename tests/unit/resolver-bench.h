/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of the resolver share: a fake clock, an API server by hand. */

#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/pods/resolver.h"
#include "nmi/pods/store.h"
#include "tests/unit/fake-kube.h"
#include "tests/unit/mk-pod.h"

#define WAIT_MSEC UINT64_C(10000)

struct bench {
	struct loop *loop;
	struct pod_store *store;
	struct resolver *resolver;
};

/* What a caller was told, and what it then does. */
struct caller {
	struct bench *bench;
	unsigned calls;
	enum resolve_result result;
	char uid[16];
	struct resolver_wait *cancel; /* another's wait, cancelled from the callback */
	struct caller *wait_again;    /* a wait for the same IP, added from the callback */
	struct resolver_wait *again;
	bool free_all;
};

static inline const struct inet_ip *the_ip(void)
{
	static const struct inet_ip ip = {
		{ [10] = 0xff, 0xff, 10, 0, 0, 1 },
	};

	return &ip;
}

static inline void done(void *ctx, enum resolve_result result, const struct pod *p)
{
	struct caller *c = ctx;

	c->calls++;
	c->result = result;
	if ((p != NULL) != (result == RESOLVE_FOUND || result == RESOLVE_UNSEEN))
		ck_abort_msg("a pod with result %u, or none without", result);
	(void)snprintf(c->uid, sizeof(c->uid), "%s", p ? p->uid : "");
	if (c->cancel)
		resolver_cancel(c->cancel);
	if (c->wait_again)
		c->again = resolver_wait(c->bench->resolver, the_ip(), done, c->wait_again);
	if (c->free_all)
		c->bench->resolver = resolver_free(c->bench->resolver);
	if (strcmp(c->uid, p ? p->uid : "") != 0)
		ck_abort_msg("what was lent is ours for the whole call");
}

static inline struct bench bench_new(bool with_client)
{
	/* never looked into: the fake stands for every client */
	struct kube_client *client = with_client ? (void *)&fake_kube : NULL;
	struct bench b = { .loop = loop_new_fake(NULL), .store = pod_store_new() };

	fake_kube_reset();
	b.resolver = resolver_new(b.loop, b.store, client, "node-1", WAIT_MSEC);
	return b;
}

static inline void bench_end(struct bench *b)
{
	b->resolver = resolver_free(b->resolver);
	b->store = pod_store_free(b->store);
	b->loop = loop_free(b->loop);
	fake_kube_reset();
}

static inline struct resolver_wait *wait_for(struct bench *b, struct caller *c)
{
	struct resolver_wait *w = resolver_wait(b->resolver, the_ip(), done, c);

	ck_assert_ptr_nonnull(w);
	ck_assert_uint_eq(c->calls, 0); /* never from inside the call that asked */
	return w;
}

/* The answer of the API server: a list of these pods. */
static inline void answer_with(unsigned call, char *one, char *two)
{
	_cleanup_free_ char *a = one, *b = two;
	_cleanup_free_ char *text = xasprintf("{\"kind\":\"PodList\",\"items\":[%s%s%s]}",
					      a ? a : "", b ? "," : "", b ? b : "");

	fake_answer(call, 200, text);
}

#define ck_answer(c, n, want, want_uid)                                                            \
	do {                                                                                       \
		ck_assert_uint_eq((c).calls, n);                                                   \
		ck_assert_int_eq((c).result, want);                                                \
		ck_assert_str_eq((c).uid, want_uid);                                               \
	} while (0)
