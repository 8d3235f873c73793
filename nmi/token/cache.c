/* SPDX-License-Identifier: MIT */

/*
 * Tokens by identity and resource: see cache.h.
 *
 * Theory of operation. An *entry* is what is known for one key: a token, the last failure, or both,
 * and the flights under way for it. A *flight* is one fetch at a source. A *wait* is one caller; it
 * hangs on a flight until there is an *outcome*, and is then told from a deferred call, so that a
 * caller may ask, cancel or leave from inside any callback.
 *
 * Flights are detached: one that has been sent goes on when all its callers have left, and its answer
 * fills the entry. One that is still queued is dropped then; otherwise a pod that asks for a thousand
 * made-up resources and hangs up would have them all sent, one after the other, ahead of everybody.
 *
 * At most max_in_flight are sent at once. The others queue: those that somebody waits for before
 * renewals, each in order of arrival. A renewal that gets a caller changes the queue.
 *
 * A key has two flights at most: a plain one, which renewals and misses share, and one for callers
 * that bypass the cache. The latter's answer fills the entry too; a token that expires earlier than
 * the one at hand never replaces it, so whichever comes last does no harm.
 *
 * Renewal is the entry's timer: at renew_at if the token was answered since it came, else not until it
 * is asked for again. A failed one keeps the token, counts as stale, and is tried again with backoff.
 * A token is dropped when it may no longer be handed out (policy.h), not when it expires.
 *
 * Failures are believed for a moment (policy.h), by plain and bypassing callers alike. Being throttled
 * concerns the whole VM and not one key, so it also brakes every other flight to the same source.
 *
 * Entries are bounded. Those without a token go first: refusals of made-up resources must not push out
 * tokens that others use.
 */

#include "nmi/token/cache.h"

#include "lib/base/backoff.h"
#include "lib/base/hmap.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/metrics.h"
#include "nmi/token/key.h"
#include "nmi/token/policy.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

enum flight_kind { FLIGHT_PLAIN, FLIGHT_BYPASS, FLIGHT_KINDS };
enum queue { QUEUE_WAITED, QUEUE_RENEWAL, QUEUES };
enum lru { LRU_TOKENS, LRU_OTHERS, LRUS };

/*
 * QUEUED   entered by flight_begin(); in a queue; left for SENT by pump(), or dropped with the last
 *          caller.
 * SENT     the source has it and `handle` is valid; left by the source's callback only.
 */
enum flight_state { FLIGHT_QUEUED, FLIGHT_SENT };

struct outcome {
	unsigned refs;
	struct token *tok; /* or NULL, and then: */
	struct token_failure fail;
};

struct flight {
	struct entry *entry;
	enum flight_kind kind;
	enum flight_state state;
	enum queue queue; /* while QUEUED */
	void *handle;	  /* while SENT */
	struct token_wait *waiters;
	struct flight *prev, *next; /* in a queue, or among those sent */
};

struct token_wait {
	struct token_cache *cache;
	struct flight *flight; /* NULL once there is an outcome */
	struct outcome *outcome;
	struct loop_timer deadline;
	struct loop_defer tell;
	token_done_fn *done;
	void *ctx;
	struct token_wait *prev, *next; /* on a flight, or in the cache's `settled` */
};

struct entry {
	struct hmap_node node;
	char *key;
	struct token_cache *cache;
	const struct token_source *source;
	struct azure_identity *identity; /* what to ask for, as token_ask */
	struct selector selector;
	char *resource;

	struct token *tok;
	struct wall usable_until, renew_at;
	bool used; /* answered since it came */
	struct backoff backoff;
	struct mono renew_not_before; /* after a failed renewal */

	struct outcome *failure;
	struct mono failed_at, believed_until;

	struct flight *flights[FLIGHT_KINDS];
	struct loop_timer timer;
	struct entry **in; /* the LRU list that it is in; NULL while it has flights */
	struct entry *prev, *next;
};

/* A source that said 429. */
struct brake {
	const void *source_ctx;
	struct mono since, until;
	struct token_failure fail;
	struct brake *prev, *next;
};

