/* SPDX-License-Identifier: MIT */

#include "nmi/node_address.h"
#include "tests/unit/unit.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

static struct inet_ip imds(void)
{
	struct inet_ip ip;

	ck_assert_int_eq(inet_ip_parse("169.254.169.254", &ip, NULL), 0);
	return ip;
}

/* Each test has a network of its own to lay out; check forks, so it goes with the test. */
static void lay_out(const char *commands)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ck_assert_int_eq(system(commands), 0);
}

START_TEST(the_source_of_the_route_wins)
{
	struct inet_ip peer = imds(), ip;
	char text[INET_IP_TEXT_MAX];

	lay_out("ip link add d0 type veth peer name p0 && ip link set p0 up && ip addr add "
		"10.9.0.1/24 dev d0 && ip link set d0 up &&"
		"ip link add d1 type veth peer name p1 && ip link set p1 up && ip addr add "
		"10.8.0.1/24 dev d1 && ip link set d1 up &&"
		"ip route add 169.254.169.254 dev d1");
	ck_assert_int_eq(node_address_find(&peer, &ip, NULL), 0);
	ck_assert_str_eq(inet_ip_print(&ip, text), "10.8.0.1");
}
END_TEST

START_TEST(without_a_route_an_address_of_the_node_is_taken)
{
	struct inet_ip peer = imds(), ip;
	char text[INET_IP_TEXT_MAX];

	lay_out("ip link set lo up; ip link add d0 type veth peer name p0 && ip link set p0 up && "
		"ip addr add 10.9.0.1/24 dev d0 &&"
		"ip link set d0 up");
	ck_assert_int_eq(node_address_find(&peer, &ip, NULL), 0);
	ck_assert_str_eq(inet_ip_print(&ip, text), "10.9.0.1");
}
END_TEST

START_TEST(loopback_and_link_local_do_not_count)
{
	struct inet_ip peer = imds(), ip;
	struct err err = { 0 };

	lay_out("ip link set lo up; ip link add d0 type veth peer name p0 && ip link set p0 up && "
		"ip addr add 169.254.7.7/16 dev d0 &&"
		"ip link set d0 up");
	ck_assert_int_eq(node_address_find(&peer, &ip, &err), -ERR_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.msg, "--nmi-listen-address"));
}
END_TEST

UNIT_MAIN("node_address", UNIT(the_source_of_the_route_wins),
	  UNIT(without_a_route_an_address_of_the_node_is_taken),
	  UNIT(loopback_and_link_local_do_not_count))
