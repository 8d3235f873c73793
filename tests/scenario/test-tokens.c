/* SPDX-License-Identifier: MIT */

/* What happens to tokens while time passes. */

#include "tests/scenario/world.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_SEC    INT64_C(3600)
#define MINUTE_MSEC UINT64_C(60000)

START_TEST(a_thousand_pods_ask_for_one_token_at_once_and_imds_is_asked_once)
{
	static struct told t[1000];
	struct world w;

	world_init(&w);
	world_furnish(&w);
	for (unsigned i = 0; i < 1000; i++) {
		char uid[16], ip[16];

		(void)snprintf(uid, sizeof(uid), "u%u", i);
		(void)snprintf(ip, sizeof(ip), "10.1.%u.%u", i / 250, i % 250);
		world_put_pod(&w, .uid = uid, .ip = ip);
		world_ask(&w, &t[i], .ip = ip);
	}
	ck_assert_uint_eq(token_cache_stats(w.cache)->waiting, 1000);
	ck_assert_uint_eq(w.imds.asked, 1);
	world_give(&w, "one");
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_uint_eq(t[i].calls, 1);
		ck_assert_str_eq(t[i].token, "one");
		ck_assert_str_eq(t[i].body, t[0].body);
	}
	ck_assert_uint_eq(w.imds.asked, 1);
	world_deinit(&w);
}
END_TEST

START_TEST(a_crowd_that_is_refused_costs_one_request_and_a_fix_is_seen_soon)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	world_fail(&w, TOKEN_FAULT_REFUSED);
	ck_assert_int_eq(t.reason, REASON_UPSTREAM_REFUSED);
	for (unsigned i = 0; i < 100; i++) {
		world_ask(&w, &t);
		world_pass(&w, 40);
		ck_assert_int_eq(t.reason, REASON_UPSTREAM_REFUSED);
	}
	ck_assert_uint_eq(w.imds.asked, 1);
	world_pass(&w, 1000); /* five seconds in all */
	world_ask(&w, &t);
	world_give(&w, "fixed");
	ck_assert_str_eq(t.token, "fixed");
	world_deinit(&w);
}
END_TEST

START_TEST(an_edited_client_id_is_not_held_up_by_the_refusal_of_the_old_one)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	world_fail(&w, TOKEN_FAULT_REFUSED);
	world_put_identity(&w, "web", "c-right");
	world_ask(&w, &t);
	ck_assert_str_eq(w.imds.pending->client_id, "c-right");
	world_give(&w, "fixed");
	ck_assert_str_eq(t.token, "fixed");
	world_deinit(&w);
}
END_TEST

START_TEST(the_answer_that_comes_too_late_for_its_caller_serves_the_next)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	world_pass(&w, 500);
	world_leave(&t);
	world_pass(&w, 500);
	world_give(&w, "late");
	ck_assert_uint_eq(t.calls, 0);
	world_ask(&w, &t);
	ck_assert_str_eq(t.token, "late");
	ck_assert_uint_eq(w.imds.asked, 1);
	world_deinit(&w);
}
END_TEST

START_TEST(a_token_that_takes_longer_than_the_limit_is_unavailable_and_then_there)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	world_pass(&w, WORLD_TOKEN_WAIT_MSEC);
	ck_assert_int_eq(t.reason, REASON_UPSTREAM_DOWN);
	world_give(&w, "late");
	world_ask(&w, &t);
	ck_assert_str_eq(t.token, "late");
	world_deinit(&w);
}
END_TEST

/* Asks every ten minutes while `minutes` pass, and answers IMDS's part at once. */
static void live(struct world *w, unsigned minutes, const char *renewed)
{
	struct told t;

	for (unsigned m = 0; m < minutes; m += 10) {
		world_pass(w, UINT64_C(10) * MINUTE_MSEC);
		world_ask(w, &t);
		ck_assert_int_eq(t.reason, REASON_NONE); /* nobody ever waits */
		if (w->imds.pending)
			world_give(w, renewed);
	}
}

START_TEST(a_token_in_use_is_renewed_before_anybody_has_to_wait)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	world_give(&w, "first");
	live(&w, 3 * 24 * 60, "later");
	ck_assert_uint_ge(w.imds.asked, 4);
	ck_assert_uint_le(w.imds.asked, 6);
	world_ask(&w, &t);
	ck_assert_str_eq(t.token, "later");
	world_deinit(&w);
}
END_TEST

