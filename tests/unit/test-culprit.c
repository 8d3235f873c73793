/* SPDX-License-Identifier: MIT */

#include "iptables/culprit.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

static struct nl_msg *mk_msg(int type, int family)
{
	struct nfgenmsg g = { .nfgen_family = (uint8_t)family, .version = NFNETLINK_V0 };
	struct nl_msg *m = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | type, 0);

	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(nlmsg_append(m, &g, sizeof(g), NLMSG_ALIGNTO), 0);
	return m;
}

static void put_number(struct nl_msg *m, int attr, int32_t n)
{
	ck_assert_int_eq(nla_put_u32(m, attr, htonl((uint32_t)n)), 0);
}

static void take(struct culprits *c, struct nl_msg *m)
{
	culprits_read(c, nlmsg_hdr(m));
	nlmsg_free(m);
}

static void table_changes(struct culprits *c, int family, const char *table)
{
	struct nl_msg *m = mk_msg(NFT_MSG_DELTABLE, family);

	ck_assert_int_eq(nla_put_string(m, NFTA_TABLE_NAME, table), 0);
	take(c, m);
}

static void commit_ends(struct culprits *c, const char *name, int pid)
{
	struct nl_msg *m = mk_msg(NFT_MSG_NEWGEN, AF_UNSPEC);

	put_number(m, NFTA_GEN_ID, 7);
	if (pid)
		put_number(m, NFTA_GEN_PROC_PID, pid);
	if (name)
		ck_assert_int_eq(nla_put_string(m, NFTA_GEN_PROC_NAME, name), 0);
	take(c, m);
}

static void chain_comes(struct culprits *c, int family, const char *table, const char *type,
			int hook, int priority)
{
	struct nl_msg *m = mk_msg(NFT_MSG_NEWCHAIN, family);
	struct nlattr *nest;

	ck_assert_int_eq(nla_put_string(m, NFTA_CHAIN_TABLE, table), 0);
	ck_assert_int_eq(nla_put_string(m, NFTA_CHAIN_NAME, "first\x1b"), 0);
	nest = nla_nest_start(m, NFTA_CHAIN_HOOK);
	put_number(m, NFTA_HOOK_HOOKNUM, hook);
	put_number(m, NFTA_HOOK_PRIORITY, priority);
	nla_nest_end(m, nest);
	ck_assert_int_eq(nla_put_string(m, NFTA_CHAIN_TYPE, type), 0);
	take(c, m);
}

static const struct {
	const char *first, *second; /* tables */
	const char *name;
	int pid;
	const char *told;
} commits[] = {
	{ "nmi", NULL, "nft", 12, "nft (process 12)" },
	{ "nmi-live", NULL, "nft", 0, "nft" },
	{ "filter", "nmi", "firewalld", 12,
	  "firewalld (process 12), which changed table ip filter too" },
	{ "nmi", "filter", "firewalld", 12,
	  "firewalld (process 12), which changed table ip filter too" },
	{ "nmi", NULL, "a\nb\"c", 1, "a\\nb\\\"c (process 1)" },
	/* nothing of ours; ourselves; not told */
	{ "filter", NULL, "nft", 12, "somebody" },
	{ "nmi", NULL, "nmi-redirector", 12, "somebody" },
	{ "nmi", NULL, "", 12, "somebody" },
	{ "nmi", NULL, NULL, 12, "somebody" },
};

START_TEST(the_process_is_told_and_what_else_it_changed)
{
	struct culprits c = { 0 };
	char text[CULPRIT_TEXT_MAX];

	table_changes(&c, AF_INET, commits[_i].first);
	if (commits[_i].second)
		table_changes(&c, AF_INET, commits[_i].second);
	commit_ends(&c, commits[_i].name, commits[_i].pid);
	ck_assert_str_eq(culprits_print(&c, text), commits[_i].told);
}
END_TEST

START_TEST(a_commit_is_one_and_the_last_counts)
{
	struct culprits c = { 0 };
	char text[CULPRIT_TEXT_MAX];

	table_changes(&c, NFPROTO_INET, "f");
	table_changes(&c, AF_INET, "nmi");
	commit_ends(&c, "one", 1);
	ck_assert_str_eq(culprits_print(&c, text),
			 "one (process 1), which changed table inet f too");
	table_changes(&c, AF_INET, "nmi");
	commit_ends(&c, "nmi-redirector", 2);
	table_changes(&c, AF_INET, "other");
	commit_ends(&c, "three", 3);
	ck_assert_str_eq(culprits_print(&c, text),
			 "one (process 1), which changed table inet f too");
	table_changes(&c, AF_INET, "nmi");
	commit_ends(&c, "four", 4);
	ck_assert_str_eq(culprits_print(&c, text), "four (process 4)");
	/* a table of our name in another family is not ours */
	table_changes(&c, NFPROTO_INET, "nmi");
	commit_ends(&c, "five", 5);
	ck_assert_str_eq(culprits_print(&c, text), "four (process 4)");
}
END_TEST

