/* SPDX-License-Identifier: MIT */

/* Pods that have an identity by an annotation of their ServiceAccount, the parts together. */

#include "tests/scenario/world.h"
#include "tests/unit/unit.h"

#include <string.h>

#define ONE "11111111-aaaa-4000-8000-00000000000a"
#define TWO "22222222-aaaa-4000-8000-00000000000b"

/* A pod without the label, whose account is not known yet. */
static void begin_unseen(struct world *w)
{
	world_init_accounts(w);
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1", .label = "", .account = "wi");
}

/* The account names ONE, and its token is in the cache. */
static void begin_cached(struct world *w)
{
	struct told t;

	begin_unseen(w);
	world_sync_accounts(w);
	world_put_account(w, "wi", ONE);
	world_ask(w, &t);
	world_give_federated(w, "one-token");
	ck_assert_str_eq(t.token, "one-token");
}

START_TEST(an_annotation_alone_gives_a_token_by_federation)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_ask(&w, &t, .client_id = ONE);
	ck_assert_str_eq(t.token, "one-token");
	ck_assert_ptr_nonnull(strstr(t.body, "\"client_id\":\"" ONE "\""));
	ck_assert_uint_eq(w.entra.asked, 1);
	ck_assert_uint_eq(w.imds.asked + w.node.asked, 0);
	world_deinit(&w);
}
END_TEST

START_TEST(another_annotation_counts_with_the_next_request)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_put_account(&w, "wi", TWO);
	world_ask(&w, &t);
	ck_assert_uint_eq(t.calls, 0); /* not what the cache has */
	ck_assert_str_eq(w.entra.pending->client_id, TWO);
	world_give_federated(&w, "two-token");
	ck_assert_str_eq(t.token, "two-token");
	world_ask(&w, &t, .client_id = ONE);
	ck_assert_int_eq(t.reason, REASON_NOT_BOUND);
	world_put_account(&w, "wi", ONE);
	world_ask(&w, &t);
	ck_assert_str_eq(t.token, "one-token");
	world_deinit(&w);
}
END_TEST

static void take_annotation(struct world *w)
{
	world_put_account(w, "wi", NULL);
}

static void take_account(struct world *w)
{
	world_remove_account(w, "wi");
}

static void relist(struct world *w)
{
	world_sync_accounts(w);
}

static void break_it(struct world *w)
{
	world_put_account(w, "wi", "my-app");
}

static void except(struct world *w)
{
	world_put_exception(w, "e", "p1");
}

static const struct {
	void (*take)(struct world *w);
	enum reason reason; /* REASON_NONE: the node's own is asked for */
	const char *text;
} ends[] = {
	{ take_annotation, REASON_NO_LABEL, "ServiceAccount shop/wi no annotation" },
	{ take_account, REASON_NO_LABEL, "ServiceAccount shop/wi no annotation" },
	{ relist, REASON_NO_LABEL, "has no label aadpodidbinding" },
	{ break_it, REASON_IDENTITY_INVALID,
	  "ServiceAccount shop/wi: annotation azure.workload.identity/client-id is \"my-app\"" },
	{ except, REASON_NONE, NULL },
};

START_TEST(what_is_taken_away_is_gone_with_the_next_request_although_cached)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	ends[_i].take(&w);
	world_ask(&w, &t);
	ck_assert_str_eq(t.token, "");
	if (!ends[_i].text) {
		ck_assert_uint_eq(w.node.asked, 1);
	} else {
		ck_assert_int_eq(t.reason, ends[_i].reason);
		ck_assert_msg(strstr(t.text, ends[_i].text) != NULL, "%s", t.text);
	}
	world_deinit(&w);
}
END_TEST

START_TEST(what_is_taken_away_during_the_flight_is_not_handed_out)
{
	struct told t;
	struct world w;

	begin_unseen(&w);
	world_sync_accounts(&w);
	world_put_account(&w, "wi", ONE);
	world_ask(&w, &t);
	ends[_i].take(&w);
	world_give_federated(&w, "one-token");
	ck_assert_str_eq(t.token, "");
	if (ends[_i].text)
		ck_assert_int_eq(t.reason, ends[_i].reason);
	else
		ck_assert_uint_eq(w.node.asked, 1);
	world_deinit(&w);
}
END_TEST

START_TEST(before_accounts_are_seen_bound_pods_are_served_and_the_other_waits)
{
	struct told t, bound;
	struct world w;

	begin_unseen(&w);
	world_put_identity(&w, "web", "c-web");
	world_put_binding(&w, "web-binding", "web", "web");
	world_put_pod(&w, .uid = "p2", .ip = "10.0.0.2");
	world_ask(&w, &t);
	world_ask(&w, &bound, .ip = "10.0.0.2");
	world_give(&w, "web-token");
	ck_assert_str_eq(bound.token, "web-token");
	world_ask(&w, &bound, .ip = "10.0.0.2", .client_id = "C-WEB");
	ck_assert_str_eq(bound.token, "web-token");
	ck_assert_uint_eq(t.calls, 0);
	world_pass(&w, WORLD_SYNC_WAIT_MSEC / 2);
	world_put_account(&w, "wi", ONE); /* of a list that has not ended */
	world_give_federated(&w, "one-token");
	ck_assert_str_eq(t.token, "one-token");
	world_deinit(&w);
}
END_TEST

