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
 * fills the entry. One that is still queued is dropped when they hang up; otherwise a pod that asks for a
 * thousand made-up resources and leaves would have them all sent. If their patience ends instead, they
 * are told to come back, and it stays for when there is time.
 *
 * What may be sent when, and whose turn it is, is told in cache_queue.c. A flight that somebody waits for
 * is tried again if that is worth it and fits the caller's patience (policy.h); a renewal is not, but
 * comes round again by itself.
 *
 * A key has two flights at most: a plain one, which renewals and misses share, and one for callers
 * that bypass the cache. The latter's answer fills the entry too; a token that expires earlier than
 * the one at hand never replaces it, so whichever comes last does no harm.
 *
 * Renewal is the entry's timer: at renew_at if the token was answered since it came, else not until it
 * is asked for again. A failed one keeps the token, counts as stale, and is tried again with backoff.
 * A token is dropped when it may no longer be handed out (policy.h), not when it expires.
 *
 * In its last minutes it is the *last resort*: a request begins a flight, or joins it, as if there were none, but
 * is answered with what is at hand if that fails by no fault of the identity's, or takes longer than an
 * upstream takes that is well. A refusal ends it at once, and for good.
 *
 * Failures are believed for a moment (policy.h), by plain and bypassing callers alike; but a token that is good if
 * its source finds nothing changed is looked at all the same, and given then. Being throttled
 * concerns the whole VM and not one key, so it also brakes every other flight to the same upstream.
 *
 * What a pod may cause to be fetched is limited. Joining a flight costs it nothing, nor does an answer
 * from memory.
 *
 * Entries are bounded. Those without a token go first: refusals of made-up resources must not push out
 * tokens that others use.
 */

#include "nmi/token/cache.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/metrics.h"
#include "nmi/token/cache_internal.h"
#include "nmi/token/failure.h"
#include "nmi/token/key.h"
#include "nmi/token/policy.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

struct token_cache *token_cache_new(struct loop *l, const struct token_cache_spec *spec,
				    struct metrics *metrics)
{
	struct token_cache *c = xnew(struct token_cache);

	assert(spec->max_tokens > 0 && !spec->pod_burst == !spec->pod_per_second);
	c->loop = l;
	c->spec = *spec;
	c->metrics = metrics;
	return c;
}

struct token_cache *token_cache_free(struct token_cache *c)
{
	struct token_wait *w, *next_w;
	struct cache_upstream *u, *next_u;

	if (!c)
		return NULL;
	hmap_for_each_safe (node, next, &c->entries) {
		struct cache_entry *e = container_of(node, struct cache_entry, node);

		for (size_t k = 0; k < FLIGHT_KINDS; k++) {
			if (e->flights[k])
				cache_flight_abort(e->flights[k]);
		}
		cache_entry_free(e);
	}
	DL_FOREACH_SAFE (c->settled, w, next_w) {
		cache_wait_free(w);
	}
	DL_FOREACH_SAFE (c->upstreams, u, next_u) {
		cache_upstream_free(u);
	}
	free(c);
	return NULL;
}

static void count_hit(struct cache_entry *e, const struct token_ask *ask)
{
	struct token_cache *c = e->cache;

	c->stats.hits++;
	metric_add(c->metrics, NMI_METRIC_CACHE_HITS, NULL, 1);
	cache_entry_touch(e);
	if (!e->noted)
		cache_entry_note_use(e, ask->pod);
}

const struct token *token_cache_peek(struct token_cache *c, const struct token_ask *ask)
{
	struct token_key key;
	struct cache_entry *e;

	if (ask->bypass_cache)
		return NULL;
	token_key_init(&key, ask);
	e = cache_entry_find(c, &key);
	token_key_deinit(&key);
	if (!e || !cache_entry_is_good(e))
		return NULL;
	count_hit(e, ask);
	return e->tok;
}

static const struct token_source *source_of(const struct token_cache *c,
					    const struct token_ask *ask)
{
	int64_t type;

	if (!ask->identity)
		return c->spec.node;
	type = ask->identity->federated ? AZURE_IDENTITY_FEDERATED : ask->identity->type;
	return type >= 0 && (uint64_t)type < c->spec.n_types ? c->spec.by_type[type] : NULL;
}

const char *token_cache_source_name(const struct token_cache *c, const struct token_ask *ask)
{
	const struct token_source *source = source_of(c, ask);

	return source ? source->name : NULL;
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
	cache_wait_refuse(w, &fail);
}

