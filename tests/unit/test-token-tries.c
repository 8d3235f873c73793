/* SPDX-License-Identifier: MIT */

/* What is tried again while a caller waits, and what an upstream that rests is spared. */

#include "nmi/token/policy.h"
#include "nmi/token/token.h"
#include "tests/unit/cache-bench.h"

static const enum token_fault passing[] = { TOKEN_FAULT_DOWN, TOKEN_FAULT_UPDATING,
					    TOKEN_FAULT_THROTTLED };

START_TEST(what_may_pass_is_tried_again_and_the_caller_sees_only_the_token)
{
	const char *const fake[] = { "fake" };
	struct got g = { 0 };
	struct bench b;

	(void)bench_init_asked(&b, &g);
	ck_assert(fake_source_fail(&b.source, passing[_i], 0));
	turn(&b);
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_ptr_null(b.source.pending);
	loop_fake_advance(b.loop, 999); /* not before a second */
	ck_assert_ptr_null(b.source.pending);
	loop_fake_advance(b.loop, 5000);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(g.text, "t");
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert_uint_eq(token_cache_stats(b.cache)->retries, 1);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_FETCH_RETRIES, fake), 1);
	bench_deinit(&b);
}
END_TEST

static const enum token_fault lasting[] = { TOKEN_FAULT_REFUSED, TOKEN_FAULT_GARBLED,
					    TOKEN_FAULT_UNSUPPORTED, TOKEN_FAULT_POD };

START_TEST(what_will_not_pass_is_told_at_once)
{
	struct got g = { 0 };
	struct bench b;

	(void)bench_init_asked(&b, &g);
	ck_assert(fake_source_fail(&b.source, lasting[_i], 0));
	turn(&b);
	ck_assert_int_eq(g.fault, lasting[_i]);
	ck_assert_str_eq(g.why, "the fake fails");
	bench_deinit(&b);
}
END_TEST

START_TEST(tries_have_an_end_and_the_caller_is_told_how_many_there_were)
{
	struct got g = { 0 };
	struct bench b;

	(void)bench_init_asked(&b, &g);
	for (unsigned i = 1; i < POLICY_TRIES; i++) {
		ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
		turn(&b);
		ck_assert_uint_eq(g.calls, 0);
		loop_fake_advance(b.loop, UINT64_C(1500) << (i - 1));
	}
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	turn(&b);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_DOWN);
	ck_assert_str_eq(g.why, "asked 4 times: the fake fails");
	ck_assert_uint_eq(b.source.asked, POLICY_TRIES);
	bench_deinit(&b);
}
END_TEST

START_TEST(nothing_is_tried_for_a_caller_who_could_not_wait_for_it)
{
	struct token_ask ask;
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	ask = ask_for(&b, "r");
	(void)get_within(&b, &ask, 1499, &g[0]);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	turn(&b);
	ck_assert_int_eq(g[0].fault, TOKEN_FAULT_DOWN);
	loop_fake_advance(b.loop, 1000); /* what is believed of it */
	(void)get_within(&b, &ask, 1499, &g[0]);
	(void)get_within(&b, &ask, 9000, &g[1]); /* but for this one it is */
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	loop_fake_advance(b.loop, 1499);
	ck_assert_uint_eq(g[0].calls, 2);
	ck_assert_str_eq(g[0].why, "the fake fails"); /* and not "no answer yet" */
	ck_assert_uint_eq(g[1].calls, 0);
	loop_fake_advance(b.loop, 1000);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(g[1].text, "t");
	bench_deinit(&b);
}
END_TEST

static const struct {
	enum token_fault fault;
	unsigned retry_after_sec;
	uint64_t not_before_msec; /* 0: not tried again */
} named[] = {
	{ TOKEN_FAULT_THROTTLED, 1, 1000 }, { TOKEN_FAULT_THROTTLED, 5, 5000 },
	{ TOKEN_FAULT_THROTTLED, 6, 0 },    { TOKEN_FAULT_DOWN, 4, 4000 },
	{ TOKEN_FAULT_DOWN, 30, 0 },	    { TOKEN_FAULT_UPDATING, 5, 5000 },
	{ TOKEN_FAULT_UPDATING, 70, 0 },
};

