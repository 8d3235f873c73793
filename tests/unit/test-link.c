/* SPDX-License-Identifier: MIT */

/* In network namespaces of their own, as a network plugin lays them out; check forks, so they go after. */

#include "lib/base/inet.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/pods/link.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/unclaimed.h"
#include "tests/unit/unit.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was told, in order: "gone va/3", "changed 2", "moved 10.0.0.1/128". */
struct told {
	char text[65536];
	unsigned n_changed;
	struct link_watch *w;
	struct place ask_in_gone; /* what a question from inside gone() brought */
};

struct rig {
	struct loop *loop;
	struct link_watch *w;
	struct told told;
};

static void say(struct told *t, const char *what, const char *of, unsigned number)
{
	size_t n = strlen(t->text);

	(void)snprintf(t->text + n, sizeof(t->text) - n, "%s %s%s%u\n", what, of, *of ? "/" : "",
		       number);
}

static struct inet_ip ip_of(const char *text)
{
	struct inet_ip ip;

	ck_assert_int_eq(inet_ip_parse(text, &ip, NULL), 0);
	return ip;
}

static void on_gone(void *ctx, uint32_t link)
{
	struct told *t = ctx;
	struct inet_ip ip = ip_of("10.0.0.1");
	char name[PLACE_NAME_MAX];

	link_watch_print(t->w, &(struct place){ PLACE_LINK, link, 0 }, name);
	say(t, "gone", name, link);
	link_watch_find(t->w, &ip, &t->ask_in_gone);
}

static void on_changed(void *ctx, uint32_t link)
{
	struct told *t = ctx;

	t->n_changed++;
	say(ctx, "changed", "", link);
}

static void on_moved(void *ctx, const struct inet_ip *prefix, unsigned bits)
{
	char text[INET_IP_TEXT_MAX];

	say(ctx, "moved", inet_ip_print(prefix, text), bits);
}

static const struct link_ops ops = { on_gone, on_moved, on_changed };

static void run(const char *commands)
{
	ck_assert_msg(system(commands) == 0, "%s", commands);
}

/* A node with an uplink whose subnet holds pods' addresses too, and pod A on a link of its own. */
static void lay_out(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	run("ip link set lo up;"
	    "ip link add eth0 type veth peer name up0 && ip link set up0 up && ip link set eth0 up "
	    "&&"
	    "ip addr add 10.0.0.100/16 dev eth0 && ip route add default via 10.0.0.254 &&"
	    "ip addr add fd00::100/64 dev eth0 nodad && ip -6 route add default via fd00::fe &&"
	    "ip link add va type veth peer name pa && ip link set pa up && ip link set va up &&"
	    "ip route add 10.0.0.1/32 dev va && ip -6 route add fd00::1/128 dev va");
}

static struct rig begin_on(struct loop *loop)
{
	struct rig r = { .loop = loop };
	struct err err = { 0 };

	lay_out();
	r.w = link_watch_new(r.loop, &ops, NULL, &err);
	ck_assert_msg(r.w != NULL, "%s", err.msg);
	return r;
}

static struct rig begin(void)
{
	return begin_on(loop_new(NULL));
}

/* The watch gets its context late, since a rig is returned by value. */
static void listen(struct rig *r)
{
	link_watch_free(r->w);
	r->w = link_watch_new(r->loop, &ops, &r->told, NULL);
	ck_assert_ptr_nonnull(r->w);
	r->told.w = r->w;
	(void)link_watch_catch_up(r->w);
	r->told.text[0] = '\0';
}

static void end(struct rig *r)
{
	r->w = link_watch_free(r->w);
	r->loop = loop_free(r->loop);
}

