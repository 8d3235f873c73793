/* SPDX-License-Identifier: MIT */

#include "lib/base/bucket.h"
#include "tests/unit/unit.h"

/* As the redirector's: 100 at once, then 20 a second. */
#define BURST	 100
#define INTERVAL (NSEC_PER_SEC / 20)
#define MSEC(n)	 ((struct mono){ (n)*NSEC_PER_MSEC })

static const struct mono t0 = { 5 * NSEC_PER_SEC };

static unsigned take_all(struct bucket *b, struct mono now)
{
	unsigned n = 0;

	while (n < 1000 && bucket_try(b, INTERVAL, BURST, now))
		n++;
	return n;
}

START_TEST(a_burst_passes_at_once_and_no_more)
{
	struct bucket b = { 0 };

	ck_assert_uint_eq(take_all(&b, t0), 100);
	ck_assert(!bucket_try(&b, INTERVAL, BURST, t0));
}
END_TEST

START_TEST(then_it_is_so_many_a_second)
{
	struct bucket b = { 0 };

	(void)take_all(&b, t0);
	ck_assert(!bucket_try(&b, INTERVAL, BURST, mono_add_msec(t0, 49)));
	ck_assert(bucket_try(&b, INTERVAL, BURST, mono_add_msec(t0, 51)));
	ck_assert_uint_eq(take_all(&b, mono_add_msec(t0, 1051)), 20);
}
END_TEST

START_TEST(a_quiet_time_fills_it_up_and_not_over)
{
	struct bucket b = { 0 };

	(void)take_all(&b, t0);
	ck_assert_uint_eq(take_all(&b, mono_add_msec(t0, UINT64_C(3600) * 1000)), 100);
}
END_TEST

START_TEST(a_bucket_gives_its_burst_and_then_one_an_interval)
{
	const uint64_t interval = 500 * NSEC_PER_MSEC;
	struct bucket b = { 0 };

	for (unsigned i = 0; i < 10; i++) {
		ck_assert(!mono_before(MSEC(5000), bucket_next(&b, interval, 10)));
		bucket_take(&b, interval, MSEC(5000));
	}
	ck_assert_uint_eq(bucket_next(&b, interval, 10).ns, MSEC(5500).ns);
	bucket_take(&b, interval, MSEC(5500));
	ck_assert_uint_eq(bucket_next(&b, interval, 10).ns, MSEC(6000).ns);
	/* left alone for long enough it is full, and not fuller */
	ck_assert(!mono_before(MSEC(20000), b.full_at));
	for (unsigned i = 0; i < 10; i++)
		bucket_take(&b, interval, MSEC(20000));
	ck_assert_uint_eq(bucket_next(&b, interval, 10).ns, MSEC(20500).ns);
}
END_TEST

UNIT_MAIN("bucket", UNIT(a_bucket_gives_its_burst_and_then_one_an_interval),
	  UNIT(a_burst_passes_at_once_and_no_more), UNIT(then_it_is_so_many_a_second),
	  UNIT(a_quiet_time_fills_it_up_and_not_over))
