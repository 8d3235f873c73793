/* SPDX-License-Identifier: MIT */

#include "tests/unit/cache-bench.h"

START_TEST(a_miss_is_fetched_once_and_then_answered_from_memory)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	ask = ask_for(&b, "r");
	ck_assert_str_eq(peek(&b, "r"), "");
	ck_assert_uint_eq(b.source.asked, 0);
	fill(&b, "r", "one", HOUR);
	ck_assert_str_eq(peek(&b, "r"), "one");
	(void)get(&b, &ask, &g);
	turn(&b);
	ck_assert_str_eq(g.text, "one");
	ck_assert_uint_eq(b.source.asked, 1);
	ck_assert_uint_eq(token_cache_stats(b.cache)->misses, 1);
	ck_assert_uint_eq(token_cache_stats(b.cache)->hits, 2);
	ck_assert_uint_eq(token_cache_stats(b.cache)->tokens, 1);
	ck_assert(metric_get(b.metrics, NMI_METRIC_CACHE_HITS, NULL) > 1.5);
	ck_assert(metric_get(b.metrics, NMI_METRIC_CACHE_TOKENS, NULL) > 0.5);
	bench_deinit(&b);
}
END_TEST

START_TEST(callers_of_one_key_share_a_flight_and_are_told_the_same)
{
	struct got g[50] = { 0 };
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 4, 100);
	ask = ask_for(&b, "r");
	for (size_t i = 0; i < ARRAY_SIZE(g); i++)
		(void)get(&b, &ask, &g[i]);
	ck_assert_uint_eq(token_cache_stats(b.cache)->waiting, 50);
	ck_assert_uint_eq(b.source.asked, 1);
	ck_assert(fake_source_give(&b.source, "one", HOUR));
	turn(&b);
	for (size_t i = 0; i < ARRAY_SIZE(g); i++) {
		ck_assert_uint_eq(g[i].calls, 1);
		ck_assert_uint_eq(g[i].id, g[0].id);
	}
	ck_assert_uint_eq(token_cache_stats(b.cache)->waiting, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_edit_of_the_client_id_is_another_key_at_once_and_a_new_version_is_not)
{
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	(void)azure_identity_unref(b.identity);
	b.identity = mk_identity(.version = "2");
	ck_assert_str_eq(peek(&b, "r"), "one");
	(void)azure_identity_unref(b.identity);
	b.identity = mk_identity(.version = "3", .client_id = "c2");
	ck_assert_str_eq(peek(&b, "r"), "");
	fill(&b, "r", "two", HOUR);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_caller_that_leaves_is_not_called_and_the_answer_is_kept)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	ask = ask_for(&b, "r");
	token_cache_cancel(get(&b, &ask, &g));
	ck_assert_uint_eq(b.source.cancelled, 0);
	ck_assert(fake_source_give(&b.source, "late", HOUR));
	turn(&b);
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_str_eq(peek(&b, "r"), "late");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_caller_that_leaves_between_answer_and_telling_is_not_called)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct token_wait *w;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	ask = ask_for(&b, "r");
	w = get(&b, &ask, &g);
	ck_assert(fake_source_give(&b.source, "one", HOUR));
	token_cache_cancel(w);
	turn(&b);
	ck_assert_uint_eq(g.calls, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(flights_are_limited_and_the_others_start_in_order)
{
	static const char *const names[] = { "r0", "r1", "r2", "r3", "r4" };
	struct got g[5] = { 0 };
	struct bench b;

	bench_init(&b, 10, 2, 10);
	for (size_t i = 0; i < 5; i++) {
		struct token_ask ask = ask_for(&b, names[i]);

		(void)get(&b, &ask, &g[i]);
	}
	for (size_t i = 0; i < 5; i++) {
		ck_assert_uint_eq(b.source.asked, i + 2 < 5 ? i + 2 : 5);
		ck_assert_str_eq(fake_source_oldest(&b.source), names[i]);
		ck_assert(i % 2 ? fake_source_fail(&b.source, TOKEN_FAULT_REFUSED, 0)
				: fake_source_give(&b.source, "t", HOUR));
		turn(&b);
		ck_assert_uint_eq(g[i].calls, 1);
	}
	ck_assert_uint_eq(b.source.most_pending, 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(at_its_deadline_a_caller_is_told_down_and_the_flight_goes_on)
{
	struct got g = { 0 };
	struct bench b;

	(void)bench_init_asked(&b, &g);
	loop_fake_advance(b.loop, 19999);
	ck_assert_uint_eq(g.calls, 0);
	loop_fake_advance(b.loop, 1);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_DOWN);
	ck_assert(fake_source_give(&b.source, "late", HOUR));
	turn(&b);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_str_eq(peek(&b, "r"), "late");
	bench_deinit(&b);
}
END_TEST

static const struct {
	enum token_fault fault;
	unsigned retry_after_sec;
	uint64_t msec;
} beliefs[] = {
	{ TOKEN_FAULT_REFUSED, 0, 5000 },  { TOKEN_FAULT_THROTTLED, 7, 7000 },
	{ TOKEN_FAULT_UPDATING, 0, 2000 }, { TOKEN_FAULT_DOWN, 0, 1000 },
	{ TOKEN_FAULT_GARBLED, 0, 2000 },
};

START_TEST(a_failure_is_repeated_from_memory_for_a_moment_and_then_asked_anew)
{
	struct token_ask ask, bypassing;
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	bypassing = ask = ask_for(&b, "r");
	bypassing.bypass_cache = true;
	(void)get_within(&b, &ask, 900, &g); /* not patient enough for another try */
	ck_assert(fake_source_fail(&b.source, beliefs[_i].fault, beliefs[_i].retry_after_sec));
	turn(&b);
	ck_assert_int_eq(g.fault, beliefs[_i].fault);
	loop_fake_advance(b.loop, beliefs[_i].msec - 1);
	(void)get(&b, &ask, &g);
	(void)get(&b, &bypassing, &g);
	turn(&b);
	ck_assert_uint_eq(g.calls, 3);
	ck_assert_int_eq(g.fault, beliefs[_i].fault);
	ck_assert_str_eq(g.why, "the fake fails");
	ck_assert_uint_eq(b.source.asked, 1);
	loop_fake_advance(b.loop, 1);
	(void)get(&b, &ask, &g);
	ck_assert_uint_eq(b.source.asked, 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_is_left_of_a_retry_after_counts_down)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	ask = bench_init_asked(&b, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 10));
	turn(&b);
	ck_assert_uint_eq(g.retry_after_sec, 10);
	loop_fake_advance(b.loop, 4000);
	(void)get(&b, &ask, &g);
	turn(&b);
	ck_assert_uint_eq(g.retry_after_sec, 6);
	loop_fake_advance(b.loop, 5500);
	(void)get(&b, &ask, &g);
	turn(&b);
	ck_assert_uint_eq(g.retry_after_sec, 1);
	bench_deinit(&b);
}
END_TEST

START_TEST(being_throttled_brakes_other_keys_of_the_source_but_not_other_sources)
{
	struct token_ask ask, other, node = { .resource = "r" };
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	ask = ask_for(&b, "r");
	other = ask_for(&b, "other");
	(void)get(&b, &ask, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 10));
	turn(&b);
	loop_fake_advance(b.loop, 3000);
	(void)get(&b, &other, &g);
	turn(&b);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_THROTTLED);
	ck_assert_uint_eq(g.retry_after_sec, 7);
	ck_assert_uint_eq(b.source.asked, 1);
	(void)get(&b, &node, &g);
	ck_assert_uint_eq(b.node.asked, 1);
	loop_fake_advance(b.loop, 7000);
	(void)get(&b, &other, &g);
	ck_assert_uint_eq(b.source.asked, 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_source_that_is_throttled_apart_goes_on_with_other_keys)
{
	struct token_ask ask, other;
	struct got g = { 0 }, h = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	b.source.vtable.budget.throttles_apart = true;
	ask = ask_for(&b, "r");
	other = ask_for(&b, "other");
	(void)get(&b, &ask, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 10));
	turn(&b);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_THROTTLED);
	(void)get(&b, &other, &h);
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(h.text, "t");
	/* the key itself is not asked for again before its time */
	loop_fake_advance(b.loop, 9000);
	(void)get(&b, &ask, &g);
	turn(&b);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_THROTTLED);
	ck_assert_uint_eq(b.source.asked, 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_brief_throttling_apart_is_waited_out)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	b.source.vtable.budget.throttles_apart = true;
	ask = ask_for(&b, "r");
	(void)get(&b, &ask, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 2));
	loop_fake_advance(b.loop, 1900);
	ck_assert_uint_eq(b.source.asked, 1);
	loop_fake_advance(b.loop, 200);
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(g.text, "t");
	bench_deinit(&b);
}
END_TEST

