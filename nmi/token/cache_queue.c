/* SPDX-License-Identifier: MIT */

/*
 * Whose turn it is at an upstream.
 *
 * Theory of operation. A pod has a *lane* at each upstream that it asks: the queue of its callers whose
 * flights wait to be sent. Those lanes that have a queue take turns, one flight a turn. So a pod waits for
 * as many flights as there are pods that wait, and never for what another has queued. A flight for which
 * callers of several pods wait stands in the lanes of all of them, and goes with the first whose turn it
 * is. Within a lane, it is first come, first served.
 *
 * Behind all lanes stand the flights that nobody waits for at the moment: renewals, and after them what
 * callers were told to come back for. The latter are sent when there is time, so that an upstream is not
 * idle while they are away; a pod has paid for them out of its allowance.
 *
 * One place at an upstream is always kept from a pod that has all the others, and half of them from those
 * behind, so that slow answers of one kind do not hold up the other. Where the upstream is many hosts (Entra,
 * and whatever an adEndpoint names), a flight that takes far longer than any answer gives its place away and
 * goes on without; what its pod may have in flight still counts it.
 *
 * A lane outlives its users, because of the allowance: a pod could else begin it anew with each request.
 * It goes when the allowance is full again, or when too many are remembered.
 */

#include "nmi/token/cache_queue.h"

#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "nmi/token/cache_internal.h"
#include "nmi/token/failure.h"
#include "nmi/token/policy.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* askers */

struct cache_asker *cache_asker_new(const struct token_pod *pod)
{
	struct cache_asker *a;

	if (!pod)
		return NULL;
	a = xnew(struct cache_asker);
	a->refs = 1;
	a->pod.namespace = xstrdup(pod->namespace);
	a->pod.name = xstrdup(pod->name);
	a->pod.uid = xstrdup(pod->uid);
	a->pod.service_account = xstrdup(pod->service_account ? pod->service_account : "");
	return a;
}

struct cache_asker *cache_asker_ref(struct cache_asker *a)
{
	if (a)
		a->refs++;
	return a;
}

struct cache_asker *cache_asker_unref(struct cache_asker *a)
{
	if (!a || --a->refs)
		return NULL;
	free((char *)(uintptr_t)a->pod.namespace);
	free((char *)(uintptr_t)a->pod.name);
	free((char *)(uintptr_t)a->pod.uid);
	free((char *)(uintptr_t)a->pod.service_account);
	free(a);
	return NULL;
}

/* upstreams */

struct cache_upstream *cache_upstream_get(struct token_cache *c, const struct token_source *source)
{
	struct cache_upstream *u;

	DL_FOREACH (c->upstreams, u) {
		if (u->ctx == source->ctx)
			return u;
	}
	u = xnew(struct cache_upstream);
	u->cache = c;
	u->ctx = source->ctx;
	u->name = source->name;
	u->max_in_flight = source->budget.max_in_flight ? source->budget.max_in_flight : UINT32_MAX;
	u->slow_msec = source->budget.slow_msec;
	u->max_slow = source->budget.max_slow;
	rate_init(&u->rate, source->budget.per_second);
	u->nobody.upstream = u;
	DL_APPEND(c->upstreams, u);
	return u;
}

static void lane_move(struct cache_lane *lane, struct cache_lane **to)
{
	if (lane->in)
		DL_DELETE(*lane->in, lane);
	lane->in = to;
	if (to)
		DL_APPEND(*to, lane);
}

static void lane_free(struct cache_lane *lane)
{
	struct cache_upstream *u = lane->upstream;

	assert(!lane->users);
	lane_move(lane, NULL);
	hmap_del(&u->lanes, &lane->node);
	u->cache->stats.pods--;
	(void)cache_asker_unref(lane->asker);
	free(lane);
}

void cache_upstream_free(struct cache_upstream *u)
{
	hmap_for_each_safe (node, next, &u->lanes)
		lane_free(container_of(node, struct cache_lane, node));
	loop_timer_del(&u->wake);
	rate_deinit(&u->rate);
	free(u);
}

/* lanes */