/* "va", "shared eth0", "nowhere", "unasked" */
static const char *where(const struct rig *r, const char *text, struct place *out)
{
	static char said[PLACE_NAME_MAX + 16];
	static const char *const kinds[] = { [PLACE_NOWHERE] = "nowhere",
					     [PLACE_SHARED] = "shared ",
					     [PLACE_LINK] = "",
					     [PLACE_UNASKED] = "unasked" };
	struct inet_ip ip = ip_of(text);
	struct place p;
	char name[PLACE_NAME_MAX] = "";

	link_watch_find(r->w, &ip, &p);
	if (p.kind == PLACE_LINK || p.kind == PLACE_SHARED)
		link_watch_print(r->w, &p, name);
	(void)snprintf(said, sizeof(said), "%s%s", kinds[p.kind], name);
	if (out)
		*out = p;
	return said;
}

static const struct {
	const char *commands, *ip, *want;
} places[] = {
	{ "true", "10.0.0.1", "va" },
	{ "true", "fd00::1", "va" },
	{ "true", "10.0.0.2", "shared eth0" }, /* the node's own subnet */
	{ "true", "fd00::2", "shared eth0" },
	{ "true", "8.8.8.8", "shared eth0" },
	{ "true", "2001:db8::1", "shared eth0" },
	{ "true", "10.0.0.100", "shared eth0" }, /* its own */
	{ "true", "fd00::100", "shared eth0" },
	{ "true", "127.0.0.1", "shared lo" },
	{ "ip route del 10.0.0.1/32", "10.0.0.1", "shared eth0" },
	{ "ip -6 route del fd00::1/128", "fd00::1", "shared eth0" },
	{ "ip route add unreachable 10.9.0.0/16", "10.9.0.1", "nowhere" },
	{ "ip route add blackhole 10.9.0.0/16", "10.9.0.1", "nowhere" },
	{ "ip -6 route add unreachable fd09::/64", "fd09::1", "nowhere" },
	{ "ip route del default", "8.8.8.8", "nowhere" },
	{ "ip -6 route del default", "2001:db8::1", "nowhere" },
	/* a subnet on a link that could be a pod's: not of one address alone */
	{ "ip route add 10.7.0.0/24 dev va", "10.7.0.1", "shared va" },
	{ "ip -6 route add fd07::/64 dev va", "fd07::1", "shared va" },
	{ "ip route add 10.7.0.1/32 via 10.0.0.7 dev eth0", "10.7.0.1", "shared eth0" },
	{ "ip link add vb type veth peer name pb && ip link set vb up &&"
	  "ip route add 10.7.0.1/32 nexthop dev va nexthop dev vb",
	  "10.7.0.1", "shared no link" },
	/* rules count, as they do for a packet */
	{ "ip route add 10.0.0.1/32 via 10.0.0.7 table 9 && ip rule add to 10.0.0.1 lookup 9",
	  "10.0.0.1", "shared eth0" },
	/* the link is down, and its route with it */
	{ "ip link set va down", "10.0.0.1", "shared eth0" },
	{ "ip link add link eth0 name mac0 type macvlan && ip link set mac0 up &&"
	  "ip route add 10.7.0.1/32 dev mac0",
	  "10.7.0.1", "shared mac0" },
	{ "ip tuntap add tap0 mode tap && ip link set tap0 up && ip route add 10.7.0.1/32 dev tap0",
	  "10.7.0.1", "tap0" },
};

START_TEST(only_a_route_to_one_address_on_a_link_of_its_own_is_a_place)
{
	struct rig r = begin();

	run(places[_i].commands);
	ck_assert_str_eq(where(&r, places[_i].ip, NULL), places[_i].want);
	end(&r);
}
END_TEST

START_TEST(a_link_that_is_made_again_with_the_same_name_and_index_is_another)
{
	struct place was, is;
	struct rig r = begin();

	listen(&r);
	ck_assert_str_eq(where(&r, "10.0.0.1", &was), "va");
	/* what a plugin does that makes the link elsewhere and moves it here */
	run("i=$(ip -o link show va | cut -d: -f1) && ip link del va &&"
	    "ip link add va index $i type veth peer name pa && ip link set pa up && ip link set va "
	    "up &&"
	    "ip route add 10.0.0.1/32 dev va && test $(ip -o link show va | cut -d: -f1) = $i");
	ck_assert_str_eq(where(&r, "10.0.0.1", &is), "va");
	ck_assert_uint_ne(was.link, is.link);
	ck_assert_uint_gt(is.link, was.link);
	ck_assert_uint_ge(link_watch_newest(r.w), is.link);
	end(&r);
}
END_TEST

