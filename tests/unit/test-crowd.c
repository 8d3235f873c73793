/* SPDX-License-Identifier: MIT */

/* Who may have how many connections, and who makes room for whom. */

#include "lib/base/mem.h"
#include "nmi/front/crowd.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define FULL 120
#define MAX  ((size_t)4 * FULL)

struct one {
	struct crowd_place place;
	unsigned of;
};

static struct crowd crowd;
static struct one ones[MAX];
static unsigned n_cut[256];

static struct inet_ip ip_of(unsigned n)
{
	return (struct inet_ip){ { [10] = 0xff, 0xff, 10, 0, 0, (uint8_t)n } };
}

static void start(unsigned peer_max)
{
	crowd = (struct crowd){ .full_at = FULL, .peer_max = peer_max };
	memset(ones, 0, sizeof(ones));
	memset(n_cut, 0, sizeof(n_cut));
}

static void stop(void)
{
	for (size_t i = 0; i < MAX; i++)
		crowd_leave(&crowd, &ones[i].place);
	ck_assert_uint_eq(crowd.n, 0);
	ck_assert_uint_eq(hmap_count(&crowd.peers), 0);
}

static struct one *of(struct crowd_place *place)
{
	return place ? container_of(place, struct one, place) : NULL;
}

/* As a listener does it; NULL: it was not admitted. */
static struct one *come(unsigned n)
{
	struct inet_ip ip = ip_of(n);
	struct one *o = ones, *out;

	if (!crowd_admits(&crowd, &ip))
		return NULL;
	while (o->place.peer)
		o++;
	o->of = n;
	crowd_enter(&crowd, &o->place, &ip);
	out = of(crowd_excess(&crowd));
	if (out) {
		n_cut[out->of]++;
		crowd_leave(&crowd, &out->place);
	}
	return o;
}

static unsigned has(unsigned n)
{
	unsigned count = 0;

	for (size_t i = 0; i < MAX; i++)
		count += ones[i].place.peer && ones[i].of == n;
	return count;
}

START_TEST(while_there_is_room_everybody_may_stay)
{
	start(0);
	for (int i = 0; i < FULL; i++)
		ck_assert_ptr_nonnull(come(1));
	ck_assert_ptr_null(crowd_excess(&crowd));
	ck_assert_ptr_null(come(1)); /* it would only push out itself */
	ck_assert_uint_eq(n_cut[1], 0);
	stop();
}
END_TEST

START_TEST(one_address_has_a_limit_of_its_own)
{
	start(8);
	for (int i = 0; i < 8; i++)
		ck_assert_ptr_nonnull(come(1));
	ck_assert_ptr_null(come(1));
	ck_assert_ptr_nonnull(come(2));
	crowd_leave(&crowd, &ones[0].place);
	ck_assert_ptr_nonnull(come(1));
	stop();
}
END_TEST

static const unsigned numbers_of_attackers[] = { 1, 2, 3, 7, 20, 40 };

START_TEST(however_many_take_all_others_have_room)
{
	const unsigned attackers = numbers_of_attackers[_i];
	struct one *mine;

	start(0);
	for (unsigned i = 0; i < FULL; i++)
		(void)come(1 + i % attackers);
	ck_assert_uint_eq(crowd.n, FULL);
	for (int round = 0; round < 3; round++) {
		mine = come(200 + (unsigned)round);
		ck_assert_ptr_nonnull(mine);
		/* they try all the time, and it stays */
		for (unsigned i = 0; i < 2 * FULL; i++)
			(void)come(1 + i % attackers);
		ck_assert_ptr_nonnull(mine->place.peer);
		ck_assert_uint_eq(n_cut[200 + round], 0);
	}
	ck_assert_uint_eq(crowd.n, FULL);
	stop();
}
END_TEST

START_TEST(those_who_have_most_end_with_the_same_and_then_leave_each_other_alone)
{
	unsigned before[4];

	start(0);
	for (int i = 0; i < FULL; i++)
		ck_assert_ptr_nonnull(come(1));
	for (int i = 0; i < FULL; i++) {
		(void)come(2);
		(void)come(3);
	}
	for (unsigned n = 1; n <= 3; n++) {
		ck_assert_uint_ge(has(n), FULL / 3 - 1);
		ck_assert_uint_le(has(n), FULL / 3 + 1);
		before[n] = n_cut[n];
	}
	for (int i = 0; i < FULL; i++)
		(void)come(1 + (unsigned)i % 3);
	for (unsigned n = 1; n <= 3; n++)
		ck_assert_uint_eq(n_cut[n], before[n]);
	stop();
}
END_TEST

