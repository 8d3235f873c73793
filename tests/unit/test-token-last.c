/* SPDX-License-Identifier: MIT */

/* A token in its last minutes: who is given it, and who is not. */

#include "nmi/limits.h"
#include "nmi/token/policy.h"
#include "tests/unit/cache-bench.h"
#include "tests/unit/log-lines.h"

#define USABLE_MSEC (55 * MINUTE_MSEC)
#define LAST_MSEC   (59 * MINUTE_MSEC)

/* A token of an hour, 56 minutes old, that nobody has used since it came. */
static void bench_late(struct bench *b)
{
	bench_init(b, 10, 4, 10);
	fill(b, "r", "one", HOUR);
	loop_fake_advance(b->loop, USABLE_MSEC + MINUTE_MSEC);
	ck_assert_str_eq(peek(b, "r"), ""); /* somebody has to be asked */
	ck_assert_uint_eq(b->source.asked, 1);
}

static void ask(struct bench *b, struct got *g)
{
	struct token_ask ask = ask_for(b, "r");

	*g = (struct got){ 0 };
	(void)get(b, &ask, g);
}

static void was_given(struct bench *b, struct got *g, unsigned in_all)
{
	const struct token_cache_stats *s = token_cache_stats(b->cache);

	turn(b);
	ck_assert_uint_eq(g->calls, 1);
	ck_assert_str_eq(g->text, "one");
	ck_assert_uint_eq(s->last, in_all);
	ck_assert_double_eq(metric_get(b->metrics, NMI_METRIC_CACHE_LAST, NULL), in_all);
}

static void was_told(struct bench *b, struct got *g, enum token_fault fault)
{
	turn(b);
	ck_assert_uint_eq(g->calls, 1);
	ck_assert_int_eq(g->fault, (int)fault);
	ck_assert_str_eq(g->text, "");
	ck_assert_uint_eq(token_cache_stats(b->cache)->last, 0);
}

static void fails_and_was_told(struct bench *b, struct got *g, enum token_fault fault,
			       unsigned retry_after_sec)
{
	ck_assert(fake_source_fail(&b->source, fault, retry_after_sec));
	was_told(b, g, fault);
}

static const enum token_fault upstreams[] = { TOKEN_FAULT_DOWN, TOKEN_FAULT_UPDATING,
					      TOKEN_FAULT_THROTTLED, TOKEN_FAULT_GARBLED };

START_TEST(it_is_given_at_once_when_the_upstream_fails)
{
	struct got g[2];
	struct bench b;

	bench_late(&b);
	ask(&b, &g[0]);
	ask(&b, &g[1]); /* comes with the same flight */
	ck_assert(fake_source_fail(&b.source, upstreams[_i], 30));
	was_given(&b, &g[0], 2);
	was_given(&b, &g[1], 2);
	ck_assert_uint_eq(token_cache_stats(b.cache)->stale, 1);
	/* nor is anybody asked while that is believed */
	ask(&b, &g[0]);
	was_given(&b, &g[0], 3);
	ck_assert_uint_eq(b.source.asked, 2);
	bench_deinit(&b);
}
END_TEST

static const enum token_fault identitys[] = { TOKEN_FAULT_REFUSED, TOKEN_FAULT_CREDENTIAL,
					      TOKEN_FAULT_INVALID, TOKEN_FAULT_UNSUPPORTED };

