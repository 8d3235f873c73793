/* SPDX-License-Identifier: MIT */

#include "lib/loop/loop.h"
#include "tests/unit/unit.h"

static struct loop *busy_loop;

static void on_quiet(struct loop_timer *t)
{
	(void)t;
}

static void on_busy(struct loop_timer *t)
{
	struct mono end = mono_add_msec(loop_mono(busy_loop), 60);

	while (mono_before(loop_mono(busy_loop), end))
		;
}

START_TEST(a_turn_that_takes_long_is_told_and_so_is_a_timer_that_had_to_wait_for_it)
{
	struct loop *l = loop_new(NULL);
	struct loop_timer busy = { 0 }, late = { 0 }, far = { 0 };

	busy_loop = l;
	loop_timer_set_msec(l, &far, 3600000, on_busy);
	ck_assert_int_eq(loop_turn(l, 20, NULL), 0);
	/* nothing has happened: what there is is the machine's own */
	ck_assert_uint_lt(loop_lag(l).turn_nsec, 40 * NSEC_PER_MSEC);
	loop_timer_set_msec(l, &busy, 0, on_busy);
	ck_assert_int_eq(loop_turn(l, 20, NULL), 0);
	loop_timer_set_msec(l, &late, 0, on_busy);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	loop_timer_set_msec(l, &busy, 10, on_busy);
	loop_timer_set_msec(l, &late, 0, on_busy);
	ck_assert_int_eq(loop_turn(l, 20, NULL), 0); /* 60 ms, in which the other was due */
	ck_assert_int_eq(loop_turn(l, 20, NULL), 0);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_ge(loop_lag(l).turn_nsec, 60 * NSEC_PER_MSEC);
	ck_assert_uint_lt(loop_lag(l).turn_nsec, 30000 * NSEC_PER_MSEC);
	ck_assert_uint_ge(loop_lag(l).timer_nsec, 45 * NSEC_PER_MSEC);
	ck_assert_uint_lt(loop_lag(l).timer_nsec, 30000 * NSEC_PER_MSEC);
	loop_timer_del(&far);
	loop_free(l);
}
END_TEST

START_TEST(of_a_fake_loop_there_is_no_lag)
{
	struct loop *l = loop_new_fake(NULL);
	struct loop_timer late = { 0 };

	loop_timer_set_msec(l, &late, 5, on_quiet);
	loop_fake_advance(l, 100000);
	ck_assert_uint_eq(loop_lag(l).turn_nsec, 0);
	ck_assert_uint_eq(loop_lag(l).timer_nsec, 0);
	loop_free(l);
}
END_TEST

UNIT_MAIN("loop-lag",
	  UNIT(a_turn_that_takes_long_is_told_and_so_is_a_timer_that_had_to_wait_for_it),
	  UNIT(of_a_fake_loop_there_is_no_lag))
