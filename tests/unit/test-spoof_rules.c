/* SPDX-License-Identifier: MIT */

#include "iptables/spoof_rules.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/unit/golden.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct redirect_spec mk_spec(void)
{
	struct redirect_spec s = { .metadata_port = 80 };

	ck_assert_int_eq(inet_ip_parse("169.254.169.254", &s.metadata_ip, NULL), 0);
	return s;
}

static struct redirect_port mk_port(const char *link, const char *ip)
{
	struct redirect_port p = { 0 };

	memcpy(p.link, link, strnlen(link, sizeof(p.link)));
	ck_assert_int_eq(inet_ip_parse(ip, &p.ip, NULL), 0);
	return p;
}

START_TEST(the_table_of_routed_links_is_that_of_the_golden_file)
{
	struct redirect_spec s = mk_spec();
	_cleanup_free_ char *want = golden("spoof-routed.nft");
	_cleanup_free_ char *have = spoof_rules_print_routed(&s);

	ck_assert_str_eq(have, want);
}
END_TEST

START_TEST(the_table_of_bridges_is_that_of_the_golden_file)
{
	struct redirect_spec s = mk_spec();
	const struct redirect_port ports[] = { mk_port("veth1", "10.244.0.5"),
					       mk_port("veth2", "10.244.0.6"),
					       mk_port("veth2", "10.244.0.7") };
	_cleanup_free_ char *want = golden("spoof-bridged.nft");
	_cleanup_free_ char *have = spoof_rules_print_bridged(&s, ports, ARRAY_SIZE(ports));

	ck_assert_str_eq(have, want);
}
END_TEST

START_TEST(the_stand_in_is_the_same_under_another_name)
{
	struct redirect_spec s = mk_spec();
	const struct redirect_port port = mk_port("veth1", "10.244.0.5");
	_cleanup_free_ char *want = spoof_rules_print_bridged(&s, &port, 1);
	_cleanup_free_ char *have = spoof_rules_print_stand_in(&s, &port, 1);
	const char *name = "nmi-spoof";
	char *rest = have;

	for (char *at; (at = strstr(rest, "nmi-spoof-next")); rest = at + strlen(name))
		memmove(at + strlen(name), at + strlen("nmi-spoof-next"),
			strlen(at + strlen("nmi-spoof-next")) + 1);
	ck_assert_ptr_ne(rest, have);
	ck_assert_str_eq(have, want);
}
END_TEST

START_TEST(a_change_replaces_all_three_views_of_the_ports)
{
	const struct redirect_port ports[] = { mk_port("veth1", "10.244.0.5"),
					       mk_port("veth2", "10.244.0.6") };
	_cleanup_free_ char *text = spoof_rules_print_change(ports, ARRAY_SIZE(ports));

	ck_assert_str_eq(text,
			 "flush set bridge nmi-spoof pairs\n"
			 "add element bridge nmi-spoof pairs { \"veth1\" . 10.244.0.5, \"veth2\" . "
			 "10.244.0.6 }\n"
			 "flush set bridge nmi-spoof ports\n"
			 "add element bridge nmi-spoof ports { \"veth1\", \"veth2\" }\n"
			 "flush set bridge nmi-spoof addresses\n"
			 "add element bridge nmi-spoof addresses { 10.244.0.5, 10.244.0.6 }\n");
}
END_TEST

START_TEST(the_metadata_address_and_port_of_the_spec_are_used_and_no_other)
{
	struct redirect_spec s = mk_spec();
	const struct redirect_port port = mk_port("veth1", "10.244.0.5");
	_cleanup_free_ char *bridged = NULL, *routed = NULL;

	ck_assert_int_eq(inet_ip_parse("192.0.2.7", &s.metadata_ip, NULL), 0);
	s.metadata_port = 8080;
	routed = spoof_rules_print_routed(&s);
	bridged = spoof_rules_print_bridged(&s, &port, 1);
	ck_assert_ptr_nonnull(strstr(routed, "ip daddr 192.0.2.7 tcp dport 8080 "));
	ck_assert_ptr_nonnull(strstr(bridged, "ip daddr 192.0.2.7 tcp dport 8080 "));
	ck_assert_ptr_nonnull(strstr(bridged, "ip saddr 192.0.2.7 tcp sport 8080 "));
	ck_assert_ptr_null(strstr(routed, "169.254"));
	ck_assert_ptr_null(strstr(bridged, "169.254"));
}
END_TEST

START_TEST(as_many_as_can_be_fit_in)
{
	static struct redirect_port ports[REDIRECT_PORTS_MAX + 1];
	struct redirect_spec s = mk_spec();
	_cleanup_free_ char *text = NULL, *change = NULL;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		ports[i] = mk_port("fifteen-letters", "255.255.255.255");
	ck_assert_int_eq(spoof_rules_check(ports, REDIRECT_PORTS_MAX, &err), 0);
	text = spoof_rules_print_bridged(&s, ports, REDIRECT_PORTS_MAX);
	change = spoof_rules_print_change(ports, REDIRECT_PORTS_MAX);
	ck_assert_ptr_nonnull(strstr(text, "chain leaves"));
	ck_assert_uint_gt(strlen(change), (size_t)REDIRECT_PORTS_MAX * 60);
	ck_assert_int_eq(spoof_rules_check(ports, ARRAY_SIZE(ports), &err), -ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(err.msg, "1025"));
}
END_TEST

static const struct {
	const char *link, *ip;
	bool fine;
} checked[] = {
	{ "veth0a1b2c3d", "10.0.0.1", true },
	{ "fifteen-letters", "10.0.0.1", true },
	{ "eth0.100", "10.0.0.1", true },
	{ "eth0:1", "10.0.0.1", true },
	{ "a_b-c", "::ffff:10.0.0.1", true },
	{ "sixteen-letters-", "10.0.0.1", false }, /* no end */
	{ "", "10.0.0.1", false },
	{ "veth*", "10.0.0.1", false }, /* nftables: all that begin so */
	{ "a\"b", "10.0.0.1", false },
	{ "a\\b", "10.0.0.1", false },
	{ "a b", "10.0.0.1", false },
	{ "a,b", "10.0.0.1", false },
	{ "a}b", "10.0.0.1", false },
	{ "a\nb", "10.0.0.1", false },
	{ "$a", "10.0.0.1", false },
	{ "@a", "10.0.0.1", false },
	{ "v\xc3\xa9th", "10.0.0.1", false },
	{ "veth1", "0.0.0.0", false },
	{ "veth1", "127.0.0.1", false },
	{ "veth1", "fd00::1", false },
};

START_TEST(only_what_nftables_takes_as_it_stands_passes)
{
	struct redirect_port p = mk_port(checked[_i].link, checked[_i].ip);
	struct err err = { 0 };
	int r = spoof_rules_check(&p, 1, &err);

	ck_assert_int_eq(r, checked[_i].fine ? 0 : -ERR_INPUT);
	ck_assert(checked[_i].fine || *err.msg);
}
END_TEST

UNIT_MAIN("spoof_rules", UNIT(the_table_of_routed_links_is_that_of_the_golden_file),
	  UNIT(the_table_of_bridges_is_that_of_the_golden_file),
	  UNIT(the_stand_in_is_the_same_under_another_name),
	  UNIT(a_change_replaces_all_three_views_of_the_ports),
	  UNIT(the_metadata_address_and_port_of_the_spec_are_used_and_no_other),
	  UNIT(as_many_as_can_be_fit_in),
	  UNIT_LOOP(only_what_nftables_takes_as_it_stands_passes, checked))
