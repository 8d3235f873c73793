/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/hmap.h"
#include "lib/base/inet.h"
#include "nmi/pods/place.h"
#include "nmi/pods/store.h"

/*
 * Who claims which IP, and whose claim holds. A part of the store (store.c), which embeds it; pure but
 * for the log. What has changed is noted and told by claims_tell(), when the store is whole again.
 */
struct claim;

/* Embedded in the store's entry of a pod. */
struct claimant {
	struct pod *pod; /* the store's reference, as of the last claims_update() with one */
	struct claim *claims;
	bool has_ended; /* for good, as was told; noted once */
};

struct claims {
	struct hmap by_ip;		   /* struct address */
	const struct place_source *places; /* NULL: an IP alone is enough */
	struct address **touched;	   /* since claims_tell() */
	size_t n_touched, max_touched;
	bool are_all_touched; /* a walk finds them, without an array of that size */
	struct claim_end *ends;
	struct pod_store_stats stats;
	pod_ip_changed_fn *changed;
	void *changed_ctx;
	pod_claim_end_fn *ended;
	void *ended_ctx;
	pod_ports_changed_fn *ports_changed;
	void *ports_changed_ctx;
	bool have_ports_changed;
	bool is_listing;
	bool is_telling;
};

/* Between them pods come in any order, so that nobody can be told to be the only one at an IP. */
void claims_list_begin(struct claims *t);
void claims_list_end(struct claims *t);
/* The pod is new or has changed; NULL: it is gone, and its claims are only remembered. */
void claims_update(struct claims *t, struct claimant *who, struct pod *pod);
void claims_forget(struct claims *t, struct claimant *who);
/* Where it leads to is asked for anew. */
void claims_look(struct claims *t, const struct inet_ip *ip);
void claims_link_gone(struct claims *t, uint32_t link);
void claims_link_changed(struct claims *t, uint32_t link);
void claims_moved(struct claims *t, const struct inet_ip *prefix, unsigned bits);
void claims_tell(struct claims *t);
enum pod_lookup claims_find(const struct claims *t, const struct inet_ip *ip,
			    const struct pod **out);
/* May it be that this pod, which has the IP, is not the one that the IP leads to? */
bool claims_doubt(const struct claims *t, const struct inet_ip *ip, const struct pod *pod);
/* Each claim that is bound to a port of a bridge, wherever its IP leads to at the moment. */
void claims_each_port(const struct claims *t, pod_port_fn *fn, void *ctx);
/* Each pod that stands in the way of the others there. */
void claims_each(const struct claims *t, const struct inet_ip *ip, pod_claimant_fn *fn, void *ctx);
