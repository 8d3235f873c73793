/* SPDX-License-Identifier: MIT */

/* Whose turn it is: pods, renewals, and what a pod may cause. */

#include "lib/base/log.h"
#include "tests/unit/cache-bench.h"

/* `n` resources of a pod's own. */
static void flood(struct bench *b, const char *uid, unsigned n, struct got *g)
{
	for (unsigned i = 0; i < n; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "%s-%u", uid, i);
		(void)get_as(b, uid, name, g);
	}
}

static void answer(struct bench *b)
{
	ck_assert(fake_source_give(&b->source, "t", HOUR));
	turn(b);
}

START_TEST(pods_take_turns_whatever_one_of_them_has_queued)
{
	static const char *const order[] = { "greedy-0", "b-0",	     "c-0", "greedy-1",
					     "b-1",	 "greedy-2", "b-2", "greedy-3" };
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 100, 1, 1000);
	(void)get_as(&b, "first", "first-0", &g);
	flood(&b, "greedy", 40, &g);
	flood(&b, "b", 3, &g);
	flood(&b, "c", 1, &g);
	answer(&b);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		ck_assert_str_eq(fake_source_oldest(&b.source), order[i]);
		answer(&b);
	}
	bench_deinit(&b);
}
END_TEST

START_TEST(a_token_that_several_pods_want_comes_with_the_first_whose_turn_it_is)
{
	struct got greedy = { 0 }, other = { 0 }, g = { 0 };
	struct bench b;

	bench_init(&b, 100, 1, 1000);
	(void)get_as(&b, "first", "first-0", &g);
	flood(&b, "greedy", 40, &g);
	(void)get_as(&b, "greedy", "shared", &greedy); /* at its end */
	(void)get_as(&b, "other", "shared", &other);
	answer(&b);
	ck_assert_str_eq(fake_source_oldest(&b.source), "greedy-0");
	answer(&b);
	ck_assert_str_eq(fake_source_oldest(&b.source), "shared");
	ck_assert_str_eq(b.source.pending->pod, "other");
	answer(&b);
	ck_assert_str_eq(greedy.text, "t");
	ck_assert_str_eq(other.text, "t");
	/* it was nobody else's turn */
	ck_assert_str_eq(fake_source_oldest(&b.source), "greedy-1");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_shared_token_stays_in_the_queue_of_who_still_waits)
{
	struct got left = { 0 }, stayed = { 0 }, g = { 0 };
	struct token_wait *w;
	struct bench b;

	bench_init(&b, 100, 1, 1000);
	(void)get_as(&b, "first", "first-0", &g);
	w = get_as(&b, "leaves", "shared", &left);
	(void)get_as(&b, "stays", "shared", &stayed);
	token_cache_cancel(w);
	answer(&b);
	ck_assert_str_eq(fake_source_oldest(&b.source), "shared");
	answer(&b);
	ck_assert_uint_eq(left.calls, 0);
	ck_assert_str_eq(stayed.text, "t");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_failure_of_the_pod_whose_turn_it_was_is_not_that_of_the_others)
{
	struct got gone = { 0 }, second = { 0 }, third = { 0 };
	struct bench b;

	bench_init(&b, 100, 1, 1000);
	(void)get_as(&b, "gone", "shared", &gone);
	(void)get_as(&b, "second", "shared", &second);
	(void)get_as(&b, "third", "shared", &third);
	ck_assert_str_eq(b.source.pending->pod, "gone");
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_POD, 0));
	turn(&b);
	ck_assert_uint_eq(gone.calls, 1);
	ck_assert_int_eq(gone.fault, TOKEN_FAULT_POD);
	ck_assert_uint_eq(second.calls, 0);
	ck_assert_str_eq(b.source.pending->pod, "second");
	answer(&b);
	ck_assert_uint_eq(gone.calls, 1);
	ck_assert_str_eq(second.text, "t");
	ck_assert_str_eq(third.text, "t");
	bench_deinit(&b);
}
END_TEST

