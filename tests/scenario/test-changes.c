/* SPDX-License-Identifier: MIT */

/* What happens to requests while the cluster changes: the wrong pod never gets a token. */

#include "tests/scenario/world.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A furnished world with the pod's token in the cache. */
static void begin_cached(struct world *w)
{
	struct told t;

	world_init(w);
	world_furnish(w);
	world_ask(w, &t);
	world_give(w, "web-token");
	world_ask(w, &t);
	ck_assert_str_eq(t.token, "web-token");
}

/* A furnished world in which the pod's request is at IMDS. */
static void begin_in_flight(struct world *w, struct told *t)
{
	world_init(w);
	world_furnish(w);
	world_ask(w, t);
	ck_assert_uint_eq(w->imds.n_pending, 1);
}

static void relabel(struct world *w)
{
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1", .label = "other");
}

static void unlabel(struct world *w)
{
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1", .label = "");
}

static void unbind(struct world *w)
{
	world_remove_binding(w, "web-binding");
}

static void rebind(struct world *w)
{
	world_put_binding(w, "web-binding", "web", "another-label");
}

static void remove_identity(struct world *w)
{
	world_remove_identity(w, "web");
}

static void end_pod(struct world *w)
{
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1", .phase = "Succeeded");
}

static void remove_pod(struct world *w)
{
	world_remove_pod(w, "p1");
}

static void replace_pod(struct world *w)
{
	world_remove_pod(w, "p1");
	world_put_pod(w, .uid = "p2", .ip = "10.0.0.1");
}

static void duplicate_address(struct world *w)
{
	world_put_pod(w, .uid = "p2", .ip = "10.0.0.1");
}

static const struct {
	void (*change)(struct world *w);
	enum reason reason;
} revocations[] = {
	{ relabel, REASON_NO_BINDING },
	{ unlabel, REASON_NO_LABEL },
	{ unbind, REASON_NO_BINDING },
	{ rebind, REASON_NO_BINDING },
	{ remove_identity, REASON_IDENTITY_NOT_FOUND },
};

START_TEST(what_is_taken_away_is_gone_with_the_next_request_although_cached)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	revocations[_i].change(&w);
	world_ask(&w, &t);
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.reason, revocations[_i].reason);
	ck_assert_str_eq(t.token, "");
	world_deinit(&w);
}
END_TEST

START_TEST(what_is_taken_away_during_the_flight_is_not_handed_out)
{
	struct told t;
	struct world w;

	begin_in_flight(&w, &t);
	revocations[_i].change(&w);
	world_give(&w, "web-token");
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.reason, revocations[_i].reason);
	ck_assert_str_eq(t.token, "");
	world_deinit(&w);
}
END_TEST

START_TEST(what_is_given_back_is_served_from_the_cache_again)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	unbind(&w);
	world_put_binding(&w, "web-binding", "web", "web");
	world_ask(&w, &t);
	ck_assert_str_eq(t.token, "web-token");
	ck_assert_uint_eq(w.imds.asked, 1);
	world_deinit(&w);
}
END_TEST

START_TEST(an_edited_identity_is_fetched_with_the_next_request)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_put_identity(&w, "web", "c-new");
	world_ask(&w, &t);
	ck_assert_uint_eq(t.calls, 0);
	ck_assert_str_eq(w.imds.pending->client_id, "c-new");
	world_give(&w, "new-token");
	ck_assert_str_eq(t.token, "new-token");
	world_deinit(&w);
}
END_TEST

START_TEST(an_identity_that_is_edited_during_the_flight_is_fetched_once_more)
{
	struct told t;
	struct world w;

	begin_in_flight(&w, &t);
	world_put_identity(&w, "web", "c-new");
	world_give(&w, "old-token");
	ck_assert_uint_eq(t.calls, 0);
	ck_assert_str_eq(w.imds.pending->client_id, "c-new");
	world_give(&w, "new-token");
	ck_assert_str_eq(t.token, "new-token");
	world_deinit(&w);
}
END_TEST

START_TEST(an_identity_that_is_written_anew_without_a_change_disturbs_nobody)
{
	struct told t;
	struct world w;

	begin_in_flight(&w, &t);
	world_put_identity(&w, "web", "c-web");
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	ck_assert_uint_eq(w.imds.asked, 1);
	world_deinit(&w);
}
END_TEST