struct token_cache {
	struct loop *loop;
	struct token_cache_spec spec;
	struct metrics *metrics;
	struct token_cache_stats stats;
	struct hmap entries;
	struct entry *lru[LRUS]; /* most recently used first */
	struct flight *queues[QUEUES], *sent;
	struct token_wait *settled;
	struct brake *brakes;
};

/* outcomes */

static struct outcome *outcome_of(struct token *tok, const struct token_failure *fail)
{
	struct outcome *o = xnew(struct outcome);

	o->refs = 1;
	o->tok = tok ? token_ref(tok) : NULL;
	if (!tok)
		o->fail = *fail;
	return o;
}

static struct outcome *outcome_unref(struct outcome *o)
{
	if (!o || --o->refs)
		return NULL;
	(void)token_unref(o->tok);
	free(o);
	return NULL;
}
DEFINE_CLEANUP(struct outcome, outcome_unref);

static struct token_failure make_failure(enum token_fault fault, enum err_kind kind,
					 const char *text)
{
	struct token_failure fail = { .fault = fault };

	(void)err_set(&fail.err, kind, "%s", text);
	return fail;
}

/* As it was said, but for what has passed of its Retry-After since. */
static struct token_failure failure_after(const struct token_failure *said, struct mono since,
					  struct mono now)
{
	struct token_failure fail = *said;
	uint64_t gone = (now.ns - since.ns) / NSEC_PER_SEC;

	if (fail.retry_after_sec > 1)
		fail.retry_after_sec = fail.retry_after_sec > gone + 1
					       ? fail.retry_after_sec - (unsigned)gone
					       : 1;
	return fail;
}

/* waits */

static void wait_free(struct token_wait *w)
{
	loop_timer_del(&w->deadline);
	loop_defer_del(&w->tell);
	w->outcome = outcome_unref(w->outcome);
	free(w);
}

static void tell(struct token_wait *w, const struct outcome *o)
{
	w->done(w->ctx, o->tok, o->tok ? NULL : &o->fail);
}

static void on_tell(struct loop_defer *d)
{
	struct token_wait *w = container_of(d, struct token_wait, tell);
	_cleanup_(outcome_unrefp) struct outcome *o = steal_ptr(w->outcome);

	DL_DELETE(w->cache->settled, w);
	tell(w, o);
	wait_free(w);
}

static void wait_leave_flight(struct token_wait *w)
{
	DL_DELETE(w->flight->waiters, w);
	w->flight = NULL;
	w->cache->stats.waiting--;
}

static void wait_settle(struct token_wait *w, struct outcome *o)
{
	if (w->flight)
		wait_leave_flight(w);
	loop_timer_del(&w->deadline);
	o->refs++;
	w->outcome = o;
	DL_APPEND(w->cache->settled, w);
	loop_defer(w->cache->loop, &w->tell, on_tell);
}

static void wait_settle_failure(struct token_wait *w, const struct token_failure *fail)
{
	_cleanup_(outcome_unrefp) struct outcome *o = outcome_of(NULL, fail);

	wait_settle(w, o);
}

/* entries */

static bool is_usable(const struct entry *e)
{
	return e->tok && loop_wall(e->cache->loop).s < e->usable_until.s;
}

static bool is_failure_believed(const struct entry *e)
{
	return e->failure && mono_before(loop_mono(e->cache->loop), e->believed_until);
}

static bool has_flight(const struct entry *e)
{
	return e->flights[FLIGHT_PLAIN] || e->flights[FLIGHT_BYPASS];
}

static void set_token(struct entry *e, struct token *tok)
{
	struct token_cache *c = e->cache;

	c->stats.tokens += tok ? 1 : 0;
	c->stats.tokens -= e->tok ? 1 : 0;
	(void)token_unref(e->tok);
	e->tok = tok ? token_ref(tok) : NULL;
	metric_set(c->metrics, NMI_METRIC_CACHE_TOKENS, NULL, (double)c->stats.tokens);
}

static void lru_leave(struct entry *e)
{
	if (e->in)
		DL_DELETE(*e->in, e);
	e->in = NULL;
}