START_TEST(pods_that_all_fail_for_themselves_are_all_told)
{
	struct got got[3] = { 0 };
	struct bench b;

	bench_init(&b, 100, 1, 1000);
	(void)get_as(&b, "a", "shared", &got[0]);
	(void)get_as(&b, "b", "shared", &got[1]);
	(void)get_as(&b, "c", "shared", &got[2]);
	for (size_t i = 0; i < ARRAY_SIZE(got); i++) {
		ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_POD, 0));
		turn(&b);
		ck_assert_uint_eq(got[i].calls, 1);
		ck_assert_int_eq(got[i].fault, TOKEN_FAULT_POD);
	}
	ck_assert(!fake_source_fail(&b.source, TOKEN_FAULT_POD, 0));
	ck_assert_uint_eq(token_cache_stats(b.cache)->waiting, 0);
	ck_assert_uint_eq(token_cache_stats(b.cache)->in_flight, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(one_place_is_kept_from_a_pod_that_has_all_the_others)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 100, 4, 1000);
	flood(&b, "greedy", 40, &g);
	ck_assert_uint_eq(b.source.n_pending, 3);
	(void)get_as(&b, "other", "mine", &g);
	ck_assert_uint_eq(b.source.n_pending, 4);
	ck_assert_str_eq(b.source.pending->prev->resource, "mine");
	answer(&b);
	ck_assert_uint_eq(b.source.n_pending, 4);
	ck_assert_uint_eq(token_cache_stats(b.cache)->in_flight, 4);
	bench_deinit(&b);
}
END_TEST

START_TEST(of_many_places_a_pod_has_a_quarter)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 100, 16, 1000);
	flood(&b, "hangs", 30, &g);
	ck_assert_uint_eq(b.source.n_pending, 4);
	flood(&b, "hangs too", 30, &g);
	ck_assert_uint_eq(b.source.n_pending, 8);
	(void)get_as(&b, "other", "mine", &g);
	ck_assert_uint_eq(b.source.n_pending, 9);
	ck_assert_str_eq(b.source.pending->prev->resource, "mine");
	bench_deinit(&b);
}
END_TEST

/* `n` pods, each with more than it may have in flight, ask what never answers. */
static void hang(struct bench *b, unsigned n, struct got *g)
{
	for (unsigned i = 0; i < n; i++) {
		char uid[16];

		(void)snprintf(uid, sizeof(uid), "hangs-%u", i);
		flood(b, uid, 6, g);
	}
}

START_TEST(what_hangs_gives_its_places_to_others)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 1000, 16, 1000);
	b.source.vtable.budget.slow_msec = 2000;
	b.source.vtable.budget.max_slow = 64;
	hang(&b, 4, &g);
	ck_assert_uint_eq(b.source.n_pending, 16);
	(void)get_as(&b, "other", "mine", &g);
	loop_fake_advance(b.loop, 1999);
	ck_assert_uint_eq(b.source.n_pending, 16);
	loop_fake_advance(b.loop, 1);
	ck_assert_uint_eq(b.source.n_pending, 17);
	ck_assert_str_eq(b.source.pending->prev->resource, "mine");
	/* they still are their pods', which get no more than they may have */
	ck_assert_uint_eq(token_cache_stats(b.cache)->in_flight, 17);
	for (unsigned i = 0; i < 17; i++)
		answer(&b);
	/* all that was queued went meanwhile */
	while (b.source.n_pending)
		answer(&b);
	ck_assert_uint_eq(g.calls, 25);
	ck_assert_uint_eq(token_cache_stats(b.cache)->in_flight, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(not_more_hang_than_are_allowed)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 1000, 8, 1000);
	b.source.vtable.budget.slow_msec = 2000;
	b.source.vtable.budget.max_slow = 8;
	hang(&b, 20, &g);
	ck_assert_uint_eq(b.source.n_pending, 8);
	loop_fake_advance(b.loop, 2000);
	ck_assert_uint_eq(b.source.n_pending, 16);
	loop_fake_advance(b.loop, 20000);
	ck_assert_uint_eq(b.source.n_pending, 16);
	/* the oldest, which has no place: it makes one for the next look */
	answer(&b);
	ck_assert_uint_eq(b.source.n_pending, 15);
	loop_fake_advance(b.loop, 2000);
	ck_assert_uint_eq(b.source.n_pending, 16);
	bench_deinit(&b);
}
END_TEST

