/* SPDX-License-Identifier: MIT */

/* Fetches under way, and what becomes of them: see cache.c. */

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/metrics.h"
#include "nmi/token/cache_internal.h"
#include "nmi/token/failure.h"
#include "nmi/token/policy.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

/* An upstream that was away for less than this is not worth a line, nor a hurry. */
#define OUTAGE_MSEC 10000

/* queueing */

/* To the lanes of its callers. */
static void flight_queue(struct cache_flight *f, bool first)
{
	struct cache_upstream *u = f->entry->upstream;
	struct token_wait *w;

	f->state = FLIGHT_QUEUED;
	f->behind = BEHIND_NOTHING;
	f->queued_at = loop_mono(u->cache->loop);
	u->queued++;
	u->cache->stats.queued++;
	DL_FOREACH (f->waiters, w) {
		cache_lane_put(w, first);
	}
}

static void flight_dequeue(struct cache_flight *f)
{
	struct token_wait *w;

	f->entry->upstream->queued--;
	f->entry->cache->stats.queued--;
	cache_behind_take(f);
	DL_FOREACH (f->waiters, w) {
		cache_lane_take(w);
	}
}

/* ending */

/* Out of whatever state but SENT. */
static void flight_withdraw(struct cache_flight *f)
{
	if (f->state == FLIGHT_QUEUED)
		flight_dequeue(f);
	loop_timer_del(&f->timer);
}

static void flight_free(struct cache_flight *f)
{
	f->entry->flights[f->kind] = NULL;
	(void)cache_outcome_unref(f->failed);
	free(f);
}

/* `o` is a failure that was believed, or not, by the entry already. */
static void flight_tell(struct cache_flight *f, struct cache_outcome *o)
{
	struct token_wait *w, *next;

	DL_FOREACH_SAFE (f->waiters, w, next) {
		cache_wait_settle(w, o);
	}
}

static unsigned n_waiters(const struct cache_flight *f)
{
	const struct token_wait *w;
	unsigned n = 0;

	DL_COUNT(f->waiters, w, n);
	return n;
}

/* The source's failure: believed, unless nobody asked it. */
static void flight_fail(struct cache_flight *f, struct cache_outcome *o, bool believe)
{
	struct cache_entry *e = f->entry;
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *at_hand = NULL;
	struct token *last;

	cache_entry_note_failure(e, o, f->kind, believe);
	/* its callers need not know */
	if (f->kind == FLIGHT_PLAIN && cache_entry_is_usable(e)) {
		at_hand = cache_outcome_new(e->tok, NULL);
	} else if (f->kind == FLIGHT_PLAIN && (last = cache_entry_last(e, &o->fail, believe))) {
		at_hand = cache_outcome_new(last, NULL);
		cache_entry_note_last(e, n_waiters(f));
	}
	flight_tell(f, at_hand ? at_hand : o);
	flight_free(f);
	cache_entry_touch(e);
	cache_entry_update(e);
}

static void flight_succeed(struct cache_flight *f, struct token *tok)
{
	struct cache_entry *e = f->entry;
	struct cache_flight *plain = e->flights[FLIGHT_PLAIN];
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = cache_outcome_new(tok, NULL);

	cache_entry_store(e, tok);
	flight_tell(f, o);
	if (plain != f && plain && plain->state != FLIGHT_SENT && cache_entry_is_usable(e)) {
		/* what a bypassing caller brought is what the others wait for */
		flight_withdraw(plain);
		flight_tell(plain, o);
		flight_free(plain);
	}
	flight_free(f);
	cache_entry_touch(e);
	cache_entry_update(e);
}

void cache_flight_refuse(struct cache_flight *f, const struct token_failure *fail)
{
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = cache_outcome_new(NULL, fail);

	flight_withdraw(f);
	flight_fail(f, o, false);
}

/* Nobody waits for another try any more. */
static void flight_give_up(struct cache_flight *f)
{
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = steal_ptr(f->failed);

	flight_withdraw(f);
	flight_fail(f, o, true);
}

/* trying again */

static struct mono latest_deadline(const struct cache_flight *f)
{
	const struct token_wait *w;
	struct mono latest = { 0 };

	DL_FOREACH (f->waiters, w) {
		if (mono_before(latest, w->until))
			latest = w->until;
	}
	return latest;
}

static void on_rested(struct loop_timer *t)
{
	struct cache_flight *f = container_of(t, struct cache_flight, timer);

	flight_queue(f, true);
	cache_pump(f->entry->upstream);
}

static void count_retry(struct cache_upstream *u)
{
	u->cache->stats.retries++;
	metric_add(u->cache->metrics, NMI_METRIC_FETCH_RETRIES, &u->name, 1);
}

