/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"

/*
 * Exponential waits with jitter, as client-go's reflector does them: each wait is drawn from
 * [d, 2d), d doubles up to the ceiling, and a long enough quiet time starts it over.
 */
struct backoff {
	unsigned min_msec;
	unsigned max_msec;
	unsigned reset_msec; /* this long without a failure, and the next wait is min_msec again */
	unsigned next_msec;  /* 0 before the first failure */
	struct mono last;    /* the last failure */
};

unsigned backoff_next(struct backoff *b, struct mono now);
void backoff_reset(struct backoff *b);
