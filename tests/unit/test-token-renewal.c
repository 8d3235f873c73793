/* SPDX-License-Identifier: MIT */

#include "tests/unit/cache-bench.h"
#include "tests/unit/log-lines.h"

START_TEST(a_queued_flight_goes_with_its_last_caller)
{
	struct got g[3] = { 0 };
	struct token_wait *w, *v;
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 1, 10);
	ask = ask_for(&b, "first");
	(void)get(&b, &ask, &g[0]);
	ask = ask_for(&b, "second");
	w = get(&b, &ask, &g[1]);
	v = get(&b, &ask, &g[2]);
	ck_assert_uint_eq(token_cache_stats(b.cache)->queued, 1);
	token_cache_cancel(w);
	token_cache_cancel(v);
	ck_assert_uint_eq(token_cache_stats(b.cache)->queued, 0);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_uint_eq(b.source.asked, 1);
	ck_assert_uint_eq(token_cache_stats(b.cache)->in_flight, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_queued_flight_whose_callers_will_come_back_is_sent_when_there_is_time)
{
	struct got g[2] = { 0 };
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 1, 10);
	ask = ask_for(&b, "first");
	(void)get(&b, &ask, &g[0]);
	ask = ask_for(&b, "second");
	(void)get(&b, &ask, &g[1]);
	loop_fake_advance(b.loop, 20000);
	ck_assert_int_eq(g[1].fault, TOKEN_FAULT_DOWN);
	ck_assert_ptr_nonnull(strstr(g[1].why, "too many other tokens"));
	ask = ask_for(&b, "third");
	(void)get(&b, &ask, &g[0]);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(fake_source_oldest(&b.source), "third");
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(fake_source_oldest(&b.source), "second");
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(peek(&b, "second"), "t");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_token_in_use_is_renewed_ahead_of_its_end)
{
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	ck_assert_str_eq(peek(&b, "r"), "one");
	loop_fake_advance(b.loop,
			  UINT64_C(2309) * 1000); /* seven tenths of 55 minutes, less a second */
	ck_assert_uint_eq(b.source.asked, 1);
	loop_fake_advance(b.loop, UINT64_C(331) * 1000); /* eight tenths */
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert_str_eq(peek(&b, "r"), "one"); /* meanwhile */
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(peek(&b, "r"), "two");
	ck_assert_uint_eq(token_cache_stats(b.cache)->tokens, 1);
	bench_deinit(&b);
}
END_TEST

/* Puts the clock that people set, with a token of an hour at hand that is in use. */
static void set_clock(struct bench *b, int64_t by_sec)
{
	bench_init(b, 10, 4, 10);
	fill(b, "r", "one", HOUR);
	ck_assert_str_eq(peek(b, "r"), "one");
	loop_fake_advance(b->loop, 10 * MINUTE_MSEC);
	loop_fake_set_wall(b->loop, by_sec);
}

START_TEST(a_clock_that_is_put_back_puts_neither_renewal_off_nor_the_end)
{
	struct bench b;

	set_clock(&b, -24 * HOUR);
	ck_assert_str_eq(peek(&b, "r"), "one");
	loop_fake_advance(b.loop, 34 * MINUTE_MSEC); /* eight tenths of 55 minutes */
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	loop_fake_advance(b.loop, 11 * MINUTE_MSEC - 1000);
	ck_assert_str_eq(peek(&b, "r"), "one");
	loop_fake_advance(b.loop, 1000); /* 55 minutes since it came */
	ck_assert_str_eq(peek(&b, "r"), "");
	bench_deinit(&b);
}
END_TEST

/* IMDS names a moment: a day away for a clock that is a day behind, though the token lives an hour. */
START_TEST(a_token_that_comes_while_the_clock_is_behind_is_kept_for_as_long_as_it_lives)
{
	struct bench b;

	set_clock(&b, -24 * HOUR);
	b.source.ahead_sec = 24 * HOUR;
	loop_fake_advance(b.loop, 34 * MINUTE_MSEC);
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(peek(&b, "r"), "two");
	loop_fake_advance(b.loop, 44 * MINUTE_MSEC); /* eight tenths */
	ck_assert_uint_eq(b.source.asked, 3);
	loop_fake_advance(b.loop, 11 * MINUTE_MSEC - 1000);
	ck_assert_str_eq(peek(&b, "r"), "two");
	loop_fake_advance(b.loop, 1000);
	ck_assert_str_eq(peek(&b, "r"), "");
	bench_deinit(&b);
}
END_TEST