START_TEST(a_token_that_nobody_asks_for_again_is_let_go)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	world_give(&w, "first");
	world_pass(&w, UINT64_C(3) * 24 * 60 * MINUTE_MSEC);
	ck_assert_uint_eq(w.imds.asked, 1);
	ck_assert_uint_eq(token_cache_stats(w.cache)->tokens, 0);
	world_deinit(&w);
}
END_TEST

/* Nobody uses what is renewed any more: the pod is gone after the first use. */
START_TEST(a_token_whose_pod_has_gone_is_renewed_once_and_let_go)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	world_give(&w, "first");
	world_ask(&w, &t);
	world_remove_pod(&w, "p1");
	world_pass(&w, UINT64_C(20) * 60 * MINUTE_MSEC);
	ck_assert_uint_eq(w.imds.asked, 2);
	world_give(&w, "second");
	world_pass(&w, UINT64_C(3) * 24 * 60 * MINUTE_MSEC);
	ck_assert_uint_eq(w.imds.asked, 2);
	world_deinit(&w);
}
END_TEST

/* The answer says how long the token is good: so many seconds, of an hour that began at `start_msec`. */
static void says_what_is_left(const struct world *w, const struct told *t, uint64_t start_msec)
{
	char says[64];

	(void)snprintf(says, sizeof(says), "\"expires_in\":\"%d\"",
		       (int)(HOUR_SEC - (int64_t)((world_msec(w) - start_msec) / 1000)));
	ck_assert_msg(strstr(t->body, says), "%s is not in %s", says, t->body);
}

START_TEST(an_outage_of_imds_is_not_noticed_until_a_minute_is_left)
{
	uint64_t start;
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	start = world_msec(&w);
	world_give_for(&w, "old", HOUR_SEC);
	w.imds.fault = TOKEN_FAULT_DOWN;
	w.imds.answers_msec = 1;
	for (unsigned s = 0; s < 58 * 60; s += 10) {
		world_pass(&w, 10000);
		world_ask(&w, &t);
		world_pass(&w, 1);
		ck_assert_uint_eq(t.calls, 1);
		ck_assert_str_eq(t.token, "old");
		says_what_is_left(&w, &t, start);
	}
	ck_assert_uint_ge(token_cache_stats(w.cache)->stale, 3);
	ck_assert_uint_ge(token_cache_stats(w.cache)->last, 17); /* of three minutes, one in 10 s */
	world_pass(&w, 61000);
	w.imds.answers_msec = 0;
	world_pass(&w, 5000); /* what is believed of the outage has passed */
	world_ask(&w, &t);
	ck_assert_uint_eq(t.calls, 0);
	world_fail(&w, TOKEN_FAULT_DOWN);
	ck_assert_int_eq(t.reason, REASON_UPSTREAM_DOWN);
	world_pass(&w, 2000);
	world_ask(&w, &t);
	world_give(&w, "back");
	ck_assert_str_eq(t.token, "back");
	world_deinit(&w);
}
END_TEST

/* A token with four minutes left, and one who waits for another. */
static void late(struct world *w, struct told *t)
{
	world_init(w);
	world_furnish(w);
	world_ask(w, t);
	world_give_for(w, "old", HOUR_SEC);
	world_pass(w, 56 * MINUTE_MSEC);
	world_ask(w, t);
	ck_assert_uint_eq(t->calls, 0);
}

START_TEST(an_identity_that_was_deleted_is_refused_in_the_last_minutes_of_its_token)
{
	struct told t;
	struct world w;

	late(&w, &t);
	world_fail(&w, TOKEN_FAULT_REFUSED);
	ck_assert_int_eq(t.reason, REASON_UPSTREAM_REFUSED);
	world_pass(&w, 6000);
	world_ask(&w, &t);
	ck_assert_uint_eq(t.calls, 0);
	ck_assert(fake_source_fail(&w.imds, TOKEN_FAULT_DOWN, 30));
	world_pass(&w, 0);
	ck_assert_int_eq(t.reason, REASON_UPSTREAM_DOWN);
	world_deinit(&w);
}
END_TEST

static const enum change {
	NO_CHANGE,
	BINDING_GONE,
	POD_GONE,
	IDENTITY_EDITED
} changes[] = { NO_CHANGE, BINDING_GONE, POD_GONE, IDENTITY_EDITED };