/* Tokens "0", "1", ... that are in use and due at about the same time. */
static void fill_and_use(struct bench *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%u", i);
		fill(b, name, "t", HOUR);
		ck_assert_str_eq(peek(b, name), "t");
	}
}

START_TEST(renewals_take_half_of_the_places_at_most)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 100, 4, 1000);
	fill_and_use(&b, 10);
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC); /* all are due */
	ck_assert_uint_eq(b.source.n_pending, 2);
	flood(&b, "pod", 5, &g);
	ck_assert_uint_eq(b.source.n_pending, 4);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_callers_were_told_to_come_back_for_is_bounded)
{
	struct got g = { 0 };
	unsigned sent = 0;
	struct bench b;

	bench_init(&b, 2000, 1, 2000);
	(void)get_as(&b, "first", "first-0", &g);
	flood(&b, "greedy", 1000, &g);
	loop_fake_advance(b.loop, 20000);
	ck_assert_uint_eq(g.calls, 1001);
	ck_assert_uint_eq(token_cache_stats(b.cache)->waiting, 0);
	for (; b.source.pending; sent++)
		answer(&b);
	ck_assert_uint_eq(sent, 1 + 512);
	/* the oldest were let go */
	ck_assert_str_eq(peek(&b, "greedy-487"), "");
	ck_assert_str_eq(peek(&b, "greedy-488"), "t");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_caller_who_comes_back_takes_it_from_among_those)
{
	struct got back = { 0 }, g = { 0 };
	struct bench b;

	bench_init(&b, 2000, 1, 2000);
	(void)get_as(&b, "first", "first-0", &g);
	flood(&b, "early", 512, &g);
	loop_fake_advance(b.loop, 20000);
	flood(&b, "late", 10, &g);
	loop_fake_advance(b.loop, 10000);
	(void)get_as(&b, "early", "early-0", &back);
	loop_fake_advance(b.loop, 10000); /* ten of the others are let go for these */
	ck_assert_uint_eq(back.calls, 0);
	answer(&b);
	ck_assert_str_eq(fake_source_oldest(&b.source), "early-0");
	answer(&b);
	ck_assert_str_eq(back.text, "t");
	while (b.source.pending)
		answer(&b);
	ck_assert_uint_eq(b.source.asked, 1 + 1 + 512);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_second_never_sees_more_than_the_upstream_takes)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 2000, 4, 2000);
	b.source.vtable.budget.per_second = 20;
	b.source.answers_msec = 30;
	b.source.life_sec = HOUR;
	flood(&b, "a", 200, &g);
	flood(&b, "b", 200, &g);
	loop_fake_advance(b.loop, 10000);
	ck_assert_uint_le(b.source.most_in_second, 20);
	ck_assert_uint_ge(b.source.asked, 190);
	ck_assert_uint_le(b.source.most_pending, 4);
	bench_deinit(&b);
}
END_TEST

START_TEST(the_source_is_told_whose_turn_it_is)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 10, 1, 10);
	(void)get_as(&b, "first", "first-0", &g);
	(void)get_as(&b, "early", "r", &g);
	(void)get_as(&b, "late", "r", &g);
	answer(&b);
	ck_assert_str_eq(b.source.pending->pod, "early");
	bench_deinit(&b);
}
END_TEST

