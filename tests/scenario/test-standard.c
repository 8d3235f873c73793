/* SPDX-License-Identifier: MIT */

/* Standard mode, the parts together: what the controller writes decides, the moment it is written. */

#include "tests/scenario/world.h"
#include "tests/unit/unit.h"

#include <string.h>

/* Of each scenario, from when its pod is there. */
static uint64_t began_at;

static uint64_t since_begin(const struct told *t)
{
	return t->at_msec - began_at;
}

static void begin(struct world *w)
{
	world_init_standard(w);
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1");
	began_at = world_msec(w);
}

/* A pod whose token is in the cache. */
static void begin_cached(struct world *w)
{
	struct told t;

	begin(w);
	world_put_assigned(w, "p1", "web", "c-web", "Assigned");
	world_ask(w, &t);
	world_give(w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
}

START_TEST(a_request_waits_for_the_controller_and_is_served_at_its_word)
{
	struct told t;
	struct world w;

	begin(&w);
	world_ask(&w, &t);
	world_pass(&w, 15000);
	world_put_assigned(&w, "p1", "web", "c-web", "Created");
	world_pass(&w, 30000);
	ck_assert_uint_eq(t.calls, 0);
	ck_assert_uint_eq(w.imds.asked, 0);
	world_put_assigned(&w, "p1", "web", "c-web", "Assigned");
	ck_assert_str_eq(w.imds.pending->client_id, "c-web");
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	ck_assert_uint_eq(since_begin(&t), 45000); /* no time passed but that of the controller */
	world_deinit(&w);
}
END_TEST

START_TEST(nobody_says_anything_and_the_longest_wait_ends_it)
{
	struct told t;
	struct world w;

	begin(&w);
	world_ask(&w, &t);
	world_put_assigned(&w, "p2", "web", "c-web", "Assigned"); /* of another pod */
	world_pass(&w, WORLD_NAMED_WAIT_MSEC);
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.reason, REASON_NOT_ASSIGNED_YET);
	ck_assert_uint_eq(since_begin(&t), WORLD_NAMED_WAIT_MSEC);
	ck_assert_ptr_nonnull(
		strstr(t.text, "no AzureAssignedIdentity exists for pod shop/pod-p1"));
	world_deinit(&w);
}
END_TEST

START_TEST(a_caller_that_hangs_up_costs_nothing_further)
{
	struct told t;
	struct world w;

	begin(&w);
	world_put_assigned(&w, "p1", "web", "c-web", "Created");
	world_ask(&w, &t);
	ck_assert_uint_eq(issuer_waiting(w.issuer), 1);
	world_leave(&t);
	ck_assert_uint_eq(issuer_waiting(w.issuer), 0);
	world_put_assigned(&w, "p1", "web", "c-web", "Assigned");
	world_pass(&w, WORLD_ASSIGNED_WAIT_MSEC + 1);
	ck_assert_uint_eq(w.imds.asked, 0);
	ck_assert_uint_eq(t.calls, 0);
	world_deinit(&w);
}
END_TEST

static void take_back(struct world *w)
{
	world_put_assigned(w, "p1", "web", "c-web", "Unassigned");
}

static void remove_it(struct world *w)
{
	world_remove_assigned(w, "p1", "web");
}

static void begin_again(struct world *w)
{
	world_put_assigned(w, "p1", "web", "c-web", "Created");
}

static void relabel(struct world *w)
{
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1", .label = "batch");
}

static void (*const revocations[])(struct world *w) = { take_back, remove_it, begin_again,
							relabel };

START_TEST(what_the_controller_takes_back_is_gone_although_cached)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	revocations[_i](&w);
	world_ask(&w, &t);
	ck_assert_uint_eq(t.calls, 0);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1");
	world_put_assigned(&w, "p1", "web", "c-web", "Assigned");
	ck_assert_str_eq(t.token, "web-token"); /* given back: the cache still has it */
	ck_assert_uint_eq(w.imds.asked, 1);
	world_deinit(&w);
}
END_TEST