START_TEST(a_link_keeps_its_number_whatever_else_happens_to_it)
{
	struct place was, is;
	struct rig r = begin();

	ck_assert_str_eq(where(&r, "10.0.0.1", &was), "va");
	run("ip link set va down && ip link set va address 02:00:00:00:00:09 name vx &&"
	    "ip link set vx up && ip route add 10.0.0.1/32 dev vx");
	ck_assert_str_eq(where(&r, "10.0.0.1", &is), "vx");
	ck_assert(place_is_same(&was, &is));
	end(&r);
}
END_TEST

START_TEST(a_link_that_goes_is_told_with_its_number_and_its_name)
{
	struct place was;
	char want[32];
	struct rig r = begin();

	listen(&r);
	ck_assert_str_eq(where(&r, "10.0.0.1", &was), "va");
	run("ip link del va");
	(void)link_watch_catch_up(r.w);
	(void)snprintf(want, sizeof(want), "gone va/%u\n", was.link);
	ck_assert_msg(strstr(r.told.text, want) != NULL, "%s", r.told.text);
	ck_assert_int_eq(r.told.ask_in_gone.kind, PLACE_SHARED);
	end(&r);
}
END_TEST

static const struct {
	const char *commands, *want;
} news[] = {
	{ "ip route replace 10.0.0.1/32 dev eth0", "moved 10.0.0.1/128\n" },
	{ "ip route del 10.0.0.1/32", "moved 10.0.0.1/128\n" },
	{ "ip -6 route del fd00::1/128", "moved fd00::1/128\n" },
	{ "ip route add 10.7.0.0/24 dev va", "moved 10.7.0.0/120\n" },
	{ "ip -6 route add fd07::/64 dev va", "moved fd07::/64\n" },
	{ "ip route del default", "moved ::/0\n" },
	{ "ip -6 route del default", "moved ::/0\n" },
	{ "ip rule add to 10.0.0.1 lookup 9", "moved ::/0\n" },
	{ "ip addr del 10.0.0.100/16 dev eth0", "moved ::/0\n" },
};

START_TEST(whatever_moves_an_address_is_told)
{
	struct rig r = begin();

	listen(&r);
	run(news[_i].commands);
	(void)link_watch_catch_up(r.w);
	ck_assert_msg(strstr(r.told.text, news[_i].want) != NULL, "%s", r.told.text);
	end(&r);
}
END_TEST

/* IPv4 routes go with it, without a word of them. */
START_TEST(a_link_that_goes_down_is_told)
{
	struct place p;
	char want[32];
	struct rig r = begin();

	listen(&r);
	where(&r, "10.0.0.1", &p);
	run("ip link set va down");
	(void)link_watch_catch_up(r.w);
	(void)snprintf(want, sizeof(want), "changed %u\n", p.link);
	ck_assert_msg(strstr(r.told.text, want) != NULL, "%s", r.told.text);
	end(&r);
}
END_TEST

/* Where the kernel renames a link that is up; else going down tells enough. */
START_TEST(another_name_is_told)
{
	struct place p;
	char want[32];
	struct rig r = begin();

	listen(&r);
	where(&r, "10.0.0.1", &p);
	run("ip link set va name vx || { ip link set va down && ip link set va name vx; }");
	(void)link_watch_catch_up(r.w);
	(void)snprintf(want, sizeof(want), "changed %u\n", p.link);
	ck_assert_msg(strstr(r.told.text, want) != NULL, "%s", r.told.text);
	ck_assert_str_eq(link_watch_name(r.w, p.link), "vx");
	run("ip link del vx");
	(void)link_watch_catch_up(r.w);
	ck_assert_ptr_null(link_watch_name(r.w, p.link));
	end(&r);
}
END_TEST

