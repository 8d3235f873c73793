/* SPDX-License-Identifier: MIT */

/* The cache with a source whose tokens depend on something that may change: token_source.check. */

#include "nmi/token/token.h"
#include "tests/unit/cache-bench.h"
#include "tests/unit/log-lines.h"

/* One fetch at a time; the origin of what is there now, and when it was last looked at. */
static struct {
	uint64_t origin;
	bool unsure; /* for all but what is certainly another */
	unsigned asked;
	struct token *known; /* what the last fetch might give back */
	token_done_fn *done;
	void *ctx;
} src;

static void *src_fetch(void *ctx, const struct token_ask *ask, token_done_fn *done, void *done_ctx,
		       struct token_failure *out_fail)
{
	(void)ctx;
	(void)out_fail;
	ck_assert_ptr_null(src.done);
	src.asked++;
	(void)token_unref(src.known);
	src.known = ask->known ? token_ref(ask->known) : NULL;
	src.done = done;
	src.ctx = done_ctx;
	return &src;
}

static void src_cancel(void *ctx, void *handle)
{
	(void)ctx;
	(void)handle;
	src.done = NULL;
}

static enum token_news src_check(void *ctx, const struct token_ask *ask, uint64_t origin)
{
	(void)ctx;
	ck_assert_str_eq(ask->identity->client_id, "c1");
	if (origin != src.origin)
		return TOKEN_NEWS_CHANGED;
	return src.unsure ? TOKEN_NEWS_UNSURE : TOKEN_NEWS_NONE;
}

static void give(struct token *tok, const struct token_failure *fail)
{
	token_done_fn *done = src.done;

	ck_assert_ptr_nonnull(done);
	src.done = NULL;
	done(src.ctx, tok, fail);
}

static void give_new(const char *text)
{
	_cleanup_(token_unrefp) struct token *t =
		token_new(&(struct token_fields){ .access_token = text,
						  .client_id = "c1",
						  .resource = "r",
						  .expires_on = 1767225600 + 3600 });

	t->origin = src.origin;
	give(t, NULL);
}

static void start(struct bench *b)
{
	memset(&src, 0, sizeof(src));
	src.origin = 1;
	bench_init(b, 10, 4, 10);
	b->source.vtable.fetch = src_fetch;
	b->source.vtable.cancel = src_cancel;
	b->source.vtable.check = src_check;
}

static void stop(struct bench *b)
{
	bench_deinit(b);
	(void)token_unref(src.known);
}

/* Asks, and gives this if the source is asked. */
static struct got ask_and_give(struct bench *b, const char *text)
{
	const struct token_ask ask = ask_for(b, "r");
	struct got g = { 0 };

	(void)get_within(b, &ask, 1000, &g);
	if (src.done)
		give_new(text);
	turn(b);
	ck_assert_uint_eq(g.calls, 1);
	return g;
}

START_TEST(a_token_is_answered_from_memory_while_nothing_has_changed)
{
	struct bench b;

	start(&b);
	ck_assert_str_eq(ask_and_give(&b, "one").text, "one");
	ck_assert_str_eq(peek(&b, "r"), "one");
	ck_assert_str_eq(ask_and_give(&b, "two").text, "one");
	ck_assert_uint_eq(src.asked, 1);
	stop(&b);
}
END_TEST

START_TEST(a_token_of_what_has_changed_is_not_handed_out)
{
	struct token_ask ask;
	struct bench b;

	start(&b);
	ask = ask_for(&b, "r");
	(void)ask_and_give(&b, "one");
	src.origin = 2;
	ck_assert_ptr_null(token_cache_peek(b.cache, &ask));
	ck_assert_str_eq(ask_and_give(&b, "two").text, "two");
	ck_assert_ptr_null(src.known); /* there was nothing to give back */
	ck_assert_uint_eq(token_cache_stats(b.cache)->tokens, 1);
	stop(&b);
}
END_TEST

START_TEST(nor_is_it_when_there_is_no_other)
{
	const struct token_failure fail = { .fault = TOKEN_FAULT_CREDENTIAL,
					    .err = { .kind = ERR_INPUT, .msg = "gone" },
					    .origin = 2 };
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	start(&b);
	ask = ask_for(&b, "r");
	(void)ask_and_give(&b, "one");
	src.origin = 2;
	(void)get_within(&b, &ask, 1000, &g);
	give(NULL, &fail);
	turn(&b);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_CREDENTIAL);
	stop(&b);
}
END_TEST

START_TEST(what_is_unsure_is_looked_at_and_the_token_kept_as_it_was)
{
	const struct token *first;
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	start(&b);
	ask = ask_for(&b, "r");
	(void)ask_and_give(&b, "one");
	first = token_cache_peek(b.cache, &ask);
	ck_assert_ptr_nonnull(first);
	src.unsure = true;
	ck_assert_ptr_null(token_cache_peek(b.cache, &ask));
	(void)get_within(&b, &ask, 1000, &g);
	ck_assert_ptr_eq(src.known, first);
	src.unsure = false;
	give(src.known, NULL);
	turn(&b);
	ck_assert_str_eq(g.text, "one");
	ck_assert_ptr_eq(token_cache_peek(b.cache, &ask), first);
	ck_assert_uint_eq(src.asked, 2);
	stop(&b);
}
END_TEST

