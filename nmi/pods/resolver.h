/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/inet.h"
#include "nmi/pods/place.h"

#include <stdbool.h>
#include <stddef.h>

struct kube_client;
struct loop;
struct pod;
struct pod_store;

/*
 * Which pod has this IP? Known ones are answered at once by resolver_peek(); an unknown one waits for
 * the pod's event, then one GET at the API server (status.podIP on this node), then it is unknown.
 * No polling. `done` exactly once, from the loop, unless cancelled.
 */
struct resolver;
struct resolver_wait;

enum resolve_result {
	RESOLVE_FOUND,
	RESOLVE_UNKNOWN,
	RESOLVE_AMBIGUOUS,
	RESOLVE_OVERLOADED,
	RESOLVE_UNPLACED, /* one pod has the IP, but it does not lead to that pod's own link */
	RESOLVE_UNSEEN, /* one pod has the IP, but where that leads to is not known now: worth waiting */
};

/* `pod` is borrowed for the call; set with RESOLVE_FOUND, RESOLVE_UNPLACED and RESOLVE_UNSEEN. */
typedef void resolve_done_fn(void *ctx, enum resolve_result result, const struct pod *pod);

/* `client` NULL: no GET at the end of a wait. */
struct resolver *resolver_new(struct loop *l, struct pod_store *store, struct kube_client *client,
			      const char *node, unsigned wait_msec);
/* For who begins to wait from then on. */
void resolver_set_wait(struct resolver *r, unsigned wait_msec);
struct resolver *resolver_free(struct resolver *r); /* silently cancels all waits */
DEFINE_CLEANUP(struct resolver, resolver_free);

/*
 * A connection from that IP was accepted: which link it leads to is asked of the kernel. Afterwards news
 * are enough, which are read before each of the answers below.
 */
void resolver_admit(struct resolver *r, const struct inet_ip *ip);
enum resolve_result resolver_peek(const struct resolver *r, const struct inet_ip *ip,
				  const struct pod **out);
/* Everybody who is known to claim the IP: who must be told, when it is ambiguous. */
void resolver_claimants(const struct resolver *r, const struct inet_ip *ip,
			void (*fn)(void *ctx, const struct pod *pod), void *ctx);
/*
 * A wait ended with this pod: true if that is the API server's word against our watch, which has nobody
 * at the IP. `out` is where the IP leads to, for the question whether that word still counts.
 */
bool resolver_vouch(struct resolver *r, const struct inet_ip *ip, struct place *out);
bool resolver_vouches(struct resolver *r, const struct inet_ip *ip, const struct pod *p,
		      const struct place *then);
/* Where the IP leads to, for a person. */
void resolver_print_place(const struct resolver *r, const struct inet_ip *ip,
			  char buf[PLACE_NAME_MAX]);
/* NULL when LIMIT_WAITING are waiting already. */
struct resolver_wait *resolver_wait(struct resolver *r, const struct inet_ip *ip,
				    resolve_done_fn *done, void *ctx);
void resolver_cancel(struct resolver_wait *w);
size_t resolver_waiting(const struct resolver *r);