START_TEST(it_is_not_given_after_a_refusal_whatever_comes_then)
{
	struct got g;
	struct bench b;

	bench_late(&b);
	ask(&b, &g);
	fails_and_was_told(&b, &g, identitys[_i], 0);
	ck_assert_uint_eq(token_cache_stats(b.cache)->tokens, 0);
	loop_fake_advance(b.loop, 10000);
	ask(&b, &g);
	fails_and_was_told(&b, &g, TOKEN_FAULT_DOWN, 30);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_renewal_that_was_refused_leaves_no_last_minutes)
{
	struct got g;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	ck_assert_str_eq(peek(&b, "r"), "one");
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_REFUSED, 0));
	b.source.answers_msec = 1;
	b.source.fault = TOKEN_FAULT_DOWN;
	loop_fake_advance(b.loop, 10 * MINUTE_MSEC - 1000);
	ck_assert_str_eq(peek(&b, "r"), "one");
	loop_fake_advance(b.loop, 6000); /* what is believed has passed */
	b.source.answers_msec = 0;
	ask(&b, &g);
	fails_and_was_told(&b, &g, TOKEN_FAULT_DOWN, 30);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_new_token_after_a_refusal_has_last_minutes_again)
{
	struct got g;
	struct bench b;

	bench_late(&b);
	ask(&b, &g);
	fails_and_was_told(&b, &g, TOKEN_FAULT_REFUSED, 0);
	loop_fake_advance(b.loop, 10000);
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, USABLE_MSEC + MINUTE_MSEC);
	ask(&b, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 30));
	was_given(&b, &g, 1);
	bench_deinit(&b);
}
END_TEST

START_TEST(it_is_not_given_to_a_pod_for_which_nothing_is_given_and_the_next_has_it)
{
	struct got g[2] = { 0 };
	struct bench b;

	bench_late(&b);
	(void)get_as(&b, "gone", "r", &g[0]);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_POD, 0));
	was_told(&b, &g[0], TOKEN_FAULT_POD);
	(void)get_as(&b, "lives", "r", &g[1]);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	was_given(&b, &g[1], 1);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_upstream_that_is_well_gives_a_new_one)
{
	struct got g;
	struct bench b;

	bench_late(&b);
	ask(&b, &g);
	loop_fake_advance(b.loop, POLICY_LAST_WAIT_MSEC - 1);
	ck_assert_uint_eq(g.calls, 0);
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(g.text, "two");
	ck_assert_str_eq(peek(&b, "r"), "two");
	ck_assert_uint_eq(token_cache_stats(b.cache)->last, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_upstream_that_hangs_is_waited_for_a_second_and_its_answer_is_kept)
{
	struct got g[2];
	struct bench b;

	bench_late(&b);
	ask(&b, &g[0]);
	loop_fake_advance(b.loop, POLICY_LAST_WAIT_MSEC);
	was_given(&b, &g[0], 1);
	/* who comes now does not wait another */
	ask(&b, &g[1]);
	loop_fake_advance(b.loop, 0);
	was_given(&b, &g[1], 2);
	ck_assert_uint_eq(b.source.asked, 2);
	ck_assert_uint_eq(b.source.cancelled, 0);
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(peek(&b, "r"), "two");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_renewal_that_waits_for_its_turn_waits_on_when_its_caller_was_given_the_old_one)
{
	struct token_ask other, left;
	struct got g[3] = { 0 };
	struct bench b;

	bench_init(&b, 10, 1, 10);
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, USABLE_MSEC + MINUTE_MSEC);
	other = ask_for(&b, "other");
	(void)get(&b, &other, &g[1]);
	left = ask_for(&b, "left");
	(void)get_within(&b, &left, 100, &g[2]);
	ask(&b, &g[0]);
	loop_fake_advance(b.loop, POLICY_LAST_WAIT_MSEC);
	was_given(&b, &g[0], 1);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	ck_assert_str_eq(fake_source_oldest(&b.source), "r"); /* as renewals do */
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(peek(&b, "r"), "two");
	ck_assert_str_eq(fake_source_oldest(&b.source), "left");
	bench_deinit(&b);
}
END_TEST

START_TEST(whose_wait_outlasts_the_token_waits_on_for_a_new_one)
{
	struct got g;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, LAST_MSEC - 500);
	ask(&b, &g);
	loop_fake_advance(b.loop, 10000);
	ck_assert_uint_eq(g.calls, 0);
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(g.text, "two");
	bench_deinit(&b);
}
END_TEST

START_TEST(of_a_short_lived_token_that_is_usable_until_later_there_is_none)
{
	struct got g;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", 100);
	loop_fake_advance(b.loop, 49000);
	ck_assert_str_eq(peek(&b, "r"), "one");
	loop_fake_advance(b.loop, 1000);
	ck_assert_str_eq(peek(&b, "r"), "");
	ask(&b, &g);
	fails_and_was_told(&b, &g, TOKEN_FAULT_DOWN, 30);
	bench_deinit(&b);
}
END_TEST