START_TEST(the_source_is_told_for_which_pod_it_asks)
{
	struct got g = { 0 };
	struct bench b;
	const struct token_pod pod = { "shop", "late", "late", "web" };
	struct token_ask ask;

	bench_init(&b, 10, 4, 10);
	(void)get_as(&b, "early", "r", &g);
	(void)get_as(&b, "late", "r", &g);
	ck_assert_str_eq(b.source.pending->pod, "early");
	answer(&b);
	ask = ask_for(&b, "r");
	ask.pod = &pod;
	ck_assert_ptr_nonnull(token_cache_peek(b.cache, &ask));
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC);
	ck_assert_str_eq(b.source.pending->pod, "late"); /* who used it last is asked for */
	bench_deinit(&b);
}
END_TEST

START_TEST(after_a_failed_renewal_it_is_asked_for_whoever_uses_the_token_now)
{
	const struct token_pod old = { "shop", "old", "old", "web" };
	const struct token_pod new = { "shop", "new", "new", "web" };
	struct token_ask ask;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "t", HOUR);
	ask = ask_for(&b, "r");
	ask.pod = &old;
	ck_assert_ptr_nonnull(token_cache_peek(b.cache, &ask));
	ask.pod = &new;
	ck_assert_ptr_nonnull(token_cache_peek(b.cache, &ask)); /* is not noted each time */
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC);
	ck_assert_str_eq(b.source.pending->pod, "old");
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_REFUSED, 0));
	ck_assert_ptr_nonnull(token_cache_peek(b.cache, &ask));
	loop_fake_advance(b.loop, 60000);
	ck_assert_str_eq(b.source.pending->pod, "new");
	bench_deinit(&b);
}
END_TEST

/* limits of a pod */

static void bench_init_limited(struct bench *b)
{
	const struct token_cache_spec spec = {
		.max_tokens = 5000, .max_waiting = 5000, .pod_burst = 10, .pod_per_second = 2
	};

	bench_init_spec(b, spec, 1000);
}