static void on_deadline(struct loop_timer *t)
{
	struct token_wait *w = container_of(t, struct token_wait, deadline);
	struct cache_flight *f = w->flight;
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = NULL;
	const struct token_failure fail = cache_flight_excuse(f);
	struct token *last = f->kind == FLIGHT_PLAIN ? cache_entry_last(f->entry, &fail, false)
						     : NULL;

	if (!last && mono_before(loop_mono(w->cache->loop), w->until)) {
		/* it has ended meanwhile, or been refused, or its source has not looked yet */
		loop_timer_set(w->cache->loop, t, w->until, on_deadline);
		return;
	}
	o = cache_outcome_new(last, &fail);
	if (last)
		cache_entry_note_last(f->entry, 1);
	cache_wait_leave(w);
	cache_flight_left(f, true);
	cache_wait_tell(w, o);
	cache_wait_free(w);
}

static enum flight_kind kind_of(const struct token_ask *ask)
{
	return ask->bypass_cache ? FLIGHT_BYPASS : FLIGHT_PLAIN;
}

/* The newest form of the object is the one to ask with, and the newest pod the one to ask for. */
static void note_ask(struct cache_entry *e, const struct token_ask *ask, struct cache_asker *asker)
{
	struct azure_identity *identity = e->identity;
	struct cache_asker *was = e->asker;

	e->identity = ask->identity ? azure_identity_ref(ask->identity) : NULL;
	(void)azure_identity_unref(identity);
	e->asker = cache_asker_ref(asker);
	(void)cache_asker_unref(was);
}

/* How long to wait before what is at hand will do; who comes later waits for the flight no longer than who began it. */
static struct mono first_look(const struct token_wait *w, const struct cache_flight *f)
{
	struct mono enough = mono_add_msec(f->begun_at, POLICY_LAST_WAIT_MSEC);

	if (!cache_entry_has_resort(f->entry))
		return w->until;
	return mono_before(enough, w->until) ? enough : w->until;
}

static void wait_for_flight(struct token_wait *w, struct cache_entry *e,
			    const struct token_ask *ask, struct mono deadline)
{
	struct token_cache *c = w->cache;
	struct cache_upstream *u = e->upstream;
	struct cache_lane *lane = cache_lane_get(u, ask->pod);
	enum flight_kind kind = kind_of(ask);

	c->stats.misses++;
	metric_add(c->metrics, NMI_METRIC_CACHE_MISSES, NULL, 1);
	note_ask(e, ask, lane->asker);
	if (!e->flights[kind])
		(void)cache_flight_begin(e, kind);
	cache_flight_join(e->flights[kind], w, lane);
	w->until = deadline;
	loop_timer_set(c->loop, &w->deadline, first_look(w, e->flights[kind]), on_deadline);
	cache_pump(u);
}

/* False with the failure filled: nothing more is fetched for this pod at the moment. */
static bool is_allowed(struct token_cache *c, const struct token_source *source,
		       const struct cache_entry *e, const struct token_ask *ask,
		       struct token_failure *fail)
{
	struct cache_lane *lane;
	unsigned wait_sec;

	if (e && e->flights[kind_of(ask)])
		return true;
	lane = cache_lane_get(cache_upstream_get(c, source), ask->pod);
	if (cache_lane_allows(lane, &wait_sec))
		return true;
	c->stats.pod_limited++;
	*fail = cache_failure_make(TOKEN_FAULT_POD_LIMIT, ERR_LIMIT,
				   "this pod has asked for too many new tokens in a short time");
	fail->retry_after_sec = wait_sec;
	return false;
}

/* Without a flight. */
static void refuse(struct token_wait *w, struct cache_entry *e, const struct token_ask *ask,
		   const struct token_failure *fail, bool was_tried)
{
	struct token *last = e && !ask->bypass_cache ? cache_entry_last(e, fail, was_tried) : NULL;
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = NULL;

	if (!last) {
		cache_wait_refuse(w, fail);
		return;
	}
	o = cache_outcome_new(last, NULL);
	count_hit(e, ask);
	cache_entry_note_last(e, 1);
	cache_wait_settle(w, o);
}

/*
 * A token that its source would give back: whether it may is asked of it and not of the upstream, of whose failures it
 * knows nothing.
 */
