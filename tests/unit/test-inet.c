/* SPDX-License-Identifier: MIT */

#include "lib/base/inet.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const struct {
	const char *in;
	const char *out; /* NULL: refused */
	bool v4, loopback, unspecified;
} texts[] = {
	{ "10.1.2.3", "10.1.2.3", true, false, false },
	{ "0.0.0.0", "0.0.0.0", true, false, true },
	{ "255.255.255.255", "255.255.255.255", true, false, false },
	{ "127.0.0.1", "127.0.0.1", true, true, false },
	{ "127.255.0.9", "127.255.0.9", true, true, false },
	{ "::ffff:10.1.2.3", "10.1.2.3", true, false, false },
	{ "::ffff:127.0.0.1", "127.0.0.1", true, true, false },
	{ "::", "::", false, false, true },
	{ "::1", "::1", false, true, false },
	{ "::2", "::2", false, false, false },
	{ "FD00::AbCd", "fd00::abcd", false, false, false },
	{ "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", false, false, false },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false, false },
	{ "", NULL, false, false, false },
	{ "10.1.2", NULL, false, false, false },
	{ "10.1.2.3.4", NULL, false, false, false },
	{ "10.1.2.256", NULL, false, false, false },
	{ "10.1.2.03", NULL, false, false, false },
	{ "0x7f.0.0.1", NULL, false, false, false },
	{ "2130706433", NULL, false, false, false },
	{ " 10.1.2.3", NULL, false, false, false },
	{ "10.1.2.3 ", NULL, false, false, false },
	{ "10.1.2.3/24", NULL, false, false, false },
	{ "fe80::1%eth0", NULL, false, false, false },
	{ "[::1]", NULL, false, false, false },
	{ ":::", NULL, false, false, false },
	{ "localhost", NULL, false, false, false },
};

START_TEST(text_is_read_strictly_and_printed_in_one_way)
{
	struct inet_ip ip = { { 0xaa } }, before = ip;
	struct err err = { 0 };
	char buf[INET_IP_TEXT_MAX];
	int r = inet_ip_parse(texts[_i].in, &ip, &err);

	if (!texts[_i].out) {
		ck_assert_int_eq(r, -ERR_INPUT);
		ck_assert(strstr(err.msg, "is not an IP address"));
		ck_assert_mem_eq(&ip, &before, sizeof(ip));
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_str_eq(inet_ip_print(&ip, buf), texts[_i].out);
	ck_assert_int_eq(inet_ip_is_v4(&ip), texts[_i].v4);
	ck_assert_int_eq(inet_ip_is_loopback(&ip), texts[_i].loopback);
	ck_assert_int_eq(inet_ip_is_unspecified(&ip), texts[_i].unspecified);
}
END_TEST

START_TEST(an_address_survives_the_way_through_a_sockaddr)
{
	struct inet_ip ip, back;
	struct sockaddr_storage ss;
	unsigned n;

	if (!texts[_i].out)
		return;
	ck_assert_int_eq(inet_ip_parse(texts[_i].in, &ip, NULL), 0);
	memset(&ss, 0xff, sizeof(ss));
	n = inet_ip_to_sockaddr(&ip, 2579, &ss);
	ck_assert_int_eq(ss.ss_family, texts[_i].v4 ? AF_INET : AF_INET6);
	ck_assert_uint_eq(n,
			  texts[_i].v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	/* the port stands at the same place in both */
	ck_assert_uint_eq(ntohs(((struct sockaddr_in *)(void *)&ss)->sin_port), 2579);
	ck_assert(inet_ip_from_sockaddr((struct sockaddr *)(void *)&ss, &back));
	ck_assert(inet_ip_eq(&ip, &back));
}
END_TEST

START_TEST(a_peer_on_a_dual_stack_socket_is_the_pod_of_its_ipv4_address)
{
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6,
				       .sin6_addr.s6_addr = { [10] = 0xff, 0xff, 10, 1, 2, 3 } };
	struct inet_ip peer, pod;

	ck_assert(inet_ip_from_sockaddr((struct sockaddr *)(void *)&mapped, &peer));
	ck_assert_int_eq(inet_ip_parse("10.1.2.3", &pod, NULL), 0);
	ck_assert(inet_ip_eq(&peer, &pod));
}
END_TEST

START_TEST(another_family_is_no_address)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNIX };
	struct inet_ip ip = { { 1 } };

	ck_assert(!inet_ip_from_sockaddr((struct sockaddr *)(void *)&ss, &ip));
	ck_assert_int_eq(ip.b[0], 1);
}
END_TEST