/* Entra says how long a token is good, from when it comes: by this clock it ends a day before the other. */
START_TEST(a_token_that_comes_after_the_clock_was_put_back_takes_the_place_of_the_old_one)
{
	struct bench b;

	set_clock(&b, -24 * HOUR);
	loop_fake_advance(b.loop, 34 * MINUTE_MSEC);
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(peek(&b, "r"), "two");
	loop_fake_advance(b.loop, 44 * MINUTE_MSEC);
	ck_assert_uint_eq(b.source.asked, 3);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_clock_that_is_put_forward_past_the_end_ends_a_token_and_back_again_brings_none_back)
{
	struct bench b;

	set_clock(&b, HOUR);
	ck_assert_str_eq(peek(&b, "r"), "");
	fill(&b, "r", "two", HOUR);
	ck_assert_str_eq(peek(&b, "r"), "two");
	loop_fake_set_wall(b.loop, -HOUR);
	loop_fake_advance(b.loop, 55 * MINUTE_MSEC);
	ck_assert_str_ne(peek(&b, "r"), "two");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_token_that_nobody_uses_is_not_renewed_until_it_is_asked_for_again)
{
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, 54 * MINUTE_MSEC);
	ck_assert_uint_eq(b.source.asked, 1);
	ck_assert_str_eq(peek(&b, "r"), "one");
	turn(&b);
	ck_assert_uint_eq(b.source.asked, 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_unused_token_is_dropped_when_it_may_no_longer_be_given)
{
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, 59 * MINUTE_MSEC - 1);
	ck_assert_uint_eq(token_cache_stats(b.cache)->tokens, 1);
	loop_fake_advance(b.loop, 1);
	ck_assert_uint_eq(token_cache_stats(b.cache)->tokens, 0);
	ck_assert_str_eq(peek(&b, "r"), "");
	ck_assert_uint_eq(b.source.asked, 1);
	bench_deinit(&b);
}
END_TEST

/* Fails everything that is asked while `msec` pass. */
static unsigned fail_for(struct bench *b, uint64_t msec)
{
	unsigned before = b->source.asked;

	for (uint64_t t = 0; t < msec; t += 1000) {
		loop_fake_advance(b->loop, 1000);
		(void)fake_source_fail(&b->source, TOKEN_FAULT_DOWN, 0);
		turn(b);
	}
	return b->source.asked - before;
}

/* From then on it is the last resort: test-token-last.c. */
START_TEST(failed_renewals_keep_the_token_until_five_minutes_are_left)
{
	unsigned tries;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	ck_assert_str_eq(peek(&b, "r"), "one");
	tries = fail_for(&b, 55 * MINUTE_MSEC - 1000);
	ck_assert_str_eq(peek(&b, "r"), "one");
	ck_assert_uint_ge(tries, 3);  /* it is tried again ... */
	ck_assert_uint_le(tries, 12); /* ... ever more slowly */
	ck_assert_uint_eq(token_cache_stats(b.cache)->stale, tries);
	loop_fake_advance(b.loop, 1000);
	ck_assert_str_eq(peek(&b, "r"), "");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_failed_renewal_is_logged_once_a_minute_and_says_how_stale_the_token_is)
{
	const char *text;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	for (unsigned i = 0; i < 5; i++) {
		const char name[] = { (char)('a' + i), '\0' };

		fill(&b, name, "secret", HOUR);
		ck_assert_str_eq(peek(&b, name), "secret");
	}
	log_lines_start();
	b.source.answers_msec = 1;
	b.source.fault = TOKEN_FAULT_DOWN;
	loop_fake_advance(b.loop, 44 * MINUTE_MSEC); /* all have been due for at most 5.5 minutes */
	text = log_lines_end();
	ck_assert_uint_ge(token_cache_stats(b.cache)->stale, 5);
	ck_assert_uint_ge(log_lines_count(text, "\n"), 1);
	ck_assert_uint_le(log_lines_count(text, "\n"), 6);
	ck_assert_ptr_nonnull(strstr(text, " warn a token could not be renewed"));
	ck_assert_ptr_nonnull(strstr(text, " kept: 0 s past its renewal, handed out for "));
	ck_assert_ptr_nonnull(strstr(text, "the fake fails namespace=shop identity=web resource="));
	ck_assert_ptr_null(strstr(text, "secret"));
	bench_deinit(&b);
}
END_TEST

START_TEST(a_renewal_answered_with_the_same_token_is_not_repeated_at_once)
{
	int64_t end = 24 * HOUR, now = 0;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", end);
	for (; now < end - 400; now += 10) {
		(void)peek(&b, "r");
		loop_fake_advance(b.loop, 10000);
		(void)fake_source_give(&b.source, "one", end - now - 10);
		turn(&b);
	}
	ck_assert_uint_ge(b.source.asked, 4);
	ck_assert_uint_le(b.source.asked, 20);
	bench_deinit(&b);
}
END_TEST

START_TEST(renewals_wait_behind_callers)
{
	struct token_ask ask;
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b, 10, 1, 10);
	fill(&b, "old", "one", HOUR);
	ck_assert_str_eq(peek(&b, "old"), "one");
	ask = ask_for(&b, "blocks");
	(void)get(&b, &ask, &g[0]);
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC); /* the renewal is due and queued */
	ask = ask_for(&b, "new");
	(void)get(&b, &ask, &g[1]);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(fake_source_oldest(&b.source), "new");
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(fake_source_oldest(&b.source), "old");
	bench_deinit(&b);
}
END_TEST