START_TEST(with_less_than_a_minute_left_it_is_not_given)
{
	struct got g;
	struct bench b;

	ck_assert_int_eq(LIMIT_TOKEN_LAST_SEC, 60);
	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, LAST_MSEC - 1000);
	ask(&b, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 1));
	was_given(&b, &g, 1);
	loop_fake_advance(b.loop, 1000);
	ck_assert_uint_eq(token_cache_stats(b.cache)->tokens, 0);
	ask(&b, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 30));
	turn(&b);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_DOWN);
	bench_deinit(&b);
}
END_TEST

/* The answer says how long a token is good by the clock that is set. */
static const struct {
	int64_t by_sec;
	bool is_given;
} clocks[] = { { -24 * HOUR, false }, { -HOUR, false }, { -62, false }, { -58, true },
	       { 0, true },	      { 58, true },	{ 170, true },	{ 190, false } };

START_TEST(it_is_not_given_by_a_clock_that_was_put_back)
{
	struct got g;
	struct bench b;

	bench_late(&b);
	loop_fake_set_wall(b.loop, clocks[_i].by_sec);
	ask(&b, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 30));
	if (clocks[_i].is_given)
		was_given(&b, &g, 1);
	else
		was_told(&b, &g, TOKEN_FAULT_DOWN);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_clock_that_was_put_back_by_less_than_a_minute_does_not_make_it_last_longer)
{
	struct got g;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, LAST_MSEC - MINUTE_MSEC);
	loop_fake_set_wall(b.loop, -50);
	loop_fake_advance(b.loop, MINUTE_MSEC + 1000);
	ask(&b, &g);
	fails_and_was_told(&b, &g, TOKEN_FAULT_DOWN, 30);
	bench_deinit(&b);
}
END_TEST

START_TEST(it_is_not_given_if_it_came_by_a_clock_that_is_behind)
{
	struct got g;
	struct bench b;

	bench_init(&b, 10, 4, 10);
	b.source.ahead_sec = 24 * HOUR;
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, USABLE_MSEC + MINUTE_MSEC);
	ask(&b, &g);
	fails_and_was_told(&b, &g, TOKEN_FAULT_DOWN, 30);
	bench_deinit(&b);
}
END_TEST

static enum token_news said;

static enum token_news say(void *ctx, const struct token_ask *what, uint64_t origin)
{
	(void)ctx;
	(void)what;
	(void)origin;
	return said;
}

static const struct {
	enum token_news news;
	bool is_given;
} news[] = { { TOKEN_NEWS_NONE, true },
	     { TOKEN_NEWS_UNSURE, true }, /* who would know is away as well */
	     { TOKEN_NEWS_CHANGED, false } };

START_TEST(it_is_not_given_when_its_credential_has_changed)
{
	struct got g;
	struct bench b;

	said = TOKEN_NEWS_NONE;
	bench_init(&b, 10, 4, 10);
	b.source.vtable.check = say;
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, USABLE_MSEC + MINUTE_MSEC);
	said = news[_i].news;
	ask(&b, &g);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 30));
	if (!news[_i].is_given) {
		loop_fake_advance(b.loop, 20000); /* it is tried again, as for any */
		was_told(&b, &g, TOKEN_FAULT_DOWN);
	} else {
		was_given(&b, &g, 1);
	}
	bench_deinit(&b);
}
END_TEST