START_TEST(looking_does_not_put_off_the_renewal)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	start(&b);
	ask = ask_for(&b, "r");
	(void)ask_and_give(&b, "one");
	/* looked at all the time, as by a pod that asks all the time: due at 80 % of its use at the latest */
	for (unsigned min = 0; min < 44 && src.asked < 100; min++) {
		src.unsure = true;
		g = (struct got){ 0 };
		(void)get_within(&b, &ask, 1000, &g);
		src.unsure = false;
		if (!src.known)
			break;
		give(src.known, NULL);
		turn(&b);
		loop_fake_advance(b.loop, MINUTE_MSEC);
		if (src.done)
			break; /* by the timer */
	}
	ck_assert_ptr_nonnull(src.done);
	ck_assert_ptr_null(src.known);
	stop(&b);
}
END_TEST

START_TEST(looking_does_not_say_that_the_upstream_is_well_again)
{
	const struct token_failure fail = { .fault = TOKEN_FAULT_DOWN,
					    .err = { .kind = ERR_TIMEOUT, .msg = "silent" },
					    .origin = 1 };
	struct token_ask ask, other;
	struct got g = { 0 };
	const char *text;
	struct bench b;

	start(&b);
	ask = ask_for(&b, "r");
	other = ask_for(&b, "other");
	(void)ask_and_give(&b, "one");
	(void)get_within(&b, &other, 1000, &g);
	give(NULL, &fail);
	loop_fake_advance(b.loop, 15000);
	log_lines_start();
	src.unsure = true;
	(void)get_within(&b, &ask, 1000, &g);
	ck_assert_ptr_nonnull(src.known);
	give(src.known, NULL);
	turn(&b);
	ck_assert_str_eq(g.text, "one");
	ck_assert_uint_eq(log_lines_count(log_lines(), "gives tokens again"), 0);
	(void)get_within(&b, &other, 1000, &g);
	give_new("two");
	turn(&b);
	text = log_lines_end();
	ck_assert_uint_eq(log_lines_count(text, "gives tokens again, after 15 s"), 1);
	stop(&b);
}
END_TEST

/* Of a renewal, say: the upstream names a time, and who has a token that is good is not to wait for that. */
START_TEST(a_failure_that_is_believed_does_not_keep_a_token_from_being_looked_at)
{
	const struct token_failure fail = { .fault = TOKEN_FAULT_THROTTLED,
					    .err = { .kind = ERR_UNAVAILABLE, .msg = "busy" },
					    .retry_after_sec = 30,
					    .origin = 1 };
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	start(&b);
	b.source.vtable.budget.throttles_apart = true;
	ask = ask_for(&b, "r");
	(void)ask_and_give(&b, "one");
	ck_assert_str_eq(peek(&b, "r"), "one");
	loop_fake_advance(b.loop, 45 * MINUTE_MSEC);
	give(NULL, &fail); /* the renewal's */
	src.unsure = true;
	for (unsigned i = 0; i < 2; i++) { /* the second time too */
		loop_fake_advance(b.loop, 5000);
		g = (struct got){ 0 };
		(void)get_within(&b, &ask, 1000, &g);
		ck_assert_ptr_nonnull(src.done);
		ck_assert_ptr_nonnull(src.known);
		give(src.known, NULL);
		turn(&b);
		ck_assert_str_eq(g.text, "one");
	}
	/* the upstream is not asked */
	ask.bypass_cache = true;
	(void)get_within(&b, &ask, 1000, &g);
	turn(&b);
	ck_assert_ptr_null(src.done);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_THROTTLED);
	ck_assert_uint_eq(g.retry_after_sec, 20);
	stop(&b);
}
END_TEST

START_TEST(a_bypassing_caller_is_given_no_old_one)
{
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	start(&b);
	ask = ask_for(&b, "r");
	(void)ask_and_give(&b, "one");
	ask.bypass_cache = true;
	(void)get_within(&b, &ask, 1000, &g);
	ck_assert_ptr_null(src.known);
	give_new("two");
	turn(&b);
	ck_assert_str_eq(g.text, "two");
	stop(&b);
}
END_TEST

START_TEST(a_failure_is_forgotten_with_what_it_was_tried_with)
{
	const struct token_failure fail = { .fault = TOKEN_FAULT_REFUSED,
					    .err = { .kind = ERR_REFUSED, .msg = "wrong secret" },
					    .origin = 1 };
	struct token_ask ask;
	struct got g = { 0 };
	struct bench b;

	start(&b);
	ask = ask_for(&b, "r");
	(void)get_within(&b, &ask, 1000, &g);
	give(NULL, &fail);
	turn(&b);
	ck_assert_int_eq(g.fault, TOKEN_FAULT_REFUSED);
	(void)get_within(&b, &ask, 1000, &g); /* believed */
	turn(&b);
	ck_assert_uint_eq(src.asked, 1);
	src.origin = 2;
	ck_assert_str_eq(ask_and_give(&b, "right").text, "right");
	ck_assert_uint_eq(src.asked, 2);
	stop(&b);
}
END_TEST

UNIT_MAIN("token-origin", UNIT(a_token_is_answered_from_memory_while_nothing_has_changed),
	  UNIT(a_token_of_what_has_changed_is_not_handed_out),
	  UNIT(nor_is_it_when_there_is_no_other),
	  UNIT(what_is_unsure_is_looked_at_and_the_token_kept_as_it_was),
	  UNIT(looking_does_not_put_off_the_renewal),
	  UNIT(looking_does_not_say_that_the_upstream_is_well_again),
	  UNIT(a_failure_that_is_believed_does_not_keep_a_token_from_being_looked_at),
	  UNIT(a_bypassing_caller_is_given_no_old_one),
	  UNIT(a_failure_is_forgotten_with_what_it_was_tried_with))