START_TEST(a_wait_that_the_upstream_names_is_waited_out_if_it_is_brief)
{
	struct got g = { 0 };
	struct bench b;

	(void)bench_init_asked(&b, &g);
	ck_assert(fake_source_fail(&b.source, named[_i].fault, named[_i].retry_after_sec));
	turn(&b);
	if (!named[_i].not_before_msec) {
		ck_assert_int_eq(g.fault, named[_i].fault);
		ck_assert_uint_eq(g.retry_after_sec, named[_i].retry_after_sec);
	} else {
		loop_fake_advance(b.loop, named[_i].not_before_msec - 1);
		ck_assert_ptr_null(b.source.pending);
		loop_fake_advance(b.loop, 1);
		ck_assert_uint_eq(g.calls, 0);
		ck_assert_ptr_nonnull(b.source.pending);
	}
	bench_deinit(&b);
}
END_TEST

START_TEST(a_caller_who_comes_while_it_rests_shares_the_next_try)
{
	struct token_ask ask;
	struct got g[2] = { 0 };
	struct bench b;

	ask = bench_init_asked(&b, &g[0]);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	(void)get(&b, &ask, &g[1]);
	turn(&b);
	ck_assert_uint_eq(b.source.asked, 1);
	ck_assert_uint_eq(token_cache_stats(b.cache)->waiting, 2);
	loop_fake_advance(b.loop, 1500);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "t");
	ck_assert_str_eq(g[1].text, "t");
	bench_deinit(&b);
}
END_TEST