/* Most recently used of its kind; not in any list while a flight holds it. */
static void lru_touch(struct entry *e)
{
	lru_leave(e);
	if (has_flight(e))
		return;
	e->in = &e->cache->lru[e->tok ? LRU_TOKENS : LRU_OTHERS];
	DL_PREPEND(*e->in, e);
}

static void entry_free(struct entry *e)
{
	assert(!has_flight(e));
	hmap_del(&e->cache->entries, &e->node);
	lru_leave(e);
	loop_timer_del(&e->timer);
	set_token(e, NULL);
	(void)outcome_unref(e->failure);
	(void)azure_identity_unref(e->identity);
	free((char *)(uintptr_t)e->selector.value);
	free(e->resource);
	free(e->key);
	free(e);
}

static struct mono mono_of_wall(const struct token_cache *c, struct wall at)
{
	int64_t sec = at.s - loop_wall(c->loop).s;

	return mono_add_msec(loop_mono(c->loop), sec > 0 ? (uint64_t)sec * 1000 : 0);
}

static struct mono later(struct mono a, struct mono b)
{
	return mono_before(a, b) ? b : a;
}

static void on_entry_timer(struct loop_timer *t);

/* After any change: set the timer to what comes next, or forget an entry that holds nothing. */
static void entry_update(struct entry *e)
{
	struct mono next = { UINT64_MAX }, at;

	if (!e->tok && !e->failure && !has_flight(e)) {
		entry_free(e);
		return;
	}
	if (e->tok) {
		next = mono_of_wall(e->cache, e->usable_until);
		at = later(mono_of_wall(e->cache, e->renew_at), e->renew_not_before);
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
		struct entry *list = c->lru[LRU_OTHERS] ? c->lru[LRU_OTHERS] : c->lru[LRU_TOKENS];

		if (!list)
			return; /* all have flights, and those are bounded by their callers */
		entry_free(list->prev); /* the tail */
	}
}

static struct entry *entry_new(struct token_cache *c, const struct token_key *key,
			       const struct token_source *source, const struct token_ask *ask)
{
	struct entry *e = xnew(struct entry);
	bool by_selector = !ask->identity && ask->selector.value;

	make_room(c);
	e->cache = c;
	e->source = source;
	e->key = xmemdup(key->p, key->n);
	e->selector.kind = ask->identity ? SELECTOR_NONE : ask->selector.kind;
	e->selector.value = xstrdup(by_selector ? ask->selector.value : "");
	e->resource = xstrdup(ask->resource);
	e->backoff = (struct backoff){ .min_msec = POLICY_RENEW_RETRY_MIN_MSEC,
				       .max_msec = POLICY_RENEW_RETRY_MAX_MSEC,
				       .reset_msec = 2 * POLICY_RENEW_RETRY_MAX_MSEC };
	hmap_add(&c->entries, &e->node, e->key, key->n);
	return e;
}

static struct entry *entry_find(const struct token_cache *c, const struct token_key *key)
{
	struct hmap_node *node = hmap_find(&c->entries, key->p, key->n);

	return node ? container_of(node, struct entry, node) : NULL;
}

static void entry_store_token(struct entry *e, struct token *tok)
{
	struct wall now = loop_wall(e->cache->loop);

	if (!is_usable(e) || tok->expires_on.s >= e->tok->expires_on.s) {
		set_token(e, tok);
		e->usable_until = policy_usable_until(now, tok->expires_on);
	}
	e->renew_at = policy_renew_at(now, e->usable_until, arc4random());
	e->renew_not_before = (struct mono){ 0 };
	e->used = false;
	e->failure = outcome_unref(e->failure);
	backoff_reset(&e->backoff);
}

static void entry_note_failure(struct entry *e, struct outcome *o, enum flight_kind kind,
			       bool believe)
{
	struct mono now = loop_mono(e->cache->loop);
	unsigned wait, asked = o->fail.retry_after_sec * 1000;

	if (believe && policy_remember_msec(&o->fail)) {
		(void)outcome_unref(e->failure);
		o->refs++;
		e->failure = o;
		e->failed_at = now;
		e->believed_until = mono_add_msec(now, policy_remember_msec(&o->fail));
	}
	if (kind != FLIGHT_PLAIN || !is_usable(e))
		return;
	wait = backoff_next(&e->backoff, now);
	e->renew_not_before = mono_add_msec(now, wait > asked ? wait : asked);
	e->cache->stats.stale++;
	metric_add(e->cache->metrics, NMI_METRIC_CACHE_STALE, NULL, 1);
}

