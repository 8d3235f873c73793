/* SPDX-License-Identifier: MIT */

/* Fetches under way, their queues, and the brake on a source that is throttled: see cache.c. */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/token/cache_internal.h"
#include "nmi/token/policy.h"

#include <stdlib.h>
#include <utlist.h>

/* brakes */

static struct cache_brake *brake_find(const struct token_cache *c,
				      const struct token_source *source)
{
	struct cache_brake *b;

	DL_FOREACH (c->brakes, b) {
		if (b->source_ctx == source->ctx)
			return b;
	}
	return NULL;
}

/* One for each source that was ever throttled, and sources are few and fixed. */
static void brake_set(struct token_cache *c, const struct token_source *source,
		      const struct token_failure *fail)
{
	struct cache_brake *b = brake_find(c, source);

	if (!b) {
		b = xnew(struct cache_brake);
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
	const struct cache_brake *b = brake_find(c, source);
	struct mono now = loop_mono(c->loop);

	if (!b || !mono_before(now, b->until))
		return false;
	*out_fail = cache_failure_after(&b->fail, b->since, now);
	return true;
}

/* flights */

static void flight_finish(struct cache_flight *f, struct token *tok,
			  const struct token_failure *fail, bool believe)
{
	struct cache_entry *e = f->entry;
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = cache_outcome_new(tok, fail);
	struct token_wait *w, *next;

	e->flights[f->kind] = NULL;
	if (tok)
		cache_entry_store(e, tok);
	else
		cache_entry_note_failure(e, o, f->kind, believe);
	if (!tok && f->kind == FLIGHT_PLAIN && cache_entry_is_usable(e)) {
		/* a bypassing caller has brought one meanwhile */
		(void)cache_outcome_unref(o);
		o = cache_outcome_new(e->tok, NULL);
	}
	DL_FOREACH_SAFE (f->waiters, w, next) {
		cache_wait_settle(w, o);
	}
	free(f);
	cache_entry_touch(e);
	cache_entry_update(e);
}

static void on_source_done(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct cache_flight *f = ctx;
	struct token_cache *c = f->entry->cache;

	DL_DELETE(c->sent, f);
	c->stats.in_flight--;
	if (!tok) {
		c->stats.failures++;
		if (fail->fault == TOKEN_FAULT_THROTTLED)
			brake_set(c, f->entry->source, fail);
	}
	flight_finish(f, tok, fail, true);
	cache_pump(c);
}

/*
 * The token that the source may give back. Not while it is to be renewed, but for the time after a
 * failed attempt.
 */
static struct token *known_to(const struct cache_flight *f)
{
	const struct cache_entry *e = f->entry;
	struct token_cache *c = e->cache;
	bool is_due = loop_wall(c->loop).s >= e->renew_at.s &&
		      !mono_before(loop_mono(c->loop), e->renew_not_before);

	if (!e->source->check || f->kind == FLIGHT_BYPASS || !cache_entry_is_usable(e) || is_due)
		return NULL;
	return e->tok;
}

static void flight_send(struct cache_flight *f)
{
	struct cache_entry *e = f->entry;
	struct token_cache *c = e->cache;
	const struct token_ask ask = { .identity = e->identity,
				       .selector = e->selector,
				       .resource = e->resource,
				       .bypass_cache = f->kind == FLIGHT_BYPASS,
				       .known = known_to(f) };
	struct token_failure fail = { 0 };

	/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a head without a next is its own prev */
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
void cache_pump(struct token_cache *c)
{
	while (c->stats.in_flight < c->spec.max_in_flight) {
		struct cache_flight *f = c->queues[QUEUE_WAITED] ? c->queues[QUEUE_WAITED]
								 : c->queues[QUEUE_RENEWAL];

		if (!f)
			return;
		/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a finished flight has left its queue */
		flight_send(f);
	}
}

struct cache_flight *cache_flight_begin(struct cache_entry *e, enum flight_kind kind,
					enum queue queue)
{
	struct cache_flight *f = xnew(struct cache_flight);

	f->entry = e;
	f->kind = kind;
	f->queue = queue;
	f->state = FLIGHT_QUEUED;
	DL_APPEND(e->cache->queues[queue], f);
	e->flights[kind] = f;
	cache_entry_touch(e);
	return f;
}

void cache_flight_join(struct cache_flight *f, struct token_wait *w)
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

void cache_flight_left(struct cache_flight *f)
{
	struct cache_entry *e = f->entry;

	if (f->state == FLIGHT_SENT || f->waiters)
		return;
	DL_DELETE(e->cache->queues[f->queue], f);
	e->flights[f->kind] = NULL;
	free(f);
	cache_entry_touch(e);
	cache_entry_update(e);
}

void cache_flight_abort(struct cache_flight *f)
{
	struct cache_entry *e = f->entry;
	struct token_wait *w, *next;

	if (f->state == FLIGHT_SENT)
		e->source->cancel(e->source->ctx, f->handle);
	DL_FOREACH_SAFE (f->waiters, w, next) {
		cache_wait_free(w);
	}
	e->flights[f->kind] = NULL;
	free(f);
}
