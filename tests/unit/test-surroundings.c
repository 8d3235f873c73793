/* SPDX-License-Identifier: MIT */

#include "nmi/surroundings.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define RULES 1, .has_ipv4 = true
#define CHAIN(f, t, c, p)                                                                          \
	{                                                                                          \
		.n = 1, .chain = {                                                                 \
			{                                                                          \
				.family = f,                                                       \
				.table = t,                                                        \
				.name = c,                                                         \
				.priority = p,                                                     \
			}                                                                          \
		}                                                                                  \
	}

/* The names of what is found, with a space after each; the words are compared on a real node. */
static const struct {
	struct around around;
	const char *names;
} nodes[] = {
	{ { .has_rules = RULES }, "kube-proxy-none " },
	{ { .has_rules = RULES, .foreign.kube_services = FOREIGN_NFT }, "kube-proxy-iptables " },
	{ { .has_rules = RULES, .foreign.kube_services = FOREIGN_NFT, .ipvs_link = true },
	  "kube-proxy-ipvs " },
	{ { .has_rules = RULES, .foreign.kube_proxy_table = true }, "kube-proxy-nftables " },
	/* a change of mode leaves the old one's behind */
	{ { .has_rules = RULES,
	    .foreign.kube_proxy_table = true,
	    .foreign.kube_services = FOREIGN_LEGACY },
	  "kube-proxy-nftables kube-proxy-iptables " },
	{ { .has_rules = RULES, .cilium_link = "cilium_host" }, "kube-proxy-none cilium-alone " },
	{ { .has_rules = RULES, .foreign.cilium = FOREIGN_NFT }, "kube-proxy-none cilium-alone " },
	{ { .has_rules = RULES,
	    .foreign.kube_services = FOREIGN_NFT,
	    .cilium_link = "cilium_host" },
	  "kube-proxy-iptables cilium " },
	{ { .cilium_link = "cilium_host" }, "cilium-redirects " },
	/* a network of its own has none of it */
	{ { .has_ipv6 = true }, "" },
	{ { .has_rules = RULES, .guest_proxy = true }, "kube-proxy-none guest-proxy-agent " },
	{ { .has_rules = RULES, .foreign.imds_restriction = FOREIGN_LEGACY },
	  "kube-proxy-none imds-restriction " },
	{ { .has_rules = RULES, .foreign.aad_metadata = FOREIGN_LEGACY },
	  "kube-proxy-none other-nmi " },
	{ { .has_rules = RULES, .other_listener = "127.0.0.1:2579" },
	  "kube-proxy-none other-listener " },
	{ { .has_rules = RULES,
	    .foreign.aad_metadata = FOREIGN_NFT,
	    .other_listener = "127.0.0.1:2579" },
	  "kube-proxy-none other-nmi " },
	{ { .has_rules = RULES, .route_localnet = "all" }, "kube-proxy-none route-localnet " },
	{ { .has_rules = true, .has_ipv6 = true }, "kube-proxy-none ipv6-only " },
	{ { .has_rules = RULES, .foreign.nat = CHAIN("ip", "a", "b", -199) },
	  "kube-proxy-none earlier-nat " },
	/* raw chains that exempt nothing are nobody's business */
	{ { .has_rules = RULES,
	    .foreign.raw = CHAIN("ip", "a", "b", -300),
	    .foreign.notrack = CHAIN("ip", "c", "d", -300) },
	  "kube-proxy-none notrack " },
	{ { .has_rules = RULES, .unread = "packet rules: no" }, "kube-proxy-none unread " },
};

START_TEST(what_is_there_is_named)
{
	_cleanup_(surroundings_freep) struct surroundings *s =
		surroundings_judge(&nodes[_i].around);
	char names[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const char *name = surrounding_name(s->kind[i]);

		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s ", name);
		ck_assert_int_eq(strncmp(s->lines[i], name, strlen(name)), 0);
	}
	ck_assert_str_eq(names, nodes[_i].names);
}
END_TEST

/* Everything at once, each name as long as it can be, and of bytes that are no text. */
START_TEST(a_line_is_printable_whatever_names_there_are)
{
	struct around a = { .has_rules = true,
			    .guest_proxy = true,
			    .ipvs_link = true,
			    .foreign = { .kube_proxy_table = true,
					 .kube_services = 3,
					 .aad_metadata = 3,
					 .imds_restriction = 3,
					 .cilium = 3 } };
	_cleanup_(surroundings_freep) struct surroundings *s = NULL;

	memset(a.unread, '\n', sizeof(a.unread) - 1);
	memset(a.route_localnet, '\x1b', sizeof(a.route_localnet) - 1);
	memset(a.cilium_link, '\xff', sizeof(a.cilium_link) - 1);
	for (size_t i = 0; i < FOREIGN_CHAINS_MAX; i++) {
		struct foreign_chain *c = &a.foreign.nat.chain[i];

		c->family = "inet";
		c->priority = INT32_MIN;
		memset(c->table, '\x07', sizeof(c->table) - 1);
		memset(c->name, '"', sizeof(c->name) - 1);
	}
	a.foreign.nat.n = FOREIGN_CHAINS_MAX;
	a.foreign.notrack = a.foreign.nat;
	s = surroundings_judge(&a);
	ck_assert_uint_ge(s->n, 2 * (size_t)FOREIGN_CHAINS_MAX + 8);
	for (size_t i = 0; i < s->n; i++)
		for (const char *p = s->lines[i]; *p; p++)
			ck_assert_msg(*p >= ' ' && *p < 0x7f, "%s", s->lines[i]);
}
END_TEST

UNIT_MAIN("surroundings", UNIT_LOOP(what_is_there_is_named, nodes),
	  UNIT(a_line_is_printable_whatever_names_there_are))