START_TEST(a_pod_that_asks_for_too_much_that_is_new_is_told_when_to_come_back)
{
	struct got g = { 0 }, over = { 0 }, other = { 0 };
	struct bench b;

	bench_init_limited(&b);
	flood(&b, "greedy", 10, &g);
	ck_assert_uint_eq(b.source.asked, 10);
	(void)get_as(&b, "greedy", "more", &over);
	turn(&b);
	ck_assert_int_eq(over.fault, TOKEN_FAULT_POD_LIMIT);
	ck_assert_uint_eq(over.retry_after_sec, 1);
	ck_assert_ptr_nonnull(strstr(over.why, "too many new tokens"));
	ck_assert_uint_eq(token_cache_stats(b.cache)->pod_limited, 1);
	(void)get_as(&b, "other", "more", &other);
	ck_assert_uint_eq(b.source.asked, 11);
	loop_fake_advance(b.loop, 499);
	(void)get_as(&b, "greedy", "yet-more", &over);
	ck_assert_uint_eq(b.source.asked, 11);
	loop_fake_advance(b.loop, 1);
	(void)get_as(&b, "greedy", "yet-more", &over);
	ck_assert_uint_eq(b.source.asked, 12);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_costs_the_upstream_nothing_is_not_counted)
{
	struct got g = { 0 };
	struct bench b;

	bench_init_limited(&b);
	flood(&b, "pod", 9, &g);
	for (unsigned i = 0; i < 100; i++)
		flood(&b, "pod", 9, &g); /* join what is under way */
	while (b.source.pending)
		answer(&b);
	for (unsigned i = 0; i < 100; i++)
		flood(&b, "pod", 9, &g); /* from memory */
	turn(&b);
	ck_assert_uint_eq(g.calls, 1809); /* 9 × 201 */
	(void)get_as(&b, "pod", "the tenth", &g);
	ck_assert_uint_eq(b.source.asked, 10);
	ck_assert_uint_eq(token_cache_stats(b.cache)->pod_limited, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(bypassing_the_cache_is_counted)
{
	const struct token_pod pod = { "shop", "pod", "pod", "web" };
	struct got g = { 0 }, over = { 0 };
	struct token_ask ask;
	struct bench b;

	bench_init_limited(&b);
	ask = ask_for(&b, "r");
	ask.pod = &pod;
	ask.bypass_cache = true;
	for (unsigned i = 0; i < 10; i++) {
		(void)get(&b, &ask, &g);
		answer(&b);
	}
	(void)get(&b, &ask, &over);
	turn(&b);
	ck_assert_int_eq(over.fault, TOKEN_FAULT_POD_LIMIT);
	ask.bypass_cache = false;
	ck_assert_ptr_nonnull(token_cache_peek(b.cache, &ask));
	ck_assert_uint_eq(b.source.asked, 10);
	bench_deinit(&b);
}
END_TEST

START_TEST(who_is_no_pod_is_not_limited)
{
	struct got g = { 0 };
	struct bench b;

	bench_init_limited(&b);
	for (unsigned i = 0; i < 100; i++) {
		char name[16];
		struct token_ask ask;

		(void)snprintf(name, sizeof(name), "%u", i);
		ask = ask_for(&b, name);
		(void)get(&b, &ask, &g);
	}
	ck_assert_uint_eq(b.source.asked, 100);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_is_remembered_until_its_allowance_is_full_again)
{
	struct got g = { 0 }, over = { 0 };
	struct bench b;

	bench_init_limited(&b);
	flood(&b, "greedy", 10, &g);
	while (b.source.pending)
		answer(&b);
	(void)get_as(&b, "other", "r", &g); /* makes what can be forgotten go */
	ck_assert_uint_eq(token_cache_stats(b.cache)->pods, 2);
	(void)get_as(&b, "greedy", "more", &over);
	turn(&b);
	ck_assert_int_eq(over.fault, TOKEN_FAULT_POD_LIMIT);
	loop_fake_advance(b.loop, 5000);
	(void)get_as(&b, "third", "r", &g);
	ck_assert_uint_eq(token_cache_stats(b.cache)->pods, 2); /* "other" waits */
	bench_deinit(&b);
}
END_TEST

START_TEST(of_a_stream_of_pods_only_so_many_are_remembered)
{
	struct got g = { 0 };
	struct bench b;

	bench_init_limited(&b);
	for (unsigned i = 0; i < 4000; i++) {
		char uid[16];

		(void)snprintf(uid, sizeof(uid), "u%u", i);
		(void)get_as(&b, uid, uid, &g);
		answer(&b);
	}
	ck_assert_uint_eq(g.calls, 4000);
	ck_assert_uint_eq(token_cache_stats(b.cache)->pods, 1024);
	bench_deinit(&b);
}
END_TEST

START_TEST(the_gauges_say_who_waits_and_what_is_overdue)
{
	const char *const fake[] = { "fake" };
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 100, 2, 1000);
	token_cache_measure(b.cache);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_CACHE_EXPIRY, NULL), -1);
	fill_and_use(&b, 3);
	flood(&b, "pod", 5, &g);
	token_cache_measure(b.cache);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_FETCH_QUEUED, fake), 4);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_FETCH_IN_FLIGHT, fake), 1);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_CACHE_OVERDUE, NULL), 0);
	while (b.source.pending)
		answer(&b);
	token_cache_measure(b.cache);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_FETCH_QUEUED, fake), 0);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_FETCH_IN_FLIGHT, fake), 0);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_FETCH_WAIT, fake), 8);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_FETCHES, fake), 8);
	ck_assert_double_le(metric_get(b.metrics, NMI_METRIC_CACHE_EXPIRY, NULL), 3600);
	ck_assert_double_gt(metric_get(b.metrics, NMI_METRIC_CACHE_EXPIRY, NULL), 3000);
	loop_fake_advance(b.loop, 50 * MINUTE_MSEC);
	token_cache_measure(b.cache);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_CACHE_OVERDUE, NULL), 3);
	/* due between 38.5 and 44 minutes */
	ck_assert_double_ge(metric_get(b.metrics, NMI_METRIC_CACHE_OVERDUE_SECONDS, NULL), 360);
	ck_assert_double_le(metric_get(b.metrics, NMI_METRIC_CACHE_OVERDUE_SECONDS, NULL), 690);
	ck_assert_double_le(metric_get(b.metrics, NMI_METRIC_CACHE_EXPIRY, NULL), 600);
	ck_assert_double_ge(metric_get(b.metrics, NMI_METRIC_CACHE_EXPIRY, NULL), 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_cache_with_all_kinds_of_queues_is_freed_in_silence)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 100, 2, 1000);
	fill_and_use(&b, 3);
	(void)get_as(&b, "first", "first-0", &g);
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC);
	g.calls = 0;
	flood(&b, "a", 5, &g);
	flood(&b, "b", 5, &g);
	(void)get_as(&b, "a", "shared", &g);
	(void)get_as(&b, "b", "shared", &g);
	b.cache = token_cache_free(b.cache);
	turn(&b);
	ck_assert_uint_eq(g.calls, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_a_source_still_bears_is_told)
{
	struct token_cache_source s[2];
	struct got g = { 0 };
	struct bench b;

	bench_init(&b, 100, 2, 1000);
	ck_assert_uint_eq(token_cache_sources(b.cache, s, 2), 0); /* none was asked yet */
	flood(&b, "pod", 5, &g);
	turn(&b);
	ck_assert_uint_eq(token_cache_sources(b.cache, s, 0), 0);
	ck_assert_uint_eq(token_cache_sources(b.cache, s, 2), 1);
	ck_assert_uint_eq(s[0].max_in_flight, 2);
	ck_assert_uint_ge(s[0].in_flight, 1);
	ck_assert_uint_eq(s[0].in_flight + s[0].queued, 5);
	ck_assert_uint_eq(s[0].per_second, UINT32_MAX);
	ck_assert_uint_eq(s[0].left, UINT32_MAX);
	ck_assert_uint_eq(s[0].braked_msec, 0);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 10));
	turn(&b);
	ck_assert_uint_eq(token_cache_sources(b.cache, s, 2), 1);
	ck_assert_uint_eq(s[0].braked_msec, 10000);
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("token-queue", UNIT(what_a_source_still_bears_is_told),
	  UNIT(pods_take_turns_whatever_one_of_them_has_queued),
	  UNIT(a_token_that_several_pods_want_comes_with_the_first_whose_turn_it_is),
	  UNIT(a_shared_token_stays_in_the_queue_of_who_still_waits),
	  UNIT(a_failure_of_the_pod_whose_turn_it_was_is_not_that_of_the_others),
	  UNIT(pods_that_all_fail_for_themselves_are_all_told),
	  UNIT(one_place_is_kept_from_a_pod_that_has_all_the_others),
	  UNIT(of_many_places_a_pod_has_a_quarter), UNIT(what_hangs_gives_its_places_to_others),
	  UNIT(not_more_hang_than_are_allowed), UNIT(renewals_take_half_of_the_places_at_most),
	  UNIT(what_callers_were_told_to_come_back_for_is_bounded),
	  UNIT(a_caller_who_comes_back_takes_it_from_among_those),
	  UNIT(a_second_never_sees_more_than_the_upstream_takes),
	  UNIT(the_source_is_told_whose_turn_it_is), UNIT(the_source_is_told_for_which_pod_it_asks),
	  UNIT(after_a_failed_renewal_it_is_asked_for_whoever_uses_the_token_now),
	  UNIT(a_pod_that_asks_for_too_much_that_is_new_is_told_when_to_come_back),
	  UNIT(what_costs_the_upstream_nothing_is_not_counted),
	  UNIT(bypassing_the_cache_is_counted), UNIT(who_is_no_pod_is_not_limited),
	  UNIT(a_pod_is_remembered_until_its_allowance_is_full_again),
	  UNIT(of_a_stream_of_pods_only_so_many_are_remembered),
	  UNIT(the_gauges_say_who_waits_and_what_is_overdue),
	  UNIT(a_cache_with_all_kinds_of_queues_is_freed_in_silence))