START_TEST(while_its_source_has_not_looked_it_is_not_given)
{
	struct token_ask other;
	struct got g[3] = { 0 };
	struct bench b;

	said = TOKEN_NEWS_NONE;
	bench_init(&b, 10, 4, 2);
	b.source.vtable.check = say;
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, USABLE_MSEC - MINUTE_MSEC);
	/* while it is usable all is as ever */
	said = TOKEN_NEWS_UNSURE;
	other = ask_for(&b, "other");
	(void)get(&b, &other, &g[0]);
	other = ask_for(&b, "another");
	(void)get(&b, &other, &g[1]);
	ask(&b, &g[2]);
	was_told(&b, &g[2], TOKEN_FAULT_OVERLOADED);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	turn(&b);
	ask(&b, &g[2]);
	loop_fake_advance(b.loop, POLICY_LAST_WAIT_MSEC + 1);
	ck_assert_uint_eq(g[2].calls, 0);
	while (fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 30))
		turn(&b);
	ck_assert_str_eq(g[2].text, "one");
	ask(&b, &g[2]);
	turn(&b);
	ck_assert_uint_eq(g[2].calls,
			  0); /* it is looked at, whatever is believed of the upstream */
	bench_deinit(&b);
	/* and after, it is waited for */
	said = TOKEN_NEWS_NONE;
	bench_init(&b, 10, 4, 1);
	b.source.vtable.check = say;
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, USABLE_MSEC + MINUTE_MSEC);
	said = TOKEN_NEWS_UNSURE;
	ask(&b, &g[0]);
	ask(&b, &g[1]); /* one too many, and nobody has looked for it */
	was_told(&b, &g[1], TOKEN_FAULT_OVERLOADED);
	loop_fake_advance(b.loop, POLICY_LAST_WAIT_MSEC + 1);
	ck_assert_uint_eq(g[0].calls, 0);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 30));
	was_given(&b, &g[0], 1);
	ask(&b, &g[1]); /* it was looked, in vain, just now */
	was_given(&b, &g[1], 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(who_bypasses_the_cache_is_not_given_it)
{
	struct token_ask bypassing;
	struct got g = { 0 };
	struct bench b;

	bench_late(&b);
	bypassing = ask_for(&b, "r");
	bypassing.bypass_cache = true;
	(void)get_within(&b, &bypassing, 3000, &g);
	loop_fake_advance(b.loop, 2999);
	ck_assert_uint_eq(g.calls, 0);
	fails_and_was_told(&b, &g, TOKEN_FAULT_DOWN, 30);
	(void)get(&b, &bypassing, &g); /* nor from what is believed of it */
	turn(&b);
	ck_assert_uint_eq(g.calls, 2);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_DOWN);
	loop_fake_advance(b.loop, 31000);
	(void)get_within(&b, &bypassing, 3000, &g); /* nor at the end of his patience */
	loop_fake_advance(b.loop, 3000);
	ck_assert_uint_eq(g.calls, 3);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_DOWN);
	ck_assert_str_eq(g.text, "");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_refusal_to_who_bypasses_the_cache_ends_it_too)
{
	struct token_ask bypassing;
	struct got g = { 0 };
	struct bench b;

	bench_late(&b);
	bypassing = ask_for(&b, "r");
	bypassing.bypass_cache = true;
	(void)get(&b, &bypassing, &g);
	fails_and_was_told(&b, &g, TOKEN_FAULT_REFUSED, 0);
	ask(&b, &g);
	was_told(&b, &g, TOKEN_FAULT_REFUSED);
	bench_deinit(&b);
}
END_TEST

/* And it is renewed then, for nobody's allowance. */
static void is_renewed(struct bench *b)
{
	ck_assert_str_eq(fake_source_oldest(&b->source), "r");
	ck_assert(fake_source_give(&b->source, "two", HOUR));
	turn(b);
	ck_assert_str_eq(peek(b, "r"), "two");
}

START_TEST(it_is_given_when_too_many_wait)
{
	struct token_ask other;
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b, 10, 4, 1);
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, USABLE_MSEC + MINUTE_MSEC);
	other = ask_for(&b, "other");
	(void)get(&b, &other, &g[0]);
	ask(&b, &g[1]);
	was_given(&b, &g[1], 1);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	is_renewed(&b);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_that_has_asked_for_too_much_is_given_it)
{
	const struct token_cache_spec spec = {
		.max_tokens = 10, .max_waiting = 10, .pod_burst = 1, .pod_per_second = 1
	};
	struct got g[3] = { 0 };
	struct bench b;

	bench_init_spec(&b, spec, 4);
	fill(&b, "r", "one", HOUR);
	loop_fake_advance(b.loop, USABLE_MSEC + MINUTE_MSEC);
	(void)get_as(&b, "p", "a", &g[0]);
	(void)get_as(&b, "p", "b", &g[1]);
	(void)get_as(&b, "p", "r", &g[2]);
	was_given(&b, &g[2], 1);
	ck_assert_int_eq(g[1].fault, TOKEN_FAULT_POD_LIMIT);
	ck_assert(fake_source_give(&b.source, "t", HOUR));
	is_renewed(&b);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_long_throttling_leaves_it)
{
	struct token_ask other;
	struct got g[2] = { 0 };
	struct bench b;

	bench_late(&b);
	other = ask_for(&b, "other");
	(void)get(&b, &other, &g[1]);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_THROTTLED, 30));
	ask(&b, &g[0]);
	was_given(&b, &g[0], 1);
	ck_assert_int_eq(g[1].fault, TOKEN_FAULT_THROTTLED);
	bench_deinit(&b);
}
END_TEST

