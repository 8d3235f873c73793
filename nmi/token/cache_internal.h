/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/backoff.h"
#include "lib/base/cleanup.h"
#include "lib/base/hmap.h"
#include "lib/base/log.h"
#include "lib/loop/loop.h"
#include "nmi/token/cache.h"
#include "nmi/token/cache_queue.h"

#include <stdbool.h>
#include <stddef.h>

struct metrics;
struct token_key;

/* The insides of the cache, for cache*.c alone; how they work together is told in cache.c. */
enum flight_kind { FLIGHT_PLAIN, FLIGHT_BYPASS, FLIGHT_KINDS };
enum lru { LRU_TOKENS, LRU_OTHERS, LRUS };

/*
 * QUEUED   Entered by cache_flight_begin(), and again from RESTING. It stands in the lane of each of its
 *          callers, or, if nobody waits for it, behind all lanes. Left for SENT by cache_pump(), or dropped
 *          with a last caller who hung up.
 * SENT     The source has it: an attempt's `handle` is valid, or those of both. Left by the callback of the one that
 *          ends it, or, once, for QUEUED when it was lost and there is no room for a second attempt (policy.h).
 * RESTING  Failed, and worth another try. `timer` runs, `failed` is what it failed with. Left for QUEUED by
 *          the timer, or ended with its last caller.
 */
enum flight_state { FLIGHT_QUEUED, FLIGHT_SENT, FLIGHT_RESTING };

struct cache_outcome {
	unsigned refs;
	struct token *tok; /* or NULL, and then: */
	struct token_failure fail;
};

/* What a source was asked: once, and where that seems to be lost, beside it once more. */
struct cache_attempt {
	struct cache_flight *flight;
	void *handle;		 /* NULL: not under way, and nothing else is valid */
	struct cache_lane *turn; /* in whose turn; NULL: it stood behind */
	struct mono sent_at;
	struct loop_timer slow; /* while in its place */
	bool is_slow;		/* it has given its place away */
};

struct cache_flight {
	struct cache_entry *entry;
	enum flight_kind kind;
	enum flight_state state;
	enum behind behind; /* while QUEUED */
	struct cache_attempt attempts[2];
	struct token_wait *waiters;
	unsigned tries;
	struct cache_outcome *failed; /* the last try, if there was one */
	struct mono failed_at, queued_at;
	/* RESTING: until the next try. SENT, the first alone: to see whether later ones were answered */
	struct loop_timer timer;
	bool was_lost; /* and made once more */
	struct mono begun_at;
	struct cache_flight *prev, *next; /* behind */
};

struct token_wait {
	struct token_cache *cache;
	struct cache_flight *flight; /* NULL once there is an outcome */
	struct cache_lane *lane;     /* with `flight` */
	bool in_lane;		     /* in the lane's queue */
	struct token_wait *lane_prev, *lane_next;
	struct cache_outcome *outcome;
	struct loop_timer deadline; /* at `until`, or when what is the last resort will do */
	struct mono until;
	struct loop_defer tell;
	token_done_fn *done;
	void *ctx;
	struct token_wait *prev, *next; /* on a flight, or in the cache's `settled` */
};

struct cache_entry {
	struct hmap_node node;
	char *key;
	size_t key_len;
	struct token_cache *cache;
	const struct token_source *source;
	struct cache_upstream *upstream;
	struct cache_asker *asker;	 /* whoever asked last, or used the token; or NULL */
	struct azure_identity *identity; /* what to ask for, as token_ask */
	struct selector selector;
	char *resource;

	struct token *tok;
	struct wall usable_until, renew_at;
	struct mono usable_before,
		renew_by; /* the same by the clock that nobody sets, see cache_entry.c */
	bool used;	  /* answered since it came */
	bool noted;	  /* `asker` is who used it since it came, or since its renewal failed */
	bool has_last;	  /* nobody has refused to renew it */
	uint16_t unusable_sec; /* from `usable_until` to its end */
	struct backoff backoff;
	struct mono renew_not_before; /* after a failed renewal */

	struct cache_outcome *failure;
	struct mono failed_at, believed_until;

