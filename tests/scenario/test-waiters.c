/* SPDX-License-Identifier: MIT */

/* Pods that ask before they are known: what they cost, and that the event alone lets them go on. */

#include "tests/scenario/world.h"
#include "tests/unit/mk-place.h"
#include "tests/unit/unit.h"

#include <malloc.h>
#include <string.h>

#define WAITERS	  1000u
#define BYTES_MAX (2u << 20)
/* the least that a waiter needs: its resource, its deadline, who is to be told */
#define BYTES_MIN ((size_t)100 * WAITERS)

/* Of AddressSanitizer, which counts instead of the library. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

/* On the heap; 0 where it cannot be told (valgrind). */
static size_t heap_bytes(void)
{
	if (__sanitizer_get_current_allocated_bytes)
		return __sanitizer_get_current_allocated_bytes();
	return mallinfo2().uordblks;
}

static struct told told[WAITERS];

static unsigned answered(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WAITERS; i++)
		n += told[i].calls;
	return n;
}

static void ask_all(struct world *w, const char *ip)
{
	for (unsigned i = 0; i < WAITERS; i++)
		world_ask(w, &told[i], .ip = ip);
	ck_assert_uint_eq(answered(), 0);
	ck_assert_uint_eq(resolver_waiting(w->resolver), WAITERS);
}

/* at one address, or each at its own */
static const bool at_one[] = { true, false };

START_TEST(a_thousand_waiters_cost_less_than_two_mebibytes)
{
	struct world w;
	size_t before, cost;

	world_init(&w);
	world_furnish(&w);
	before = heap_bytes();
	for (unsigned i = 0; i < WAITERS; i++) {
		char ip[32];

		(void)snprintf(ip, sizeof(ip), "10.1.%u.%u", i / 250u, i % 250u);
		world_ask(&w, &told[i], .ip = at_one[_i] ? "10.1.0.1" : ip);
	}
	cost = heap_bytes() - before;
	ck_assert_uint_eq(resolver_waiting(w.resolver), WAITERS);
	printf("# %u waiters: %zu bytes, %zu each\n", WAITERS, cost, cost / WAITERS);
	ck_assert_uint_lt(cost, BYTES_MAX);
	ck_assert(!before || cost > BYTES_MIN);
	for (unsigned i = 0; i < WAITERS; i++)
		world_leave(&told[i]);
	world_deinit(&w);
}
END_TEST

START_TEST(all_are_served_by_the_event_and_by_no_time)
{
	struct world w;
	struct told first;
	uint64_t now;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &first); /* the token is in the cache */
	world_give(&w, "web-token");
	world_put_pod(&w, .uid = "late", .ip = NULL);
	ask_all(&w, "10.0.0.2");
	world_pass(&w, WORLD_POD_WAIT_MSEC - 1);
	ck_assert_uint_eq(answered(), 0);
	now = world_msec(&w);
	world_put_pod(&w, .uid = "late", .ip = "10.0.0.2");
	world_pass(&w, 0);
	ck_assert_uint_eq(answered(), WAITERS);
	for (unsigned i = 0; i < WAITERS; i++) {
		if (strcmp(told[i].token, "web-token") != 0 || told[i].at_msec != now)
			ck_abort_msg("waiter %u: '%s' %s", i, told[i].token, told[i].text);
	}
	world_deinit(&w);
}
END_TEST

START_TEST(the_event_of_another_pod_lets_nobody_go_on)
{
	struct world w;

	world_init(&w);
	world_furnish(&w);
	ask_all(&w, "10.0.0.2");
	world_put_pod(&w, .uid = "other", .ip = "10.0.0.3");
	world_pass(&w, 0);
	ck_assert_uint_eq(answered(), 0);
	for (unsigned i = 0; i < WAITERS; i++)
		world_leave(&told[i]);
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("waiters", UNIT_LOOP(a_thousand_waiters_cost_less_than_two_mebibytes, at_one),
	  UNIT(all_are_served_by_the_event_and_by_no_time),
	  UNIT(the_event_of_another_pod_lets_nobody_go_on))