START_TEST(in_use_it_is_renewed_on_in_its_last_minutes_and_the_log_says_when_they_end)
{
	struct got g;
	const char *text;
	struct bench b;

	bench_late(&b);
	ask(&b, &g);
	log_lines_start();
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	was_given(&b, &g, 1);
	text = log_lines_end();
	ck_assert_ptr_nonnull(strstr(text, ", handed out for 180 s more"));
	/* nobody asks any more */
	loop_fake_advance(b.loop, 15000);
	ck_assert(fake_source_give(&b.source, "two", HOUR));
	turn(&b);
	ck_assert_str_eq(peek(&b, "r"), "two");
	bench_deinit(&b);
}
END_TEST

START_TEST(while_it_is_given_the_upstream_is_asked_no_more_than_before)
{
	unsigned before;
	struct got g;
	struct bench b;

	bench_late(&b);
	b.source.answers_msec = 1;
	b.source.fault = TOKEN_FAULT_DOWN;
	before = b.source.asked;
	for (unsigned i = 0; i < 600; i++) {
		ask(&b, &g);
		loop_fake_advance(b.loop, 100);
		ck_assert_str_eq(g.text, "one");
	}
	ck_assert_uint_le(b.source.asked - before, 60); /* one a second: what is believed of it */
	ck_assert_uint_ge(b.source.asked - before, 40);
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("token-last", UNIT_LOOP(it_is_given_at_once_when_the_upstream_fails, upstreams),
	  UNIT_LOOP(it_is_not_given_after_a_refusal_whatever_comes_then, identitys),
	  UNIT(a_renewal_that_was_refused_leaves_no_last_minutes),
	  UNIT(a_new_token_after_a_refusal_has_last_minutes_again),
	  UNIT(it_is_not_given_to_a_pod_for_which_nothing_is_given_and_the_next_has_it),
	  UNIT(an_upstream_that_is_well_gives_a_new_one),
	  UNIT(an_upstream_that_hangs_is_waited_for_a_second_and_its_answer_is_kept),
	  UNIT(a_renewal_that_waits_for_its_turn_waits_on_when_its_caller_was_given_the_old_one),
	  UNIT(whose_wait_outlasts_the_token_waits_on_for_a_new_one),
	  UNIT(of_a_short_lived_token_that_is_usable_until_later_there_is_none),
	  UNIT(with_less_than_a_minute_left_it_is_not_given),
	  UNIT_LOOP(it_is_not_given_by_a_clock_that_was_put_back, clocks),
	  UNIT(a_clock_that_was_put_back_by_less_than_a_minute_does_not_make_it_last_longer),
	  UNIT(it_is_not_given_if_it_came_by_a_clock_that_is_behind),
	  UNIT_LOOP(it_is_not_given_when_its_credential_has_changed, news),
	  UNIT(while_its_source_has_not_looked_it_is_not_given),
	  UNIT(who_bypasses_the_cache_is_not_given_it),
	  UNIT(a_refusal_to_who_bypasses_the_cache_ends_it_too),
	  UNIT(it_is_given_when_too_many_wait), UNIT(a_pod_that_has_asked_for_too_much_is_given_it),
	  UNIT(a_long_throttling_leaves_it),
	  UNIT(in_use_it_is_renewed_on_in_its_last_minutes_and_the_log_says_when_they_end),
	  UNIT(while_it_is_given_the_upstream_is_asked_no_more_than_before))
