/* SPDX-License-Identifier: MIT */

/* Requests whose identity the controller has not assigned yet: they wait for events, and not for ever. */

#include "tests/unit/issue-bench.h"

#define NAMED_MSEC    UINT64_C(80000)
#define ASSIGNED_MSEC UINT64_C(100000)

static void pass(struct bench *b, uint64_t msec)
{
	loop_fake_advance(b->loop, msec);
}

/* What the decider says from now on, and everybody hears of it. */
static void say_quietly(struct bench *b, enum match_result result)
{
	static char ns[] = "default", name[] = "web-0-shop-web";
	static struct azure_assigned_identity assigned = {
		.meta = { .namespace = ns, .name = name },
	};

	assigned.identity = b->identity;
	b->match = (struct match_answer){ .result = result };
	if (result == MATCH_NOT_ASSIGNED_YET || result == MATCH_NAMESPACE_MISMATCH)
		b->match.assigned = &assigned;
	if (result == MATCH_GRANTED)
		b->match.identity = b->identity;
}

static void say(struct bench *b, enum match_result result)
{
	say_quietly(b, result);
	issuer_identities_changed(b->issuer);
	turn(b);
}

/* A request that waits because the decider says so. */
static struct issue *begin(struct bench *b, enum match_result result, struct got *g)
{
	struct issue *q;

	bench_init(b);
	say_quietly(b, result);
	q = start(b, g);
	ck_assert_ptr_nonnull(q);
	ck_assert_uint_eq(issuer_waiting(b->issuer), 1);
	return q;
}

static void end(struct bench *b)
{
	ck_assert_uint_eq(issuer_waiting(b->issuer), 0);
	bench_deinit(b);
}

static const struct {
	enum match_result says;
	uint64_t msec;
	const char *text;
} waits[] = {
	{ MATCH_NO_ASSIGNED, NAMED_MSEC, "no AzureAssignedIdentity exists for pod shop/web-0" },
	{ MATCH_NOT_ASSIGNED_YET, ASSIGNED_MSEC,
	  "default/web-0-shop-web of pod shop/web-0 is in state Created" },
};

START_TEST(a_wait_ends_with_the_longest_wait_and_says_for_what)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, waits[_i].says, &g);
	pass(&b, waits[_i].msec - 1);
	ck_assert_uint_eq(g.calls, 0);
	pass(&b, 1);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, REASON_NOT_ASSIGNED_YET);
	ck_assert_ptr_nonnull(strstr(g.a.text, waits[_i].text));
	ck_assert_ptr_nonnull(strstr(g.a.text, "MIC"));
	ck_assert_str_eq(g.a.pod_namespace, "shop");
	ck_assert_uint_eq(b.source.asked, 0);
	end(&b);
}
END_TEST

START_TEST(the_event_ends_the_wait_in_its_own_turn)
{
	struct got g = { 0 }, again = { 0 };
	struct bench b;

	begin(&b, waits[_i].says, &g);
	pass(&b, 20000);
	say(&b, MATCH_GRANTED);
	ck_assert_uint_eq(b.source.asked, 1);
	ck_assert_uint_eq(issuer_waiting(b.issuer), 0);
	give(&b, "one");
	ck_assert_str_eq(g.token, "one");

	/* the next one's is in the cache: no turn more than the event's */
	say_quietly(&b, waits[_i].says);
	ck_assert_ptr_nonnull(start(&b, &again));
	say(&b, MATCH_GRANTED);
	ck_assert_str_eq(again.token, "one");
	ck_assert_uint_eq(b.source.asked, 1);
	end(&b);
}
END_TEST

START_TEST(an_event_that_changes_nothing_is_waited_past)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, MATCH_NO_ASSIGNED, &g);
	for (unsigned i = 0; i < 8; i++) {
		pass(&b, NAMED_MSEC / 8 - 1);
		say(&b, MATCH_NO_ASSIGNED); /* does not begin the wait again */
		ck_assert_uint_eq(g.calls, 0);
	}
	pass(&b, 8);
	ck_assert_uint_eq(g.calls, 1);
	end(&b);
}
END_TEST