START_TEST(what_is_taken_back_during_the_flight_is_not_handed_out)
{
	struct told t;
	struct world w;

	begin(&w);
	world_put_assigned(&w, "p1", "web", "c-web", "Assigned");
	world_ask(&w, &t);
	revocations[_i](&w);
	world_give(&w, "web-token");
	ck_assert_uint_eq(t.calls, 0);
	world_pass(&w, WORLD_ASSIGNED_WAIT_MSEC);
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.reason, REASON_NOT_ASSIGNED_YET);
	ck_assert_str_eq(t.token, "");
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_that_loses_its_label_while_it_waits_is_told_at_once)
{
	struct told t;
	struct world w;

	begin(&w);
	world_ask(&w, &t);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1", .label = "");
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.reason, REASON_NO_LABEL);
	world_deinit(&w);
}
END_TEST

/* The two watches are not in step: what the controller made of a label may come before the label. */
START_TEST(a_label_that_comes_after_its_assignment_ends_the_wait)
{
	struct told t;
	struct world w;

	world_init_standard(&w);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1", .label = "old");
	world_put_assigned(&w, "p1", "web", "c-web", "Assigned");
	world_ask(&w, &t);
	ck_assert_uint_eq(w.imds.asked, 0);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1");
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_of_the_same_name_and_address_is_another_pod)
{
	struct told t;
	struct world w;

	begin(&w);
	world_ask(&w, &t);
	world_remove_pod(&w, "p1");
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.reason, REASON_POD_UNKNOWN);
	world_deinit(&w);
}
END_TEST

START_TEST(an_edited_identity_counts_from_the_moment_the_controller_says_so)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_put_assigned(&w, "p1", "web", "c-other", "Assigned");
	world_ask(&w, &t);
	ck_assert_str_eq(w.imds.pending->client_id, "c-other");
	world_give(&w, "other-token");
	ck_assert_str_eq(t.token, "other-token");
	world_deinit(&w);
}
END_TEST

START_TEST(an_exception_covers_a_pod_that_waits)
{
	struct told t;
	struct world w;

	begin(&w);
	world_ask(&w, &t);
	world_put_exception(&w, "e", "p1");
	ck_assert(fake_source_give(&w.node, "node-token", 3600));
	world_pass(&w, 0);
	ck_assert_str_eq(t.token, "node-token");
	world_deinit(&w);
}
END_TEST

#define MANY 1000

START_TEST(a_thousand_wait_for_one_assignment_and_one_token)
{
	static struct told t[MANY];
	struct world w;

	begin(&w);
	for (unsigned i = 0; i < MANY; i++)
		world_ask(&w, &t[i]);
	ck_assert_uint_eq(issuer_waiting(w.issuer), MANY);
	world_put_assigned(&w, "p1", "web", "c-web", "Created");
	world_put_assigned(&w, "p1", "web", "c-web", "Assigned");
	ck_assert_uint_eq(w.imds.asked, 1);
	world_give(&w, "web-token");
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_str_eq(t[i].token, "web-token");
	ck_assert_uint_eq(since_begin(&t[MANY - 1]), 0);
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("standard", UNIT(a_request_waits_for_the_controller_and_is_served_at_its_word),
	  UNIT(nobody_says_anything_and_the_longest_wait_ends_it),
	  UNIT(a_caller_that_hangs_up_costs_nothing_further),
	  UNIT_LOOP(what_the_controller_takes_back_is_gone_although_cached, revocations),
	  UNIT_LOOP(what_is_taken_back_during_the_flight_is_not_handed_out, revocations),
	  UNIT(a_pod_that_loses_its_label_while_it_waits_is_told_at_once),
	  UNIT(a_label_that_comes_after_its_assignment_ends_the_wait),
	  UNIT(a_pod_of_the_same_name_and_address_is_another_pod),
	  UNIT(an_edited_identity_counts_from_the_moment_the_controller_says_so),
	  UNIT(an_exception_covers_a_pod_that_waits),
	  UNIT(a_thousand_wait_for_one_assignment_and_one_token))