static struct str lane_key(const struct hmap_node *n)
{
	return str_of(container_of(n, struct cache_lane, node)->asker->pod.uid);
}

static uint64_t allowance_interval(const struct token_cache *c)
{
	return NSEC_PER_SEC / c->spec.pod_per_second;
}

static bool is_forgettable(const struct cache_lane *lane)
{
	return !mono_before(loop_mono(lane->upstream->cache->loop), lane->allowance.full_at);
}

/* Those longest idle go first; their allowance is the first to be full, if they took as much. */
static void forget_lanes(struct cache_upstream *u)
{
	while (u->idle) {
		struct cache_lane *lane = u->idle;

		/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a freed lane has left its list */
		if (!is_forgettable(lane) && hmap_count(&u->lanes) < LIMIT_POD_FETCH_MEMORY)
			return;
		lane_free(lane);
	}
}

struct cache_lane *cache_lane_get(struct cache_upstream *u, const struct token_pod *pod)
{
	struct hmap_node *node;
	struct cache_lane *lane;

	if (!pod)
		return &u->nobody;
	node = hmap_find(&u->lanes, pod->uid, strlen(pod->uid));
	if (node)
		return container_of(node, struct cache_lane, node);
	forget_lanes(u);
	lane = xnew(struct cache_lane);
	lane->upstream = u;
	lane->asker = cache_asker_new(pod);
	hmap_add(&u->lanes, &lane->node, lane_key);
	u->cache->stats.pods++;
	lane_move(lane, &u->idle);
	return lane;
}

void cache_lane_use(struct cache_lane *lane)
{
	lane->users++;
	if (lane->in == &lane->upstream->idle)
		lane_move(lane, NULL);
}

void cache_lane_leave(struct cache_lane *lane)
{
	assert(lane->users);
	if (--lane->users == 0 && lane != &lane->upstream->nobody)
		lane_move(lane, &lane->upstream->idle);
}

bool cache_lane_allows(struct cache_lane *lane, unsigned *out_wait_sec)
{
	const struct token_cache *c = lane->upstream->cache;
	struct mono now = loop_mono(c->loop), at;
	uint64_t msec;

	if (!c->spec.pod_per_second || lane == &lane->upstream->nobody)
		return true;
	at = bucket_next(&lane->allowance, allowance_interval(c), c->spec.pod_burst);
	if (mono_before(now, at)) {
		msec = mono_msec_until(now, at);
		*out_wait_sec = (unsigned)((msec + 999) / 1000);
		return false;
	}
	bucket_take(&lane->allowance, allowance_interval(c), now);
	return true;
}

void cache_lane_put(struct token_wait *w, bool first)
{
	struct cache_lane *lane = w->lane;

	assert(!w->in_lane);
	if (first)
		DL_PREPEND2(lane->queue, w, lane_prev, lane_next);
	else
		DL_APPEND2(lane->queue, w, lane_prev, lane_next);
	w->in_lane = true;
	if (lane->in != &lane->upstream->turns)
		lane_move(lane, &lane->upstream->turns);
}

void cache_lane_take(struct token_wait *w)
{
	struct cache_lane *lane = w->lane;

	if (!w->in_lane)
		return;
	DL_DELETE2(lane->queue, w, lane_prev, lane_next);
	w->in_lane = false;
	if (!lane->queue)
		lane_move(lane, NULL);
}

void cache_behind_put(struct cache_flight *f, enum behind behind)
{
	struct cache_upstream *u = f->entry->upstream;

	DL_APPEND(u->behind[behind], f);
	f->behind = behind;
	if (behind == BEHIND_ABANDONED && ++u->abandoned > LIMIT_ABANDONED)
		cache_flight_drop(u->behind[BEHIND_ABANDONED]);
}

void cache_behind_take(struct cache_flight *f)
{
	struct cache_upstream *u = f->entry->upstream;

	if (f->behind == BEHIND_NOTHING)
		return;
	DL_DELETE(u->behind[f->behind], f);
	u->abandoned -= f->behind == BEHIND_ABANDONED;
	f->behind = BEHIND_NOTHING;
}

