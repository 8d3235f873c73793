/* SPDX-License-Identifier: MIT */

/*
 * What others have in the packet filters: see foreign.h.
 *
 * Names of chains are what Kubernetes' components are known by: kube-proxy and Cilium make theirs at
 * their start and keep them. Three things have no name of their own, so that a few rules are looked
 * at: an exemption from connection tracking (nft's notrack, the targets CT and NOTRACK), the rule of the
 * AKS IMDS restriction, which AKS marks by a comment (AgentBaker, ensure_imds_restriction.sh), and
 * whether a chain aad-metadata is this agent's, whose rules all say so in a comment.
 */

#include "iptables/foreign.h"

#include "lib/base/mem.h"

#include <arpa/inet.h>
#include <limits.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <string.h>

/* Ours is at the lowest priority that the kernel takes for nat in prerouting: ruleset.c. */
#define OUR_NAT_PRIORITY (NF_IP_PRI_CONNTRACK + 1)

/* iptables knows neither priorities nor families. */
#define LEGACY_FAMILY "iptables-legacy"

static bool is_ours(const char *table)
{
	return strcmp(table, "nmi") == 0 || strncmp(table, "nmi-", 4) == 0;
}

static void remember(struct foreign_chains *in, const char *family, const char *table,
		     const char *name, int priority)
{
	struct foreign_chain *c;

	if (in->n == FOREIGN_CHAINS_MAX)
		return;
	c = &in->chain[in->n++];
	c->family = family;
	(void)snprintf(c->table, sizeof(c->table), "%s", table); /* cut: see the header */
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	c->priority = priority;
}

static void add_name(struct foreign *f, enum foreign_filter where, const char *table,
		     const char *name)
{
	bool nat = strcmp(table, "nat") == 0;

	if (nat && strcmp(name, "KUBE-SERVICES") == 0)
		f->kube_services |= where;
	if (nat && strcmp(name, "aad-metadata") == 0)
		f->aad_metadata |= where;
	if (strncmp(name, "CILIUM_", 7) == 0)
		f->cilium |= where;
}

/* A base chain of nftables. */
static void add_hook(struct foreign *f, int family, const char *table, const char *name,
		     struct nlattr *hook, struct nlattr *type)
{
	const char *family_name = family == NFPROTO_INET ? "inet" : "ip";
	struct nlattr *num = nla_find(nla_data(hook), nla_len(hook), NFTA_HOOK_HOOKNUM);
	struct nlattr *prio = nla_find(nla_data(hook), nla_len(hook), NFTA_HOOK_PRIORITY);
	int priority;

	if (!num || !prio || nla_len(num) != 4 || nla_len(prio) != 4)
		return;
	if (nla_get_u32(num) != htonl(NF_INET_PRE_ROUTING))
		return;
	priority = (int)ntohl(nla_get_u32(prio));
	if (type && nla_strcmp(type, "nat") == 0 && priority <= OUR_NAT_PRIORITY)
		remember(&f->nat, family_name, table, name, priority);
	else if (priority < NF_IP_PRI_CONNTRACK)
		remember(&f->raw, family_name, table, name, priority);
}

void foreign_add_chain(struct foreign *f, int family, void *attrs, size_t n)
{
	char table[FOREIGN_NAME_MAX] = "", name[FOREIGN_NAME_MAX] = "";
	struct nlattr *a[NFTA_CHAIN_MAX + 1];

	if (n > INT_MAX || nla_parse(a, NFTA_CHAIN_MAX, attrs, (int)n, NULL) < 0)
		return;
	if (!a[NFTA_CHAIN_TABLE] || !a[NFTA_CHAIN_NAME])
		return;
	(void)nla_strlcpy(table, a[NFTA_CHAIN_TABLE], sizeof(table)); /* cut: see the header */
	(void)nla_strlcpy(name, a[NFTA_CHAIN_NAME], sizeof(name));
	if (is_ours(table))
		return;
	if (strcmp(table, "kube-proxy") == 0)
		f->kube_proxy_table = true;
	if (family != NFPROTO_IPV4 && family != NFPROTO_INET)
		return;
	if (family == NFPROTO_IPV4) {
		add_name(f, FOREIGN_NFT, table, name);
		if (strcmp(name, "FORWARD") == 0)
			f->forward |= FOREIGN_NFT;
	}
	if (a[NFTA_CHAIN_HOOK])
		add_hook(f, family, table, name, a[NFTA_CHAIN_HOOK], a[NFTA_CHAIN_TYPE]);
}

/* CT has other uses: helpers, zones. Each of its revisions begins with the flags. */
static bool target_untracks(const char *name, const void *info, size_t n)
{
	uint16_t flags;

	if (strcmp(name, "NOTRACK") == 0)
		return true;
	if (strcmp(name, "CT") != 0 || n < sizeof(flags))
		return false;
	memcpy(&flags, info, sizeof(flags));
	return flags & XT_CT_NOTRACK;
}