START_TEST(the_longest_unused_goes_first)
{
	struct one *first, *second, *third;

	start(0);
	first = come(1);
	second = come(1);
	third = come(1);
	for (int i = 3; i < FULL; i++)
		ck_assert_ptr_nonnull(come(1));
	crowd_use(&first->place);
	crowd_use(&third->place);
	ck_assert_ptr_nonnull(come(2));
	ck_assert_ptr_null(second->place.peer);
	ck_assert_ptr_nonnull(first->place.peer);
	ck_assert_ptr_nonnull(third->place.peer);
	ck_assert_uint_eq(n_cut[1], 1);
	/* of one that has left nothing is wanted any more */
	crowd_use(&second->place);
	crowd_leave(&crowd, &second->place);
	stop();
}
END_TEST

/* Whose turn it is, as a text of addresses, all rounds until nobody waits. */
static const char *rest(void)
{
	static char out[64];
	struct crowd_place *place;
	size_t n = 0;

	for (;;) {
		crowd_round(&crowd);
		if (!crowd.waiting)
			break;
		while ((place = crowd_next(&crowd))) {
			out[n++] = (char)('0' + of(place)->of);
			ck_assert(crowd_turn(&crowd, place)); /* it may, now */
		}
		out[n++] = ' ';
	}
	out[n] = '\0';
	return out;
}

START_TEST(turns_go_round_among_addresses_and_in_order_within_one)
{
	struct one *a[5], *b[3], *c;

	start(0);
	crowd.turns = 2;
	for (int i = 0; i < 5; i++)
		a[i] = come(1);
	for (int i = 0; i < 5; i++) /* alone there are no turns */
		ck_assert(crowd_turn(&crowd, &a[i]->place));
	crowd.turns_always = true; /* or there are */
	for (int i = 0; i < 5; i++)
		ck_assert(crowd_turn(&crowd, &a[i]->place) == (i < 2));
	ck_assert_str_eq(rest(), "11 1 ");
	crowd.turns_always = false;
	for (int i = 0; i < 3; i++)
		b[i] = come(2);
	c = come(3);
	crowd_round(&crowd);
	for (int i = 0; i < 5; i++)
		ck_assert(crowd_turn(&crowd, &a[i]->place) == (i < 2));
	for (int i = 0; i < 3; i++)
		ck_assert(crowd_turn(&crowd, &b[i]->place) == (i < 2));
	ck_assert(crowd_turn(&crowd, &c->place));
	ck_assert_str_eq(rest(), "112 1 ");
	ck_assert_ptr_null(crowd_next(&crowd));
	/* who has left waits no more, and who comes later does not overtake */
	for (int i = 0; i < 5; i++)
		(void)crowd_turn(&crowd, &a[i]->place);
	crowd_leave(&crowd, &a[3]->place);
	crowd_round(&crowd);
	ck_assert(!crowd_turn(&crowd, &a[0]->place));
	ck_assert_str_eq(rest(), "11 1 ");
	stop();
}
END_TEST

static bool is_used[MAX];

/* Those who came last, longest. */
static uint64_t since(const struct crowd_place *p)
{
	ptrdiff_t i = container_of(p, struct one, place) - ones;

	return is_used[i] ? 0 : MAX - (uint64_t)i;
}

START_TEST(who_can_go_is_of_who_has_the_most_of_those_who_have_such_a_one)
{
	struct one *few, *many[3];

	start(0);
	memset(is_used, 0, sizeof(is_used));
	ck_assert_ptr_null(crowd_spare(&crowd, since));
	few = come(1);
	ck_assert_ptr_eq(crowd_spare(&crowd, since), &few->place);
	for (unsigned i = 0; i < 3; i++)
		many[i] = come(2);
	(void)come(3);
	ck_assert_ptr_eq(crowd_spare(&crowd, since), &many[0]->place);
	crowd_use(&many[0]->place);
	ck_assert_ptr_eq(crowd_spare(&crowd, since), &many[1]->place);
	is_used[many[1] - ones] = true;
	ck_assert_ptr_eq(crowd_spare(&crowd, since), &many[2]->place);
	/* it has the most, and all are in use: of those who have one each it is the longest unused */
	is_used[many[0] - ones] = is_used[many[2] - ones] = true;
	for (unsigned i = 4; i < 20; i++)
		(void)come(i);
	for (size_t i = MAX; i-- > 0;) {
		if (!ones[i].place.peer || is_used[i])
			continue;
		ck_assert_ptr_eq(crowd_spare(&crowd, since), &ones[i].place);
		is_used[i] = true;
	}
	ck_assert_ptr_null(crowd_spare(&crowd, since));
	stop();
}
END_TEST

UNIT_MAIN("crowd", UNIT(while_there_is_room_everybody_may_stay),
	  UNIT(one_address_has_a_limit_of_its_own),
	  UNIT_LOOP(however_many_take_all_others_have_room, numbers_of_attackers),
	  UNIT(those_who_have_most_end_with_the_same_and_then_leave_each_other_alone),
	  UNIT(the_longest_unused_goes_first),
	  UNIT(who_can_go_is_of_who_has_the_most_of_those_who_have_such_a_one),
	  UNIT(turns_go_round_among_addresses_and_in_order_within_one))