static const struct {
	void (*change)(struct world *w);
	enum reason reason;
} moves[] = {
	{ end_pod, REASON_POD_UNKNOWN },
	{ remove_pod, REASON_POD_UNKNOWN },
	{ replace_pod, REASON_POD_UNKNOWN },
	{ duplicate_address, REASON_AMBIGUOUS_IP },
};

START_TEST(an_address_that_changes_hands_during_the_flight_gets_nothing)
{
	struct told t;
	struct world w;

	begin_in_flight(&w, &t);
	moves[_i].change(&w);
	world_give(&w, "web-token");
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.reason, moves[_i].reason);
	ck_assert_str_eq(t.token, "");
	world_deinit(&w);
}
END_TEST

START_TEST(the_successor_at_an_address_is_served_as_itself)
{
	struct told old, new;
	struct world w;

	begin_in_flight(&w, &old);
	world_put_identity(&w, "api", "c-api");
	world_put_binding(&w, "api-binding", "api", "api");
	world_remove_pod(&w, "p1");
	world_put_pod(&w, .uid = "p2", .ip = "10.0.0.1", .label = "api");
	world_ask(&w, &new);
	world_give(&w, "web-token");
	ck_assert_str_eq(old.token, "");
	ck_assert_uint_eq(new.calls, 0);
	world_give(&w, "api-token");
	ck_assert_str_eq(new.token, "api-token");
	world_deinit(&w);
}
END_TEST

START_TEST(a_new_pod_is_served_the_moment_its_event_comes)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_ask(&w, &t, .ip = "10.0.0.7");
	world_pass(&w, 3000);
	ck_assert_uint_eq(t.calls, 0);
	world_put_pod(&w, .uid = "p7", .ip = "10.0.0.7");
	ck_assert_str_eq(t.token, "web-token");
	ck_assert_uint_eq(t.at_msec, world_msec(&w));
	world_deinit(&w);
}
END_TEST

START_TEST(an_address_that_nobody_has_is_unknown_after_the_wait_and_a_question)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_ask(&w, &t, .ip = "10.0.0.7");
	world_pass(&w, WORLD_POD_WAIT_MSEC - 1);
	ck_assert(!world_answer_get(&w, NULL));
	world_pass(&w, 1);
	ck_assert(world_answer_get(&w, NULL));
	ck_assert_int_eq(t.reason, REASON_POD_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(t.text, "10.0.0.7"));
	/* one question, however long */
	world_pass(&w, UINT64_C(10) * WORLD_POD_WAIT_MSEC);
	ck_assert(!world_answer_get(&w, NULL));
	ck_assert_uint_eq(t.calls, 1);
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_that_the_watch_has_missed_is_served_through_the_question)
{
	const struct world_pod missed = { .uid = "p7", .ip = "10.0.0.7" };
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t, .ip = "10.0.0.7");
	world_pass(&w, WORLD_POD_WAIT_MSEC);
	ck_assert(world_answer_get(&w, &missed));
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_that_the_question_found_gets_nothing_once_the_watch_shows_another_there)
{
	const struct world_pod missed = { .uid = "p7", .ip = "10.0.0.7" };
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t, .ip = "10.0.0.7");
	world_pass(&w, WORLD_POD_WAIT_MSEC);
	ck_assert(world_answer_get(&w, &missed));
	world_put_pod(&w, .uid = "p8", .ip = "10.0.0.7");
	world_give(&w, "web-token");
	ck_assert_int_eq(t.reason, REASON_POD_UNKNOWN);
	ck_assert_str_eq(t.token, "");
	world_deinit(&w);
}
END_TEST

START_TEST(two_pods_at_one_address_are_not_served_and_one_is_when_the_other_ends)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	duplicate_address(&w);
	world_ask(&w, &t);
	world_pass(&w, WORLD_POD_WAIT_MSEC);
	ck_assert_int_eq(t.reason, REASON_AMBIGUOUS_IP);
	world_ask(&w, &t);
	world_pass(&w, 100);
	ck_assert_uint_eq(t.calls, 0);
	end_pod(&w);
	ck_assert_str_eq(t.token, "web-token"); /* p2 has the same label */
	world_deinit(&w);
}
END_TEST

START_TEST(during_start_up_requests_wait_for_the_identity_objects)
{
	struct told t;
	struct world w;

	world_init_unsynced(&w);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1");
	world_ask(&w, &t);
	world_pass(&w, 3000);
	world_furnish(&w);
	ck_assert_uint_eq(w.imds.asked, 0); /* half the objects decide nothing */
	world_sync(&w);
	ck_assert_int_eq(t.reason, REASON_NO_BINDING); /* the lists held none of those */
	world_furnish(&w);
	world_ask(&w, &t);
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_deinit(&w);
}
END_TEST

