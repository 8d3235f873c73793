/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * So much at once, and then one an interval. What was taken comes back one by one; all-zero is full. Pure:
 * who asks brings the time, and the same interval and burst each time.
 */
struct bucket {
	struct mono full_at; /* when all that was taken will have come back */
};

/* From when on one may be taken. */
struct mono bucket_next(const struct bucket *b, uint64_t interval_ns, unsigned burst);
void bucket_take(struct bucket *b, uint64_t interval_ns, struct mono now);
/* False, and nothing taken, if none is there. */
bool bucket_try(struct bucket *b, uint64_t interval_ns, unsigned burst, struct mono now);
