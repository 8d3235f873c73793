/* SPDX-License-Identifier: MIT */

/*
 * How fast something may be asked for: see rate.h.
 *
 * The window is counted from answers, not from sendings. A request arrives somewhere between the two,
 * so each has a place from when it is sent until a second after its answer. If one is sent into a place
 * that another has left, it arrives a second or more after that one did, and of any per_second + 1
 * requests two have had the same place: they cannot all arrive within a second. Counted from sendings, a
 * request that was long on its way could arrive together with those of the second after.
 *
 * The window alone would let the first pod that comes spend a whole second's requests at once, and
 * whoever comes next wait for the rest of that second. The pace is what shortens this to an interval.
 */

#include "nmi/token/rate.h"

#include "lib/base/mem.h"

#include <assert.h>
#include <stdlib.h>

/* As many as are in flight at IMDS at once: a pod's first few tokens come without any wait. */
#define PACE_BURST 4

void rate_init(struct rate *r, unsigned per_second)
{
	*r = (struct rate){ .per_second = per_second };
	r->answered = xcalloc(per_second ? per_second : 1, sizeof(*r->answered));
}

void rate_deinit(struct rate *r)
{
	free(r->answered);
	r->answered = NULL;
}

static struct mono leaves_at(const struct rate *r)
{
	return mono_add_msec(r->answered[r->first], 1000);
}

static void forget_older(struct rate *r, struct mono now)
{
	while (r->n && !mono_before(now, leaves_at(r))) {
		r->first = (r->first + 1) % r->per_second;
		r->n--;
	}
}

static uint64_t interval_of(const struct rate *r)
{
	return NSEC_PER_SEC / r->per_second;
}

struct mono rate_next(struct rate *r, struct mono now)
{
	struct mono paced, place = now;

	if (!r->per_second)
		return now;
	forget_older(r, now);
	paced = bucket_next(&r->pace, interval_of(r), PACE_BURST);
	if (r->under_way + r->n >= r->per_second)
		place = r->n ? leaves_at(r) : (struct mono){ RATE_NEVER };
	return mono_before(place, paced) ? paced : place;
}

unsigned rate_left(struct rate *r, struct mono now)
{
	if (!r->per_second)
		return UINT32_MAX;
	forget_older(r, now);
	return r->under_way + r->n < r->per_second ? r->per_second - r->under_way - (unsigned)r->n
						   : 0;
}

void rate_sent(struct rate *r, struct mono now)
{
	r->under_way++;
	if (r->per_second)
		bucket_take(&r->pace, interval_of(r), now);
}

void rate_answered(struct rate *r, struct mono now)
{
	assert(r->under_way > 0);
	r->under_way--;
	if (!r->per_second)
		return;
	forget_older(r, now);
	assert(r->n < r->per_second);
	r->answered[(r->first + r->n++) % r->per_second] = now;
}