START_TEST(bypassing_callers_share_a_flight_of_their_own_whose_answer_is_kept)
{
	struct token_ask ask;
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	ask = ask_for(&b, "r");
	ask.bypass_cache = true;
	ck_assert_ptr_null(token_cache_peek(b.cache, &ask));
	(void)get(&b, &ask, &g[0]);
	(void)get(&b, &ask, &g[1]);
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert(b.source.pending->bypass);
	ck_assert_str_eq(peek(&b, "r"), "one");
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(g[0].text, "two");
	ck_assert_str_eq(g[1].text, "two");
	ck_assert_str_eq(peek(&b, "r"), "two");
	bench_deinit(&b);
}
END_TEST

START_TEST(an_older_token_that_comes_last_does_not_replace_a_newer_one)
{
	struct token_ask plain, bypassing;
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	bypassing = plain = ask_for(&b, "r");
	bypassing.bypass_cache = true;
	(void)get(&b, &bypassing, &g[0]);
	(void)get(&b, &plain, &g[1]);
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert(fake_source_give(&b.source, "new", 2 * HOUR));
	ck_assert(fake_source_give(&b.source, "old", HOUR));
	turn(&b);
	ck_assert_str_eq(peek(&b, "r"), "new");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_plain_caller_is_served_what_a_bypassing_one_brought_if_its_own_flight_fails)
{
	struct token_ask plain, bypassing;
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 10);
	bypassing = plain = ask_for(&b, "r");
	bypassing.bypass_cache = true;
	(void)get(&b, &bypassing, &g[0]);
	(void)get(&b, &plain, &g[1]);
	ck_assert(fake_source_give(&b.source, "new", HOUR));
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	turn(&b);
	ck_assert_str_eq(g[1].text, "new");
	ck_assert_int_eq(g[1].fault, -1);
	bench_deinit(&b);
}
END_TEST

