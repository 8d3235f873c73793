/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "nmi/token/source.h"
#include "nmi/token/token.h"

#include <stddef.h>
#include <stdint.h>

struct loop;
struct metrics;

/*
 * Tokens by identity and resource, fetched at most once at a time and renewed before they run out.
 * Owned by the agent; callbacks come from the loop, never from inside the call that asked. Who may
 * have a token is decided before, for every request; the cache only saves the fetching.
 *
 * A flight that was sent is detached from its callers: when all have left, its answer still fills the
 * cache. A failed renewal keeps the token that is still valid: who asks in its last minutes is given it if
 * no other is to be had, and the upstream has not refused. Failures are remembered briefly, by class. How
 * briefly, when a token is no longer handed out, and what is tried again: policy.h.
 *
 * What goes to an upstream keeps within its budget (struct token_budget) and is fair between pods: each
 * has its turn, whatever another has queued. What a pod is answered from memory is not limited.
 */
struct token_cache;
struct token_wait;

struct token_cache_spec {
	const struct token_source *const *by_type; /* by azure_identity_type; NULL: unsupported */
	size_t n_types;
	const struct token_source *node; /* for excepted pods */
	size_t max_tokens, max_waiting;
	/* Flights that a pod may cause: so many at once, then so many a second; 0: any number. */
	unsigned pod_burst, pod_per_second;
};

struct token_cache_stats {
	unsigned long hits, misses, flights, stale, failures;
	unsigned long retries, pod_limited,
		last; /* `last`: answered with one in its last minutes */
	size_t tokens, in_flight, waiting;
	size_t queued, pods; /* flights that wait for their turn; pods that are remembered */
};

struct token_cache *token_cache_new(struct loop *l, const struct token_cache_spec *spec,
				    struct metrics *metrics);
struct token_cache *token_cache_free(struct token_cache *c); /* silently cancels all */
DEFINE_CLEANUP(struct token_cache, token_cache_free);

/* A token that is good to hand out now, or NULL; borrowed until the loop runs again. */
const struct token *token_cache_peek(struct token_cache *c, const struct token_ask *ask);
/*
 * `done` is given a token (borrowed for the call; token_ref() keeps it) or a failure. At the deadline
 * the caller is told TOKEN_FAULT_DOWN while the flight goes on. Never NULL: what cannot be started is
 * reported through `done` too.
 */
struct token_wait *token_cache_get(struct token_cache *c, const struct token_ask *ask,
				   struct mono deadline, token_done_fn *done, void *ctx);
void token_cache_cancel(struct token_wait *w);
/* Whom it would be fetched from; NULL: nobody has tokens of that type. Lives as long as the cache. */
const char *token_cache_source_name(const struct token_cache *c, const struct token_ask *ask);
const struct token_cache_stats *token_cache_stats(const struct token_cache *c);
/* What a source still bears; those of one ctx are one. UINT32_MAX: any number. */
struct token_cache_source {
	const char *name;
	unsigned in_flight, max_in_flight, per_second, left;
	size_t queued;
	uint64_t braked_msec; /* nothing is asked for so long, because of a 429; 0: it may be */
};
/* Those that were ever asked, at most `max`; how many. */
size_t token_cache_sources(struct token_cache *c, struct token_cache_source *out, size_t max);
/* Sets the gauges, which are looked at when somebody reads them. */
void token_cache_measure(const struct token_cache *c);
