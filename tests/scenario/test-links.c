/* SPDX-License-Identifier: MIT */

/* A pod's claim on its address, from the news of links to the token: what a caller there is told. */

#include "nmi/pods/store.h"
#include "tests/scenario/world.h"
#include "tests/unit/mk-place.h"
#include "tests/unit/unit.h"

#include <string.h>

#define IP "10.0.0.1"

static struct mk_links links;

/* Pod p1 with its link 1, and a token in the cache. */
static void begin(struct world *w)
{
	struct told t;

	world_init(w);
	mk_links_init(&links, w->pods);
	mk_route(&links, IP, MK_LINK(1));
	world_furnish(w);
	world_ask(w, &t);
	world_give(w, "web-token");
	ck_assert_str_eq(t.token, "web-token");
}

static void is_served(struct world *w)
{
	struct told t;

	world_ask(w, &t);
	ck_assert_msg(strcmp(t.token, "web-token") == 0, "%s", t.text);
}

/* Waits for somebody else: nobody is known to be there. */
static void is_not_served(struct world *w)
{
	struct told t;

	world_ask(w, &t);
	ck_assert_uint_eq(t.calls, 0);
	world_pass(w, WORLD_POD_WAIT_MSEC);
	(void)world_answer_get(w, NULL);
	world_pass(w, 0);
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.reason, REASON_POD_UNKNOWN);
}

static void link_goes(struct world *w)
{
	mk_route(&links, IP, MK_NOWHERE);
	pod_store_link_gone(w->pods, 1);
}

START_TEST(a_pod_is_served_in_its_grace_period_while_its_link_stands)
{
	struct world w;

	begin(&w);
	world_put_pod(&w, .uid = "p1", .ip = IP, .deleting = true);
	is_served(&w);
	world_pass(&w, 30000); /* as long as that lasts */
	is_served(&w);
	link_goes(&w);
	is_not_served(&w);
	world_deinit(&w);
}
END_TEST

START_TEST(a_uid_whose_link_has_gone_never_claims_again_another_does)
{
	struct world w;

	begin(&w);
	link_goes(&w);
	mk_route(&links, IP, MK_LINK(2));
	pod_store_moved(w.pods, &(struct inet_ip){ { [10] = 0xff, 0xff, 10, 0, 0, 1 } }, 128);
	is_not_served(&w);
	world_put_pod(&w, .uid = "p1", .ip = IP); /* the API server insists */
	is_not_served(&w);
	world_remove_pod(&w, "p1");
	world_put_pod(&w, .uid = "p1", .ip = IP); /* a server that lags behind */
	is_not_served(&w);
	world_put_pod(&w, .uid = "p2", .ip = IP);
	is_served(&w);
	world_deinit(&w);
}
END_TEST

START_TEST(the_next_pod_is_not_given_the_last_ones_token_and_gets_its_own_by_its_event)
{
	struct told waits;
	struct world w;
	uint64_t now;

	begin(&w);
	world_put_identity(&w, "next", "c-next");
	world_put_binding(&w, "next-binding", "next", "next");
	link_goes(&w);
	mk_route(&links, IP, MK_LINK(2));
	world_ask(&w, &waits);
	world_pass(&w,
		   WORLD_POD_WAIT_MSEC - 1); /* the last one is told of as running all the time */
	ck_assert_uint_eq(waits.calls, 0);
	now = world_msec(&w);
	world_put_pod(&w, .uid = "p2", .ip = IP, .label = "next");
	world_pass(&w, 0);
	world_give(&w, "next-token");
	ck_assert_str_eq(waits.token, "next-token");
	ck_assert_uint_eq(waits.at_msec, now);
	world_deinit(&w);
}
END_TEST

START_TEST(a_token_under_way_is_not_given_when_the_link_has_gone)
{
	struct told t;
	struct world w;

	begin(&w);
	world_ask(&w, &t, .resource = "https://other.example.com");
	ck_assert_uint_eq(t.calls, 0);
	link_goes(&w);
	world_give(&w, "late-token");
	ck_assert_str_eq(t.token, "");
	ck_assert_int_eq(t.reason, REASON_POD_UNKNOWN);
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_whose_address_leads_to_a_link_of_many_is_refused_with_its_name)
{
	struct told t;
	struct world w;

	world_init(&w);
	mk_links_init(&links, w.pods);
	mk_route(&links, IP, MK_SHARED(1));
	world_furnish(&w);
	world_tell_events(&w);
	world_ask(&w, &t);
	ck_assert_int_eq(t.reason, REASON_LINK_MISMATCH);
	ck_assert_ptr_nonnull(strstr(t.text, "pod shop/pod-p1: its address " IP " leads to veth1"));
	world_pass(&w, 10);
	ck_assert_uint_eq(world_events(&w), 1); /* somebody has to set --link-binding=off */
	world_answer_event(&w, 201);
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("links", UNIT(a_pod_is_served_in_its_grace_period_while_its_link_stands),
	  UNIT(a_uid_whose_link_has_gone_never_claims_again_another_does),
	  UNIT(the_next_pod_is_not_given_the_last_ones_token_and_gets_its_own_by_its_event),
	  UNIT(a_token_under_way_is_not_given_when_the_link_has_gone),
	  UNIT(a_pod_whose_address_leads_to_a_link_of_many_is_refused_with_its_name))
