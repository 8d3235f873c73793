/* SPDX-License-Identifier: MIT */

#include "lib/base/backoff.h"
#include "tests/unit/unit.h"

#define NEW                                                                                        \
	{                                                                                          \
		.min_msec = 800, .max_msec = 30000, .reset_msec = 120000                           \
	}

static const unsigned doubling[] = { 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000 };

START_TEST(each_wait_is_drawn_from_a_doubling_range_up_to_the_ceiling)
{
	for (int again = 0; again < 200; again++) {
		struct backoff b = NEW;
		struct mono now = { 1 };

		for (size_t i = 0; i < sizeof(doubling) / sizeof(doubling[0]); i++) {
			unsigned msec = backoff_next(&b, now);

			ck_assert_uint_ge(msec, doubling[i]);
			ck_assert_uint_lt(msec / 2, doubling[i]);
			now = mono_add_msec(now, msec);
		}
	}
}
END_TEST

START_TEST(waits_are_not_the_same_for_everyone)
{
	struct backoff b = NEW;
	unsigned first = backoff_next(&b, (struct mono){ 1 });

	/* 100 draws out of 800 that are all equal: once in 800^99 */
	for (int i = 0; i < 100; i++) {
		backoff_reset(&b);
		if (backoff_next(&b, (struct mono){ 1 }) != first)
			return;
	}
	ck_abort_msg("100 times the same wait");
}
END_TEST

START_TEST(a_quiet_time_starts_it_over_and_a_shorter_one_does_not)
{
	struct backoff b = NEW;
	struct mono now = { 1 };

	for (int i = 0; i < 8; i++)
		(void)backoff_next(&b, now);
	now = mono_add_msec(now, 120000);
	ck_assert_uint_ge(backoff_next(&b, now), 30000);
	now.ns += 1 + 120000 * NSEC_PER_MSEC;
	ck_assert_uint_lt(backoff_next(&b, now), 1600);
}
END_TEST

START_TEST(a_success_starts_it_over)
{
	struct backoff b = NEW;
	struct mono now = { 1 };

	for (int i = 0; i < 8; i++)
		(void)backoff_next(&b, now);
	backoff_reset(&b);
	ck_assert_uint_lt(backoff_next(&b, now), 1600);
}
END_TEST

START_TEST(a_ceiling_that_comes_down_counts_at_once)
{
	struct backoff b = NEW;
	struct mono now = { 1 };

	for (int i = 0; i < 8; i++)
		(void)backoff_next(&b, now);
	b.max_msec = 2400;
	for (int i = 0; i < 100; i++)
		ck_assert_uint_lt(backoff_next(&b, now), 4800);
}
END_TEST

UNIT_MAIN("backoff", UNIT(each_wait_is_drawn_from_a_doubling_range_up_to_the_ceiling),
	  UNIT(waits_are_not_the_same_for_everyone),
	  UNIT(a_quiet_time_starts_it_over_and_a_shorter_one_does_not),
	  UNIT(a_success_starts_it_over), UNIT(a_ceiling_that_comes_down_counts_at_once))