static const struct {
	int family;
	const char *table, *type;
	int hook, priority;
	bool rival;
} chains[] = {
	{ AF_INET, "x", "nat", NF_INET_PRE_ROUTING, -199, true },
	{ AF_INET, "x", "nat", NF_INET_PRE_ROUTING, -500, true },
	{ NFPROTO_INET, "x", "nat", NF_INET_PRE_ROUTING, -199, true },
	{ AF_INET, "x", "nat", NF_INET_PRE_ROUTING, -198, false },
	{ AF_INET, "x", "nat", NF_INET_PRE_ROUTING, 100, false },
	{ AF_INET, "x", "nat", NF_INET_LOCAL_OUT, -199, false },
	{ AF_INET, "x", "filter", NF_INET_PRE_ROUTING, -199, false },
	{ AF_INET6, "x", "nat", NF_INET_PRE_ROUTING, -199, false },
	{ AF_INET, "nmi", "nat", NF_INET_PRE_ROUTING, -199, false },
	{ AF_INET, "nmi-live", "nat", NF_INET_PRE_ROUTING, -199, false },
};

START_TEST(a_chain_that_is_asked_before_ours_is_a_rival)
{
	struct culprits c = { 0 };

	chain_comes(&c, chains[_i].family, chains[_i].table, chains[_i].type, chains[_i].hook,
		    chains[_i].priority);
	ck_assert_int_eq(*c.rival != '\0', chains[_i].rival);
	if (chains[_i].rival && chains[_i].family == AF_INET)
		ck_assert_str_eq(c.rival, "table ip x, chain first\\u001b");
}
END_TEST

START_TEST(who_brought_a_rival_is_told_and_its_own_table_named)
{
	struct culprits c = { 0 };
	char text[CULPRIT_TEXT_MAX];

	table_changes(&c, AF_INET, "other");
	chain_comes(&c, NFPROTO_INET, "x", "nat", NF_INET_PRE_ROUTING, -199);
	commit_ends(&c, "agent", 5);
	ck_assert_str_eq(c.rival, "table inet x, chain first\\u001b");
	ck_assert_str_eq(culprits_print(&c, text),
			 "agent (process 5), which changed table ip other too");
}
END_TEST

START_TEST(malformed_news_say_nothing)
{
	struct culprits c = { 0 };
	char text[CULPRIT_TEXT_MAX];
	struct nl_msg *m = mk_msg(NFT_MSG_NEWTABLE, AF_INET);

	ck_assert_int_eq(nla_put(m, NFTA_TABLE_NAME, 3, "nmi"), 0); /* without its end */
	take(&c, m);
	commit_ends(&c, "nft", 1);
	m = mk_msg(NFT_MSG_NEWCHAIN, AF_INET); /* a hook that is none */
	ck_assert_int_eq(nla_put_string(m, NFTA_CHAIN_TABLE, "x"), 0);
	ck_assert_int_eq(nla_put_string(m, NFTA_CHAIN_TYPE, "nat"), 0);
	ck_assert_int_eq(nla_put(m, NFTA_CHAIN_HOOK, 1, "x"), 0);
	take(&c, m);
	m = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, 0); /* no head */
	take(&c, m);
	m = mk_msg(NFT_MSG_NEWTABLE, AF_INET);
	take(&c, m);
	ck_assert_str_eq(culprits_print(&c, text), "somebody");
	ck_assert_str_eq(c.rival, "");
}
END_TEST

START_TEST(long_names_are_cut)
{
	struct culprits c = { 0 };
	char name[256], text[CULPRIT_TEXT_MAX];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	chain_comes(&c, AF_INET, name, "nat", NF_INET_PRE_ROUTING, -199);
	table_changes(&c, AF_INET, "nmi");
	commit_ends(&c, name, 0x7fffffff);
	ck_assert_uint_lt(strlen(culprits_print(&c, text)), sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, " too"));
	ck_assert_ptr_nonnull(strstr(c.rival, ", chain first"));
}
END_TEST

UNIT_MAIN("culprit", UNIT_LOOP(the_process_is_told_and_what_else_it_changed, commits),
	  UNIT(a_commit_is_one_and_the_last_counts),
	  UNIT_LOOP(a_chain_that_is_asked_before_ours_is_a_rival, chains),
	  UNIT(who_brought_a_rival_is_told_and_its_own_table_named),
	  UNIT(malformed_news_say_nothing), UNIT(long_names_are_cut))