/* brakes */

static struct brake *brake_find(const struct token_cache *c, const struct token_source *source)
{
	struct brake *b;

	DL_FOREACH(c->brakes, b)
	{
		if (b->source_ctx == source->ctx)
			return b;
	}
	return NULL;
}

/* One for each source that was ever throttled, and sources are few and fixed. */
static void brake_set(struct token_cache *c, const struct token_source *source,
		      const struct token_failure *fail)
{
	struct brake *b = brake_find(c, source);

	if (!b) {
		b = xnew(struct brake);
		b->source_ctx = source->ctx;
		DL_APPEND(c->brakes, b);
	}
	b->since = loop_mono(c->loop);
	b->until = mono_add_msec(b->since, policy_remember_msec(fail));
	b->fail = *fail;
}

static bool is_braked(const struct token_cache *c, const struct token_source *source,
		      struct token_failure *out_fail)
{
	const struct brake *b = brake_find(c, source);
	struct mono now = loop_mono(c->loop);

	if (!b || !mono_before(now, b->until))
		return false;
	*out_fail = failure_after(&b->fail, b->since, now);
	return true;
}

/* flights */

static void flight_finish(struct flight *f, struct token *tok, const struct token_failure *fail,
			  bool believe)
{
	struct entry *e = f->entry;
	_cleanup_(outcome_unrefp) struct outcome *o = outcome_of(tok, fail);
	struct token_wait *w, *next;

	e->flights[f->kind] = NULL;
	if (tok)
		entry_store_token(e, tok);
	else
		entry_note_failure(e, o, f->kind, believe);
	if (!tok && f->kind == FLIGHT_PLAIN && is_usable(e)) {
		/* a bypassing caller has brought one meanwhile */
		(void)outcome_unref(o);
		o = outcome_of(e->tok, NULL);
	}
	DL_FOREACH_SAFE(f->waiters, w, next)
	{
		wait_settle(w, o);
	}
	free(f);
	lru_touch(e);
	entry_update(e);
}

static void pump(struct token_cache *c);

static void on_source_done(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct flight *f = ctx;
	struct token_cache *c = f->entry->cache;

	DL_DELETE(c->sent, f);
	c->stats.in_flight--;
	if (!tok) {
		c->stats.failures++;
		if (fail->fault == TOKEN_FAULT_THROTTLED)
			brake_set(c, f->entry->source, fail);
	}
	flight_finish(f, tok, fail, true);
	pump(c);
}

static void flight_send(struct flight *f)
{
	struct entry *e = f->entry;
	struct token_cache *c = e->cache;
	const struct token_ask ask = { .identity = e->identity,
				       .selector = e->selector,
				       .resource = e->resource,
				       .bypass_cache = f->kind == FLIGHT_BYPASS };
	struct token_failure fail = { 0 };

	DL_DELETE(c->queues[f->queue], f);
	if (is_braked(c, e->source, &fail)) {
		flight_finish(f, NULL, &fail, false);
		return;
	}
	c->stats.flights++;
	f->handle = e->source->fetch(e->source->ctx, &ask, on_source_done, f, &fail);
	if (!f->handle) {
		c->stats.failures++;
		flight_finish(f, NULL, &fail, true);
		return;
	}
	f->state = FLIGHT_SENT;
	DL_APPEND(c->sent, f);
	c->stats.in_flight++;
}

/* Sends what may be sent. A flight that ends at once takes no place, so the loop ends with the queues. */
static void pump(struct token_cache *c)
{
	while (c->stats.in_flight < c->spec.max_in_flight) {
		struct flight *f = c->queues[QUEUE_WAITED] ? c->queues[QUEUE_WAITED]
							   : c->queues[QUEUE_RENEWAL];

		if (!f)
			return;
		flight_send(f);
	}
}

static struct flight *flight_begin(struct entry *e, enum flight_kind kind, enum queue queue)
{
	struct flight *f = xnew(struct flight);

