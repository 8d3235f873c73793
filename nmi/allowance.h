/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"
#include "lib/base/hmap.h"
#include "lib/base/inet.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * How often each address may have something: so much at once, then one an interval. Pure but for memory, of
 * which there is a limit: who asks brings the time.
 */
struct allowance {
	uint64_t interval_ns;
	unsigned burst;
	size_t remembered; /* addresses at most; of more, who asked first is forgotten */
	struct hmap peers;
};

/* False, and nothing taken: not before an interval has passed. */
bool allowance_take(struct allowance *a, const struct inet_ip *ip, struct mono now);
void allowance_deinit(struct allowance *a);