/*
 * A wait between two tries is one from the start of the first: who has waited 5 s for a connection, and got none, has
 * waited. One that the upstream names begins with its answer.
 */
static unsigned rest_msec(const struct cache_flight *f, const struct token_failure *fail,
			  unsigned wait, struct mono now)
{
	uint64_t spent = (now.ns - f->attempts[0].sent_at.ns) / NSEC_PER_MSEC;
	unsigned least = POLICY_REST_MIN_MSEC + arc4random_uniform(POLICY_REST_MIN_MSEC);

	if (fail->fault == TOKEN_FAULT_THROTTLED || fail->retry_after_sec || wait < least)
		return wait;
	return wait > spent + least ? wait - (unsigned)spent : least;
}

/* False: it has failed for good. */
static bool flight_rest(struct cache_flight *f, struct cache_outcome *o)
{
	struct cache_upstream *u = f->entry->upstream;
	struct token_cache *c = u->cache;
	struct mono now = loop_mono(c->loop);
	uint64_t failing = u->failing_since.ns ? (now.ns - u->failing_since.ns) / NSEC_PER_MSEC : 0;
	unsigned wait = policy_retry_msec(&o->fail, f->tries, failing, arc4random());

	if (wait)
		wait = rest_msec(f, &o->fail, wait, now);
	if (f->kind == FLIGHT_PLAIN && cache_entry_is_usable(f->entry))
		return false; /* a bypassing caller has brought one meanwhile */
	if (f->kind == FLIGHT_PLAIN && cache_entry_last(f->entry, &o->fail, true))
		return false; /* that is what they are given, and need not wait for */
	if (!wait || !mono_before(mono_add_msec(now, (uint64_t)wait + POLICY_TRY_MIN_MSEC),
				  latest_deadline(f)))
		return false;
	(void)cache_outcome_unref(f->failed);
	f->failed = o;
	o->refs++;
	f->failed_at = now;
	count_retry(u);
	f->state = FLIGHT_RESTING;
	if (o->fail.fault == TOKEN_FAULT_THROTTLED && !f->entry->source->budget.throttles_apart)
		flight_queue(f, true); /* where the brake holds it */
	else
		loop_timer_set_msec(c->loop, &f->timer, wait, on_rested);
	return true;
}

/* sending */

/* What an answer says about the upstream, whichever key it was for. */
static void note_health(const struct cache_flight *f, const struct token_failure *fail)
{
	struct cache_upstream *u = f->entry->upstream;
	struct mono now = loop_mono(u->cache->loop), since = u->failing_since;
	bool silent = fail &&
		      (fail->fault == TOKEN_FAULT_DOWN || fail->fault == TOKEN_FAULT_UPDATING);

	if (fail && fail->fault == TOKEN_FAULT_THROTTLED &&
	    !f->entry->source->budget.throttles_apart)
		cache_brake(u, fail);
	if (silent && !since.ns)
		u->failing_since = now;
	if (fail || !since.ns)
		return;
	u->failing_since = (struct mono){ 0 };
	if (now.ns - since.ns < OUTAGE_MSEC * NSEC_PER_MSEC)
		return;
	log_info("%s gives tokens again, after %" PRIu64 " s", u->name,
		 (now.ns - since.ns) / NSEC_PER_SEC);
	cache_entries_hurry(u->cache, u);
}

/* Its place is free, and the budget knows of it. */
static void attempt_end(struct cache_attempt *a)
{
	struct cache_upstream *u = a->flight->entry->upstream;

	a->handle = NULL;
	loop_timer_del(&a->slow);
	loop_timer_del(&a->flight->timer);
	if (a->is_slow)
		u->slow--;
	else
		rate_answered(&u->rate, loop_mono(u->cache->loop));
	a->is_slow = false;
	u->cache->stats.in_flight--;
	if (a->turn) {
		a->turn->in_flight--;
		cache_lane_leave(a->turn);
	} else {
		u->behind_in_flight--;
	}
}

static void attempt_cancel(struct cache_attempt *a)
{
	const struct token_source *source;

	if (!a->handle)
		return;
	source = a->flight->entry->source;
	source->cancel(source->ctx, a->handle);
	attempt_end(a);
}

static bool is_answering(const struct cache_attempt *a)
{
	const struct token_source *source = a->flight->entry->source;

	return source->is_answering && source->is_answering(a->handle);
}

static struct cache_attempt *other_of(struct cache_attempt *a)
{
	struct cache_attempt *all = a->flight->attempts;

	return a == &all[0] ? &all[1] : &all[0];
}

/*
 * It failed for the pod in whose turn it was, which says nothing of the others that wait for the same token:
 * they have their turns, and all their tries. False: nobody else waits.
 */
