/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/inet.h"
#include "nmi/pods/place.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pod;

/*
 * The pods of this node by UID and, the active ones, by IP. Pure: no loop, no I/O; fed by watch.c and,
 * with what becomes of links and routes, by binding.c. Two active pods with one IP: nobody is found at
 * it. Where places are known, a pod is found only while its IP leads to the link that is its own: the
 * rules are in claim.c.
 */
struct pod_store;

enum pod_lookup {
	POD_FOUND,
	POD_NONE,
	POD_AMBIGUOUS,
	POD_UNPLACED, /* one pod claims it, but the IP does not lead to the pod's own link now */
	POD_UNSEEN,   /* one pod claims it, but where the IP leads to is not known now */
};

struct pod_store *pod_store_new(void);
struct pod_store *pod_store_free(struct pod_store *s);
DEFINE_CLEANUP(struct pod_store, pod_store_free);

/* feeding */
void pod_store_put_take(struct pod_store *s, struct pod *p); /* replaces by UID */
void pod_store_remove(struct pod_store *s, const char *uid);
void pod_store_resync_begin(struct pod_store *s);
void pod_store_resync_end(struct pod_store *s);

/* places: from then on an IP alone is not enough; before the first pod, and to outlive the store */
void pod_store_bind(struct pod_store *s, const struct place_source *places);
void pod_store_link_gone(struct pod_store *s, uint32_t link);
void pod_store_link_changed(struct pod_store *s, uint32_t link);
void pod_store_moved(struct pod_store *s, const struct inet_ip *prefix, unsigned bits);
/* Take in what has happened until now. Nothing, when called by a listener. */
void pod_store_catch_up(struct pod_store *s);
/* The same; what may be old of this IP is asked for. Before a decision about it. */
void pod_store_catch_up_on(struct pod_store *s, const struct inet_ip *ip);
/* The same, and ask anew where the IP leads to. */
void pod_store_look(struct pod_store *s, const struct inet_ip *ip);
/* Where it leads to; without places, to one that is the same always. */
void pod_store_place(const struct pod_store *s, const struct inet_ip *ip, struct place *out);
void pod_store_print_place(const struct pod_store *s, const struct inet_ip *ip,
			   char buf[PLACE_NAME_MAX]);
/* May it be that this pod, which has the IP, had it before the one that it leads to now? See unclaimed.h. */
bool pod_store_doubts(const struct pod_store *s, const struct inet_ip *ip, const struct pod *p);
bool pod_store_is_bound(const struct pod_store *s); /* are places known? */
uint32_t pod_store_newest_link(const struct pod_store *s);

/* asking: the pod is borrowed until the next change; pod_ref() keeps it */
enum pod_lookup pod_store_find_ip(const struct pod_store *s, const struct inet_ip *ip,
				  const struct pod **out); /* not NONE, AMBIGUOUS */
/* Each active pod that claims the IP; more than one: POD_AMBIGUOUS. `fn` may not feed. */
typedef void pod_claimant_fn(void *ctx, const struct pod *pod);
void pod_store_claimants(const struct pod_store *s, const struct inet_ip *ip, pod_claimant_fn *fn,
			 void *ctx);
const struct pod *pod_store_find_uid(const struct pod_store *s, const char *uid);
/* Of that name and not ended, with or without an IP; of several, none: who is meant is not known. */
const struct pod *pod_store_find_name(const struct pod_store *s, const char *namespace,
				      const char *name);
bool pod_store_was_removed(const struct pod_store *s, const char *uid); /* lately */
/* Has a pod of this node an address of this one's family that is not its first? */
bool pod_store_has_second(const struct pod_store *s, const struct inet_ip *ip);
size_t pod_store_count(const struct pod_store *s);

struct pod_store_stats {
	unsigned mismatches; /* claims on an IP that leads to a link which is not the pod's own */
};
const struct pod_store_stats *pod_store_stats(const struct pod_store *s);

/* Called after each change of who is found at an IP, with that IP; it may ask, not feed. One listener. */
typedef void pod_ip_changed_fn(void *ctx, const struct inet_ip *ip);
void pod_store_on_change(struct pod_store *s, pod_ip_changed_fn *fn, void *ctx);
/* Called after each pod that was put or removed, with what it is or was; as above. */
typedef void pod_seen_fn(void *ctx, const struct pod *p);
void pod_store_on_pod(struct pod_store *s, pod_seen_fn *fn, void *ctx);

/*
 * Called when a pod has lost its claim on an IP: it is gone, has ended or has another IP, or the IP
 * leads to another link. Before the change is told. It may ask, not feed. One listener.
 */
typedef void pod_claim_end_fn(void *ctx, const struct inet_ip *ip, const char *uid);
void pod_store_on_claim_end(struct pod_store *s, pod_claim_end_fn *fn, void *ctx);

/* Called after changes of what pod_store_each_port() tells, at least; it may ask, not feed. One listener. */
typedef void pod_ports_changed_fn(void *ctx);
void pod_store_on_ports_changed(struct pod_store *s, pod_ports_changed_fn *fn, void *ctx);
/*
 * Each IP that a pod behind a bridge holds, with the number of the port that is the pod's. That stays so
 * when the bridge is made to believe otherwise. `fn` may not feed.
 */
typedef void pod_port_fn(void *ctx, const struct inet_ip *ip, uint32_t port);
void pod_store_each_port(const struct pod_store *s, pod_port_fn *fn, void *ctx);
