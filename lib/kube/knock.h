/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"

#include <stdbool.h>

/*
 * Who waits for one server that answers badly. A door that all of them share: one knocks at a time, and when it is
 * opened to one, the others are told. So a server that is back is noticed at once by all, and yet is asked no more
 * often than one alone would.
 *
 * A `struct knock_wait` is embedded in its owner, who has its own timer for when to try.
 */
struct knock_wait;
typedef void knock_fn(struct knock_wait *w);

struct knock {
	struct mono next; /* nobody knocks before */
	struct knock_wait *waiting;
};

struct knock_wait {
	struct knock *knock; /* NULL while it does not wait */
	knock_fn *opened; /* try soon; it does not wait any more. Must not free others that wait */
	struct knock_wait *prev, *next;
};

/* From a failure of the server, until the next try; again is fine. */
void knock_wait(struct knock *k, struct knock_wait *w, knock_fn *opened);
void knock_leave(struct knock_wait *w);
/* May whoever waits try now? If not, the time to wait; if so, others may not for a while. */
bool knock_may(struct knock *k, struct mono now, unsigned *out_wait_msec);
/* The server has answered somebody well. */
void knock_opened(struct knock *k);
