/* SPDX-License-Identifier: MIT */

/* What is not answered while later requests are is asked for once more, beside the first. */

#include "nmi/token/token.h"
#include "tests/unit/cache-bench.h"

#include <utlist.h>

/* Two that wait, of which the first is never answered; `later` msec between them. */
static void lose(struct bench *b, struct got *g, unsigned later)
{
	struct token_ask ask;

	bench_init(b, 10, 4, 10);
	ask = ask_for(b, "lost");
	(void)get(b, &ask, &g[0]);
	loop_fake_advance(b->loop, later);
	ask = ask_for(b, "answered");
	(void)get(b, &ask, &g[1]);
	ck_assert_uint_eq(b->source.n_pending, 2);
}

/* The newest one that is pending is the next to be answered. */
static void newest_first(struct bench *b)
{
	struct fake_fetch *f = b->source.pending->prev;

	DL_DELETE(b->source.pending, f);
	DL_PREPEND(b->source.pending, f);
}

static void answer_newest(struct bench *b)
{
	newest_first(b);
	ck_assert(fake_source_give(&b->source, "t", HOUR));
}

static unsigned in_flight(const struct bench *b)
{
	struct token_cache_source source;

	ck_assert_uint_eq(token_cache_sources(b->cache, &source, 1), 1);
	ck_assert_uint_eq(source.in_flight, token_cache_stats(b->cache)->in_flight);
	return source.in_flight;
}

/* The second is answered, so that the first seems lost: at 3 s it is asked for once more, and the first goes on. */
static void hedge(struct bench *b, struct got *g)
{
	lose(b, g, 100);
	answer_newest(b);
	turn(b);
	ck_assert_str_eq(g[1].text, "t");
	loop_fake_advance(b->loop, 2899);
	ck_assert_uint_eq(b->source.asked, 2);
	loop_fake_advance(b->loop, 1);
	ck_assert_uint_eq(b->source.asked, 3);
	ck_assert_uint_eq(b->source.cancelled, 0);
	ck_assert_uint_eq(in_flight(b), 2); /* the budget knows of both */
	ck_assert_uint_eq(token_cache_stats(b->cache)->retries, 1);
}

static const bool second_wins[] = { false, true };

START_TEST(what_seems_lost_is_asked_for_beside_it_and_the_first_answer_counts)
{
	struct got g[2] = { 0 };
	struct bench b;

	hedge(&b, g);
	loop_fake_advance(b.loop, 1000); /* an upstream that takes 4 s has taken 4 */
	if (second_wins[_i])
		newest_first(&b);
	ck_assert(fake_source_give(&b.source, "first", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "first");
	ck_assert_uint_eq(g[0].calls, 1);
	ck_assert_uint_eq(b.source.cancelled, 1);
	ck_assert_uint_eq(b.source.n_pending, 0);
	ck_assert_uint_eq(in_flight(&b), 0);
	ck_assert_str_eq(peek(&b, "lost"), "first");
	bench_deinit(&b);
}
END_TEST

START_TEST(there_is_never_a_third)
{
	struct got g[2] = { 0 };
	struct token_ask ask;
	struct bench b;

	hedge(&b, g);
	loop_fake_advance(b.loop, 100);
	ask = ask_for(&b, "yet another");
	(void)get(&b, &ask, &g[1]);
	answer_newest(&b);
	loop_fake_advance(b.loop, 15000);
	ck_assert_uint_eq(b.source.asked, 4);
	ck_assert_uint_eq(b.source.cancelled, 0);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "t");
	bench_deinit(&b);
}
END_TEST

