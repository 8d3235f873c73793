/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/bucket.h"
#include "lib/base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How fast something may be asked for. Pure but for the memory of a window; who asks brings the time.
 */

/*
 * Never more than `per_second` arrive at an upstream within any one second, whatever time each of them
 * spends on its way, and they come evenly but for a few at first. 0: any number.
 */
struct rate {
	unsigned per_second;
	unsigned under_way;
	struct bucket pace;
	struct mono *answered; /* a ring: when the last ones were, within a second */
	size_t first, n;
};

#define RATE_NEVER UINT64_MAX

void rate_init(struct rate *r, unsigned per_second);
void rate_deinit(struct rate *r);
/* From when on one more may be sent; RATE_NEVER: not before one of those under way is answered. */
struct mono rate_next(struct rate *r, struct mono now);
/* How many more may arrive within this second; UINT32_MAX: any number. */
unsigned rate_left(struct rate *r, struct mono now);
void rate_sent(struct rate *r, struct mono now);
void rate_answered(struct rate *r, struct mono now);