START_TEST(accounts_that_do_not_come_are_not_synced)
{
	struct told t;
	struct world w;

	begin_unseen(&w);
	world_tell_events(&w);
	world_ask(&w, &t);
	world_pass(&w, WORLD_SYNC_WAIT_MSEC - 1);
	ck_assert_uint_eq(t.calls, 0);
	world_pass(&w, 1);
	ck_assert_int_eq(t.reason, REASON_NOT_SYNCED);
	ck_assert_ptr_nonnull(strstr(t.text, "ServiceAccount shop/wi"));
	ck_assert_uint_eq(world_events(&w), 0); /* it passes by itself */
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_without_annotation_waits_no_longer_than_the_first_list)
{
	struct told t;
	struct world w;

	begin_unseen(&w);
	world_ask(&w, &t);
	world_pass(&w, 1000);
	world_sync_accounts(&w);
	ck_assert_int_eq(t.reason, REASON_NO_LABEL);
	ck_assert_uint_eq(t.calls, 1);
	world_deinit(&w);
}
END_TEST

/* Two service accounts prove different things, also with one client id. */
START_TEST(what_one_account_has_paid_for_is_not_given_to_another)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_put_account(&w, "wi2", ONE);
	world_put_pod(&w, .uid = "p2", .ip = "10.0.0.2", .label = "", .account = "wi2");
	world_put_pod(&w, .uid = "p3", .ip = "10.0.0.3", .label = "", .account = "wi");
	world_ask(&w, &t, .ip = "10.0.0.2");
	ck_assert_uint_eq(t.calls, 0);
	ck_assert_uint_eq(w.entra.asked, 2);
	world_give_federated(&w, "two-token");
	ck_assert_str_eq(t.token, "two-token");
	world_ask(&w, &t, .ip = "10.0.0.3"); /* and to its own pods it is */
	ck_assert_str_eq(t.token, "one-token");
	world_deinit(&w);
}
END_TEST

START_TEST(a_binding_wins_and_the_account_is_there_to_be_asked_for)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_put_identity(&w, "web", "c-web");
	world_put_binding(&w, "web-binding", "web", "web");
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1", .account = "wi"); /* labelled now */
	world_ask(&w, &t);
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_ask(&w, &t, .client_id = ONE);
	ck_assert_str_eq(t.token, "one-token");
	world_ask(&w, &t, .client_id = TWO);
	ck_assert_int_eq(t.reason, REASON_IDENTITY_UNKNOWN);
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_without_a_service_account_runs_as_default)
{
	struct told t;
	struct world w;

	world_init_accounts(&w);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1", .label = "", .account = "");
	world_sync_accounts(&w);
	world_put_account(&w, "default", ONE);
	world_ask(&w, &t);
	ck_assert_str_eq(w.entra.pending->client_id, ONE);
	world_deinit(&w);
}
END_TEST

START_TEST(the_host_may_ask_in_the_name_of_such_a_pod)
{
	struct told t;
	struct world w;

	begin_cached(&w);
	world_ask(&w, &t, .name = "pod-p1");
	ck_assert_str_eq(t.token, "one-token");
	world_deinit(&w);
}
END_TEST

START_TEST(in_standard_mode_what_is_assigned_wins)
{
	struct told t;
	struct world w;

	world_init_accounts_standard(&w);
	world_put_pod(&w, .uid = "p1", .ip = "10.0.0.1", .account = "wi");
	world_put_assigned(&w, "p1", "web", "c-web", "Assigned");
	world_ask(&w, &t);
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_ask(&w, &t, .client_id = ONE); /* not assigned; by the account perhaps */
	ck_assert_uint_eq(t.calls, 0);
	world_put_account(&w, "wi", ONE);
	world_give_federated(&w, "one-token");
	ck_assert_str_eq(t.token, "one-token");
	world_put_pod(&w, .uid = "p2", .ip = "10.0.0.2", .label = "", .account = "wi");
	world_ask(&w, &t, .ip = "10.0.0.2");
	ck_assert_str_eq(t.token, "one-token");
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("accounts", UNIT(an_annotation_alone_gives_a_token_by_federation),
	  UNIT(another_annotation_counts_with_the_next_request),
	  UNIT_LOOP(what_is_taken_away_is_gone_with_the_next_request_although_cached, ends),
	  UNIT_LOOP(what_is_taken_away_during_the_flight_is_not_handed_out, ends),
	  UNIT(before_accounts_are_seen_bound_pods_are_served_and_the_other_waits),
	  UNIT(accounts_that_do_not_come_are_not_synced),
	  UNIT(a_pod_without_annotation_waits_no_longer_than_the_first_list),
	  UNIT(what_one_account_has_paid_for_is_not_given_to_another),
	  UNIT(a_binding_wins_and_the_account_is_there_to_be_asked_for),
	  UNIT(a_pod_without_a_service_account_runs_as_default),
	  UNIT(the_host_may_ask_in_the_name_of_such_a_pod),
	  UNIT(in_standard_mode_what_is_assigned_wins))
