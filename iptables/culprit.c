/* SPDX-License-Identifier: MIT */

/*
 * Who changed our rules: see culprit.h.
 *
 * The kernel tells a commit as messages about objects, then one NFT_MSG_NEWGEN with the pid and the name of
 * the process that made it (nf_tables_fill_gen_info()). The pid is that of the first pid namespace, so
 * ours cannot be compared with it; our own commits are known by the name that confine.c gives us, and
 * another nmi's as well, which is not meant here (see nft.c for how two of them get on).
 */

#include "iptables/culprit.h"

#include "iptables/ruleset.h"
#include "lib/base/str.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <string.h>

#define OWN_NAME "nmi-redirector" /* confine.c */
/* Of nat chains in prerouting: the kernel takes none below (tests/platform/nat-priority.sh). */
#define OUR_PRIORITY (-199)

static const char *family_name(unsigned family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_BRIDGE:
		return "bridge";
	case NFPROTO_NETDEV:
		return "netdev";
	default:
		return "?";
	}
}

/* NULL: there is none, or it does not end. */
static const char *text_of(const struct nlattr *a)
{
	if (!a || nla_len(a) <= 0 || !memchr(nla_data(a), '\0', (size_t)nla_len(a)))
		return NULL;
	return nla_data(a);
}

static bool number_of(const struct nlattr *a, uint32_t *out)
{
	if (!a || nla_len(a) != sizeof(*out))
		return false;
	*out = ntohl(nla_get_u32(a));
	return true;
}

static struct str cut(const char *text, size_t max)
{
	return (struct str){ text, strnlen(text, max) };
}

static void quote_table(char *buf, size_t size, unsigned family, const char *table)
{
	size_t n;

	(void)snprintf(buf, size, "%s ", family_name(family));
	n = strlen(buf);
	str_escape(buf + n, size - n, cut(table, 64));
}

/* Is this chain asked about the packets that ours is for, and no later? */
static bool is_rival(struct nlmsghdr *h, unsigned family)
{
	struct nlattr *hook = nlmsg_find_attr(h, sizeof(struct nfgenmsg), NFTA_CHAIN_HOOK);
	const char *type = text_of(nlmsg_find_attr(h, sizeof(struct nfgenmsg), NFTA_CHAIN_TYPE));
	uint32_t number, priority;

	if (!hook || !type || strcmp(type, "nat") != 0 ||
	    (family != NFPROTO_IPV4 && family != NFPROTO_INET))
		return false;
	return number_of(nla_find(nla_data(hook), nla_len(hook), NFTA_HOOK_HOOKNUM), &number) &&
	       number == NF_INET_PRE_ROUTING &&
	       number_of(nla_find(nla_data(hook), nla_len(hook), NFTA_HOOK_PRIORITY), &priority) &&
	       (int32_t)priority <= OUR_PRIORITY;
}

static void read_object(struct culprits *c, struct nlmsghdr *h, unsigned family, const char *table)
{
	const char *chain;
	char of[CULPRIT_TABLE_MAX], name[40];

	if (family == NFPROTO_IPV4 && ruleset_is_ours(table)) {
		c->ours = true;
		return;
	}
	quote_table(of, sizeof(of), family, table);
	if (!c->others)
		memcpy(c->other, of, sizeof(c->other));
	c->others = true;
	if ((h->nlmsg_type & 0xff) != NFT_MSG_NEWCHAIN || !is_rival(h, family))
		return;
	chain = text_of(nlmsg_find_attr(h, sizeof(struct nfgenmsg), NFTA_CHAIN_NAME));
	str_escape(name, sizeof(name), cut(chain ? chain : "?", 32));
	(void)snprintf(c->rival, sizeof(c->rival), "table %s, chain %s", of, name);
	c->ours = true;
}

static void end_commit(struct culprits *c, struct nlmsghdr *h)
{
	const char *name = text_of(nlmsg_find_attr(h, sizeof(struct nfgenmsg), NFTA_GEN_PROC_NAME));
	uint32_t pid = 0;

	if (c->ours && name && *name && strcmp(name, OWN_NAME) != 0) {
		(void)number_of(nlmsg_find_attr(h, sizeof(struct nfgenmsg), NFTA_GEN_PROC_PID),
				&pid);
		c->pid = pid;
		str_escape(c->name, sizeof(c->name), cut(name, sizeof(c->name) - 1));
		if (!c->others)
			c->other[0] = '\0';
		memcpy(c->beside, c->other, sizeof(c->beside));
	}
	c->ours = c->others = false;
}

void culprits_read(struct culprits *c, struct nlmsghdr *h)
{
	const struct nfgenmsg *g = nlmsg_data(h);
	const char *table;

	if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || !nlmsg_valid_hdr(h, sizeof(*g)))
		return;
	if ((h->nlmsg_type & 0xff) == NFT_MSG_NEWGEN) {
		end_commit(c, h);
		return;
	}
	table = text_of(nlmsg_find_attr(h, sizeof(*g), NFTA_TABLE_NAME));
	if (table)
		read_object(c, h, g->nfgen_family, table);
}

const char *culprits_print(const struct culprits *c, char buf[static CULPRIT_TEXT_MAX])
{
	char pid[24] = "";

	if (c->pid)
		(void)snprintf(pid, sizeof(pid), " (process %u)", c->pid);
	(void)snprintf(buf, CULPRIT_TEXT_MAX, "%s%s%s%s%s", *c->name ? c->name : "somebody", pid,
		       *c->beside ? ", which changed table " : "", c->beside,
		       *c->beside ? " too" : "");
	return buf;
}