START_TEST(news_come_by_the_loop_as_well)
{
	struct rig r = begin();

	listen(&r);
	run("ip route del 10.0.0.1/32");
	ck_assert_int_eq(loop_turn(r.loop, 1000, NULL), 0);
	ck_assert_msg(strstr(r.told.text, "moved 10.0.0.1/128\n") != NULL, "%s", r.told.text);
	end(&r);
}
END_TEST

START_TEST(news_that_a_question_has_read_are_told_all_the_same)
{
	struct rig r = begin();

	listen(&r);
	run("ip route del 10.0.0.1/32");
	ck_assert_str_eq(where(&r, "10.0.0.1", NULL), "shared eth0"); /* read, and not told yet */
	ck_assert_str_eq(r.told.text, "");
	ck_assert_int_eq(loop_turn(r.loop, 0, NULL), 0);
	ck_assert_msg(strstr(r.told.text, "moved 10.0.0.1/128\n") != NULL, "%s", r.told.text);
	end(&r);
}
END_TEST

START_TEST(quiet_is_quiet)
{
	struct rig r = begin();

	listen(&r);
	(void)link_watch_catch_up(r.w);
	ck_assert_str_eq(r.told.text, "");
	end(&r);
}
END_TEST

START_TEST(lost_news_mean_that_everything_is_looked_at_and_links_keep_their_numbers)
{
	struct place was, is;
	struct rig r = begin();

	listen(&r);
	where(&r, "10.0.0.1", &was);
	/* more than fits the queue, and at its end what matters */
	run("for i in $(seq 1 60); do for j in $(seq 1 250); do "
	    "echo route replace 10.200.$i.$j/32 dev va; done; done >/tmp/nmi-link-routes.$$ &&"
	    "ip -batch /tmp/nmi-link-routes.$$; rm /tmp/nmi-link-routes.$$;"
	    "ip link add vb type veth peer name pb && ip link set vb up &&"
	    "ip route replace 10.0.0.1/32 dev vb && ip link del eth0");
	(void)link_watch_catch_up(r.w);
	ck_assert_uint_gt(link_watch_losses(r.w), 0);
	ck_assert_ptr_nonnull(strstr(r.told.text, "gone "));
	ck_assert_ptr_nonnull(strstr(r.told.text, "moved ::/0\n"));
	ck_assert_str_eq(where(&r, "10.0.0.1", &is), "vb");
	ck_assert_uint_ne(is.link, was.link);
	ck_assert_str_eq(where(&r, "10.200.1.1", &is), "va");
	ck_assert_uint_eq(is.link, was.link);
	end(&r);
}
END_TEST

/* Its route was among the news that were lost, so it may have had any address. */
START_TEST(a_link_that_goes_while_news_are_lost_is_remembered)
{
	const struct pod unknown = { .uid = NULL };
	struct unclaimed *u;
	struct inet_ip ip;
	struct place at;
	struct rig r = begin();

	listen(&r);
	u = link_watch_unclaimed(r.w);
	run("ip link add vb type veth peer name pb && ip link set vb up");
	(void)link_watch_catch_up(r.w);
	run("for i in $(seq 1 60); do for j in $(seq 1 250); do "
	    "echo route replace 10.200.$i.$j/32 dev va; done; done >/tmp/nmi-link-routes.$$ &&"
	    "ip -batch /tmp/nmi-link-routes.$$; rm /tmp/nmi-link-routes.$$;"
	    "ip route replace 10.0.0.9/32 dev vb && ip link del vb &&"
	    "ip link add vc type veth peer name pc && ip link set vc up &&"
	    "ip route replace 10.0.0.9/32 dev vc");
	(void)link_watch_catch_up(r.w);
	ck_assert_uint_gt(link_watch_losses(r.w), 0);
	ck_assert_str_eq(where(&r, "10.0.0.9", &at), "vc");
	ck_assert_int_eq(inet_ip_parse("10.0.0.9", &ip, NULL), 0);
	ck_assert(unclaimed_doubts(u, &ip, &at, &unknown));
	end(&r);
}
END_TEST

