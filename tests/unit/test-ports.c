/* SPDX-License-Identifier: MIT */

#include "lib/loop/loop.h"
#include "nmi/ports.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/mk-place.h"
#include "tests/unit/mk-pod.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define A "10.244.0.5"
#define B "10.244.0.6"

struct rig {
	struct loop *loop;
	struct pod_store *store;
	struct mk_links links;
	struct ports *ports;
	const char *names[16]; /* by number; NULL: gone */
	bool refuses;
	unsigned sets;	/* times that the redirector was told */
	char told[512]; /* the last time: "link=ip ..." */
};

static const char *name(void *ctx, uint32_t link)
{
	const struct rig *r = ctx;

	return r->names[link];
}

static int set(void *ctx, const struct redirect_port *ports, size_t n, struct err *err)
{
	struct rig *r = ctx;
	size_t at = 0;

	r->sets++;
	r->told[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		char ip[INET_IP_TEXT_MAX];

		at += (size_t)snprintf(r->told + at, sizeof(r->told) - at, "%s=%s ", ports[i].link,
				       inet_ip_print(&ports[i].ip, ip));
	}
	return r->refuses ? err_set(err, ERR_LIMIT, "it says no") : 0;
}

static void begin(struct rig *r)
{
	*r = (struct rig){ .loop = loop_new_fake(NULL), .store = pod_store_new() };
	mk_links_init(&r->links, r->store);
	for (size_t i = 1; i < 10; i++)
		r->names[i] = (const char *[]){ "",	 "cbr0",  "veth2", "veth3", "veth4",
						"veth5", "veth6", "veth7", "veth8", "veth9" }[i];
	r->ports = ports_new(
		r->loop,
		&(struct ports_spec){ .store = r->store, .name = name, .set = set, .ctx = r });
}

static void turn(struct rig *r)
{
	ck_assert_int_eq(loop_turn(r->loop, 0, NULL), 0);
}

static void end(struct rig *r)
{
	r->ports = ports_free(r->ports);
	r->store = pod_store_free(r->store);
	r->loop = loop_free(r->loop);
}

#define put(r, ...) pod_store_put_take((r)->store, pod(__VA_ARGS__))

/* Pod a behind port 2 of the bridge 1, told. */
static void begin_told(struct rig *r)
{
	begin(r);
	mk_route(&r->links, A, MK_PORT(1, 2));
	put(r, .uid = "a", .ip = A);
	turn(r);
	ck_assert_str_eq(r->told, "veth2=" A " ");
	ck_assert_uint_eq(r->sets, 1);
}

static void news(struct rig *r, const char *ip_text, struct place to)
{
	const struct inet_ip ip = ip_from(ip_text);

	mk_route(&r->links, ip_text, to);
	pod_store_moved(r->store, &ip, 128);
	turn(r);
}

START_TEST(what_comes_together_is_told_together_and_not_from_inside_the_news)
{
	struct rig r;

	begin(&r);
	mk_route(&r.links, A, MK_PORT(1, 2));
	mk_route(&r.links, B, MK_PORT(1, 3));
	put(&r, .uid = "a", .ip = A);
	put(&r, .uid = "b", .ip = B);
	ck_assert_uint_eq(r.sets, 0);
	turn(&r);
	ck_assert_uint_eq(r.sets, 1);
	ck_assert_str_eq(r.told, "veth2=" A " veth3=" B " ");
	end(&r);
}
END_TEST

START_TEST(pods_on_links_of_their_own_are_no_news)
{
	struct rig r;

	begin(&r);
	mk_route(&r.links, A, MK_LINK(4));
	put(&r, .uid = "a", .ip = A);
	turn(&r);
	pod_store_remove(r.store, "a");
	turn(&r);
	ck_assert_uint_eq(r.sets, 0);
	end(&r);
}
END_TEST

START_TEST(a_pod_is_told_of_when_its_port_is_seen)
{
	struct rig r;

	begin(&r);
	r.links.newest = 2;
	put(&r, .uid = "a", .ip = A);
	turn(&r);
	ck_assert_uint_eq(r.sets, 0);
	news(&r, A, MK_PORT(1, 2));
	ck_assert_str_eq(r.told, "veth2=" A " ");
	end(&r);
}
END_TEST

/* That is what a neighbour who borrows the address brings about: all the more it must be kept out. */
START_TEST(an_address_seen_behind_another_port_stays_tied_to_its_own)
{
	struct rig r;

	begin_told(&r);
	news(&r, A, MK_PORT(1, 3));
	news(&r, A, MK_NOWHERE);
	ck_assert_uint_eq(r.sets, 1);
	ck_assert_str_eq(r.told, "veth2=" A " ");
	end(&r);
}
END_TEST

static const struct {
	enum { IS_REMOVED, HAS_ENDED, LOST_ITS_LINK, HAS_ANOTHER_IP, LEFT_THE_BRIDGE } how;
} ends[] = {
	{ IS_REMOVED }, { HAS_ENDED }, { LOST_ITS_LINK }, { HAS_ANOTHER_IP }, { LEFT_THE_BRIDGE }
};