	f->entry = e;
	f->kind = kind;
	f->queue = queue;
	f->state = FLIGHT_QUEUED;
	DL_APPEND(e->cache->queues[queue], f);
	e->flights[kind] = f;
	lru_touch(e);
	return f;
}

static void flight_join(struct flight *f, struct token_wait *w)
{
	struct token_cache *c = w->cache;

	if (f->state == FLIGHT_QUEUED && f->queue == QUEUE_RENEWAL) {
		DL_DELETE(c->queues[QUEUE_RENEWAL], f);
		f->queue = QUEUE_WAITED;
		DL_APPEND(c->queues[QUEUE_WAITED], f);
	}
	DL_APPEND(f->waiters, w);
	w->flight = f;
	c->stats.waiting++;
}

/* A caller has left. */
static void flight_left(struct flight *f)
{
	struct entry *e = f->entry;

	if (f->state == FLIGHT_SENT || f->waiters)
		return;
	DL_DELETE(e->cache->queues[f->queue], f);
	e->flights[f->kind] = NULL;
	free(f);
	lru_touch(e);
	entry_update(e);
}

static void on_entry_timer(struct loop_timer *t)
{
	struct entry *e = container_of(t, struct entry, timer);
	struct token_cache *c = e->cache;
	bool renew;

	if (e->tok && !is_usable(e)) {
		set_token(e, NULL);
		lru_touch(e);
	}
	if (e->failure && !is_failure_believed(e))
		e->failure = outcome_unref(e->failure);
	renew = e->tok && e->used && !e->flights[FLIGHT_PLAIN] &&
		loop_wall(c->loop).s >= e->renew_at.s &&
		!mono_before(loop_mono(c->loop), e->renew_not_before);
	if (renew)
		(void)flight_begin(e, FLIGHT_PLAIN, QUEUE_RENEWAL);
	entry_update(e);
	if (renew)
		pump(c);
}

/* the cache */

struct token_cache *token_cache_new(struct loop *l, const struct token_cache_spec *spec,
				    struct metrics *metrics)
{
	struct token_cache *c = xnew(struct token_cache);

	assert(spec->max_in_flight > 0 && spec->max_tokens > 0);
	c->loop = l;
	c->spec = *spec;
	c->metrics = metrics;
	return c;
}

static void flight_abort(struct flight *f)
{
	struct entry *e = f->entry;
	struct token_wait *w, *next;

	if (f->state == FLIGHT_SENT)
		e->source->cancel(e->source->ctx, f->handle);
	DL_FOREACH_SAFE(f->waiters, w, next)
	{
		wait_free(w);
	}
	e->flights[f->kind] = NULL;
	free(f);
}

struct token_cache *token_cache_free(struct token_cache *c)
{
	struct token_wait *w, *next_w;
	struct brake *b, *next_b;

	if (!c)
		return NULL;
	hmap_for_each_safe(node, next, &c->entries)
	{
		struct entry *e = container_of(node, struct entry, node);

		for (size_t k = 0; k < FLIGHT_KINDS; k++) {
			if (e->flights[k])
				flight_abort(e->flights[k]);
		}
		entry_free(e);
	}
	DL_FOREACH_SAFE(c->settled, w, next_w)
	{
		wait_free(w);
	}
	DL_FOREACH_SAFE(c->brakes, b, next_b)
	{
		free(b);
	}
	free(c);
	return NULL;
}

static void count_hit(struct entry *e)
{
	struct token_cache *c = e->cache;

	c->stats.hits++;
	metric_add(c->metrics, NMI_METRIC_CACHE_HITS, NULL, 1);
	lru_touch(e);
	if (!e->used) {
		e->used = true;
		entry_update(e);
	}
}

const struct token *token_cache_peek(struct token_cache *c, const struct token_ask *ask)
{
	struct token_key key;
	struct entry *e;

	if (ask->bypass_cache)
		return NULL;
	token_key_init(&key, ask);
	e = entry_find(c, &key);
	token_key_deinit(&key);
	if (!e || !is_usable(e))
		return NULL;
	count_hit(e);
	return e->tok;
}