static bool flight_go_on(struct cache_flight *f, const struct cache_lane *failed,
			 struct cache_outcome *o)
{
	struct token_wait *w, *next;

	DL_FOREACH_SAFE (f->waiters, w, next) {
		if (w->lane == failed)
			cache_wait_settle(w, o);
	}
	if (!f->waiters)
		return false;
	f->tries = 0;
	flight_queue(f, true);
	return true;
}

static void flight_failed(struct cache_flight *f, const struct cache_lane *turn,
			  const struct token_failure *fail)
{
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = cache_outcome_new(NULL, fail);

	f->entry->cache->stats.failures++;
	if (fail->fault == TOKEN_FAULT_POD && flight_go_on(f, turn, o))
		return;
	if (flight_rest(f, o))
		return;
	if (f->tries > 1)
		(void)err_wrap(&o->fail.err, "asked %u times", f->tries);
	flight_fail(f, o, true);
}

/*
 * The first of two that brings something ends the other. A failure that says nothing of the identity does not: the
 * other may have been luckier.
 */
static void on_source_done(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct cache_attempt *a = ctx;
	struct cache_flight *f = a->flight;
	struct cache_upstream *u = f->entry->upstream;
	const struct cache_lane *turn = a->turn;
	/* which is no answer of the upstream's: it was not asked */
	bool is_given_back = tok && tok == f->entry->tok;

	attempt_end(a);
	if (tok && !is_given_back && mono_before(u->answered_sent, a->sent_at))
		u->answered_sent = a->sent_at;
	if (!is_given_back)
		note_health(f, tok ? NULL : fail);
	if (!tok && other_of(a)->handle && policy_leaves_last(fail)) {
		u->cache->stats.failures++;
		cache_pump(u);
		return;
	}
	attempt_cancel(other_of(a));
	if (tok)
		flight_succeed(f, tok);
	else
		flight_failed(f, turn, fail);
	cache_pump(u);
}

/*
 * The token that the source may give back. Not while it is to be renewed, but for the time after a
 * failed attempt.
 */
static struct token *known_to(const struct cache_flight *f)
{
	const struct cache_entry *e = f->entry;

	if (!e->source->check || f->kind == FLIGHT_BYPASS || !cache_entry_is_usable(e) ||
	    cache_entry_is_due(e))
		return NULL;
	return e->tok;
}

/* Whatever it asks has it, or never will: for the rate it counts as answered. */
static void on_slow(struct loop_timer *t)
{
	struct cache_attempt *a = container_of(t, struct cache_attempt, slow);
	struct cache_upstream *u = a->flight->entry->upstream;

	if (u->slow >= u->max_slow) {
		loop_timer_set_msec(u->cache->loop, t, u->slow_msec, on_slow);
		return;
	}
	a->is_slow = true;
	u->slow++;
	rate_answered(&u->rate, loop_mono(u->cache->loop));
	cache_pump(u);
}

static void attempt_took_off(struct cache_attempt *a, struct cache_lane *turn)
{
	struct cache_upstream *u = a->flight->entry->upstream;
	struct mono now = loop_mono(u->cache->loop);

	a->turn = turn;
	a->sent_at = now;
	a->flight->tries++;
	rate_sent(&u->rate, now);
	if (u->slow_msec)
		loop_timer_set_msec(u->cache->loop, &a->slow, u->slow_msec, on_slow);
	u->cache->stats.in_flight++;
	if (turn) {
		turn->in_flight++;
		cache_lane_use(turn);
	} else {
		u->behind_in_flight++;
	}
}

/* False with the failure filled: nothing was sent. */
static bool attempt_start(struct cache_attempt *a, struct cache_lane *turn,
			  struct token_failure *fail)
{
	const struct cache_flight *f = a->flight;
	struct cache_entry *e = f->entry;
	struct token_cache *c = e->cache;
	const struct cache_asker *asker = turn && turn->asker ? turn->asker : e->asker;
	const struct token_ask ask = { .pod = asker ? &asker->pod : NULL,
				       .identity = e->identity,
				       .selector = e->selector,
				       .resource = e->resource,
				       .bypass_cache = f->kind == FLIGHT_BYPASS,
				       .known = known_to(f) };

	c->stats.flights++;
	metric_add(c->metrics, NMI_METRIC_FETCHES, &e->upstream->name, 1);
	a->handle = e->source->fetch(e->source->ctx, &ask, on_source_done, a, fail);
	if (!a->handle)
		return false;
	attempt_took_off(a, turn);
	return true;
}

/*
 * One that nobody waits for has time, and comes round again. Nor is one made again while that could not be: its answer
 * may still come, and a queue that is held tells who waits in it to go.
 *
 * Where there is room the first is left to run, and whichever brings something first is it. Where others wait for a
 * place, or its pod has all that it may have, the first is given up for it: it may hold that place for long. So is
 * one whose answer has begun, and has not come to its end in seconds: that is a few kilobytes, and is stuck.
 */
