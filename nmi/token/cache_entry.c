/* SPDX-License-Identifier: MIT */

/*
 * What is known for a key, and its timer: see cache.c.
 *
 * Two clocks. A token's end is wall time, which a person or NTP may set: put back, it would keep a token in
 * memory past its end, and put off its renewal, by as much. So both moments are held by the monotonic clock
 * too, as they stood when the token came, and whichever comes first counts. Put forward, the wall clock comes
 * first: what it takes for expired, so does whoever is given it.
 */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/token/cache_internal.h"
#include "nmi/token/key.h"
#include "nmi/token/policy.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Of renewals that fail: often enough to be seen, seldom enough for an outage of hours. */
#define STALE_LOG_MSEC 60000

/* Wall time comes in whole seconds, so the same moment by the other clock may seem to be that much earlier. */
#define WALL_STEP_MSEC 1000

/* What the source knows of what it made with `origin`. */
static enum token_news news(const struct cache_entry *e, uint64_t origin)
{
	const struct token_ask ask = { .identity = e->identity,
				       .selector = e->selector,
				       .resource = e->resource };

	return e->source->check ? e->source->check(e->source->ctx, &ask, origin) : TOKEN_NEWS_NONE;
}

static bool is_fresh(const struct cache_entry *e)
{
	const struct loop *l = e->cache->loop;

	return e->tok && loop_wall(l).s < e->usable_until.s &&
	       mono_before(loop_mono(l), e->usable_before);
}

bool cache_entry_is_usable(const struct cache_entry *e)
{
	return is_fresh(e) && news(e, e->tok->origin) != TOKEN_NEWS_CHANGED;
}

bool cache_entry_is_good(const struct cache_entry *e)
{
	return is_fresh(e) && news(e, e->tok->origin) == TOKEN_NEWS_NONE;
}

/* A failure of a credential that was replaced meanwhile says nothing. */
bool cache_entry_is_failure_believed(const struct cache_entry *e)
{
	return e->failure && mono_before(loop_mono(e->cache->loop), e->believed_until) &&
	       news(e, e->failure->fail.origin) != TOKEN_NEWS_CHANGED;
}