/* bridges, as kubenet has them */

static void lay_out_bridge(void)
{
	/* no frame but ours: what the bridge learns by itself would be told, too */
	run("for c in default all; do echo 1 >/proc/sys/net/ipv6/conf/$c/disable_ipv6; done");
	run("ip link add cbr0 address 02:00:00:00:00:ff type bridge && ip link set cbr0 up && ip "
	    "addr add 10.244.0.1/24 dev "
	    "cbr0");
	for (int i = 1; i <= 2; i++) {
		_cleanup_free_ char *text =
			xasprintf("ip link add b%d type veth peer name q%d && "
				  "ip link set b%d master cbr0 up && ip link set q%d up &&"
				  /* refused until the port has a carrier */
				  "n=0; until bridge fdb add 02:00:00:00:00:0%d dev b%d master "
				  "dynamic 2>/dev/null || test $n = 500; do n=$((n + 1)); "
				  "sleep 0.01; done;"
				  "ip neigh add 10.244.0.1%d lladdr 02:00:00:00:00:0%d dev cbr0",
				  i, i, i, i, i, i, i, i);

		run(text);
	}
}

START_TEST(on_a_bridge_the_place_is_the_port_that_the_address_is_behind)
{
	struct place a, b;
	struct rig r = begin();

	lay_out_bridge();
	ck_assert_str_eq(where(&r, "10.244.0.11", &a), "b1 of cbr0");
	ck_assert_str_eq(where(&r, "10.244.0.12", &b), "b2 of cbr0");
	ck_assert_uint_eq(a.link, b.link);
	ck_assert_uint_ne(a.port, b.port);
	ck_assert_uint_eq(place_own_link(&a), a.port);
	ck_assert_str_eq(where(&r, "10.244.0.13", NULL), "nowhere"); /* has not been heard of */
	run("bridge fdb del 02:00:00:00:00:01 dev b1 master");
	ck_assert_str_eq(where(&r, "10.244.0.11", NULL), "nowhere");
	end(&r);
}
END_TEST

static const struct {
	const char *commands;
	bool is_port; /* "gone" of the port, else "changed" of the bridge, or "moved" */
	const char *where;
} bridge_news[] = {
	{ "bridge fdb replace 02:00:00:00:00:01 dev b2 master dynamic", false, "b2 of cbr0" },
	{ "ip neigh replace 10.244.0.11 lladdr 02:00:00:00:00:02 dev cbr0", false, "b2 of cbr0" },
	{ "ip link del b1", true, "nowhere" },
	{ "ip link set b1 nomaster", false, "nowhere" },
};

/* That line, or the address by name. */
static bool is_told(const struct rig *r, const char *line)
{
	return strstr(r->told.text, line) ||
	       (strncmp(line, "changed", 7) == 0 && strstr(r->told.text, "10.244.0.11/128"));
}

START_TEST(on_a_bridge_an_address_that_moves_is_told)
{
	struct place was;
	char gone[32], changed[32];
	struct rig r = begin();

	lay_out_bridge();
	listen(&r);
	ck_assert_str_eq(where(&r, "10.244.0.11", &was), "b1 of cbr0");
	run(bridge_news[_i].commands);
	(void)snprintf(gone, sizeof(gone), "gone b1/%u\n", was.port);
	(void)snprintf(changed, sizeof(changed), "changed %u\n", was.link);
	(void)link_watch_catch_up(r.w);
	/* at once, unless frames of the kernel's own were learnt just before: together with more then */
	for (int i = 0; i < 50 && !is_told(&r, bridge_news[_i].is_port ? gone : changed); i++)
		ck_assert_int_eq(loop_turn(r.loop, 100, NULL), 0);
	ck_assert_msg(is_told(&r, bridge_news[_i].is_port ? gone : changed), "%s", r.told.text);
	ck_assert_str_eq(where(&r, "10.244.0.11", NULL), bridge_news[_i].where);
	end(&r);
}
END_TEST

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)); at++)
		n++;
	return n;
}