static void on_lost(struct loop_timer *t)
{
	struct cache_flight *f = container_of(t, struct cache_flight, timer);
	struct cache_attempt *first = &f->attempts[0];
	struct cache_upstream *u = f->entry->upstream;
	struct token_failure brake = { 0 };
	enum cache_room room = cache_room(u, first->turn);

	if (!f->waiters || !mono_before(first->sent_at, u->answered_sent) ||
	    cache_is_braked(u, &brake) || room == ROOM_SOON) {
		loop_timer_set_msec(u->cache->loop, t, POLICY_LOST_LOOK_MSEC, on_lost);
		return;
	}
	f->was_lost = true;
	count_retry(u);
	if (room == ROOM_NOW && !is_answering(first)) {
		struct token_failure fail = { 0 };

		if (!attempt_start(&f->attempts[1], first->turn, &fail))
			u->cache->stats.failures++; /* and the first goes on */
		return;
	}
	attempt_cancel(first);
	flight_queue(f, true);
	cache_pump(u);
}

void cache_flight_send(struct cache_flight *f, struct cache_lane *turn)
{
	struct cache_entry *e = f->entry;
	struct token_cache *c = e->cache;
	struct token_failure fail = { 0 };

	flight_dequeue(f);
	metric_observe(c->metrics, NMI_METRIC_FETCH_WAIT, &e->upstream->name,
		       mono_seconds_between(f->queued_at, loop_mono(c->loop)));
	if (attempt_start(&f->attempts[0], turn, &fail)) {
		f->state = FLIGHT_SENT;
		if (!f->was_lost)
			loop_timer_set_msec(c->loop, &f->timer, POLICY_LOST_MSEC, on_lost);
	} else {
		_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = cache_outcome_new(NULL,
											    &fail);

		c->stats.failures++;
		flight_fail(f, o, true);
	}
}

/* coming and going */

struct cache_flight *cache_flight_begin(struct cache_entry *e, enum flight_kind kind)
{
	struct cache_flight *f = xnew(struct cache_flight);

	f->entry = e;
	for (size_t i = 0; i < ARRAY_SIZE(f->attempts); i++)
		f->attempts[i].flight = f;
	f->kind = kind;
	f->begun_at = loop_mono(e->cache->loop);
	e->flights[kind] = f;
	flight_queue(f, false);
	cache_entry_touch(e);
	return f;
}

void cache_flight_join(struct cache_flight *f, struct token_wait *w, struct cache_lane *lane)
{
	cache_lane_use(lane);
	w->lane = lane;
	w->flight = f;
	DL_APPEND(f->waiters, w);
	w->cache->stats.waiting++;
	if (f->state == FLIGHT_QUEUED) {
		cache_behind_take(f);
		cache_lane_put(w, false);
	}
}

void cache_flight_drop(struct cache_flight *f)
{
	struct cache_entry *e = f->entry;

	flight_withdraw(f);
	flight_free(f);
	cache_entry_touch(e);
	cache_entry_update(e);
}

void cache_flight_left(struct cache_flight *f, bool at_deadline)
{
	if (f->state == FLIGHT_SENT || f->waiters)
		return;
	if (f->failed) {
		flight_give_up(f);
	} else if (at_deadline) {
		cache_behind_put(f, cache_entry_has_resort(f->entry) ? BEHIND_RENEWAL
								     : BEHIND_ABANDONED);
	} else {
		cache_flight_drop(f);
	}
}

void cache_flight_abort(struct cache_flight *f)
{
	struct token_wait *w, *next;

	for (size_t i = 0; i < ARRAY_SIZE(f->attempts); i++)
		attempt_cancel(&f->attempts[i]);
	flight_withdraw(f);
	DL_FOREACH_SAFE (f->waiters, w, next) {
		cache_wait_leave(w);
		cache_wait_free(w);
	}
	flight_free(f);
}

struct token_failure cache_flight_excuse(const struct cache_flight *f)
{
	const struct cache_upstream *u = f->entry->upstream;
	struct token_failure fail;

	if (f->failed)
		return token_failure_after(&f->failed->fail, f->failed_at,
					   loop_mono(u->cache->loop));
	if (f->state == FLIGHT_SENT)
		return cache_failure_make(TOKEN_FAULT_DOWN, ERR_TIMEOUT,
					  "no answer yet; when it comes it will be kept");
	if (cache_is_braked(u, &fail))
		return fail;
	return cache_failure_make(TOKEN_FAULT_DOWN, ERR_TIMEOUT,
				  "too many other tokens are being fetched, try again");
}
