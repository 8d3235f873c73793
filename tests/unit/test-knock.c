/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/kube/knock.h"
#include "tests/unit/unit.h"

struct waiter {
	struct knock_wait wait;
	unsigned opened;
};

static void on_opened(struct knock_wait *w)
{
	struct waiter *me = container_of(w, struct waiter, wait);

	ck_assert_ptr_null(w->knock);
	me->opened++;
}

START_TEST(one_tries_at_a_time_and_the_next_is_told_how_long_to_wait)
{
	struct mono now = { NSEC_PER_SEC };
	struct knock k = { 0 };
	unsigned wait = 7;

	ck_assert(knock_may(&k, now, &wait));
	ck_assert_uint_eq(wait, 7);
	ck_assert(!knock_may(&k, now, &wait));
	ck_assert_uint_eq(wait, 2000);
	now = mono_add_msec(now, 1999);
	ck_assert(!knock_may(&k, now, &wait));
	ck_assert_uint_eq(wait, 1);
	now = mono_add_msec(now, 1);
	ck_assert(knock_may(&k, now, &wait));
	ck_assert(!knock_may(&k, now, &wait));
}
END_TEST

START_TEST(all_who_wait_are_told_once_when_it_opens_and_may_go_in_together)
{
	struct waiter a = { 0 }, b = { 0 }, c = { 0 };
	struct mono now = { NSEC_PER_SEC };
	struct knock k = { 0 };
	unsigned wait;

	knock_wait(&k, &a.wait, on_opened);
	knock_wait(&k, &b.wait, on_opened);
	knock_wait(&k, &c.wait, on_opened);
	knock_wait(&k, &c.wait, on_opened); /* again */
	knock_leave(&b.wait);
	knock_leave(&b.wait);
	ck_assert(knock_may(&k, now, &wait));
	knock_opened(&k);
	knock_opened(&k);
	ck_assert_uint_eq(a.opened, 1);
	ck_assert_uint_eq(b.opened, 0);
	ck_assert_uint_eq(c.opened, 1);
	ck_assert(knock_may(&k, now, &wait));
}
END_TEST

UNIT_MAIN("knock", UNIT(one_tries_at_a_time_and_the_next_is_told_how_long_to_wait),
	  UNIT(all_who_wait_are_told_once_when_it_opens_and_may_go_in_together))
