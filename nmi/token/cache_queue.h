/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/hmap.h"
#include "lib/loop/loop.h"
#include "nmi/token/rate.h"
#include "nmi/token/source.h"

#include <stdbool.h>
#include <stddef.h>

struct cache_flight;
struct token_cache;
struct token_wait;

/* Whose turn it is at an upstream, for cache*.c alone; how it works is told in cache_queue.c. */
/* Where a queued flight stands that nobody waits for: in this order, after all that somebody does. */
enum behind { BEHIND_RENEWAL, BEHIND_ABANDONED, BEHINDS, BEHIND_NOTHING = BEHINDS };

/* A pod, remembered as long as somebody names it. */
struct cache_asker {
	unsigned refs;
	struct token_pod pod; /* strings owned */
};

/* A pod at an upstream: what its callers wait for, and what it may still cause. */
struct cache_lane {
	struct hmap_node node;
	struct cache_upstream *upstream;
	struct cache_asker *asker; /* NULL: nobody's */
	struct token_wait *queue;  /* callers whose flights are QUEUED */
	unsigned users;		   /* callers, and flights that were sent in its turn */
	unsigned in_flight;	   /* of the latter */
	struct bucket allowance;
	struct cache_lane **in; /* `turns` or `idle` of the upstream, or NULL */
	struct cache_lane *prev, *next;
};

/* What is shared by all sources of one ctx. */
struct cache_upstream {
	struct token_cache *cache;
	const void *ctx;
	const char *name;
	unsigned max_in_flight, slow_msec, max_slow;
	unsigned slow; /* of those sent: without a place */
	struct rate rate;
	struct hmap lanes; /* by UID of the pod */
	struct cache_lane nobody;
	struct cache_lane *turns; /* those with a queue, whose turn it is first */
	struct cache_lane *idle;  /* those without users, the longest first */
	struct cache_flight *behind[BEHINDS];
	size_t abandoned; /* of those behind */
	unsigned behind_in_flight;
	size_t queued;
	struct loop_timer wake; /* when the rate, or the brake, lets go */
	struct mono braked_at, braked_until;
	struct token_failure brake; /* the 429 */
	struct mono failing_since;  /* 0: the last answer was one */
	struct mono answered_sent;  /* when the latest was sent of those that brought a token */
	struct cache_upstream *prev, *next;
};

/* askers: NULL for NULL */
struct cache_asker *cache_asker_new(const struct token_pod *pod);
struct cache_asker *cache_asker_ref(struct cache_asker *a);
struct cache_asker *cache_asker_unref(struct cache_asker *a);
DEFINE_CLEANUP(struct cache_asker, cache_asker_unref);

/* upstreams, and their queues */
struct cache_upstream *cache_upstream_get(struct token_cache *c, const struct token_source *source);
void cache_upstream_free(struct cache_upstream *u);
/* The lane of whoever asks: stays as long as it has users, and for a while after. */
struct cache_lane *cache_lane_get(struct cache_upstream *u, const struct token_pod *pod);
void cache_lane_use(struct cache_lane *lane);
void cache_lane_leave(struct cache_lane *lane);
/* May it cause one more flight? Takes it off its allowance, or says how long to wait. */
bool cache_lane_allows(struct cache_lane *lane, unsigned *out_wait_sec);
/* The wait's flight is queued, or no longer is. */
void cache_lane_put(struct token_wait *w, bool first);
void cache_lane_take(struct token_wait *w);
void cache_behind_put(struct cache_flight *f, enum behind behind);
void cache_behind_take(struct cache_flight *f);
/* The 429 that holds everything up, as of now. */
bool cache_is_braked(const struct cache_upstream *u, struct token_failure *out_fail);
void cache_brake(struct cache_upstream *u, const struct token_failure *fail);
/* One more, in this lane's turn or (NULL) behind, that waits in no queue. Never at the cost of those that do. */
enum cache_room { ROOM_NOW, ROOM_SOON, ROOM_NONE };
enum cache_room cache_room(struct cache_upstream *u, const struct cache_lane *lane);
/* Sends what may be sent. */
void cache_pump(struct cache_upstream *u);