/* Turns until all has been told; how many it took. */
static unsigned turns_until_told(struct rig *r)
{
	unsigned n = 0;

	while (!link_watch_catch_up(r->w)) {
		ck_assert_uint_lt(++n, 1000);
		ck_assert_int_eq(loop_turn(r->loop, 200, NULL), 0);
	}
	return n;
}

#define MANY 300

START_TEST(many_neighbours_are_told_turn_by_turn_and_none_is_lost)
{
	char text[64];
	struct rig r = begin();

	lay_out_bridge();
	listen(&r);
	run("for i in $(seq 1 6); do for j in $(seq 10 59); do "
	    "echo neigh add 10.244.$i.$j lladdr 02:00:00:00:$i:$j dev cbr0 nud permanent; done; "
	    "done | ip -batch - && ip link add vb type veth peer name pb && ip link set vb up && "
	    "ip route replace 10.0.0.1/32 dev vb");
	/* what may not be late is not */
	ck_assert_str_eq(where(&r, "10.0.0.1", NULL), "vb");
	ck_assert(!link_watch_catch_up(r.w));
	ck_assert_uint_gt(count(r.told.text, "moved 10.244."), 0);
	ck_assert_uint_lt(count(r.told.text, "moved 10.244."), MANY);
	/* and the loop comes again by itself */
	for (int i = 0; i < 10 && count(r.told.text, "moved 10.244.") < MANY; i++)
		ck_assert_int_eq(loop_turn(r.loop, 1000, NULL), 0);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "moved 10.244.%d.%d/128\n", i / 50 + 1,
			       i % 50 + 10);
		ck_assert_msg(count(r.told.text, text) == 1, "%s in %s", text, r.told.text);
	}
	(void)turns_until_told(&r);
	ck_assert_uint_eq(link_watch_losses(r.w), 0);
	end(&r);
}
END_TEST

START_TEST(a_bridge_that_learns_more_than_can_be_read_is_looked_at_as_a_whole)
{
	struct place was, is;
	char changed[32];
	struct rig r = begin();

	lay_out_bridge();
	listen(&r);
	ck_assert_str_eq(where(&r, "10.244.0.11", &was), "b1 of cbr0");
	run("for i in $(seq 10 89); do for j in $(seq 10 99); do "
	    "echo fdb add 02:00:00:01:$i:$j dev b2 master dynamic; done; done | bridge -batch - &&"
	    "bridge fdb replace 02:00:00:00:00:01 dev b2 master dynamic");
	ck_assert_uint_gt(turns_until_told(&r), 1);
	ck_assert_uint_gt(link_watch_losses(r.w), 0);
	(void)snprintf(changed, sizeof(changed), "changed %u\n", was.link);
	ck_assert_uint_ge(count(r.told.text, changed), 1);
	/* of 7,200 */
	ck_assert_msg(count(r.told.text, "\n") < 50, "%s", r.told.text);
	ck_assert_msg(!strstr(r.told.text, "gone"), "%s", r.told.text);
	ck_assert_msg(!strstr(r.told.text, "moved"), "%s", r.told.text);
	ck_assert_str_eq(where(&r, "10.244.0.11", &is), "b2 of cbr0");
	/* the kernel tells again what happens */
	r.told.text[0] = '\0';
	run("bridge fdb replace 02:00:00:00:00:01 dev b1 master dynamic");
	(void)turns_until_told(&r);
	ck_assert_msg(strstr(r.told.text, changed) != NULL, "%s", r.told.text);
	end(&r);
}
END_TEST

/* Of the news that are lost nobody can say what they were. */
START_TEST(hints_that_are_lost_mean_that_all_addresses_of_the_bridge_are_looked_at)
{
	struct rig r = begin();

	lay_out_bridge();
	listen(&r);
	run("for i in $(seq 10 89); do for j in $(seq 1 100); do "
	    "echo neigh replace 10.244.1.$j lladdr 02:00:00:00:01:$i dev cbr0; done; done | "
	    "ip -batch - && bridge fdb replace 02:00:00:00:00:01 dev b2 master dynamic");
	r.told.n_changed = 0;
	(void)turns_until_told(&r);
	ck_assert_uint_gt(link_watch_losses(r.w), 0);
	ck_assert_uint_gt(r.told.n_changed, 0);
	end(&r);
}
END_TEST