START_TEST(a_last_resort_is_for_who_may_have_the_identity_still)
{
	enum change change = changes[_i];
	struct told t;
	struct world w;

	late(&w, &t);
	if (change == BINDING_GONE)
		world_remove_binding(&w, "web-binding");
	else if (change == POD_GONE)
		world_remove_pod(&w, "p1");
	else if (change == IDENTITY_EDITED)
		world_put_identity(&w, "web", "c-other");
	world_pass(&w, 1100);
	if (change == NO_CHANGE) {
		ck_assert_str_eq(t.token, "old");
		ck_assert_str_eq(t.source, "cache");
	} else {
		ck_assert_str_eq(t.token, "");
	}
	if (change == BINDING_GONE || change == POD_GONE)
		ck_assert_uint_eq(t.calls, 1);
	if (change == IDENTITY_EDITED) {
		ck_assert_uint_eq(t.calls, 0); /* asked for anew, for the other */
		world_give(&w, "too late");
		world_give(&w, "other");
		ck_assert_str_eq(t.token, "other");
		ck_assert_str_eq(t.source, "fake");
	}
	world_deinit(&w);
}
END_TEST

START_TEST(identities_are_fetched_four_at_a_time_in_the_order_they_were_asked_for)
{
	struct told t[12];
	char name[16], ip[16];
	struct world w;

	world_init(&w);
	for (unsigned i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof(name), "c%u", i);
		(void)snprintf(ip, sizeof(ip), "10.0.1.%u", i);
		world_put_identity(&w, name, name);
		world_put_binding(&w, name, name, name);
		world_put_pod(&w, .uid = name, .ip = ip, .label = name);
		world_ask(&w, &t[i], .ip = ip);
	}
	ck_assert_uint_eq(w.imds.n_pending, 4);
	for (unsigned i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof(name), "c%u", i);
		ck_assert_str_eq(w.imds.pending->client_id, name);
		world_give(&w, name);
		ck_assert_str_eq(t[i].token, name);
	}
	ck_assert_uint_eq(w.imds.most_pending, 4);
	world_deinit(&w);
}
END_TEST

START_TEST(a_throttled_vm_is_left_alone_until_the_time_it_named)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	ck_assert(fake_source_fail(&w.imds, TOKEN_FAULT_THROTTLED, 12));
	world_pass(&w, 0);
	ck_assert_int_eq(t.reason, REASON_UPSTREAM_THROTTLED);
	ck_assert_uint_eq(t.retry_after_sec, 12);
	world_pass(&w, 4000);
	world_ask(&w, &t, .resource = "https://management.azure.com/");
	world_pass(&w, 0);
	ck_assert_int_eq(t.reason, REASON_UPSTREAM_THROTTLED);
	ck_assert_uint_eq(t.retry_after_sec, 8);
	ck_assert_uint_eq(w.imds.asked, 1);
	world_pass(&w, 8000);
	world_ask(&w, &t);
	world_give(&w, "one");
	ck_assert_str_eq(t.token, "one");
	world_deinit(&w);
}
END_TEST

START_TEST(a_bypassing_caller_replaces_the_token_for_all)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t);
	world_give(&w, "revoked");
	world_ask(&w, &t, .bypass_cache = true);
	ck_assert(w.imds.pending->bypass);
	world_give(&w, "fresh");
	ck_assert_str_eq(t.token, "fresh");
	world_ask(&w, &t);
	ck_assert_str_eq(t.token, "fresh");
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("tokens", UNIT(a_thousand_pods_ask_for_one_token_at_once_and_imds_is_asked_once),
	  UNIT(a_crowd_that_is_refused_costs_one_request_and_a_fix_is_seen_soon),
	  UNIT(an_edited_client_id_is_not_held_up_by_the_refusal_of_the_old_one),
	  UNIT(the_answer_that_comes_too_late_for_its_caller_serves_the_next),
	  UNIT(a_token_that_takes_longer_than_the_limit_is_unavailable_and_then_there),
	  UNIT(a_token_in_use_is_renewed_before_anybody_has_to_wait),
	  UNIT(a_token_that_nobody_asks_for_again_is_let_go),
	  UNIT(a_token_whose_pod_has_gone_is_renewed_once_and_let_go),
	  UNIT(an_outage_of_imds_is_not_noticed_until_a_minute_is_left),
	  UNIT(an_identity_that_was_deleted_is_refused_in_the_last_minutes_of_its_token),
	  UNIT_LOOP(a_last_resort_is_for_who_may_have_the_identity_still, changes),
	  UNIT(identities_are_fetched_four_at_a_time_in_the_order_they_were_asked_for),
	  UNIT(a_throttled_vm_is_left_alone_until_the_time_it_named),
	  UNIT(a_bypassing_caller_replaces_the_token_for_all))
