/* SPDX-License-Identifier: MIT */

/* Tokens in a pod's name, as the secrets store CSI driver asks for them before the pod has an address. */

#include "tests/scenario/world.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(a_pod_without_an_address_yet_has_a_token_by_name)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_put_pod(&w, .uid = "p2", .name = "new", .phase = "Pending");
	world_ask(&w, &t, .name = "new");
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_ask(&w, &t); /* the same identity from an address: the same token */
	ck_assert_str_eq(t.token, "web-token");
	world_deinit(&w);
}
END_TEST

START_TEST(a_mount_that_is_faster_than_the_watch_waits_for_the_pods_event)
{
	uint64_t start;
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	start = world_msec(&w);
	world_ask(&w, &t, .name = "new");
	world_pass(&w, 3000);
	world_put_pod(&w, .uid = "p3", .name = "other", .phase = "Pending");
	ck_assert_uint_eq(t.calls, 0);
	world_put_pod(&w, .uid = "p2", .name = "new", .phase = "Pending");
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	ck_assert_uint_eq(t.at_msec - start, 3000);
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_of_another_node_is_unknown_after_the_wait)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_ask(&w, &t, .name = "elsewhere");
	world_pass(&w, WORLD_POD_WAIT_MSEC - 1);
	ck_assert_uint_eq(t.calls, 0);
	world_pass(&w, 1);
	ck_assert_int_eq(t.reason, REASON_POD_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(t.text, "shop/elsewhere"));
	ck_assert(!world_answer_get(&w, NULL)); /* nobody was asked */
	world_deinit(&w);
}
END_TEST

START_TEST(an_excepted_pod_is_not_excepted_by_name)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_put_exception(&w, "all", "p1");
	world_ask(&w, &t, .name = "pod-p1");
	ck_assert_uint_eq(w.node.asked, 0);
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_put_pod(&w, .uid = "p2", .name = "bare", .ip = "10.0.0.2", .label = "");
	world_put_exception(&w, "bare", "p2");
	world_ask(&w, &t, .name = "bare");
	ck_assert_int_eq(t.reason, REASON_NO_LABEL);
	ck_assert_uint_eq(w.node.asked, 0);
	world_deinit(&w);
}
END_TEST

START_TEST(a_successor_of_the_same_name_is_judged_by_its_own_labels)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_put_pod(&w, .uid = "p2", .name = "db-0");
	world_ask(&w, &t, .name = "db-0");
	world_give(&w, "web-token");
	world_remove_pod(&w, "p2");
	world_put_pod(&w, .uid = "p3", .name = "db-0", .label = "");
	world_ask(&w, &t, .name = "db-0");
	ck_assert_int_eq(t.reason, REASON_NO_LABEL);
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_that_is_replaced_during_the_flight_gets_nothing)
{
	struct told t;
	struct world w;

	world_init(&w);
	world_furnish(&w);
	world_put_pod(&w, .uid = "p2", .name = "db-0");
	world_ask(&w, &t, .name = "db-0");
	world_remove_pod(&w, "p2");
	world_put_pod(&w, .uid = "p3", .name = "db-0");
	world_give(&w, "web-token");
	ck_assert_int_eq(t.reason, REASON_POD_UNKNOWN);
	ck_assert_str_eq(t.token, "");
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("names", UNIT(a_pod_without_an_address_yet_has_a_token_by_name),
	  UNIT(a_mount_that_is_faster_than_the_watch_waits_for_the_pods_event),
	  UNIT(a_pod_of_another_node_is_unknown_after_the_wait),
	  UNIT(an_excepted_pod_is_not_excepted_by_name),
	  UNIT(a_successor_of_the_same_name_is_judged_by_its_own_labels),
	  UNIT(a_pod_that_is_replaced_during_the_flight_gets_nothing))
