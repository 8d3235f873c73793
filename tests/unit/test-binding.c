/* SPDX-License-Identifier: MIT */

/* The store on the links and routes of a real kernel, in a network namespace of the test's own. */

#include "lib/loop/loop.h"
#include "nmi/pods/binding.h"
#include "nmi/pods/store.h"
#include "tests/unit/mk-pod.h"
#include "tests/unit/unit.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

struct rig {
	struct loop *loop;
	struct pod_store *store;
	struct binding *binding;
	char ended[64];
};

/* What happens between two turns of the loop. */
static void run(struct rig *r, const char *commands)
{
	ck_assert_int_eq(loop_turn(r->loop, 0, NULL), 0);
	ck_assert_msg(system(commands) == 0, "%s", commands);
}

/* A pod's network, as a plugin makes it. */
static void link_up(struct rig *r, const char *link, const char *ip)
{
	_cleanup_free_ char *text = xasprintf("ip link add %s type veth peer name p%s && ip link "
					      "set p%s up && ip link set %s up && "
					      "ip route replace %s dev %s",
					      link, link, link, link, ip, link);

	run(r, text);
}

static void on_end(void *ctx, const struct inet_ip *ip, const char *uid)
{
	struct rig *r = ctx;

	(void)snprintf(r->ended, sizeof(r->ended), "%s", uid);
}

static void begin(struct rig *r)
{
	struct err err = { 0 };

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	*r = (struct rig){ .loop = loop_new(NULL), .store = pod_store_new() };
	r->binding = binding_new(r->loop, r->store, &err);
	ck_assert_msg(r->binding != NULL, "%s", err.msg);
	pod_store_on_claim_end(r->store, on_end, r);
}

static void end(struct rig *r)
{
	r->binding = binding_free(r->binding);
	r->store = pod_store_free(r->store);
	r->loop = loop_free(r->loop);
}

static const char *who(const struct rig *r, const char *text)
{
	const struct inet_ip ip = ip_from(text);
	const struct pod *p = NULL;

	pod_store_catch_up(r->store);
	return pod_store_find_ip(r->store, &ip, &p) == POD_FOUND ? p->uid : "-";
}

static const char *const ips[] = { "10.0.0.1", "fd00::1" };

START_TEST(a_pod_is_found_at_its_link_and_not_once_that_has_gone)
{
	struct rig r;

	begin(&r);
	link_up(&r, "va", ips[_i]);
	pod_store_put_take(r.store, pod(.uid = "a", .ip = ips[_i]));
	ck_assert_str_eq(who(&r, ips[_i]), "a");
	run(&r, "ip link del va");
	ck_assert_str_eq(who(&r, ips[_i]), "-");
	ck_assert_str_eq(r.ended, "a");
	end(&r);
}
END_TEST

START_TEST(the_next_pod_at_an_ip_is_found_once_its_object_comes_and_the_last_one_never_again)
{
	struct rig r;

	begin(&r);
	link_up(&r, "va", ips[_i]);
	pod_store_put_take(r.store, pod(.uid = "a", .ip = ips[_i]));
	link_up(&r, "vb", ips[_i]);
	ck_assert_str_eq(who(&r, ips[_i]), "-");
	ck_assert_str_eq(r.ended, "a");
	pod_store_put_take(r.store, pod(.uid = "a", .ip = ips[_i]));
	ck_assert_str_eq(who(&r, ips[_i]), "-");
	pod_store_put_take(r.store, pod(.uid = "b", .ip = ips[_i]));
	ck_assert_str_eq(who(&r, ips[_i]), "b");
	end(&r);
}
END_TEST

START_TEST(a_link_that_comes_after_the_pod_was_told_is_not_its_own)
{
	struct rig r;

	begin(&r);
	pod_store_put_take(r.store, pod(.uid = "a", .ip = ips[_i]));
	link_up(&r, "vb", ips[_i]);
	ck_assert_str_eq(who(&r, ips[_i]), "-");
	pod_store_put_take(r.store, pod(.uid = "b", .ip = ips[_i]));
	ck_assert_str_eq(who(&r, ips[_i]), "b");
	end(&r);
}
END_TEST

START_TEST(a_link_that_is_down_for_a_while_is_still_the_pods)
{
	struct rig r;
	_cleanup_free_ char *up = xasprintf("ip link set va up && ip route replace %s dev va",
					    ips[_i]);

	begin(&r);
	link_up(&r, "va", ips[_i]);
	pod_store_put_take(r.store, pod(.uid = "a", .ip = ips[_i]));
	run(&r, "ip link set va down");
	ck_assert_str_eq(who(&r, ips[_i]), "-");
	ck_assert_str_eq(r.ended, "");
	run(&r, up);
	ck_assert_str_eq(who(&r, ips[_i]), "a");
	end(&r);
}
END_TEST