START_TEST(a_pod_that_holds_the_address_no_more_is_taken_out)
{
	struct rig r;

	begin_told(&r);
	switch (ends[_i].how) {
	case IS_REMOVED:
		pod_store_remove(r.store, "a");
		break;
	case HAS_ENDED:
		put(&r, .uid = "a", .ip = A, .phase = "Succeeded");
		break;
	case LOST_ITS_LINK:
		mk_route(&r.links, A, MK_NOWHERE);
		r.names[2] = NULL;
		pod_store_link_gone(r.store, 2);
		break;
	case HAS_ANOTHER_IP:
		put(&r, .uid = "a", .ip = B);
		break;
	case LEFT_THE_BRIDGE:
		news(&r, A, MK_LINK(9));
		break;
	}
	turn(&r);
	ck_assert_uint_eq(r.sets, 2);
	ck_assert_str_eq(r.told, "");
	end(&r);
}
END_TEST

START_TEST(a_pod_that_comes_to_life_again_is_put_back)
{
	struct rig r;

	begin_told(&r);
	put(&r, .uid = "a", .ip = A, .phase = "Succeeded");
	turn(&r);
	put(&r, .uid = "a", .ip = A);
	turn(&r);
	ck_assert_uint_eq(r.sets, 3);
	ck_assert_str_eq(r.told, "veth2=" A " ");
	end(&r);
}
END_TEST

START_TEST(the_next_pod_with_the_address_takes_its_place_at_once)
{
	struct rig r;

	begin_told(&r);
	mk_route(&r.links, A, MK_PORT(1, 5));
	pod_store_link_gone(r.store, 2);
	put(&r, .uid = "b", .ip = A);
	turn(&r);
	ck_assert_uint_eq(r.sets, 2);
	ck_assert_str_eq(r.told, "veth5=" A " ");
	end(&r);
}
END_TEST

START_TEST(a_port_with_another_name_is_told_by_that)
{
	struct rig r;

	begin_told(&r);
	r.names[2] = "renamed";
	pod_store_link_changed(r.store, 2);
	turn(&r);
	ck_assert_str_eq(r.told, "renamed=" A " ");
	end(&r);
}
END_TEST

START_TEST(a_change_that_changes_nothing_is_not_told)
{
	struct rig r;

	begin_told(&r);
	pod_store_link_changed(r.store, 2);
	turn(&r);
	put(&r, .uid = "a", .ip = A);
	turn(&r);
	ck_assert_uint_eq(r.sets, 1);
	end(&r);
}
END_TEST

START_TEST(an_ipv6_address_is_passed_over)
{
	struct rig r;

	begin_told(&r);
	mk_route(&r.links, "fd00::5", MK_PORT(1, 3));
	put(&r, .uid = "b", .ip = "fd00::5");
	turn(&r);
	ck_assert_str_eq(r.told, "veth2=" A " ");
	end(&r);
}
END_TEST

START_TEST(a_name_that_rules_cannot_have_costs_only_its_own_pod_and_is_logged_once_a_minute)
{
	struct rig r;
	const char *text;

	begin_told(&r);
	r.names[3] = "veth*";
	mk_route(&r.links, B, MK_PORT(1, 3));
	log_lines_start();
	put(&r, .uid = "b", .ip = B);
	turn(&r);
	put(&r, .uid = "b", .ip = B, .phase = "Succeeded");
	turn(&r);
	put(&r, .uid = "b", .ip = B);
	turn(&r);
	text = log_lines_end();
	ck_assert_str_eq(r.told, "veth2=" A " ");
	ck_assert_uint_eq(log_lines_count(text, "1 addresses of pods behind bridges are not tied"),
			  1);
	end(&r);
}
END_TEST

START_TEST(what_was_refused_is_tried_again_with_the_next_change)
{
	struct rig r;
	const char *text;

	begin(&r);
	r.refuses = true;
	mk_route(&r.links, A, MK_PORT(1, 2));
	log_lines_start();
	put(&r, .uid = "a", .ip = A);
	turn(&r);
	text = log_lines_end();
	ck_assert_uint_eq(log_lines_count(text, "it says no"), 1);
	r.refuses = false;
	pod_store_link_changed(r.store, 2);
	turn(&r);
	ck_assert_uint_eq(r.sets, 2);
	end(&r);
}
END_TEST

START_TEST(after_its_end_nothing_is_told)
{
	struct rig r;

	begin_told(&r);
	pod_store_remove(r.store, "a"); /* queued */
	r.ports = ports_free(r.ports);
	put(&r, .uid = "b", .ip = A);
	turn(&r);
	ck_assert_uint_eq(r.sets, 1);
	end(&r);
}
END_TEST

UNIT_MAIN("ports", UNIT(what_comes_together_is_told_together_and_not_from_inside_the_news),
	  UNIT(pods_on_links_of_their_own_are_no_news),
	  UNIT(a_pod_is_told_of_when_its_port_is_seen),
	  UNIT(an_address_seen_behind_another_port_stays_tied_to_its_own),
	  UNIT_LOOP(a_pod_that_holds_the_address_no_more_is_taken_out, ends),
	  UNIT(a_pod_that_comes_to_life_again_is_put_back),
	  UNIT(the_next_pod_with_the_address_takes_its_place_at_once),
	  UNIT(a_port_with_another_name_is_told_by_that),
	  UNIT(a_change_that_changes_nothing_is_not_told), UNIT(an_ipv6_address_is_passed_over),
	  UNIT(a_name_that_rules_cannot_have_costs_only_its_own_pod_and_is_logged_once_a_minute),
	  UNIT(what_was_refused_is_tried_again_with_the_next_change),
	  UNIT(after_its_end_nothing_is_told))