START_TEST(renewals_go_before_what_callers_were_told_to_come_back_for)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 10, 1, 10);
	fill(&b, "old", "one", HOUR);
	ck_assert_str_eq(peek(&b, "old"), "one");
	ask = ask_for(&b, "blocks");
	(void)get(&b, &ask, &g);
	ask = ask_for(&b, "left");
	(void)get_within(&b, &ask, 1000, &g);
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(fake_source_oldest(&b.source), "old");
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(fake_source_oldest(&b.source), "left");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_queued_renewal_that_gets_a_caller_goes_before_the_others)
{
	struct token_ask ask;
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b, 10, 1, 10);
	fill(&b, "a", "one", HOUR);
	(void)peek(&b, "a");
	loop_fake_advance(b.loop,
			  10 * MINUTE_MSEC); /* so that a's renewal is due first, by any dice */
	fill(&b, "b", "one", HOUR);
	(void)peek(&b, "b");
	ask = ask_for(&b, "blocks");
	(void)get(&b, &ask, &g[0]);
	loop_fake_advance(b.loop, 56 * MINUTE_MSEC); /* both queued, both past use */
	ask = ask_for(&b, "b");
	(void)get(&b, &ask, &g[1]);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(fake_source_oldest(&b.source), "b");
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(fake_source_oldest(&b.source), "a");
	bench_deinit(&b);
}
END_TEST

START_TEST(the_least_recently_used_token_makes_room)
{
	struct bench b;

	bench_init(&b, 3, 4, 10);
	fill(&b, "a", "A", HOUR);
	fill(&b, "b", "B", HOUR);
	fill(&b, "c", "C", HOUR);
	ck_assert_str_eq(peek(&b, "a"), "A");
	fill(&b, "d", "D", HOUR);
	ck_assert_str_eq(peek(&b, "b"), "");
	ck_assert_str_eq(peek(&b, "a"), "A");
	ck_assert_str_eq(peek(&b, "c"), "C");
	ck_assert_uint_eq(token_cache_stats(b.cache)->tokens, 3);
	bench_deinit(&b);
}
END_TEST

START_TEST(refusals_of_made_up_resources_push_no_token_out)
{
	char name[16];
	struct bench b;

	bench_init(&b, 3, 4, 10);
	fill(&b, "a", "A", HOUR);
	fill(&b, "b", "B", HOUR);
	for (int i = 0; i < 100; i++) {
		struct token_ask ask;
		struct got g = { 0 };

		(void)snprintf(name, sizeof(name), "x%d", i);
		ask = ask_for(&b, name);
		(void)get(&b, &ask, &g);
		ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_REFUSED, 0));
		turn(&b);
		ck_assert_int_eq(g.fault, TOKEN_FAULT_REFUSED);
	}
	ck_assert_str_eq(peek(&b, "a"), "A");
	ck_assert_str_eq(peek(&b, "b"), "B");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_source_that_refuses_at_once_is_reported_from_the_loop)
{
	struct got g = { 0 };
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	b.source.refuses = true;
	ask = ask_for(&b, "r");
	(void)get(&b, &ask, &g);
	turn(&b);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_str_eq(g.why, "refused at once");
	ck_assert_uint_eq(token_cache_stats(b.cache)->in_flight, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(of_a_short_lived_token_half_its_life_is_given)
{
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "brief", 60);
	loop_fake_advance(b.loop, 29000);
	ck_assert_str_eq(peek(&b, "r"), "brief");
	loop_fake_advance(b.loop, 1000);
	ck_assert_str_eq(peek(&b, "r"), "");
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN(
	"token-renewal", UNIT(a_queued_flight_goes_with_its_last_caller),
	UNIT(a_queued_flight_whose_callers_will_come_back_is_sent_when_there_is_time),
	UNIT(a_token_in_use_is_renewed_ahead_of_its_end),
	UNIT(a_clock_that_is_put_back_puts_neither_renewal_off_nor_the_end),
	UNIT(a_token_that_comes_after_the_clock_was_put_back_takes_the_place_of_the_old_one),
	UNIT(a_clock_that_is_put_forward_past_the_end_ends_a_token_and_back_again_brings_none_back),
	UNIT(a_token_that_comes_while_the_clock_is_behind_is_kept_for_as_long_as_it_lives),
	UNIT(a_token_that_nobody_uses_is_not_renewed_until_it_is_asked_for_again),
	UNIT(an_unused_token_is_dropped_when_it_may_no_longer_be_given),
	UNIT(failed_renewals_keep_the_token_until_five_minutes_are_left),
	UNIT(a_failed_renewal_is_logged_once_a_minute_and_says_how_stale_the_token_is),
	UNIT(a_renewal_answered_with_the_same_token_is_not_repeated_at_once),
	UNIT(renewals_wait_behind_callers),
	UNIT(renewals_go_before_what_callers_were_told_to_come_back_for),
	UNIT(a_queued_renewal_that_gets_a_caller_goes_before_the_others),
	UNIT(the_least_recently_used_token_makes_room),
	UNIT(refusals_of_made_up_resources_push_no_token_out),
	UNIT(a_source_that_refuses_at_once_is_reported_from_the_loop),
	UNIT(of_a_short_lived_token_half_its_life_is_given))
