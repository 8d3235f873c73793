/* SPDX-License-Identifier: MIT */

/* Why not? What a pod that is refused finds in `kubectl describe pod`. */

#include "lib/base/cleanup.h"
#include "tests/scenario/world.h"
#include "tests/unit/unit.h"

#include <string.h>

#define TEN_MIN 600000
#define SOON	5 /* Events are sent when the answer is out */

#define ck_event(w, path, want)                                                                    \
	do {                                                                                       \
		_cleanup_free_ char *got_ = world_event(w, path);                                  \
		ck_assert_ptr_nonnull(strstr(got_, want));                                         \
	} while (0)

static void begin(struct world *w)
{
	world_init(w);
	world_tell_events(w);
	world_furnish(w);
}

static void unlabel(struct world *w)
{
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1", .label = "");
}

static void mislabel(struct world *w)
{
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1", .label = "other");
}

static void remove_identity(struct world *w)
{
	world_remove_identity(w, "web");
}

static void empty_client_id(struct world *w)
{
	world_put_identity(w, "web", "");
}

static const struct {
	void (*change)(struct world *w);
	const char *reason, *object;
} mistakes[] = {
	{ unlabel, "NmiNoLabel", "shop/pod-p1" },
	{ mislabel, "NmiNoBinding", "\"other\"" },
	{ remove_identity, "NmiIdentityNotFound", "AzureIdentityBinding web-binding" },
	{ empty_client_id, "NmiIdentityInvalid", "AzureIdentity shop/web" },
};

START_TEST(a_mistake_is_one_event_that_names_the_object_however_often_it_is_met)
{
	struct told t;
	struct world w;

	begin(&w);
	mistakes[_i].change(&w);
	for (unsigned i = 0; i < 100; i++) {
		world_ask(&w, &t);
		ck_assert_uint_eq(t.calls, 1);
		ck_assert_ptr_nonnull(strstr(t.text, mistakes[_i].object));
	}
	ck_assert_uint_eq(world_events(&w), 0);
	world_pass(&w, SOON);
	ck_assert_uint_eq(world_events(&w), 1);
	ck_event(&w, "reason", mistakes[_i].reason);
	ck_event(&w, "message", t.text);
	ck_event(&w, "message", "(request q)");
	ck_event(&w, "involvedObject.uid", "p1");
	world_answer_event(&w, 201);
	world_pass(&w, TEN_MIN);
	ck_assert_uint_eq(world_events(&w), 0);
	world_deinit(&w);
}
END_TEST

START_TEST(the_next_mistake_is_told_at_once_and_what_works_is_not)
{
	struct told t;
	struct world w;

	begin(&w);
	unlabel(&w);
	world_ask(&w, &t);
	world_pass(&w, SOON);
	world_answer_event(&w, 201);
	mislabel(&w);
	world_ask(&w, &t);
	world_pass(&w, SOON);
	ck_event(&w, "reason", "NmiNoBinding");
	world_answer_event(&w, 201);
	world_furnish(&w);
	world_ask(&w, &t);
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_pass(&w, TEN_MIN);
	ck_assert_uint_eq(world_events(&w), 0);
	world_deinit(&w);
}
END_TEST

START_TEST(two_pods_with_one_address_are_both_told_when_nobody_is_served)
{
	struct told t;
	struct world w;

	begin(&w);
	world_put_pod(&w, .uid = "p2", .ip = "10.0.0.1");
	world_ask(&w, &t);
	world_pass(&w, WORLD_POD_WAIT_MSEC - SOON);
	ck_assert_uint_eq(world_events(&w), 0);
	world_pass(&w, (uint64_t)2 * SOON);
	ck_assert_int_eq(t.reason, REASON_AMBIGUOUS_IP);
	ck_assert_uint_eq(world_events(&w), 2);
	ck_event(&w, "reason", "NmiAmbiguousIp");
	ck_event(&w, "message", "10.0.0.1");
	ck_event(&w, "involvedObject.name", "pod-p1");
	world_answer_event(&w, 201);
	ck_event(&w, "reason", "NmiAmbiguousIp");
	ck_event(&w, "involvedObject.name", "pod-p2");
	world_answer_event(&w, 201);
	world_remove_pod(&w, "p2");
	world_ask(&w, &t);
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_deinit(&w);
}
END_TEST

START_TEST(what_imds_refuses_is_told_and_what_it_cannot_do_now_is_not)
{
	struct told t;
	struct world w;

	begin(&w);
	world_ask(&w, &t);
	for (unsigned tries = 0; w.imds.pending && tries < 10; tries++) {
		ck_assert_uint_eq(t.calls, 0);
		world_fail(&w, TOKEN_FAULT_DOWN);
		world_pass(&w, 6000);
	}
	ck_assert_int_eq(t.reason, REASON_UPSTREAM_DOWN);
	world_pass(&w, SOON);
	ck_assert_uint_eq(world_events(&w), 0);
	world_ask(&w, &t, .resource = "https://other");
	world_fail(&w, TOKEN_FAULT_REFUSED);
	world_pass(&w, SOON);
	ck_event(&w, "reason", "NmiUpstreamRefused");
	ck_event(&w, "message", "AzureIdentity shop/web");
	world_deinit(&w);
}
END_TEST

static const long troubles[] = { 0, 403, 404, 409, 429, 500 };

START_TEST(answers_are_the_same_whatever_becomes_of_the_events)
{
	struct told t;
	struct world w;

	begin(&w);
	unlabel(&w);
	for (unsigned i = 0; i < 10; i++) {
		world_ask(&w, &t);
		ck_assert_uint_eq(t.calls, 1); /* inside the call */
		ck_assert_int_eq(t.reason, REASON_NO_LABEL);
		world_pass(&w, SOON);
		if (world_events(&w))
			world_answer_event(&w, troubles[_i]);
	}
	world_furnish(&w);
	world_ask(&w, &t);
	world_give(&w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("refusals",
	  UNIT_LOOP(a_mistake_is_one_event_that_names_the_object_however_often_it_is_met, mistakes),
	  UNIT(the_next_mistake_is_told_at_once_and_what_works_is_not),
	  UNIT(two_pods_with_one_address_are_both_told_when_nobody_is_served),
	  UNIT(what_imds_refuses_is_told_and_what_it_cannot_do_now_is_not),
	  UNIT_LOOP(answers_are_the_same_whatever_becomes_of_the_events, troubles))