START_TEST(news_are_read_once_in_a_turn_and_a_question_is_asked_whenever_it_is_put)
{
	const struct inet_ip ip = ip_from(ips[_i]);
	struct rig r;

	begin(&r);
	link_up(&r, "va", ips[_i]);
	pod_store_put_take(r.store, pod(.uid = "a", .ip = ips[_i]));
	ck_assert_str_eq(who(&r, ips[_i]), "a");
	ck_assert_int_eq(system("ip link del va"), 0); /* in the middle of the turn */
	ck_assert_str_eq(who(&r, ips[_i]), "a");
	pod_store_look(r.store, &ip); /* a connection is accepted */
	ck_assert_str_eq(who(&r, ips[_i]), "-");
	end(&r);
}
END_TEST

START_TEST(the_store_is_told_by_the_loop_as_well)
{
	struct rig r;

	begin(&r);
	link_up(&r, "va", ips[_i]);
	pod_store_put_take(r.store, pod(.uid = "a", .ip = ips[_i]));
	run(&r, "ip link del va");
	for (int i = 0; i < 10 && !r.ended[0]; i++)
		ck_assert_int_eq(loop_turn(r.loop, 100, NULL), 0);
	ck_assert_str_eq(r.ended, "a");
	end(&r);
}
END_TEST

/* Its news come when its IP is the next one's; the test's pods have no times, so nothing else tells. */
START_TEST(a_pod_whose_link_went_before_its_news_is_not_found_at_the_next_ones)
{
	struct rig r;
	struct pod *p;

	begin(&r);
	link_up(&r, "va", ips[_i]);
	run(&r, "ip link del va");
	link_up(&r, "vb", ips[_i]);
	pod_store_put_take(r.store, pod(.uid = "a", .ip = ips[_i]));
	ck_assert_str_eq(who(&r, ips[_i]), "-");
	p = pod(.uid = "b", .ip = ips[_i]);
	p->started.s = loop_wall(r.loop).s + 1;
	pod_store_put_take(r.store, p);
	ck_assert_str_eq(who(&r, ips[_i]), "b");
	run(&r, "ip link del vb"); /* it was known to be b's: no doubt about who is next */
	link_up(&r, "vc", ips[_i]);
	p = pod(.uid = "c", .ip = ips[_i]);
	p->started.s = loop_wall(r.loop).s + 1;
	pod_store_put_take(r.store, p);
	ck_assert_str_eq(who(&r, ips[_i]), "c");
	end(&r);
}
END_TEST

START_TEST(nor_behind_a_bridge)
{
	struct rig r;
	struct pod *p;

	begin(&r);
	run(&r, "ip link add cbr0 type bridge && ip addr add 10.9.0.1/24 dev cbr0 && ip link set "
		"cbr0 up");
	run(&r, "ip link add va type veth peer name pa && ip link set va master cbr0 up");
	run(&r, "ip link del va");
	run(&r, "ip link add vb type veth peer name pb && ip link set pb up && ip link set vb "
		"master cbr0 up && "
		"ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:01 dev cbr0 && "
		"n=0; until bridge fdb replace 02:00:00:00:00:01 dev vb master dynamic "
		"2>/dev/null || test $n = 500; do n=$((n + 1)); sleep 0.01; done");
	pod_store_put_take(r.store, pod(.uid = "a", .ip = "10.9.0.2"));
	ck_assert_str_eq(who(&r, "10.9.0.2"), "-");
	p = pod(.uid = "b", .ip = "10.9.0.2");
	p->started.s = loop_wall(r.loop).s + 1;
	pod_store_put_take(r.store, p);
	ck_assert_str_eq(who(&r, "10.9.0.2"), "b");
	end(&r);
}
END_TEST

UNIT_MAIN(
	"binding", UNIT_LOOP(a_pod_is_found_at_its_link_and_not_once_that_has_gone, ips),
	UNIT_LOOP(the_next_pod_at_an_ip_is_found_once_its_object_comes_and_the_last_one_never_again,
		  ips),
	UNIT_LOOP(a_link_that_comes_after_the_pod_was_told_is_not_its_own, ips),
	UNIT_LOOP(a_link_that_is_down_for_a_while_is_still_the_pods, ips),
	UNIT_LOOP(news_are_read_once_in_a_turn_and_a_question_is_asked_whenever_it_is_put, ips),
	UNIT_LOOP(the_store_is_told_by_the_loop_as_well, ips),
	UNIT_LOOP(a_pod_whose_link_went_before_its_news_is_not_found_at_the_next_ones, ips),
	UNIT(nor_behind_a_bridge))