START_TEST(what_a_bridge_learns_is_told_at_once_and_more_of_it_together)
{
	static const char to_2[] = "bridge fdb replace 02:00:00:00:00:01 dev b2 master dynamic",
			  to_1[] = "bridge fdb replace 02:00:00:00:00:01 dev b1 master dynamic";
	struct place was;
	char changed[32];
	struct rig r = begin_on(loop_new_fake(NULL));

	lay_out_bridge();
	listen(&r);
	ck_assert_str_eq(where(&r, "10.244.0.11", &was), "b1 of cbr0");
	(void)snprintf(changed, sizeof(changed), "changed %u\n", was.link);
	run(to_2);
	ck_assert(link_watch_catch_up(r.w));
	ck_assert_str_eq(r.told.text, changed);
	r.told.text[0] = '\0';
	run(to_1);
	ck_assert(!link_watch_catch_up(r.w));
	run(to_2);
	ck_assert(!link_watch_catch_up(r.w));
	ck_assert_str_eq(where(&r, "10.244.0.11", NULL), "b2 of cbr0"); /* who asks, knows */
	loop_fake_advance(r.loop, 99);
	ck_assert_str_eq(r.told.text, "");
	loop_fake_advance(r.loop, 1);
	ck_assert_str_eq(r.told.text, changed);
	ck_assert(link_watch_catch_up(r.w));
	end(&r);
}
END_TEST

START_TEST(a_link_of_the_bridge_that_leads_out_of_the_node_is_nobodys)
{
	struct rig r = begin();

	lay_out_bridge();
	run("ip link add vx0 type vxlan id 7 dev eth0 dstport 4789 && ip link set vx0 master cbr0 "
	    "up &&"
	    "bridge fdb add 02:00:00:00:00:07 dev vx0 master &&"
	    "ip neigh add 10.244.0.17 lladdr 02:00:00:00:00:07 dev cbr0");
	ck_assert_str_eq(where(&r, "10.244.0.17", NULL), "nowhere");
	end(&r);
}
END_TEST

UNIT_MAIN("link", UNIT_LOOP(only_a_route_to_one_address_on_a_link_of_its_own_is_a_place, places),
	  UNIT(a_link_that_is_made_again_with_the_same_name_and_index_is_another),
	  UNIT(a_link_keeps_its_number_whatever_else_happens_to_it),
	  UNIT(a_link_that_goes_is_told_with_its_number_and_its_name),
	  UNIT_LOOP(whatever_moves_an_address_is_told, news), UNIT(a_link_that_goes_down_is_told),
	  UNIT(another_name_is_told), UNIT(news_come_by_the_loop_as_well),
	  UNIT(news_that_a_question_has_read_are_told_all_the_same), UNIT(quiet_is_quiet),
	  UNIT(lost_news_mean_that_everything_is_looked_at_and_links_keep_their_numbers),
	  UNIT(a_link_that_goes_while_news_are_lost_is_remembered),
	  UNIT(on_a_bridge_the_place_is_the_port_that_the_address_is_behind),
	  UNIT_LOOP(on_a_bridge_an_address_that_moves_is_told, bridge_news),
	  UNIT(many_neighbours_are_told_turn_by_turn_and_none_is_lost),
	  UNIT(a_bridge_that_learns_more_than_can_be_read_is_looked_at_as_a_whole),
	  UNIT(hints_that_are_lost_mean_that_all_addresses_of_the_bridge_are_looked_at),
	  UNIT(what_a_bridge_learns_is_told_at_once_and_more_of_it_together),
	  UNIT(a_link_of_the_bridge_that_leads_out_of_the_node_is_nobodys))