START_TEST(nothing_is_tried_again_when_the_last_caller_has_left)
{
	struct token_ask ask;
	struct token_wait *w;
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	ask = ask_for(&b, "r");
	w = get(&b, &ask, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	token_cache_cancel(w);
	loop_fake_advance(b.loop, 60000);
	ck_assert_uint_eq(b.source.asked, 1);
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_uint_eq(token_cache_stats(b.cache)->queued, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_rest_ends_with_its_last_caller_and_what_it_failed_with_is_believed)
{
	struct token_ask ask;
	struct token_wait *w;
	struct got patient = { 0 }, brief = { 0 }, next = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	ask = ask_for(&b, "r");
	w = get(&b, &ask, &patient);
	(void)get_within(&b, &ask, 800, &brief);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	token_cache_cancel(w);
	loop_fake_advance(b.loop, 800);
	ck_assert_str_eq(brief.why, "the fake fails");
	(void)get(&b, &ask, &next);
	turn(&b);
	ck_assert_str_eq(next.why, "the fake fails");
	loop_fake_advance(b.loop, 60000);
	ck_assert_uint_eq(b.source.asked, 1);
	ck_assert_uint_eq(patient.calls, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_a_bypassing_caller_brings_ends_the_rest)
{
	struct token_ask plain, bypassing;
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	bypassing = plain = ask_for(&b, "r");
	bypassing.bypass_cache = true;
	(void)get(&b, &plain, &g[0]);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	(void)get(&b, &bypassing, &g[1]);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "t");
	ck_assert_str_eq(g[1].text, "t");
	loop_fake_advance(b.loop, 60000);
	ck_assert_uint_eq(b.source.asked, 2);
	bench_deinit(&b);
}
END_TEST

/* Somebody always asks, and everything fails. */
static void outage(struct bench *b, enum token_fault fault, uint64_t msec)
{
	struct token_ask ask = ask_for(b, "r");
	struct got g = { 0 };

	for (uint64_t t = 0; t < msec; t += 100) {
		if (!token_cache_stats(b->cache)->waiting)
			(void)get(b, &ask, &g);
		(void)fake_source_fail(&b->source, fault, 0);
		loop_fake_advance(b->loop, 100);
	}
	ck_assert_uint_gt(g.calls, 0);
}

static const struct {
	enum token_fault fault;
	uint64_t hiccup_msec;
} outages[] = { { TOKEN_FAULT_DOWN, 20000 }, { TOKEN_FAULT_UPDATING, 70000 } };

START_TEST(an_outage_is_left_to_the_sdks_which_are_told_at_once)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 1000);
	outage(&b, outages[_i].fault, outages[_i].hiccup_msec + 10000);
	/* another key, so that nothing is believed of it */
	ask = ask_for(&b, "other");
	(void)get(&b, &ask, &g);
	while (b.source.pending)
		ck_assert(fake_source_fail(&b.source, outages[_i].fault, 0));
	turn(&b);
	ck_assert_int_eq(g.fault, outages[_i].fault);
	ck_assert_str_eq(g.why, "the fake fails");
	/* any sign of life, and hiccups are hidden again */
	ask = ask_for(&b, "good");
	(void)get(&b, &ask, &g);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	g.calls = 0;
	ask = ask_for(&b, "last");
	(void)get(&b, &ask, &g);
	ck_assert(fake_source_fail(&b.source, outages[_i].fault, 0));
	turn(&b);
	ck_assert_uint_eq(g.calls, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_renewal_is_not_tried_in_a_row)
{
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "t", HOUR);
	ck_assert_str_eq(peek(&b, "r"), "t");
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	loop_fake_advance(b.loop, POLICY_RENEW_RETRY_MIN_MSEC - 1);
	ck_assert_ptr_null(b.source.pending);
	ck_assert_uint_eq(token_cache_stats(b.cache)->retries, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_brief_throttling_holds_everybody_and_then_lets_them_go)
{
	struct got g[6] = { 0 };
	struct bench b;

	bench_init(&b, 20, 2, 100);
	for (unsigned i = 0; i < 5; i++) {
		const char uid[] = { (char)('a' + i), '\0' };

		(void)get_as(&b, uid, uid, &g[i]);
	}
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 2));
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 2));
	turn(&b);
	(void)get_as(&b, "f", "f", &g[5]);
	loop_fake_advance(b.loop, 1999);
	ck_assert_uint_eq(b.source.asked, 2);
	loop_fake_advance(b.loop, 1);
	ck_assert_uint_eq(b.source.n_pending, 2);
	while (b.source.pending) {
		ck_assert(fake_source_give(&b.source, "t", HOUR));
		turn(&b);
	}
	for (unsigned i = 0; i < 6; i++)
		ck_assert_str_eq(g[i].text, "t");
	ck_assert_uint_eq(b.source.asked, 8);
	ck_assert_uint_eq(b.source.most_pending, 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_long_throttling_is_told_to_all_who_wait_and_renewals_wait_it_out)
{
	struct got g[3] = { 0 };
	struct bench b;

	bench_init(&b, 20, 1, 100);
	fill(&b, "old", "t", HOUR);
	ck_assert_str_eq(peek(&b, "old"), "t");
	(void)get_as(&b, "a", "a", &g[0]);
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC); /* the renewal is due */
	(void)get_as(&b, "b", "b", &g[1]);
	(void)get_as(&b, "c", "c", &g[2]);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 30));
	turn(&b);
	ck_assert_int_eq(g[1].fault, TOKEN_FAULT_THROTTLED);
	ck_assert_int_eq(g[2].fault, TOKEN_FAULT_THROTTLED);
	ck_assert_uint_eq(g[2].retry_after_sec, 30);
	ck_assert_uint_eq(token_cache_stats(b.cache)->stale, 0);
	loop_fake_advance(b.loop, 29999);
	ck_assert_ptr_null(b.source.pending);
	loop_fake_advance(b.loop, 1);
	ck_assert_str_eq(fake_source_oldest(&b.source), "old");
	bench_deinit(&b);
}
END_TEST