START_TEST(once_it_is_named_the_wait_is_the_longer_one_from_the_same_beginning)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, MATCH_NO_ASSIGNED, &g);
	pass(&b, NAMED_MSEC - 1);
	say(&b, MATCH_NOT_ASSIGNED_YET);
	pass(&b, ASSIGNED_MSEC - NAMED_MSEC);
	ck_assert_uint_eq(g.calls, 0);
	pass(&b, 1);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_ptr_nonnull(strstr(g.a.text, "in state Created"));
	end(&b);
}
END_TEST

START_TEST(what_is_taken_back_late_is_waited_for_no_longer)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, MATCH_NOT_ASSIGNED_YET, &g);
	pass(&b, NAMED_MSEC + 1);
	ck_assert_uint_eq(g.calls, 0);
	say(&b, MATCH_NO_ASSIGNED);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, REASON_NOT_ASSIGNED_YET);
	end(&b);
}
END_TEST

static const struct {
	enum match_result says;
	enum reason reason;
} refusals[] = {
	{ MATCH_NO_LABEL, REASON_NO_LABEL },
	{ MATCH_SELECTOR_NOT_BOUND, REASON_NOT_BOUND },
	{ MATCH_NAMESPACE_MISMATCH, REASON_NAMESPACE_MISMATCH },
};

START_TEST(an_event_that_settles_it_otherwise_refuses_at_once)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, MATCH_NOT_ASSIGNED_YET, &g);
	say(&b, refusals[_i].says);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, refusals[_i].reason);
	pass(&b, 2 * ASSIGNED_MSEC);
	ck_assert_uint_eq(g.calls, 1);
	end(&b);
}
END_TEST

START_TEST(a_caller_that_hangs_up_is_forgotten)
{
	struct got g = { 0 };
	struct bench b;

	issue_cancel(begin(&b, MATCH_NOT_ASSIGNED_YET, &g));
	ck_assert_uint_eq(issuer_waiting(b.issuer), 0);
	say(&b, MATCH_GRANTED);
	pass(&b, 2 * ASSIGNED_MSEC);
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_uint_eq(b.source.asked, 0);
	end(&b);
}
END_TEST

START_TEST(one_that_hangs_up_between_the_event_and_its_turn_is_forgotten_too)
{
	struct got g = { 0 };
	struct issue *q;
	struct bench b;

	q = begin(&b, MATCH_NOT_ASSIGNED_YET, &g);
	say_quietly(&b, MATCH_GRANTED);
	issuer_identities_changed(b.issuer);
	issue_cancel(q);
	turn(&b);
	ck_assert_uint_eq(b.source.asked, 0);
	end(&b);
}
END_TEST

START_TEST(an_address_that_changes_hands_during_the_wait_is_not_served)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, MATCH_NOT_ASSIGNED_YET, &g);
	b.resolver.pod = b.other_pod;
	say(&b, MATCH_GRANTED);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_uint_eq(b.source.asked, 0);
	end(&b);
}
END_TEST

struct word {
	struct loop_timer timer;
	struct bench *b;
};

static void on_word(struct loop_timer *t)
{
	struct bench *b = container_of(t, struct word, timer)->b;

	say_quietly(b, MATCH_GRANTED);
	issuer_identities_changed(b->issuer);
}

/* The word comes in the very moment, between the deadline and its turn. */
START_TEST(the_deadline_and_the_event_of_one_moment_ask_for_one_token)
{
	struct got g = { 0 };
	struct bench b;
	struct word word = { .b = &b };

	bench_init(&b);
	say_quietly(&b, MATCH_NOT_ASSIGNED_YET);
	loop_timer_set_msec(b.loop, &word.timer, ASSIGNED_MSEC, on_word);
	ck_assert_ptr_nonnull(start(&b, &g));
	pass(&b, ASSIGNED_MSEC);
	ck_assert_uint_eq(b.source.asked, 1);
	give(&b, "one");
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_str_eq(g.token, "one");
	end(&b);
}
END_TEST

START_TEST(without_a_wait_it_is_refused_inside_the_call)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.issuer = issuer_free(b.issuer);
	b.issuer = issuer_new(b.loop, &(struct issuer_spec){ .resolver = &b.resolver,
							     .decider = &b.decider,
							     .tokens = b.cache,
							     .sync_wait_msec = 5000,
							     .token_wait_msec = 20000 });
	say_quietly(&b, waits[_i].says);
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_int_eq(g.a.reason, REASON_NOT_ASSIGNED_YET);
	end(&b);
}
END_TEST