static bool expression_untracks(struct nlattr *expr)
{
	struct nlattr *a[NFTA_EXPR_MAX + 1], *t[NFTA_TARGET_MAX + 1];
	char name[XT_EXTENSION_MAXNAMELEN];

	if (nla_parse_nested(a, NFTA_EXPR_MAX, expr, NULL) < 0 || !a[NFTA_EXPR_NAME])
		return false;
	if (nla_strcmp(a[NFTA_EXPR_NAME], "notrack") == 0)
		return true;
	if (nla_strcmp(a[NFTA_EXPR_NAME], "target") != 0 || !a[NFTA_EXPR_DATA] ||
	    nla_parse_nested(t, NFTA_TARGET_MAX, a[NFTA_EXPR_DATA], NULL) < 0 ||
	    !t[NFTA_TARGET_NAME] || !t[NFTA_TARGET_INFO])
		return false;
	(void)nla_strlcpy(name, t[NFTA_TARGET_NAME], sizeof(name)); /* none of ours is longer */
	return target_untracks(name, nla_data(t[NFTA_TARGET_INFO]),
			       (size_t)nla_len(t[NFTA_TARGET_INFO]));
}

bool foreign_rule_untracks(void *attrs, size_t n)
{
	struct nlattr *all, *expr;
	int rest;

	if (n > INT_MAX)
		return false;
	all = nla_find(attrs, (int)n, NFTA_RULE_EXPRESSIONS);
	if (!all)
		return false;
	for (expr = nla_data(all), rest = nla_len(all); nla_ok(expr, rest);
	     expr = nla_next(expr, &rest)) {
		if (expression_untracks(expr))
			return true;
	}
	return false;
}

bool foreign_has_restriction(const void *p, size_t n)
{
	static const char mark[] = "ensureIMDSRestriction";

	return memmem(p, n, mark, sizeof(mark) - 1);
}

bool foreign_is_ours(const void *p, size_t n)
{
	return memmem(p, n, "nmi", 3);
}

/* iptables-legacy: entries one after the other; a chain begins with an entry of target ERROR */

struct legacy_entry {
	const uint8_t *p;
	size_t n;
	char target[XT_EXTENSION_MAXNAMELEN];
	const uint8_t *info;
	size_t info_n;
};

static bool legacy_next(const uint8_t **p, size_t *n, struct legacy_entry *out)
{
	const size_t head = offsetof(struct xt_entry_target, data);
	struct ipt_entry e;
	struct xt_entry_target t;

	if (*n < sizeof(e))
		return false;
	memcpy(&e, *p, sizeof(e));
	if (e.next_offset > *n || e.target_offset < sizeof(e) || e.next_offset < e.target_offset ||
	    e.next_offset - (size_t)e.target_offset < head)
		return false;
	memcpy(&t, *p + e.target_offset, head);
	out->p = *p;
	out->n = e.next_offset;
	memcpy(out->target, t.u.user.name, sizeof(t.u.user.name));
	out->target[sizeof(out->target) - 1] = '\0';
	out->info = *p + e.target_offset + head;
	out->info_n = e.next_offset - (size_t)e.target_offset - head;
	*p += e.next_offset;
	*n -= e.next_offset;
	return true;
}

void foreign_add_legacy(struct foreign *f, const char *table, const void *entries, size_t n)
{
	char name[FOREIGN_NAME_MAX] = "";
	const uint8_t *p = entries;
	struct legacy_entry e;
	bool in_metadata = false, is_mine = false, untracks = false;

	if (strcmp(table, "filter") == 0 || strcmp(table, "mangle") == 0)
		f->imds_restriction |= foreign_has_restriction(entries, n) ? FOREIGN_LEGACY : 0;
	while (legacy_next(&p, &n, &e)) {
		untracks = untracks || target_untracks(e.target, e.info, e.info_n);
		if (strcmp(e.target, XT_ERROR_TARGET) == 0) {
			size_t max = e.info_n < XT_FUNCTION_MAXNAMELEN ? e.info_n
								       : XT_FUNCTION_MAXNAMELEN;

			memset(name, 0, sizeof(name));
			memcpy(name, e.info, max);
			add_name(f, FOREIGN_LEGACY, table, name);
			in_metadata = strcmp(name, "aad-metadata") == 0;
		} else if (in_metadata) {
			is_mine = is_mine || foreign_is_ours(e.p, e.n);
		}
	}
	if (is_mine && strcmp(table, "nat") == 0)
		f->aad_metadata &= ~(unsigned)FOREIGN_LEGACY;
	if (untracks && strcmp(table, "raw") == 0)
		remember(&f->notrack, LEGACY_FAMILY, table, "PREROUTING", NF_IP_PRI_RAW);
}
