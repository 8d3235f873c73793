/* SPDX-License-Identifier: MIT */

/* Requests whose pod may have an identity by a ServiceAccount that was not seen yet. */

#include "tests/unit/issue-bench.h"

#define SYNC_MSEC UINT64_C(5000)

static char app[] = "app";

/* What the decider says from now on, and everybody hears of it. */
static void say_quietly(struct bench *b, enum match_result result)
{
	b->match = (struct match_answer){ .result = result };
	if (result == MATCH_ACCOUNT_UNSEEN)
		b->match.account = app;
	if (result == MATCH_ACCOUNT_OTHER) {
		b->match.account = app;
		b->match.account_identity = b->identity;
	}
	if (result == MATCH_GRANTED)
		b->match.identity = b->identity;
}

static void say(struct bench *b, enum match_result result)
{
	say_quietly(b, result);
	issuer_identities_changed(b->issuer);
	turn(b);
}

static void begin(struct bench *b, struct got *g)
{
	bench_init(b);
	b->pod->service_account = app;
	say_quietly(b, MATCH_ACCOUNT_UNSEEN);
	ck_assert_ptr_nonnull(start(b, g));
	ck_assert_uint_eq(issuer_waiting(b->issuer), 1);
}

static void end(struct bench *b)
{
	ck_assert_uint_eq(issuer_waiting(b->issuer), 0);
	bench_deinit(b);
}

START_TEST(a_wait_for_the_account_ends_as_one_for_the_first_sync_does)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, &g);
	loop_fake_advance(b.loop, SYNC_MSEC - 1);
	ck_assert_uint_eq(g.calls, 0);
	loop_fake_advance(b.loop, 1);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, REASON_NOT_SYNCED);
	ck_assert_msg(strstr(g.a.text, "pod shop/web-0 may have an identity by its ServiceAccount "
				       "shop/app") == g.a.text,
		      "%s", g.a.text);
	ck_assert_str_eq(g.a.pod_namespace, "shop");
	ck_assert_uint_eq(b.source.asked, 0);
	end(&b);
}
END_TEST

START_TEST(the_account_is_served_the_moment_it_is_known)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, &g);
	loop_fake_advance(b.loop, SYNC_MSEC - 1);
	say(&b, MATCH_GRANTED);
	ck_assert_uint_eq(issuer_waiting(b.issuer), 0);
	loop_fake_advance(b.loop, SYNC_MSEC); /* the wait is over, and not what ends it now */
	give(&b, "one");
	ck_assert_str_eq(g.token, "one");
	ck_assert_uint_eq(g.calls, 1);
	end(&b);
}
END_TEST

START_TEST(an_account_that_names_none_is_refused_the_moment_that_is_known)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, &g);
	say(&b, MATCH_NO_LABEL);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, REASON_NO_LABEL);
	end(&b);
}
END_TEST

START_TEST(one_that_names_another_is_not_bound)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, &g);
	say(&b, MATCH_ACCOUNT_OTHER);
	ck_assert_int_eq(g.a.reason, REASON_NOT_BOUND);
	ck_assert_ptr_nonnull(strstr(g.a.text, "ServiceAccount shop/app"));
	ck_assert_ptr_nonnull(strstr(g.a.text, b.identity->client_id));
	end(&b);
}
END_TEST

START_TEST(events_that_change_nothing_do_not_make_the_wait_longer)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, &g);
	for (int i = 0; i < 4; i++) {
		loop_fake_advance(b.loop, SYNC_MSEC / 4 - 1);
		say(&b, MATCH_ACCOUNT_UNSEEN);
	}
	ck_assert_uint_eq(g.calls, 0);
	loop_fake_advance(b.loop, 4);
	ck_assert_int_eq(g.a.reason, REASON_NOT_SYNCED);
	end(&b);
}
END_TEST

/* Standard mode: the label is put on, and taken away again, while the accounts are not there. */
START_TEST(going_to_and_fro_between_the_controller_and_the_accounts_has_one_end)
{
	struct got g = { 0 };
	struct bench b;

	begin(&b, &g);
	loop_fake_advance(b.loop, SYNC_MSEC - 1);
	say(&b, MATCH_NO_ASSIGNED);
	loop_fake_advance(b.loop, SYNC_MSEC);
	ck_assert_uint_eq(g.calls, 0); /* the controller is waited for much longer */
	say(&b, MATCH_ACCOUNT_UNSEEN);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, REASON_NOT_SYNCED);
	end(&b);
}
END_TEST

START_TEST(a_grant_that_came_to_depend_on_an_unseen_account_hands_nothing_out)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	say_quietly(&b, MATCH_ACCOUNT_UNSEEN);
	give(&b, "secret");
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, REASON_NOT_SYNCED);
	ck_assert_ptr_nonnull(strstr(g.a.text, "ServiceAccount shop/app"));
	end(&b);
}
END_TEST

START_TEST(what_is_wrong_with_an_account_is_told_as_the_accounts)
{
	static char flaw[] = "annotation x is y";
	struct got g = { 0 };
	char *was;
	struct bench b;

	bench_init(&b);
	was = b.identity->flaw;
	b.identity->flaw = flaw;
	b.identity->of_account = true;
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_int_eq(g.a.reason, REASON_IDENTITY_INVALID);
	ck_assert_str_eq(g.a.text, "pod shop/web-0: ServiceAccount shop/web: annotation x is y");
	b.identity->flaw = was;
	end(&b);
}
END_TEST

START_TEST(a_failure_is_of_the_account)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.identity->of_account = true;
	ck_assert_ptr_nonnull(start(&b, &g));
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_INVALID, 0));
	turn(&b);
	ck_assert_int_eq(g.a.reason, REASON_IDENTITY_INVALID);
	ck_assert_msg(strstr(g.a.text, "pod shop/web-0, ServiceAccount shop/web: ") == g.a.text,
		      "%s", g.a.text);
	ck_assert_ptr_null(strstr(g.a.text, "AzureIdentity"));
	end(&b);
}
END_TEST

UNIT_MAIN("issue-accounts", UNIT(a_wait_for_the_account_ends_as_one_for_the_first_sync_does),
	  UNIT(the_account_is_served_the_moment_it_is_known),
	  UNIT(an_account_that_names_none_is_refused_the_moment_that_is_known),
	  UNIT(one_that_names_another_is_not_bound),
	  UNIT(events_that_change_nothing_do_not_make_the_wait_longer),
	  UNIT(going_to_and_fro_between_the_controller_and_the_accounts_has_one_end),
	  UNIT(a_grant_that_came_to_depend_on_an_unseen_account_hands_nothing_out),
	  UNIT(what_is_wrong_with_an_account_is_told_as_the_accounts),
	  UNIT(a_failure_is_of_the_account))