	struct cache_flight *flights[FLIGHT_KINDS];
	struct loop_timer timer;
	struct cache_entry **in; /* the LRU list that it is in; NULL while it has flights */
	struct cache_entry *prev, *next;
};

struct token_cache {
	struct loop *loop;
	struct token_cache_spec spec;
	struct metrics *metrics;
	struct token_cache_stats stats;
	struct hmap entries;
	struct cache_entry *lru[LRUS]; /* most recently used first */
	struct token_wait *settled;
	struct cache_upstream *upstreams; /* few: each source that was ever asked */
	struct log_limit stale_log;
};

/* outcomes */
struct cache_outcome *cache_outcome_new(struct token *tok, const struct token_failure *fail);
struct cache_outcome *cache_outcome_unref(struct cache_outcome *o);
DEFINE_CLEANUP(struct cache_outcome, cache_outcome_unref);
struct token_failure cache_failure_make(enum token_fault fault, enum err_kind kind,
					const char *text);

/* waits: settled ones are told and freed from the loop */
void cache_wait_settle(struct token_wait *w, struct cache_outcome *o);
void cache_wait_refuse(struct token_wait *w, const struct token_failure *fail);
void cache_wait_leave(struct token_wait *w);
void cache_wait_tell(struct token_wait *w, const struct cache_outcome *o);
void cache_wait_free(struct token_wait *w);

/* entries */
struct cache_entry *cache_entry_new(struct token_cache *c, const struct token_key *key,
				    const struct token_source *source, const struct token_ask *ask);
struct cache_entry *cache_entry_find(const struct token_cache *c, const struct token_key *key);
bool cache_entry_is_usable(const struct cache_entry *e);
/* Usable, and its source need not look first whether what it was made with has changed. */
bool cache_entry_is_good(const struct cache_entry *e);
/*
 * The token that is past that and valid for a while yet, for a caller who would be told `fail`; NULL: there is none, or
 * not after such a failure. Borrowed. `was_tried`: to get another has failed just now; else a source that is unsure
 * whether what this one was made with has changed has not looked yet, and it is not given.
 */
struct token *cache_entry_last(const struct cache_entry *e, const struct token_failure *fail,
			       bool was_tried);
/* There is one for who would be told that the upstream is down. */
bool cache_entry_has_resort(const struct cache_entry *e);
/* So many callers were given it. */
void cache_entry_note_last(struct cache_entry *e, unsigned callers);
/* The time to renew it has come, and it does not wait after a failed attempt. */
bool cache_entry_is_due(const struct cache_entry *e);
bool cache_entry_is_failure_believed(const struct cache_entry *e);
void cache_entry_store(struct cache_entry *e, struct token *tok);
void cache_entry_note_failure(struct cache_entry *e, struct cache_outcome *o, enum flight_kind kind,
			      bool believe);
/* `pod` was answered from it, for the first time in a while. */
void cache_entry_note_use(struct cache_entry *e, const struct token_pod *pod);
/* The upstream answers again: renewals that have failed need not wait any longer. */
void cache_entries_hurry(struct token_cache *c, const struct cache_upstream *u);
/* Most recently used of its kind; not in any list while a flight holds it. */
void cache_entry_touch(struct cache_entry *e);
/* After any change: sets the timer to what comes next, or frees an entry that holds nothing. */
void cache_entry_update(struct cache_entry *e);
void cache_entry_free(struct cache_entry *e);

/* flights: begun ones are queued, and sent by cache_pump() */
struct cache_flight *cache_flight_begin(struct cache_entry *e, enum flight_kind kind);
void cache_flight_join(struct cache_flight *f, struct token_wait *w, struct cache_lane *lane);
void cache_flight_send(struct cache_flight *f, struct cache_lane *turn);
void cache_flight_refuse(struct cache_flight *f, const struct token_failure *fail);
/* A caller has left it: at its deadline, and will ask again, or for good. */
void cache_flight_left(struct cache_flight *f, bool at_deadline);
void cache_flight_drop(struct cache_flight *f);	 /* queued, and nobody waits for it */
void cache_flight_abort(struct cache_flight *f); /* with its callers, who are not told */
/* What a caller is told whose patience ends before the flight does. */
struct token_failure cache_flight_excuse(const struct cache_flight *f);