START_TEST(one_too_many_is_asked_to_come_back)
{
	static struct got g[LIMIT_WAITING + 1];
	struct bench b;

	memset(g, 0, sizeof(g));
	bench_init(&b);
	say_quietly(&b, MATCH_NO_ASSIGNED);
	for (unsigned i = 0; i < LIMIT_WAITING; i++)
		ck_assert_ptr_nonnull(start(&b, &g[i]));
	ck_assert_ptr_null(start(&b, &g[LIMIT_WAITING]));
	ck_assert_int_eq(g[LIMIT_WAITING].a.reason, REASON_OVERLOADED);
	say(&b, MATCH_NOT_ASSIGNED_YET); /* those who wait already may go on waiting */
	ck_assert_uint_eq(issuer_waiting(b.issuer), LIMIT_WAITING);
	say(&b, MATCH_NO_LABEL);
	for (unsigned i = 0; i < LIMIT_WAITING; i++)
		ck_assert_uint_eq(g[i].calls, 1);
	end(&b);
}
END_TEST

START_TEST(a_sync_that_names_nothing_begins_the_wait)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.is_ready = false;
	say_quietly(&b, MATCH_NO_ASSIGNED);
	ck_assert_ptr_nonnull(start(&b, &g));
	pass(&b, 4000);
	b.is_ready = true;
	say(&b, MATCH_NO_ASSIGNED);
	pass(&b, NAMED_MSEC - 1); /* and the limit of the sync is no more */
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_uint_eq(issuer_waiting(b.issuer), 1);
	pass(&b, 1);
	ck_assert_int_eq(g.a.reason, REASON_NOT_ASSIGNED_YET);
	end(&b);
}
END_TEST

/* After each edit of a binding the controller writes Created again, for a moment. */
START_TEST(a_token_that_comes_while_it_is_assigned_again_is_kept_and_given_after)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	say(&b, MATCH_NOT_ASSIGNED_YET);
	give(&b, "one");
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_uint_eq(issuer_waiting(b.issuer), 1);
	say(&b, MATCH_GRANTED);
	ck_assert_str_eq(g.token, "one");
	ck_assert_uint_eq(b.source.asked, 1);
	end(&b);
}
END_TEST

START_TEST(assigned_and_taken_back_again_and_again_it_is_still_one_wait)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, MATCH_NOT_ASSIGNED_YET, &g);
	for (unsigned i = 0; i < 4; i++) {
		pass(&b, ASSIGNED_MSEC / 5);
		say(&b, MATCH_GRANTED);
		say(&b, MATCH_NOT_ASSIGNED_YET);
		ck_assert(fake_source_give(&b.source, "short-lived", 10));
		turn(&b);
		ck_assert_uint_eq(g.calls, 0);
	}
	ck_assert_uint_eq(b.source.asked, 4);
	pass(&b, ASSIGNED_MSEC);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, REASON_NOT_ASSIGNED_YET);
	end(&b);
}
END_TEST

UNIT_MAIN("issue-assigning", UNIT_LOOP(a_wait_ends_with_the_longest_wait_and_says_for_what, waits),
	  UNIT_LOOP(the_event_ends_the_wait_in_its_own_turn, waits),
	  UNIT(an_event_that_changes_nothing_is_waited_past),
	  UNIT(once_it_is_named_the_wait_is_the_longer_one_from_the_same_beginning),
	  UNIT(what_is_taken_back_late_is_waited_for_no_longer),
	  UNIT_LOOP(an_event_that_settles_it_otherwise_refuses_at_once, refusals),
	  UNIT(a_caller_that_hangs_up_is_forgotten),
	  UNIT(one_that_hangs_up_between_the_event_and_its_turn_is_forgotten_too),
	  UNIT(an_address_that_changes_hands_during_the_wait_is_not_served),
	  UNIT(the_deadline_and_the_event_of_one_moment_ask_for_one_token),
	  UNIT_LOOP(without_a_wait_it_is_refused_inside_the_call, waits),
	  UNIT(one_too_many_is_asked_to_come_back), UNIT(a_sync_that_names_nothing_begins_the_wait),
	  UNIT(a_token_that_comes_while_it_is_assigned_again_is_kept_and_given_after),
	  UNIT(assigned_and_taken_back_again_and_again_it_is_still_one_wait))
