/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"

#include <stdbool.h>

/*
 * How often a repair may happen at once: a burst is let through, so that one clumsy restart of a
 * firewall never waits; two programs that undo each other's work are slowed down to `per_sec`.
 */
struct damper {
	unsigned burst;
	unsigned per_sec;
	double tokens; /* all-zero starts full */
	struct mono filled;
};

bool damper_take(struct damper *d, struct mono now);