/* brakes */

void cache_brake(struct cache_upstream *u, const struct token_failure *fail)
{
	u->braked_at = loop_mono(u->cache->loop);
	u->braked_until = mono_add_msec(u->braked_at, policy_remember_msec(fail));
	u->brake = *fail;
}

bool cache_is_braked(const struct cache_upstream *u, struct token_failure *out_fail)
{
	struct mono now = loop_mono(u->cache->loop);

	if (!mono_before(now, u->braked_until))
		return false;
	*out_fail = token_failure_after(&u->brake, u->braked_at, now);
	return true;
}

/* the pump */

/*
 * What one pod may have in flight: a quarter of many places, so that two whose upstream hangs hold up nobody;
 * of few, all but one.
 */
static unsigned pod_share(unsigned places)
{
	if (places >= 8)
		return places / 4;
	return places > 1 ? places - 1 : 1;
}

/* Whose turn it is, if anybody's: one of those that have not as much in flight as a pod may. */
static struct cache_lane *next_lane(const struct cache_upstream *u)
{
	unsigned most = pod_share(u->max_in_flight);
	struct cache_lane *lane;

	DL_FOREACH (u->turns, lane) {
		if (lane->in_flight < most || lane == &u->nobody)
			return lane;
	}
	return NULL;
}

static bool is_behind_full(const struct cache_upstream *u)
{
	unsigned most = u->max_in_flight > 1 ? u->max_in_flight / 2 : 1;

	return u->behind_in_flight >= most;
}

static struct cache_flight *next_behind(const struct cache_upstream *u)
{
	if (is_behind_full(u))
		return NULL;
	for (size_t i = 0; i < BEHINDS; i++) {
		if (u->behind[i])
			return u->behind[i];
	}
	return NULL;
}

enum cache_room cache_room(struct cache_upstream *u, const struct cache_lane *lane)
{
	struct mono now = loop_mono(u->cache->loop);
	bool is_full = lane ? lane != &u->nobody && lane->in_flight >= pod_share(u->max_in_flight)
			    : is_behind_full(u);

	if (next_lane(u) || is_full || u->rate.under_way >= u->max_in_flight)
		return ROOM_NONE;
	return mono_before(now, rate_next(&u->rate, now)) ? ROOM_SOON : ROOM_NOW;
}

static void on_wake(struct loop_timer *t)
{
	cache_pump(container_of(t, struct cache_upstream, wake));
}

static void wake_at(struct cache_upstream *u, struct mono at)
{
	if (at.ns != RATE_NEVER)
		loop_timer_set(u->cache->loop, &u->wake, at, on_wake);
}

/*
 * While an upstream is braked nothing is sent. If that is brief the queues wait for its end; else their
 * callers are told how long it takes, and those behind wait all the same.
 */
static void hold(struct cache_upstream *u)
{
	struct mono now = loop_mono(u->cache->loop);
	struct token_failure fail = { 0 };

	wake_at(u, u->braked_until);
	if (mono_msec_until(now, u->braked_until) <= POLICY_REST_MAX_MSEC ||
	    !cache_is_braked(u, &fail))
		return;
	while (u->turns) {
		/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a refused flight has left the lanes */
		cache_flight_refuse(u->turns->queue->flight, &fail);
	}
}

/* A flight that ends at once takes no place, so the loop ends with the queues. */
void cache_pump(struct cache_upstream *u)
{
	struct mono now = loop_mono(u->cache->loop), at;

	if (mono_before(now, u->braked_until)) {
		hold(u);
		return;
	}
	while (u->rate.under_way < u->max_in_flight) {
		struct cache_lane *lane = next_lane(u);
		struct cache_flight *f = lane ? lane->queue->flight : next_behind(u);

		if (!f)
			return;
		at = rate_next(&u->rate, now);
		if (mono_before(now, at)) {
			wake_at(u, at);
			return;
		}
		/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a finished flight has left its queue */
		cache_flight_send(f, lane);
		if (lane && lane->in == &u->turns)
			lane_move(lane, &u->turns); /* to the end of it */
	}
}