START_TEST(more_waiting_callers_than_the_limit_are_turned_away)
{
	struct got g[3] = { 0 };
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 4, 2);
	ask = ask_for(&b, "r");
	for (size_t i = 0; i < 3; i++)
		(void)get(&b, &ask, &g[i]);
	turn(&b);
	ck_assert_uint_eq(g[0].calls + g[1].calls, 0);
	ck_assert_int_eq(g[2].fault, TOKEN_FAULT_OVERLOADED);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ck_assert_str_eq(g[1].text, "t");
	bench_deinit(&b);
}
END_TEST

static const int types[] = { 1, 2, 7, -1 };

START_TEST(a_type_without_a_source_is_unsupported_and_the_object_is_named)
{
	struct got g = { 0 };
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	(void)azure_identity_unref(b.identity);
	b.identity = mk_identity(.type = types[_i]);
	ask = ask_for(&b, "r");
	ck_assert_ptr_null(token_cache_peek(b.cache, &ask));
	(void)get(&b, &ask, &g);
	turn(&b);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(g.why, "shop/web"));
	bench_deinit(&b);
}
END_TEST

START_TEST(a_cache_that_is_freed_cancels_and_says_nothing)
{
	struct got g[3] = { 0 };
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 1, 10);
	ask = ask_for(&b, "sent");
	(void)get(&b, &ask, &g[0]);
	ask = ask_for(&b, "queued");
	(void)get(&b, &ask, &g[1]);
	b.source.refuses = true;
	ask = (struct token_ask){ .identity = b.identity, .resource = "r" };
	(void)get(&b, &ask, &g[2]);
	b.cache = token_cache_free(b.cache);
	turn(&b);
	ck_assert_uint_eq(b.source.cancelled, 1);
	ck_assert_uint_eq(g[0].calls + g[1].calls + g[2].calls, 0);
	bench_deinit(&b);
}
END_TEST

