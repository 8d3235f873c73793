/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Two kinds of time that do not mix. A deadline is monotonic; an expiry that came from elsewhere is
 * wall time. Both are read from the loop (loop_mono(), loop_wall()), so that tests can fake them.
 */
struct mono {
	uint64_t ns;
};

struct wall {
	int64_t s; /* since the epoch */
};

/* The same in half the room, from 1970 to 2106. */
struct wall32 {
	uint32_t s;
};

static inline struct wall wall_from32(struct wall32 t)
{
	return (struct wall){ t.s };
}

/* RFC 3339, in UTC: "2026-01-02T03:04:05Z"; "" if it is beyond the calendar. */
#define WALL_TEXT_MAX 24
char *wall_print(struct wall t, char buf[static WALL_TEXT_MAX]);
/* As HTTP dates (RFC 9110, 5.6.7): "Fri, 02 Jan 2026 03:04:05 GMT"; "" if it is beyond the calendar. */
#define WALL_HTTP_MAX 30
char *wall_print_http(struct wall t, char buf[static WALL_HTTP_MAX]);

#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)

/* A sum past the end of time stays there: UINT64_MAX is "never". */
static inline struct mono mono_add_msec(struct mono t, uint64_t msec)
{
	uint64_t ns;

	if (__builtin_mul_overflow(msec, NSEC_PER_MSEC, &ns) ||
	    __builtin_add_overflow(t.ns, ns, &ns))
		ns = UINT64_MAX;
	return (struct mono){ ns };
}

static inline bool mono_before(struct mono a, struct mono b)
{
	return a.ns < b.ns;
}

/* From `from` to `to` in milliseconds, rounded up; 0 when `to` has passed. */
static inline uint64_t mono_msec_until(struct mono from, struct mono to)
{
	return to.ns <= from.ns ? 0 : (to.ns - from.ns - 1) / NSEC_PER_MSEC + 1;
}

static inline double mono_seconds_between(struct mono from, struct mono to)
{
	return to.ns <= from.ns ? 0 : (double)(to.ns - from.ns) / (double)NSEC_PER_SEC;
}