static const struct token_source *source_of(const struct token_cache *c,
					    const struct token_ask *ask)
{
	int64_t type;

	if (!ask->identity)
		return c->spec.node;
	type = ask->identity->type;
	return type >= 0 && (uint64_t)type < c->spec.n_types ? c->spec.by_type[type] : NULL;
}

static void settle_unsupported(struct token_wait *w, const struct token_ask *ask)
{
	struct token_failure fail = { .fault = TOKEN_FAULT_UNSUPPORTED };

	if (ask->identity)
		(void)err_set(&fail.err, ERR_INPUT,
			      "AzureIdentity %s/%s: identities of spec.type %" PRId64
			      " are not supported",
			      ask->identity->meta.namespace, ask->identity->meta.name,
			      ask->identity->type);
	else
		(void)err_set(&fail.err, ERR_INPUT,
			      "tokens of the node's own identity are not supported");
	wait_settle_failure(w, &fail);
}

static void on_deadline(struct loop_timer *t)
{
	struct token_wait *w = container_of(t, struct token_wait, deadline);
	struct flight *f = w->flight;
	const struct token_failure fail = make_failure(
		TOKEN_FAULT_DOWN, ERR_TIMEOUT,
		f->state == FLIGHT_SENT ? "no answer yet; when it comes it will be kept"
					: "too many other tokens are being fetched, try again");
	struct outcome o = { .fail = fail };

	wait_leave_flight(w);
	flight_left(f);
	tell(w, &o);
	wait_free(w);
}

static void wait_for_flight(struct token_wait *w, struct entry *e, const struct token_ask *ask,
			    struct mono deadline)
{
	struct token_cache *c = w->cache;
	enum flight_kind kind = ask->bypass_cache ? FLIGHT_BYPASS : FLIGHT_PLAIN;
	struct azure_identity *was = e->identity;

	c->stats.misses++;
	metric_add(c->metrics, NMI_METRIC_CACHE_MISSES, NULL, 1);
	/* the newest form of the object is the one to ask with */
	e->identity = ask->identity ? azure_identity_ref(ask->identity) : NULL;
	(void)azure_identity_unref(was);
	if (!e->flights[kind])
		(void)flight_begin(e, kind, QUEUE_WAITED);
	flight_join(e->flights[kind], w);
	loop_timer_set(c->loop, &w->deadline, deadline, on_deadline);
	pump(c);
}

struct token_wait *token_cache_get(struct token_cache *c, const struct token_ask *ask,
				   struct mono deadline, token_done_fn *done, void *ctx)
{
	const struct token_source *source = source_of(c, ask);
	struct token_wait *w = xnew(struct token_wait);
	struct token_failure fail;
	struct token_key key;
	struct entry *e;

	w->cache = c;
	w->done = done;
	w->ctx = ctx;
	if (!source) {
		settle_unsupported(w, ask);
		return w;
	}
	token_key_init(&key, ask);
	e = entry_find(c, &key);
	if (e && !ask->bypass_cache && is_usable(e)) {
		_cleanup_(outcome_unrefp) struct outcome *o = outcome_of(e->tok, NULL);

		count_hit(e);
		wait_settle(w, o);
	} else if (e && is_failure_believed(e)) {
		fail = failure_after(&e->failure->fail, e->failed_at, loop_mono(c->loop));
		wait_settle_failure(w, &fail);
	} else if (c->stats.waiting >= c->spec.max_waiting) {
		fail = make_failure(TOKEN_FAULT_OVERLOADED, ERR_LIMIT,
				    "too many requests are waiting for a token");
		wait_settle_failure(w, &fail);
	} else {
		wait_for_flight(w, e ? e : entry_new(c, &key, source, ask), ask, deadline);
	}
	token_key_deinit(&key);
	return w;
}

void token_cache_cancel(struct token_wait *w)
{
	struct flight *f = w->flight;

	if (f) {
		wait_leave_flight(w);
		flight_left(f);
	} else {
		DL_DELETE(w->cache->settled, w);
	}
	wait_free(w);
}

const struct token_cache_stats *token_cache_stats(const struct token_cache *c)
{
	return &c->stats;
}