static bool is_to_be_looked_at(const struct cache_entry *e, const struct token_ask *ask)
{
	return !ask->bypass_cache && cache_entry_is_usable(e) && !cache_entry_is_due(e);
}

struct token_wait *token_cache_get(struct token_cache *c, const struct token_ask *ask,
				   struct mono deadline, token_done_fn *done, void *ctx)
{
	const struct token_source *source = source_of(c, ask);
	struct token_wait *w = xnew(struct token_wait);
	struct token_failure fail;
	struct token_key key;
	struct cache_entry *e;

	w->cache = c;
	w->done = done;
	w->ctx = ctx;
	if (!source) {
		settle_unsupported(w, ask);
		return w;
	}
	token_key_init(&key, ask);
	e = cache_entry_find(c, &key);
	if (e && !ask->bypass_cache && cache_entry_is_good(e)) {
		_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = cache_outcome_new(e->tok,
											    NULL);

		count_hit(e, ask);
		cache_wait_settle(w, o);
	} else if (e && cache_entry_is_failure_believed(e) && !is_to_be_looked_at(e, ask)) {
		fail = token_failure_after(&e->failure->fail, e->failed_at, loop_mono(c->loop));
		refuse(w, e, ask, &fail, true);
	} else if (c->stats.waiting >= c->spec.max_waiting) {
		fail = cache_failure_make(TOKEN_FAULT_OVERLOADED, ERR_LIMIT,
					  "too many requests are waiting for a token");
		refuse(w, e, ask, &fail, false);
	} else if (!is_allowed(c, source, e, ask, &fail)) {
		refuse(w, e, ask, &fail, false);
	} else {
		wait_for_flight(w, e ? e : cache_entry_new(c, &key, source, ask), ask, deadline);
	}
	token_key_deinit(&key);
	return w;
}

void token_cache_cancel(struct token_wait *w)
{
	struct cache_flight *f = w->flight;

	if (f) {
		cache_wait_leave(w);
		cache_flight_left(f, false);
	} else {
		DL_DELETE(w->cache->settled, w);
	}
	cache_wait_free(w);
}

const struct token_cache_stats *token_cache_stats(const struct token_cache *c)
{
	return &c->stats;
}

size_t token_cache_sources(struct token_cache *c, struct token_cache_source *out, size_t max)
{
	struct mono now = loop_mono(c->loop);
	struct cache_upstream *u;
	size_t n = 0;

	DL_FOREACH (c->upstreams, u) {
		if (n == max)
			break;
		out[n++] = (struct token_cache_source){
			.name = u->name,
			.in_flight = u->rate.under_way,
			.max_in_flight = u->max_in_flight,
			.per_second = u->rate.per_second ? u->rate.per_second : UINT32_MAX,
			.left = rate_left(&u->rate, now),
			.queued = u->queued,
			.braked_msec = mono_msec_until(now, u->braked_until),
		};
	}
	return n;
}

void token_cache_measure(const struct token_cache *c)
{
	int64_t now = loop_wall(c->loop).s, longest = 0, expiry = INT64_MAX;
	const struct cache_upstream *u;
	size_t overdue = 0;

	for (struct hmap_node *n = hmap_first(&c->entries); n; n = hmap_next(n)) {
		const struct cache_entry *e = container_of(n, struct cache_entry, node);

		if (!e->tok || !e->used)
			continue;
		expiry = e->tok->expires_on.s < expiry ? e->tok->expires_on.s : expiry;
		if (now <= e->renew_at.s)
			continue;
		overdue++;
		longest = now - e->renew_at.s > longest ? now - e->renew_at.s : longest;
	}
	metric_set(c->metrics, NMI_METRIC_CACHE_EXPIRY, NULL,
		   expiry == INT64_MAX ? -1 : (double)(expiry > now ? expiry - now : 0));
	metric_set(c->metrics, NMI_METRIC_CACHE_OVERDUE, NULL, (double)overdue);
	metric_set(c->metrics, NMI_METRIC_CACHE_OVERDUE_SECONDS, NULL, (double)longest);
	DL_FOREACH (c->upstreams, u) {
		metric_set(c->metrics, NMI_METRIC_FETCH_QUEUED, &u->name, (double)u->queued);
		metric_set(c->metrics, NMI_METRIC_FETCH_IN_FLIGHT, &u->name,
			   (double)u->rate.under_way);
	}
}