START_TEST(whose_patience_ends_in_a_throttling_is_told_of_it)
{
	struct token_ask ask;
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b, 20, 4, 100);
	ask = ask_for(&b, "first");
	(void)get(&b, &ask, &g[0]);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 5));
	ask = ask_for(&b, "second");
	(void)get_within(&b, &ask, 2000, &g[1]);
	loop_fake_advance(b.loop, 2000);
	ck_assert_int_eq(g[1].fault, TOKEN_FAULT_THROTTLED);
	ck_assert_uint_eq(g[1].retry_after_sec, 3);
	bench_deinit(&b);
}
END_TEST

START_TEST(renewals_hurry_when_the_upstream_is_back)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 100, 4, 100);
	fill(&b, "r", "old", 24 * HOUR);
	ck_assert_str_eq(peek(&b, "r"), "old");
	b.source.answers_msec = 10;
	b.source.life_sec = 24 * HOUR;
	b.source.fault = TOKEN_FAULT_DOWN;
	loop_fake_advance(b.loop, UINT64_C(23) * 60 * MINUTE_MSEC);
	ck_assert_uint_ge(token_cache_stats(b.cache)->stale, 10); /* waits are long by now */
	b.source.fault = -1;
	(void)get_as(&b, "pod", "any", &g);
	loop_fake_advance(b.loop, POLICY_RENEW_HURRY_MSEC + 1000);
	ck_assert_str_eq(peek(&b, "r"), "auto");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_cache_that_is_freed_while_flights_rest_says_nothing)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	ask = bench_init_asked(&b, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	ask = ask_for(&b, "s");
	(void)get(&b, &ask, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 0));
	b.cache = token_cache_free(b.cache);
	loop_fake_advance(b.loop, 60000);
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_uint_eq(b.source.asked, 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(the_time_that_a_try_took_counts_for_the_wait_before_the_next)
{
	struct got g = { 0 };
	struct bench b;

	(void)bench_init_asked(&b, &g);
	loop_fake_advance(b.loop, 5000); /* no connection, say */
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	turn(&b);
	loop_fake_advance(b.loop, POLICY_REST_MIN_MSEC - 1);
	ck_assert_ptr_null(b.source.pending);
	loop_fake_advance(b.loop, POLICY_REST_MIN_MSEC + 1);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 3)); /* at once, and named */
	turn(&b);
	loop_fake_advance(b.loop, 2999);
	ck_assert_ptr_null(b.source.pending);
	loop_fake_advance(b.loop, 1);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(g.text, "t");
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("token-tries",
	  UNIT_LOOP(what_may_pass_is_tried_again_and_the_caller_sees_only_the_token, passing),
	  UNIT_LOOP(what_will_not_pass_is_told_at_once, lasting),
	  UNIT(tries_have_an_end_and_the_caller_is_told_how_many_there_were),
	  UNIT(nothing_is_tried_for_a_caller_who_could_not_wait_for_it),
	  UNIT_LOOP(a_wait_that_the_upstream_names_is_waited_out_if_it_is_brief, named),
	  UNIT(a_caller_who_comes_while_it_rests_shares_the_next_try),
	  UNIT(nothing_is_tried_again_when_the_last_caller_has_left),
	  UNIT(a_rest_ends_with_its_last_caller_and_what_it_failed_with_is_believed),
	  UNIT(what_a_bypassing_caller_brings_ends_the_rest),
	  UNIT_LOOP(an_outage_is_left_to_the_sdks_which_are_told_at_once, outages),
	  UNIT(the_time_that_a_try_took_counts_for_the_wait_before_the_next),
	  UNIT(a_renewal_is_not_tried_in_a_row),
	  UNIT(a_brief_throttling_holds_everybody_and_then_lets_them_go),
	  UNIT(a_long_throttling_is_told_to_all_who_wait_and_renewals_wait_it_out),
	  UNIT(whose_patience_ends_in_a_throttling_is_told_of_it),
	  UNIT(renewals_hurry_when_the_upstream_is_back),
	  UNIT(a_cache_that_is_freed_while_flights_rest_says_nothing))