START_TEST(different_addresses_are_different)
{
	struct inet_ip a, b;

	ck_assert_int_eq(inet_ip_parse("::10.1.2.3", &a, NULL), 0);
	ck_assert_int_eq(inet_ip_parse("10.1.2.3", &b, NULL), 0);
	ck_assert(!inet_ip_eq(&a, &b));
}
END_TEST

static const struct {
	const char *ip;
	bool link_local;
	const char *with_port;
} kinds[] = {
	{ "fe80::1", true, "[fe80::1]:2579" },
	{ "febf:ffff::1", true, "[febf:ffff::1]:2579" },
	{ "fe7f::1", false, "[fe7f::1]:2579" },
	{ "fec0::1", false, "[fec0::1]:2579" },
	{ "fd00::1", false, "[fd00::1]:2579" },
	{ "::", false, "[::]:2579" },
	{ "::1", false, "[::1]:2579" },
	{ "254.128.0.1", false, "254.128.0.1:2579" },
	{ "169.254.169.254", false, "169.254.169.254:2579" },
	{ "::ffff:10.0.0.1", false, "10.0.0.1:2579" },
	/* the longest */
	{ "fe80:1111:1111:1111:1111:1111:1111:1111", true,
	  "[fe80:1111:1111:1111:1111:1111:1111:1111]:2579" },
};

START_TEST(a_link_local_address_is_known_and_a_port_is_set_apart)
{
	char text[INET_IP_PORT_TEXT_MAX];
	struct inet_ip ip;

	ck_assert_int_eq(inet_ip_parse(kinds[_i].ip, &ip, NULL), 0);
	ck_assert_int_eq(inet_ip_is_link_local6(&ip), kinds[_i].link_local);
	ck_assert_str_eq(inet_ip_print_port(&ip, 2579, text), kinds[_i].with_port);
}
END_TEST

START_TEST(bytes_are_an_address_of_either_family_or_none)
{
	static const unsigned char four[] = { 10, 0, 0, 7 }, sixteen[16] = { 0xfd, [15] = 1 };
	char text[INET_IP_TEXT_MAX];
	struct inet_ip ip;

	ck_assert(inet_ip_from_bytes(four, 4, &ip) && inet_ip_is_v4(&ip));
	ck_assert_str_eq(inet_ip_print(&ip, text), "10.0.0.7");
	ck_assert(!inet_ip_from_bytes(sixteen, 15, &ip) && !inet_ip_from_bytes(sixteen, 0, &ip));
	ck_assert_str_eq(inet_ip_print(&ip, text), "10.0.0.7");
	ck_assert(inet_ip_from_bytes(sixteen, 16, &ip));
	ck_assert_str_eq(inet_ip_print(&ip, text), "fd00::1");
}
END_TEST

UNIT_MAIN("inet", UNIT_LOOP(text_is_read_strictly_and_printed_in_one_way, texts),
	  UNIT_LOOP(a_link_local_address_is_known_and_a_port_is_set_apart, kinds),
	  UNIT_LOOP(an_address_survives_the_way_through_a_sockaddr, texts),
	  UNIT(a_peer_on_a_dual_stack_socket_is_the_pod_of_its_ipv4_address),
	  UNIT(another_family_is_no_address), UNIT(different_addresses_are_different),
	  UNIT(bytes_are_an_address_of_either_family_or_none))
