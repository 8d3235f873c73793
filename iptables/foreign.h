/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What others have in this node's packet filters, as far as it concerns the redirect: names of chains, and
 * three kinds of rules. Pure: bytes of the kernel's listings in (foreign_read.c gets them), a struct out.
 * Nothing that does not concern us is kept, so that its size does not depend on how many rules there are.
 */

/* nftables, which iptables-nft writes to as well, and the tables of iptables-legacy: a set. */
enum foreign_filter { FOREIGN_NFT = 1, FOREIGN_LEGACY = 2 };

#define FOREIGN_NAME_MAX 64 /* longer names are cut, here alone */
struct foreign_chain {
	const char *
		family; /* ip, inet or iptables-legacy, which has neither families nor priorities */
	char table[FOREIGN_NAME_MAX], name[FOREIGN_NAME_MAX];
	int priority;
};

#define FOREIGN_CHAINS_MAX 4
struct foreign_chains {
	struct foreign_chain chain[FOREIGN_CHAINS_MAX];
	size_t n; /* in the array; the ones after are dropped */
};

struct foreign {
	unsigned kube_services;	       /* chain KUBE-SERVICES in nat */
	unsigned cilium;	       /* a chain CILIUM_... */
	unsigned aad_metadata;	       /* chain aad-metadata in nat, which is not of this agent */
	unsigned imds_restriction;     /* the rule of AKS in FORWARD of filter or mangle */
	unsigned forward;	       /* FOREIGN_NFT: there is a chain FORWARD to look for it in */
	bool kube_proxy_table;	       /* table kube-proxy */
	struct foreign_chains nat;     /* rewrite destinations as early as we do, or earlier */
	struct foreign_chains raw;     /* at prerouting, before connections are tracked */
	struct foreign_chains notrack; /* those of raw with a rule that exempts from it */
};

/* One chain of a listing (NFT_MSG_NEWCHAIN): the attributes behind its nfgenmsg, aligned to 4. */
void foreign_add_chain(struct foreign *f, int family, void *attrs, size_t n);

/* Of one rule (NFT_MSG_NEWRULE), likewise. */
bool foreign_rule_untracks(void *attrs, size_t n);
/* Either has a comment that tells: the AKS IMDS restriction, or that it is of this agent. */
bool foreign_has_restriction(const void *p, size_t n);
bool foreign_is_ours(const void *p, size_t n);

/* A table of iptables-legacy as IPT_SO_GET_ENTRIES gives it. Stops at what is malformed. */
void foreign_add_legacy(struct foreign *f, const char *table, const void *entries, size_t n);
