/* SPDX-License-Identifier: MIT */

/* What the surroundings mean: see surroundings.h. */

#include "nmi/surroundings.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	enum log_level level;
	const char *found, *follows, *next;
} rows[SURROUNDING_KINDS] = {
#define X(id, name, level, found, follows, next)                                                   \
	[SURROUNDING_##id] = { name, LOG_LEVEL_##level, found, follows, next },
#include "nmi/surroundings.def"
#undef X
};

/* Four names of FOREIGN_NAME_MAX, escaped, do not fit and are cut. */
#define DETAIL_MAX 320

/* `detail` may have text from outside. */
static void add(struct surroundings *s, enum surrounding kind, const char *detail)
{
	char escaped[DETAIL_MAX];

	assert(s->n < SURROUNDINGS_MAX);
	(void)str_escape(escaped, sizeof(escaped), str_of(detail)); /* cut, if it is long */
	s->kind[s->n] = kind;
	s->lines[s->n++] = xasprintf("%s: %s%s; %s; %s", rows[kind].name, rows[kind].found, escaped,
				     rows[kind].follows, rows[kind].next);
}

static const char *filters(unsigned set)
{
	switch (set) {
	case FOREIGN_NFT:
		return "nft";
	case FOREIGN_LEGACY:
		return "legacy";
	default:
		return "nft and legacy";
	}
}

/* ipvs needs some rules of iptables too, so its link decides. */
static bool judge_kube_proxy(const struct around *a, struct surroundings *s)
{
	char detail[DETAIL_MAX];

	if (a->foreign.kube_proxy_table)
		add(s, SURROUNDING_KUBE_PROXY_NFTABLES, " (table kube-proxy)");
	if (a->ipvs_link) {
		add(s, SURROUNDING_KUBE_PROXY_IPVS, " (link kube-ipvs0)");
	} else if (a->foreign.kube_services) {
		(void)snprintf(detail, sizeof(detail), " (chain KUBE-SERVICES, %s)",
			       filters(a->foreign.kube_services));
		add(s, SURROUNDING_KUBE_PROXY_IPTABLES, detail);
	}
	return a->foreign.kube_proxy_table || a->ipvs_link || a->foreign.kube_services;
}

static void judge_cilium(const struct around *a, struct surroundings *s, bool kube_proxy)
{
	char detail[DETAIL_MAX];

	if (*a->cilium_link)
		(void)snprintf(detail, sizeof(detail), " (link %s)", a->cilium_link);
	else if (a->foreign.cilium)
		(void)snprintf(detail, sizeof(detail), " (chains CILIUM_, %s)",
			       filters(a->foreign.cilium));
	else
		return;
	add(s,
	    !a->has_rules ? SURROUNDING_CILIUM_REDIRECTS
	    : kube_proxy  ? SURROUNDING_CILIUM
			  : SURROUNDING_CILIUM_ALONE,
	    detail);
}

static void judge_other_nmi(const struct around *a, struct surroundings *s)
{
	char detail[DETAIL_MAX];

	if (a->foreign.aad_metadata) {
		(void)snprintf(detail, sizeof(detail), " (chain aad-metadata, %s%s%s)",
			       filters(a->foreign.aad_metadata),
			       *a->other_listener ? "; it listens on " : "", a->other_listener);
		add(s, SURROUNDING_OTHER_NMI, detail);
	} else if (*a->other_listener) {
		(void)snprintf(detail, sizeof(detail), " (%s)", a->other_listener);
		add(s, SURROUNDING_OTHER_LISTENER, detail);
	}
}

static void judge_chains(const struct foreign_chains *c, struct surroundings *s,
			 enum surrounding kind)
{
	char detail[DETAIL_MAX];

	for (size_t i = 0; i < c->n; i++) {
		(void)snprintf(detail, sizeof(detail), " (%s %s %s, priority %d)",
			       c->chain[i].family, c->chain[i].table, c->chain[i].name,
			       c->chain[i].priority);
		add(s, kind, detail);
	}
}

struct surroundings *surroundings_judge(const struct around *a)
{
	struct surroundings *s = xnew(struct surroundings);
	bool kube_proxy = judge_kube_proxy(a, s);
	char detail[DETAIL_MAX];

	/* without rules the agent may be in a network of its own, where there is none to be seen */
	if (!kube_proxy && a->has_rules)
		add(s, SURROUNDING_KUBE_PROXY_NONE, "");
	judge_cilium(a, s, kube_proxy);
	if (a->guest_proxy)
		add(s, SURROUNDING_GUEST_PROXY_AGENT, " (127.0.0.1:3080)");
	if (a->foreign.imds_restriction) {
		(void)snprintf(detail, sizeof(detail), " (a rule in FORWARD, %s)",
			       filters(a->foreign.imds_restriction));
		add(s, SURROUNDING_IMDS_RESTRICTION, detail);
	}
	judge_other_nmi(a, s);
	if (*a->route_localnet) {
		(void)snprintf(detail, sizeof(detail), " (%s)", a->route_localnet);
		add(s, SURROUNDING_ROUTE_LOCALNET, detail);
	}
	if (!a->has_ipv4 && a->has_rules)
		add(s, SURROUNDING_IPV6_ONLY, a->has_ipv6 ? " (but IPv6)" : "");
	if (a->has_rules) {
		judge_chains(&a->foreign.nat, s, SURROUNDING_EARLIER_NAT);
		judge_chains(&a->foreign.notrack, s, SURROUNDING_NOTRACK);
	}
	if (*a->unread) {
		(void)snprintf(detail, sizeof(detail), " (%s)", a->unread);
		add(s, SURROUNDING_UNREAD, detail);
	}
	return s;
}

struct surroundings *surroundings_free(struct surroundings *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->n; i++)
		free(s->lines[i]);
	free(s);
	return NULL;
}

void surroundings_log(const struct surroundings *s)
{
	for (size_t i = 0; i < s->n; i++)
		log_at(rows[s->kind[i]].level, "around this node: %s", s->lines[i]);
}

const char *surrounding_name(enum surrounding kind)
{
	return (unsigned)kind < SURROUNDING_KINDS ? rows[kind].name : "?";
}
