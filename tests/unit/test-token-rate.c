/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "nmi/token/rate.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

#define MSEC(n) ((struct mono){ (n)*NSEC_PER_MSEC })

START_TEST(a_rate_of_none_lets_everything_pass)
{
	struct rate r;

	rate_init(&r, 0);
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_uint_eq(rate_next(&r, MSEC(7)).ns, MSEC(7).ns);
		rate_sent(&r, MSEC(7));
	}
	for (unsigned i = 0; i < 1000; i++)
		rate_answered(&r, MSEC(8));
	rate_deinit(&r);
}
END_TEST

START_TEST(a_few_go_at_once_and_the_others_evenly)
{
	static const uint64_t at[] = { 1000, 1000, 1000, 1000, 1050, 1100, 1150 };
	struct mono now = MSEC(1000);
	struct rate r;

	rate_init(&r, 20);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct mono next = rate_next(&r, now);

		now = mono_before(now, next) ? next : now;
		ck_assert_uint_eq(now.ns, MSEC(at[i]).ns);
		rate_sent(&r, now);
		rate_answered(&r, now);
	}
	rate_deinit(&r);
}
END_TEST

START_TEST(what_is_not_answered_keeps_its_place_however_long_it_takes)
{
	struct rate r;

	rate_init(&r, 2);
	rate_sent(&r, MSEC(1000));
	rate_sent(&r, MSEC(1000));
	ck_assert_uint_eq(rate_next(&r, MSEC(9000)).ns, RATE_NEVER);
	rate_answered(&r, MSEC(9000));
	ck_assert_uint_eq(rate_next(&r, MSEC(9000)).ns, MSEC(10000).ns);
	ck_assert_uint_eq(rate_next(&r, MSEC(10000)).ns, MSEC(10000).ns);
	rate_deinit(&r);
}
END_TEST

/* An upstream at which each request arrives at some moment between sending and answer. */
static const struct {
	unsigned per_second, in_flight;
	uint64_t least_msec, most_msec; /* what each takes */
	unsigned at_least; /* in a minute, of those that want to be sent all the time */
} upstreams[] = {
	{ 20, 4, 0, 0, 1199 },	     /* at once */
	{ 20, 4, 1, 60, 1120 },	     /* as IMDS */
	{ 20, 4, 1, 900, 400 },	     /* slow: what is in flight bounds it */
	{ 20, 100, 1, 5000, 300 },   /* very slow, and any number in flight */
	{ 5, 4, 1, 300, 250 },	     /* the other limit of IMDS */
	{ 1, 4, 1, 300, 46 },	     /* one */
	{ 100, 16, 0, 2000, 800 },   /* as Entra */
	{ 20, 4, 14000, 15000, 14 }, /* hanging */
};

#define SENDINGS 8192

/* The same each time (Numerical Recipes' generator). */
static uint64_t dice(uint64_t n)
{
	static uint32_t state = 1;

	state = state * 1664525U + 1013904223U;
	return (state >> 8) % n;
}

struct flight {
	uint64_t sent, arrived, answered;
};

static int earlier(const void *a, const void *b)
{
	const struct flight *x = a, *y = b;

	return x->arrived < y->arrived ? -1 : x->arrived > y->arrived;
}

/* Sends whenever it is allowed, for a minute in steps of a millisecond; the number of sendings. */
static size_t send_for_a_minute(struct rate *r, struct flight *flights, int row)
{
	const uint64_t spread = upstreams[row].most_msec - upstreams[row].least_msec + 1;
	size_t n = 0;

	for (uint64_t t = 1000; t < 61000; t++) {
		for (size_t i = n < 400 ? 0 : n - 400; i < n; i++) {
			if (flights[i].answered == t)
				rate_answered(r, MSEC(t));
		}
		while (r->under_way < upstreams[row].in_flight &&
		       !mono_before(MSEC(t), rate_next(r, MSEC(t)))) {
			uint64_t takes = upstreams[row].least_msec + dice(spread);

			ck_assert_uint_lt(n, SENDINGS);
			flights[n++] = (struct flight){ t, t + dice(takes + 1), t + takes };
			rate_sent(r, MSEC(t));
			if (!takes)
				rate_answered(r, MSEC(t));
		}
	}
	return n;
}

START_TEST(no_second_ever_sees_more_than_its_number_arrive_and_little_is_wasted)
{
	static struct flight flights[SENDINGS];
	const unsigned per_second = upstreams[_i].per_second;
	struct rate r;
	size_t n;

	rate_init(&r, per_second);
	n = send_for_a_minute(&r, flights, _i);
	qsort(flights, n, sizeof(flights[0]), earlier);
	for (size_t i = per_second; i < n; i++)
		ck_assert_uint_ge(flights[i].arrived, flights[i - per_second].arrived + 1000);
	ck_assert_uint_ge(n, upstreams[_i].at_least);
	rate_deinit(&r);
}
END_TEST

START_TEST(what_is_left_of_a_second_is_told)
{
	struct rate r;

	rate_init(&r, 3);
	ck_assert_uint_eq(rate_left(&r, MSEC(1000)), 3);
	rate_sent(&r, MSEC(1000));
	rate_sent(&r, MSEC(1000));
	ck_assert_uint_eq(rate_left(&r, MSEC(5000)), 1);
	rate_answered(&r, MSEC(5000));
	ck_assert_uint_eq(rate_left(&r, MSEC(5999)), 1);
	ck_assert_uint_eq(rate_left(&r, MSEC(6000)), 2);
	rate_sent(&r, MSEC(6000));
	rate_sent(&r, MSEC(6000));
	ck_assert_uint_eq(rate_left(&r, MSEC(6000)), 0);
	rate_deinit(&r);
	rate_init(&r, 0);
	ck_assert_uint_eq(rate_left(&r, MSEC(1000)), UINT32_MAX);
	rate_deinit(&r);
}
END_TEST

UNIT_MAIN("token-rate", UNIT(what_is_left_of_a_second_is_told),
	  UNIT(a_rate_of_none_lets_everything_pass), UNIT(a_few_go_at_once_and_the_others_evenly),
	  UNIT(what_is_not_answered_keeps_its_place_however_long_it_takes),
	  UNIT_LOOP(no_second_ever_sees_more_than_its_number_arrive_and_little_is_wasted,
		    upstreams))