START_TEST(before_the_first_pod_is_known_a_request_waits_for_pod_and_objects)
{
	struct told t;
	struct world w;

	world_init_unsynced(&w);
	world_ask(&w, &t);
	world_pass(&w, 4000);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1");
	world_pass(&w, 4000);
	ck_assert_uint_eq(t.calls, 0);
	world_sync(&w);
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.reason, REASON_NO_BINDING); /* decided, and not sooner */
	world_deinit(&w);
}
END_TEST

/* where a caller may be when it hangs up, and what comes then */

static void wait_for_pod(struct world *w, struct told *t)
{
	world_ask(w, t, .ip = "10.0.0.7");
	world_pass(w, 1000);
}

static void wait_for_question(struct world *w, struct told *t)
{
	world_ask(w, t, .ip = "10.0.0.7");
	world_pass(w, WORLD_POD_WAIT_MSEC);
}

/* Four others hold all places at IMDS. */
static void wait_for_place(struct world *w, struct told *t)
{
	static struct told others[4];

	for (unsigned i = 0; i < 4; i++) {
		char uid[8], ip[16], label[8], client[8];

		(void)snprintf(uid, sizeof(uid), "o%u", i);
		(void)snprintf(ip, sizeof(ip), "10.0.1.%u", i);
		(void)snprintf(label, sizeof(label), "l%u", i);
		(void)snprintf(client, sizeof(client), "c-%u", i);
		world_put_identity(w, label, client);
		world_put_binding(w, uid, label, label);
		world_put_pod(w, .uid = uid, .ip = ip, .label = label);
		world_ask(w, &others[i], .ip = ip);
	}
	world_put_pod(w, .uid = "p7", .ip = "10.0.0.7");
	world_ask(w, t, .ip = "10.0.0.7");
	world_pass(w, 100);
	ck_assert_uint_eq(w->imds.asked, 4);
}

static const struct {
	void (*wait)(struct world *w, struct told *t);
	unsigned asked; /* of IMDS, by then */
} hang_ups[] = { { wait_for_pod, 0 }, { wait_for_question, 0 }, { wait_for_place, 4 } };

START_TEST(who_hangs_up_while_waiting_costs_no_question_and_no_token)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	hang_ups[_i].wait(&w, &t);
	ck_assert_uint_eq(t.calls, 0);
	world_leave(&t);
	ck_assert_uint_eq(resolver_waiting(w.resolver), 0);
	ck_assert(!world_answer_get(&w, NULL)); /* not asked, or taken back */
	world_put_pod(&w, .uid = "p7", .ip = "10.0.0.7");
	for (unsigned i = 0; i < hang_ups[_i].asked; i++)
		world_give(&w, "another-token");
	world_pass(&w, UINT64_C(2) * WORLD_POD_WAIT_MSEC);
	ck_assert(!world_answer_get(&w, NULL));
	ck_assert_uint_eq(w.imds.asked, hang_ups[_i].asked);
	ck_assert_uint_eq(t.calls, 0);
	world_deinit(&w);
}
END_TEST

START_TEST(who_hangs_up_before_the_first_sync_costs_no_token)
{
	struct told t;
	struct world w;

	world_init_unsynced(&w);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1");
	world_ask(&w, &t);
	ck_assert_uint_eq(issuer_waiting(w.issuer), 1);
	world_leave(&t);
	ck_assert_uint_eq(issuer_waiting(w.issuer), 0);
	world_furnish(&w);
	world_sync(&w);
	world_pass(&w, WORLD_SYNC_WAIT_MSEC);
	ck_assert_uint_eq(w.imds.asked, 0);
	ck_assert_uint_eq(t.calls, 0);
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_of_two_addresses_is_one_pod)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_put_pod(&w, .uid = "p7", .ip = "fd00::7", .ip2 = "10.0.0.7");
	world_ask(&w, &t, .ip = "10.0.0.7");
	ck_assert_str_eq(t.token, "web-token");
	world_ask(&w, &t, .ip = "fd00::7");
	ck_assert_str_eq(t.token, "web-token");
	/* nobody is served at the one that a second pod has, too */
	world_put_pod(&w, .uid = "p8", .ip = "fd00::7");
	world_ask(&w, &t, .ip = "fd00::7");
	world_pass(&w, WORLD_POD_WAIT_MSEC);
	ck_assert_int_eq(t.reason, REASON_AMBIGUOUS_IP);
	world_ask(&w, &t, .ip = "10.0.0.7");
	ck_assert_str_eq(t.token, "web-token");
	world_deinit(&w);
}
END_TEST

