/* SPDX-License-Identifier: MIT */

/* So much at once, and then one an interval: see bucket.h. */

#include "lib/base/bucket.h"

struct mono bucket_next(const struct bucket *b, uint64_t interval_ns, unsigned burst)
{
	uint64_t credit = interval_ns * (burst - 1);

	return (struct mono){ b->full_at.ns > credit ? b->full_at.ns - credit : 0 };
}

void bucket_take(struct bucket *b, uint64_t interval_ns, struct mono now)
{
	b->full_at.ns = (mono_before(b->full_at, now) ? now.ns : b->full_at.ns) + interval_ns;
}

bool bucket_try(struct bucket *b, uint64_t interval_ns, unsigned burst, struct mono now)
{
	if (mono_before(now, bucket_next(b, interval_ns, burst)))
		return false;
	bucket_take(b, interval_ns, now);
	return true;
}