static int64_t sec_until(const struct loop *l, struct mono at)
{
	return (int64_t)((mono_msec_until(loop_mono(l), at) + 999) / 1000);
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/*
 * For how long somebody may still be given it, if nobody refuses; at most 0: not any more. The answer says how long it
 * is good by the clock that is set: put back, that is longer than it is, and no last resort is given.
 */
static int64_t kept_sec(const struct cache_entry *e)
{
	const struct loop *l = e->cache->loop;
	struct mono end = mono_add_msec(e->usable_before, (uint64_t)e->unusable_sec * 1000);
	int64_t now = loop_wall(l).s, left = sec_until(l, end);
	int64_t usable = least(e->usable_until.s - now, sec_until(l, e->usable_before));
	int64_t last = least(policy_last_until(e->usable_until, e->tok->expires_on).s - now,
			     left - LIMIT_TOKEN_LAST_SEC);

	if (!e->has_last || e->tok->expires_on.s - now > left + LIMIT_TOKEN_LAST_SEC)
		return usable;
	return last > usable ? last : usable;
}

static bool is_kept(const struct cache_entry *e)
{
	return e->tok && kept_sec(e) > 0 && news(e, e->tok->origin) != TOKEN_NEWS_CHANGED;
}

struct token *cache_entry_last(const struct cache_entry *e, const struct token_failure *fail,
			       bool was_tried)
{
	if (!policy_leaves_last(fail) || is_fresh(e) || !is_kept(e))
		return NULL;
	return was_tried || news(e, e->tok->origin) == TOKEN_NEWS_NONE ? e->tok : NULL;
}

bool cache_entry_has_resort(const struct cache_entry *e)
{
	static const struct token_failure down = { .fault = TOKEN_FAULT_DOWN };

	return cache_entry_last(e, &down, true) != NULL;
}

void cache_entry_note_last(struct cache_entry *e, unsigned callers)
{
	e->used |= callers > 0;
	e->cache->stats.last += callers;
	metric_add(e->cache->metrics, NMI_METRIC_CACHE_LAST, NULL, callers);
}

static bool has_flight(const struct cache_entry *e)
{
	return e->flights[FLIGHT_PLAIN] || e->flights[FLIGHT_BYPASS];
}

static void set_token(struct cache_entry *e, struct token *tok)
{
	struct token_cache *c = e->cache;

	c->stats.tokens += tok ? 1 : 0;
	c->stats.tokens -= e->tok ? 1 : 0;
	(void)token_unref(e->tok);
	e->tok = tok ? token_ref(tok) : NULL;
	metric_set(c->metrics, NMI_METRIC_CACHE_TOKENS, NULL, (double)c->stats.tokens);
}

static void lru_leave(struct cache_entry *e)
{
	if (e->in)
		DL_DELETE(*e->in, e);
	e->in = NULL;
}

void cache_entry_touch(struct cache_entry *e)
{
	lru_leave(e);
	if (has_flight(e))
		return;
	e->in = &e->cache->lru[e->tok ? LRU_TOKENS : LRU_OTHERS];
	DL_PREPEND(*e->in, e);
}

void cache_entry_free(struct cache_entry *e)
{
	assert(!has_flight(e));
	hmap_del(&e->cache->entries, &e->node);
	lru_leave(e);
	loop_timer_del(&e->timer);
	set_token(e, NULL);
	(void)cache_outcome_unref(e->failure);
	(void)cache_asker_unref(e->asker);
	(void)azure_identity_unref(e->identity);
	free((char *)(uintptr_t)e->selector.value);
	free(e->resource);
	free(e->key);
	free(e);
}

static struct mono mono_in_sec(const struct token_cache *c, int64_t sec)
{
	return mono_add_msec(loop_mono(c->loop), sec > 0 ? (uint64_t)sec * 1000 : 0);
}

static struct mono mono_of_wall(const struct token_cache *c, struct wall at)
{
	return mono_in_sec(c, at.s - loop_wall(c->loop).s);
}

static struct mono later(struct mono a, struct mono b)
{
	return mono_before(a, b) ? b : a;
}

static struct mono earlier(struct mono a, struct mono b)
{
	return mono_before(a, b) ? a : b;
}

bool cache_entry_is_due(const struct cache_entry *e)
{
	const struct loop *l = e->cache->loop;
	struct mono now = loop_mono(l);

	return (loop_wall(l).s >= e->renew_at.s || !mono_before(now, e->renew_by)) &&
	       !mono_before(now, e->renew_not_before);
}

static void on_entry_timer(struct loop_timer *t);

void cache_entry_update(struct cache_entry *e)
{
	struct mono next = { UINT64_MAX }, at;

	if (!e->tok && !e->failure && !has_flight(e)) {
		cache_entry_free(e);
		return;
	}
	if (e->tok) {
		next = mono_in_sec(e->cache, kept_sec(e));
		at = earlier(mono_of_wall(e->cache, e->renew_at), e->renew_by);
		at = later(at, e->renew_not_before);
		if (e->used && !e->flights[FLIGHT_PLAIN] && mono_before(at, next))
			next = at;
	}
	if (e->failure && mono_before(e->believed_until, next))
		next = e->believed_until;
	if (next.ns == UINT64_MAX)
		loop_timer_del(&e->timer);
	else
		loop_timer_set(e->cache->loop, &e->timer, next, on_entry_timer);
}

static void make_room(struct token_cache *c)
{
	while (hmap_count(&c->entries) >= c->spec.max_tokens) {
		struct cache_entry *list = c->lru[LRU_OTHERS] ? c->lru[LRU_OTHERS]
							      : c->lru[LRU_TOKENS];

		if (!list)
			return; /* all have flights, and those are bounded by their callers */
		/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a freed entry has left its list */
		cache_entry_free(list->prev); /* the tail */
	}
}

static struct str entry_key(const struct hmap_node *n)
{
	const struct cache_entry *e = container_of(n, struct cache_entry, node);

	return (struct str){ e->key, e->key_len };
}

struct cache_entry *cache_entry_new(struct token_cache *c, const struct token_key *key,
				    const struct token_source *source, const struct token_ask *ask)
{
	struct cache_entry *e = xnew(struct cache_entry);
	bool by_selector = !ask->identity && ask->selector.value;

	make_room(c);
	e->cache = c;
	e->source = source;
	e->upstream = cache_upstream_get(c, source);
	e->key = xmemdup(key->p, key->n);
	e->key_len = key->n;
	e->selector.kind = ask->identity ? SELECTOR_NONE : ask->selector.kind;
	e->selector.value = xstrdup(by_selector ? ask->selector.value : "");
	e->resource = xstrdup(ask->resource);
	e->backoff = (struct backoff){ .min_msec = POLICY_RENEW_RETRY_MIN_MSEC,
				       .max_msec = POLICY_RENEW_RETRY_MAX_MSEC,
				       .reset_msec = 2 * POLICY_RENEW_RETRY_MAX_MSEC };
	hmap_add(&c->entries, &e->node, entry_key);
	return e;
}

struct cache_entry *cache_entry_find(const struct token_cache *c, const struct token_key *key)
{
	struct hmap_node *node = hmap_find(&c->entries, key->p, key->n);

	return node ? container_of(node, struct cache_entry, node) : NULL;
}

/*
 * By this clock. If that is behind, the moment which the issuer names is too far away; how long the token lives is
 * right by any.
 */
static struct wall end_of(const struct token *tok, struct wall now)
{
	struct wall end = tok->expires_on;

	if (tok->lives_sec && end.s > now.s && end.s - now.s > tok->lives_sec)
		end.s = now.s + tok->lives_sec;
	return end;
}

void cache_entry_store(struct cache_entry *e, struct token *tok)
{
	struct wall now = loop_wall(e->cache->loop);
	struct wall end = end_of(tok, now), until = policy_usable_until(now, end);
	struct mono before = mono_of_wall(e->cache, until);

	if (tok == e->tok) {
		/* a caller had its source look, and nothing has changed: a use, and no renewal */
		e->used = true;
		return;
	}
	if (!cache_entry_is_usable(e) ||
	    !mono_before(mono_add_msec(before, WALL_STEP_MSEC), e->usable_before)) {
		set_token(e, tok);
		if (!tok->kept_since.ns)
			tok->kept_since = loop_mono(e->cache->loop);
		e->usable_until = until;
		e->usable_before = before;
		e->has_last = true;
		e->unusable_sec = (uint16_t)(end.s - until.s); /* 300 at most */
	}
	e->renew_at = policy_renew_at(now, e->usable_until, arc4random());
	e->renew_by = mono_of_wall(e->cache, e->renew_at);
	e->tok->renew_at = e->renew_at;
	e->renew_not_before = (struct mono){ 0 };
	e->used = false;
	e->noted = false;
	e->failure = cache_outcome_unref(e->failure);
	backoff_reset(&e->backoff);
}

/* One line in a while for all keys: when an upstream is away, they fail together. */
static void log_stale(struct cache_entry *e, const struct token_failure *fail)
{
	struct token_cache *c = e->cache;
	const struct azure_identity *i = e->identity;
	const struct log_field fields[] = { { "namespace", i ? i->meta.namespace : NULL },
					    { "identity", i ? i->meta.name : NULL },
					    { "resource", e->resource } };
	int64_t now = loop_wall(c->loop).s;
	unsigned long held;

	if (!log_limit_pass(&c->stale_log, loop_mono(c->loop), STALE_LOG_MSEC, &held))
		return;
	log_write(LOG_LEVEL_WARN, fields, ARRAY_SIZE(fields),
		  "a token could not be renewed, so the one at hand is kept: %" PRId64
		  " s past its renewal, handed out for %" PRId64
		  " s more (%lu more such since the last "
		  "line): %s",
		  now > e->renew_at.s ? now - e->renew_at.s : 0, kept_sec(e), held, fail->err.msg);
}

void cache_entry_note_failure(struct cache_entry *e, struct cache_outcome *o, enum flight_kind kind,
			      bool believe)
{
	struct mono now = loop_mono(e->cache->loop);
	unsigned wait, asked = o->fail.retry_after_sec * 1000;

	if (believe && policy_remember_msec(&o->fail)) {
		(void)cache_outcome_unref(e->failure);
		o->refs++;
		e->failure = o;
		e->failed_at = now;
		e->believed_until = mono_add_msec(now, policy_remember_msec(&o->fail));
	}
	if (policy_ends_last(&o->fail))
		e->has_last = false;
	if (kind != FLIGHT_PLAIN || !is_kept(e))
		return;
	wait = backoff_next(&e->backoff, now);
	e->renew_not_before = mono_add_msec(now, wait > asked ? wait : asked);
	e->noted = false; /* whoever uses it next is known to live */
	e->cache->stats.stale++;
	metric_add(e->cache->metrics, NMI_METRIC_CACHE_STALE, NULL, 1);
	log_stale(e, &o->fail);
}

void cache_entry_note_use(struct cache_entry *e, const struct token_pod *pod)
{
	struct cache_asker *was = e->asker;

	e->noted = true;
	if (pod && (!was || strcmp(was->pod.uid, pod->uid) != 0)) {
		e->asker = cache_asker_new(pod);
		(void)cache_asker_unref(was);
	}
	if (!e->used) {
		e->used = true;
		cache_entry_update(e);
	}
}

/* Spread, so that the others are seen to before the crowd; the budget does the rest. */
void cache_entries_hurry(struct token_cache *c, const struct cache_upstream *u)
{
	struct mono now = loop_mono(c->loop);

	for (struct hmap_node *n = hmap_first(&c->entries); n; n = hmap_next(n)) {
		struct cache_entry *e = container_of(n, struct cache_entry, node);
		struct mono at = mono_add_msec(now, arc4random() % POLICY_RENEW_HURRY_MSEC);

		if (e->upstream != u || !e->tok || !mono_before(at, e->renew_not_before))
			continue;
		e->renew_not_before = at;
		cache_entry_update(e);
	}
}

static void on_entry_timer(struct loop_timer *t)
{
	struct cache_entry *e = container_of(t, struct cache_entry, timer);
	struct cache_upstream *u;
	bool renew;

	if (e->tok && !is_kept(e)) {
		set_token(e, NULL);
		cache_entry_touch(e);
	}
	if (e->failure && !cache_entry_is_failure_believed(e))
		e->failure = cache_outcome_unref(e->failure);
	renew = e->tok && e->used && !e->flights[FLIGHT_PLAIN] && cache_entry_is_due(e);
	if (renew)
		cache_behind_put(cache_flight_begin(e, FLIGHT_PLAIN), BEHIND_RENEWAL);
	u = e->upstream;
	cache_entry_update(e);
	if (renew)
		cache_pump(u);
}