/* A caller that, when told, sends another one away and asks again. */
struct busy {
	struct bench *bench;
	struct token_wait *victim;
	struct got mine, again;
};

static void on_busy(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct busy *y = ctx;
	struct token_ask ask = ask_for(y->bench, "r");

	on_done(&y->mine, tok, fail);
	token_cache_cancel(y->victim);
	ask.bypass_cache = true;
	(void)get(y->bench, &ask, &y->again);
}

START_TEST(a_caller_may_ask_and_cancel_from_its_callback)
{
	struct got victim = { 0 };
	struct token_ask ask;
	struct bench b;
	struct busy y = { .bench = &b };

	bench_init(&b, 10, 4, 10);
	ask = ask_for(&b, "r");
	(void)token_cache_get(b.cache, &ask, mono_add_msec(loop_mono(b.loop), 1000), on_busy, &y);
	y.victim = get(&b, &ask, &victim);
	ck_assert(fake_source_give(&b.source, "one", HOUR));
	turn(&b);
	ck_assert_str_eq(y.mine.text, "one");
	ck_assert_uint_eq(victim.calls, 0);
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(y.again.text, "two");
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("token-cache", UNIT(a_miss_is_fetched_once_and_then_answered_from_memory),
	  UNIT(callers_of_one_key_share_a_flight_and_are_told_the_same),
	  UNIT(an_edit_of_the_client_id_is_another_key_at_once_and_a_new_version_is_not),
	  UNIT(a_caller_that_leaves_is_not_called_and_the_answer_is_kept),
	  UNIT(a_caller_that_leaves_between_answer_and_telling_is_not_called),
	  UNIT(flights_are_limited_and_the_others_start_in_order),
	  UNIT(at_its_deadline_a_caller_is_told_down_and_the_flight_goes_on),
	  UNIT_LOOP(a_failure_is_repeated_from_memory_for_a_moment_and_then_asked_anew, beliefs),
	  UNIT(what_is_left_of_a_retry_after_counts_down),
	  UNIT(being_throttled_brakes_other_keys_of_the_source_but_not_other_sources),
	  UNIT(a_source_that_is_throttled_apart_goes_on_with_other_keys),
	  UNIT(a_brief_throttling_apart_is_waited_out),
	  UNIT(bypassing_callers_share_a_flight_of_their_own_whose_answer_is_kept),
	  UNIT(an_older_token_that_comes_last_does_not_replace_a_newer_one),
	  UNIT(a_plain_caller_is_served_what_a_bypassing_one_brought_if_its_own_flight_fails),
	  UNIT(more_waiting_callers_than_the_limit_are_turned_away),
	  UNIT_LOOP(a_type_without_a_source_is_unsupported_and_the_object_is_named, types),
	  UNIT(a_cache_that_is_freed_cancels_and_says_nothing),
	  UNIT(a_caller_may_ask_and_cancel_from_its_callback))