START_TEST(one_of_two_that_fails_leaves_the_other)
{
	struct got g[2] = { 0 };
	struct bench b;

	hedge(&b, g);
	if (second_wins[_i])
		newest_first(&b);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	turn(&b);
	ck_assert_uint_eq(g[0].calls, 0);
	ck_assert_uint_eq(b.source.cancelled, 0);
	ck_assert_uint_eq(in_flight(&b), 1);
	ck_assert(fake_source_give(&b.source, "other", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "other");
	bench_deinit(&b);
}
END_TEST

START_TEST(when_both_have_failed_it_is_tried_again_as_any_other)
{
	struct got g[2] = { 0 };
	struct bench b;

	hedge(&b, g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	turn(&b);
	ck_assert_uint_eq(g[0].calls, 0);
	ck_assert_uint_eq(in_flight(&b), 0);
	loop_fake_advance(b.loop, 3000);
	ck_assert_uint_eq(b.source.n_pending, 1);
	ck_assert(fake_source_give(&b.source, "third", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "third");
	bench_deinit(&b);
}
END_TEST

START_TEST(one_of_two_that_is_refused_ends_the_other)
{
	struct got g[2] = { 0 };
	struct bench b;

	hedge(&b, g);
	if (second_wins[_i])
		newest_first(&b);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_REFUSED, 0));
	turn(&b);
	ck_assert_int_eq(g[0].fault, TOKEN_FAULT_REFUSED);
	ck_assert_uint_eq(b.source.cancelled, 1);
	ck_assert_uint_eq(in_flight(&b), 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_cache_that_is_freed_ends_both)
{
	struct got g[2] = { 0 };
	struct bench b;

	hedge(&b, g);
	b.cache = token_cache_free(b.cache);
	ck_assert_uint_eq(b.source.cancelled, 2);
	ck_assert_uint_eq(g[0].calls, 0);
	bench_deinit(&b);
}
END_TEST

/* A source that cannot be asked once more is no reason to give up what it was asked. */
START_TEST(a_second_that_cannot_be_sent_leaves_the_first)
{
	struct got g[2] = { 0 };
	struct bench b;

	lose(&b, g, 100);
	answer_newest(&b);
	b.source.refuses = true;
	loop_fake_advance(b.loop, 10000);
	ck_assert_uint_eq(b.source.cancelled, 0);
	ck_assert_uint_eq(in_flight(&b), 1);
	ck_assert_uint_eq(b.source.asked, 3);
	ck_assert(fake_source_give(&b.source, "late", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "late");
	bench_deinit(&b);
}
END_TEST

static bool has_begun(const void *handle)
{
	(void)handle;
	return true;
}

START_TEST(an_answer_that_is_stuck_is_given_up)
{
	struct got g[2] = { 0 };
	struct bench b;

	lose(&b, g, 100);
	answer_newest(&b);
	b.source.vtable.is_answering = has_begun;
	loop_fake_advance(b.loop, 2900);
	ck_assert_uint_eq(b.source.cancelled, 1);
	ck_assert_uint_eq(in_flight(&b), 1);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "t");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_second_waits_until_the_rate_lets_it_go)
{
	struct got g[2] = { 0 };
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	ask = ask_for(&b, "lost");
	b.source.vtable.budget.per_second = 2;
	(void)get(&b, &ask, &g[0]);
	loop_fake_advance(b.loop, 2600);
	ask = ask_for(&b, "later");
	(void)get(&b, &ask, &g[1]);
	ck_assert_uint_eq(b.source.n_pending, 2);
	answer_newest(&b);
	loop_fake_advance(b.loop, 400);
	/* one is under way, one was within the second */
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert_uint_eq(b.source.cancelled, 0);
	loop_fake_advance(b.loop, 2000);
	ck_assert_uint_eq(b.source.asked, 3);
	ck_assert_uint_eq(b.source.cancelled, 0);
	bench_deinit(&b);
}
END_TEST

static const bool somebody_waits[] = { false, true };

START_TEST(where_there_is_no_room_beside_it_the_first_is_given_up_for_the_second)
{
	struct got g[4] = { 0 };
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 2, 10);
	ask = ask_for(&b, "lost"); /* nobody's, so that it is not a pod's share that is full */
	(void)get(&b, &ask, &g[0]);
	loop_fake_advance(b.loop, 100);
	(void)get_as(&b, "b", "answered", &g[1]);
	answer_newest(&b);
	(void)get_as(&b, "b", "fills", &g[2]);
	if (somebody_waits[_i])
		(void)get_as(&b, "c", "waits", &g[3]);
	ck_assert_uint_eq(b.source.n_pending, 2);
	loop_fake_advance(b.loop, 2900);
	ck_assert_uint_eq(b.source.cancelled, 1);
	ck_assert_uint_eq(b.source.most_pending, 2);
	ck_assert_uint_eq(in_flight(&b), 2);
	while (fake_source_give(&b.source, "t", HOUR))
		turn(&b);
	ck_assert_str_eq(g[0].text, "t");
	ck_assert_uint_eq(b.source.most_pending, 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(who_waits_for_the_rate_goes_before_a_second)
{
	struct got g[8] = { 0 };
	struct bench b;

	bench_init(&b, 20, 8, 10);
	b.source.vtable.budget.per_second = 2;
	(void)get_as(&b, "a", "lost", &g[0]);
	loop_fake_advance(b.loop, 2000);
	(void)get_as(&b, "b", "answered", &g[1]);
	answer_newest(&b);
	loop_fake_advance(b.loop, 990);
	for (unsigned i = 2; i < 8; i++) {
		const char uid[] = { (char)('a' + i), '\0' };

		(void)get_as(&b, uid, uid, &g[i]);
	}
	loop_fake_advance(b.loop, 10);
	ck_assert_uint_eq(token_cache_stats(b.cache)->waiting, 7);
	ck_assert_uint_eq(b.source.n_pending, 1);
	ck_assert_uint_eq(b.source.cancelled, 1); /* it stands in the queue */
	loop_fake_advance(b.loop, 1000);
	ck_assert_uint_le(b.source.most_in_second, 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_has_no_more_in_flight_by_asking_twice)
{
	struct got g[5] = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	(void)get_as(&b, "p", "lost", &g[0]);
	(void)get_as(&b, "p", "second", &g[1]);
	(void)get_as(&b, "p", "third", &g[2]);
	(void)get_as(&b, "p", "queued", &g[3]); /* one place is for others */
	loop_fake_advance(b.loop, 100);
	(void)get_as(&b, "q", "answered", &g[4]);
	ck_assert_uint_eq(b.source.n_pending, 4);
	answer_newest(&b);
	loop_fake_advance(b.loop, 2900);
	ck_assert_uint_eq(in_flight(&b), 3);
	ck_assert_uint_eq(b.source.n_pending, 3);
	ck_assert_uint_ge(b.source.cancelled, 1);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_could_not_be_asked_for_once_more_is_waited_for)
{
	struct got g[3] = { 0 };
	struct token_ask ask;
	struct bench b;

	lose(&b, g, 100);
	answer_newest(&b);
	loop_fake_advance(b.loop, 1900);
	ask = ask_for(&b, "throttled");
	(void)get(&b, &ask, &g[2]);
	newest_first(&b);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 20));
	loop_fake_advance(b.loop, 5000);
	ck_assert_int_eq(g[2].fault, TOKEN_FAULT_THROTTLED);
	ck_assert_uint_eq(b.source.cancelled, 0);
	ck_assert_uint_eq(g[0].calls, 0);
	ck_assert(fake_source_give(&b.source, "late", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "late");
	bench_deinit(&b);
}
END_TEST

static enum token_news unsure(void *ctx, const struct token_ask *ask, uint64_t origin)
{
	(void)ctx;
	(void)ask;
	(void)origin;
	return TOKEN_NEWS_UNSURE;
}

START_TEST(a_token_that_is_given_back_does_not_say_that_another_is_lost)
{
	struct got g[2] = { 0 };
	struct token_ask ask;
	struct token *known;
	struct fake_fetch f;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	b.source.vtable.check = unsure;
	ask = ask_for(&b, "known");
	(void)get(&b, &ask, &g[0]);
	f = *b.source.pending;
	known = token_new(&(struct token_fields){ .access_token = "t",
						  .resource = "known",
						  .expires_on = loop_wall(b.loop).s + HOUR });
	b.source.vtable.cancel(b.source.vtable.ctx, b.source.pending);
	f.done(f.ctx, known, NULL);
	ask = ask_for(&b, "slow");
	(void)get(&b, &ask, &g[0]);
	loop_fake_advance(b.loop, 100);
	ask = ask_for(&b, "known");
	(void)get(&b, &ask, &g[1]);
	f = *b.source.pending->prev;
	b.source.vtable.cancel(b.source.vtable.ctx, b.source.pending->prev);
	f.done(f.ctx, known, NULL);
	turn(&b);
	ck_assert_str_eq(g[1].text, "t");
	loop_fake_advance(b.loop, 10000);
	ck_assert_uint_eq(b.source.cancelled, 2); /* by this test */
	(void)token_unref(known);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_is_answered_late_as_all_else_is_not_lost)
{
	struct got g[2] = { 0 };
	struct bench b;

	lose(&b, g, 100);
	loop_fake_advance(b.loop, 10000);
	ck_assert_uint_eq(b.source.cancelled, 0);
	ck_assert(fake_source_give(&b.source, "t", HOUR)); /* in their order */
	loop_fake_advance(b.loop, 5000);
	ck_assert_uint_eq(b.source.cancelled, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_failure_of_a_later_one_does_not_say_that_an_earlier_one_is_lost)
{
	struct got g[2] = { 0 };
	struct bench b;

	lose(&b, g, 100);
	newest_first(&b);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_REFUSED, 0));
	loop_fake_advance(b.loop, 10000);
	ck_assert_uint_eq(b.source.cancelled, 0);
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("token-hedge",
	  UNIT_LOOP(what_seems_lost_is_asked_for_beside_it_and_the_first_answer_counts,
		    second_wins),
	  UNIT(there_is_never_a_third),
	  UNIT_LOOP(one_of_two_that_fails_leaves_the_other, second_wins),
	  UNIT(when_both_have_failed_it_is_tried_again_as_any_other),
	  UNIT_LOOP(one_of_two_that_is_refused_ends_the_other, second_wins),
	  UNIT(a_cache_that_is_freed_ends_both),
	  UNIT(a_second_that_cannot_be_sent_leaves_the_first),
	  UNIT(an_answer_that_is_stuck_is_given_up), UNIT(a_second_waits_until_the_rate_lets_it_go),
	  UNIT_LOOP(where_there_is_no_room_beside_it_the_first_is_given_up_for_the_second,
		    somebody_waits),
	  UNIT(who_waits_for_the_rate_goes_before_a_second),
	  UNIT(a_pod_has_no_more_in_flight_by_asking_twice),
	  UNIT(what_could_not_be_asked_for_once_more_is_waited_for),
	  UNIT(a_token_that_is_given_back_does_not_say_that_another_is_lost),
	  UNIT(what_is_answered_late_as_all_else_is_not_lost),
	  UNIT(a_failure_of_a_later_one_does_not_say_that_an_earlier_one_is_lost))
