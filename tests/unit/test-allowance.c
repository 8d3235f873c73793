/* SPDX-License-Identifier: MIT */

/* How often each address may have something. */

#include "nmi/allowance.h"
#include "tests/unit/unit.h"

#define SECOND UINT64_C(1000000000)

static struct allowance a;
static struct mono now;

static bool take(unsigned n)
{
	struct inet_ip ip = { { [10] = 0xff, 0xff, 10, 0, (uint8_t)(n >> 8), (uint8_t)n } };

	return allowance_take(&a, &ip, now);
}

static void start(void)
{
	a = (struct allowance){ .interval_ns = 2 * SECOND, .burst = 3, .remembered = 16 };
	now = (struct mono){ 100 * SECOND };
}

START_TEST(so_much_at_once_then_one_an_interval_and_each_for_itself)
{
	start();
	for (int i = 0; i < 3; i++)
		ck_assert(take(1));
	ck_assert(!take(1));
	ck_assert(take(2));
	now.ns += SECOND + 1;
	ck_assert(!take(1));
	now.ns += SECOND;
	ck_assert(take(1));
	ck_assert(!take(1));
	allowance_deinit(&a);
}
END_TEST

START_TEST(memory_has_a_limit_and_those_who_are_done_go_first)
{
	start();
	for (unsigned i = 0; i < 3; i++)
		ck_assert(take(1));
	for (unsigned i = 2; i < 200; i++)
		ck_assert(take(i));
	ck_assert_uint_le(hmap_count(&a.peers), 16);
	now.ns += 100 * SECOND;
	ck_assert(take(500));
	ck_assert_uint_eq(hmap_count(&a.peers), 1);
	allowance_deinit(&a);
	ck_assert_uint_eq(hmap_count(&a.peers), 0);
}
END_TEST

UNIT_MAIN("allowance", UNIT(so_much_at_once_then_one_an_interval_and_each_for_itself),
	  UNIT(memory_has_a_limit_and_those_who_are_done_go_first))
