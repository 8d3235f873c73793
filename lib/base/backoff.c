/* SPDX-License-Identifier: MIT */

/* Waiting longer each time: see backoff.h. */

#include "lib/base/backoff.h"

#include <stdlib.h>

unsigned backoff_next(struct backoff *b, struct mono now)
{
	unsigned base;

	if (!b->next_msec || mono_before(mono_add_msec(b->last, b->reset_msec), now))
		b->next_msec = b->min_msec;
	/* the ceiling may have come down since */
	base = b->next_msec < b->max_msec ? b->next_msec : b->max_msec;
	b->last = now;
	b->next_msec = base > b->max_msec / 2 ? b->max_msec : base * 2;
	return base + (base ? arc4random_uniform(base) : 0);
}

void backoff_reset(struct backoff *b)
{
	b->next_msec = 0;
}
