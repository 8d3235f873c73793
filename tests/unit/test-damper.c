/* SPDX-License-Identifier: MIT */

#include "iptables/damper.h"
#include "tests/unit/unit.h"

static const struct mono t0 = { 5 * NSEC_PER_SEC };

static unsigned take_all(struct damper *d, struct mono now)
{
	unsigned n = 0;

	while (n < 1000 && damper_take(d, now))
		n++;
	return n;
}

START_TEST(a_burst_passes_at_once_and_no_more)
{
	struct damper d = { .burst = 100, .per_sec = 20 };

	ck_assert_uint_eq(take_all(&d, t0), 100);
	ck_assert(!damper_take(&d, t0));
}
END_TEST

START_TEST(then_it_is_so_many_a_second)
{
	struct damper d = { .burst = 100, .per_sec = 20 };

	(void)take_all(&d, t0);
	ck_assert(!damper_take(&d, mono_add_msec(t0, 49)));
	ck_assert(damper_take(&d, mono_add_msec(t0, 51)));
	ck_assert_uint_eq(take_all(&d, mono_add_msec(t0, 1051)), 20);
}
END_TEST

START_TEST(a_quiet_time_fills_it_up_and_not_over)
{
	struct damper d = { .burst = 100, .per_sec = 20 };

	(void)take_all(&d, t0);
	ck_assert_uint_eq(take_all(&d, mono_add_msec(t0, UINT64_C(3600) * 1000)), 100);
}
END_TEST

UNIT_MAIN("damper", UNIT(a_burst_passes_at_once_and_no_more), UNIT(then_it_is_so_many_a_second),
	  UNIT(a_quiet_time_fills_it_up_and_not_over))