START_TEST(a_start_up_that_takes_too_long_is_not_synced)
{
	struct told t;
	struct world w;

	world_init_unsynced(&w);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1");
	world_ask(&w, &t);
	world_pass(&w, WORLD_SYNC_WAIT_MSEC - 1);
	ck_assert_uint_eq(t.calls, 0);
	world_pass(&w, 1);
	ck_assert_int_eq(t.reason, REASON_NOT_SYNCED);
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_of_two_identities_chooses_by_client_or_resource_id)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_put_identity(&w, "api", "c-api");
	world_put_binding(&w, "api-binding", "api", "web");
	world_ask(&w, &t, .client_id = "C-API");
	ck_assert_str_eq(w.imds.pending->client_id, "c-api");
	world_give(&w, "api-token");
	ck_assert_str_eq(t.token, "api-token");
	world_ask(&w, &t, .resource_id = "/ID/c-api");
	ck_assert_str_eq(t.token, "api-token");
	world_ask(&w, &t, .client_id = "c-web");
	ck_assert_str_eq(t.token, "web-token");
	world_ask(&w, &t); /* neither named: by name, since the weights are equal */
	ck_assert_str_eq(t.token, "api-token");
	world_ask(&w, &t, .client_id = "c-else");
	ck_assert_int_eq(t.reason, REASON_IDENTITY_UNKNOWN);
	world_deinit(&w);
}
END_TEST

START_TEST(an_excepted_pod_is_given_the_nodes_own_and_no_other_pod_is)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_put_pod(&w, .uid = "addon", .ip = "10.0.0.5", .label = "");
	world_put_exception(&w, "addons", "addon");
	world_ask(&w, &t, .ip = "10.0.0.5");
	ck_assert_uint_eq(w.node.asked, 1);
	ck_assert(fake_source_give(&w.node, "node-token", 86400));
	world_pass(&w, 0);
	ck_assert_str_eq(t.token, "node-token");
	world_ask(&w, &t);
	ck_assert_str_eq(t.token, "web-token");
	/* a client id of the pod's own choosing is another token */
	world_ask(&w, &t, .ip = "10.0.0.5", .client_id = "c-web");
	ck_assert_uint_eq(t.calls, 0);
	ck_assert_uint_eq(w.node.asked, 2);
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("changes",
	  UNIT_LOOP(what_is_taken_away_is_gone_with_the_next_request_although_cached, revocations),
	  UNIT_LOOP(what_is_taken_away_during_the_flight_is_not_handed_out, revocations),
	  UNIT(what_is_given_back_is_served_from_the_cache_again),
	  UNIT(an_edited_identity_is_fetched_with_the_next_request),
	  UNIT(an_identity_that_is_edited_during_the_flight_is_fetched_once_more),
	  UNIT(an_identity_that_is_written_anew_without_a_change_disturbs_nobody),
	  UNIT_LOOP(an_address_that_changes_hands_during_the_flight_gets_nothing, moves),
	  UNIT(the_successor_at_an_address_is_served_as_itself),
	  UNIT(a_new_pod_is_served_the_moment_its_event_comes),
	  UNIT(an_address_that_nobody_has_is_unknown_after_the_wait_and_a_question),
	  UNIT(a_pod_that_the_watch_has_missed_is_served_through_the_question),
	  UNIT(a_pod_that_the_question_found_gets_nothing_once_the_watch_shows_another_there),
	  UNIT(two_pods_at_one_address_are_not_served_and_one_is_when_the_other_ends),
	  UNIT(during_start_up_requests_wait_for_the_identity_objects),
	  UNIT(before_the_first_pod_is_known_a_request_waits_for_pod_and_objects),
	  UNIT_LOOP(who_hangs_up_while_waiting_costs_no_question_and_no_token, hang_ups),
	  UNIT(who_hangs_up_before_the_first_sync_costs_no_token),
	  UNIT(a_pod_of_two_addresses_is_one_pod),
	  UNIT(a_start_up_that_takes_too_long_is_not_synced),
	  UNIT(a_pod_of_two_identities_chooses_by_client_or_resource_id),
	  UNIT(an_excepted_pod_is_given_the_nodes_own_and_no_other_pod_is))
