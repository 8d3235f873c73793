/* SPDX-License-Identifier: MIT */

#include "iptables/ipt_flavour.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct {
	const char *name;
	struct ipt_look nft, legacy;
	bool no_nft, no_legacy;
	enum ipt_flavour want;
	const char *why;
} nodes[] = {
	{ "empty", { 0 }, { 0 }, false, false, IPT_NFT, "no rule of the node says which" },
	{ "kubelet in nft",
	  { .kubelet = true, .foreign = 1 },
	  { .foreign = 9 },
	  false,
	  false,
	  IPT_NFT,
	  "kubelet" },
	{ "kubelet in legacy",
	  { .foreign = 9 },
	  { .kubelet = true },
	  false,
	  false,
	  IPT_LEGACY,
	  "kubelet" },
	{ "kubelet in both",
	  { .kubelet = true },
	  { .kubelet = true },
	  false,
	  false,
	  IPT_NFT,
	  "kubelet" },
	{ "more in nft", { .foreign = 5 }, { .foreign = 4 }, false, false, IPT_NFT, "5 rules" },
	{ "more in legacy",
	  { .foreign = 4 },
	  { .foreign = 5 },
	  false,
	  false,
	  IPT_LEGACY,
	  "5 rules" },
	{ "as many", { .foreign = 4 }, { .foreign = 4 }, false, false, IPT_NFT, "4 rules" },
	{ "no nft", { 0 }, { 0 }, true, false, IPT_LEGACY, "cannot be had" },
	{ "no legacy", { 0 }, { .kubelet = true }, false, true, IPT_NFT, "cannot be had" },
};

START_TEST(the_flavour_is_that_of_the_node)
{
	const struct ipt_look *looks[IPT_FLAVOURS] = {
		nodes[_i].no_nft ? NULL : &nodes[_i].nft,
		nodes[_i].no_legacy ? NULL : &nodes[_i].legacy,
	};
	char why[IPT_CHOICE_MAX];

	ck_assert_msg(ipt_flavour_judge(looks, why) == nodes[_i].want, "%s", nodes[_i].name);
	ck_assert_msg(strstr(why, nodes[_i].why), "%s: %s", nodes[_i].name, why);
}
END_TEST

UNIT_MAIN("ipt_flavour", UNIT_LOOP(the_flavour_is_that_of_the_node, nodes))
