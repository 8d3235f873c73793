/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct inet_ip;
struct loop;
struct place;
struct pod;

/*
 * The links of pods that have gone before any pod was known to have them. Who claims such a link's IP next
 * may be its pod, of which the API server's news come late, or the one that has the IP now: the rules are
 * in unclaimed.c. No I/O; fed by link.c in the order of the kernel's news, and by claim.c. Links are the
 * numbers of place.h.
 */
struct unclaimed;

/* Called from the loop when a doubt may have passed that was the last answer. It may ask anything. */
typedef void unclaimed_lapse_fn(void *ctx);

struct unclaimed *unclaimed_new(struct loop *l, unclaimed_lapse_fn *lapsed, void *ctx);
struct unclaimed *unclaimed_free(struct unclaimed *u);
DEFINE_CLEANUP(struct unclaimed, unclaimed_free);

/* links: what the kernel tells */
void unclaimed_link(struct unclaimed *u, uint32_t link, uint32_t bridge); /* 0: it is not a port */
void unclaimed_led(struct unclaimed *u, const struct inet_ip *ip, uint32_t link);
void unclaimed_gone(struct unclaimed *u, uint32_t link);
/* Of the links that are there IPs may not have been told: at the start, with the newest of them; later, 0. */
void unclaimed_lost(struct unclaimed *u, uint32_t newest);

/* pods: what the API server tells */
void unclaimed_claim(struct unclaimed *u, uint32_t link); /* it is a known pod's */
/*
 * The pod was never bound to a link, and has ended, says the API server. For each of its IPs, once; is_first:
 * the first of them.
 */
void unclaimed_end(struct unclaimed *u, const struct inet_ip *ip, const struct pod *p,
		   bool is_first);
/*
 * May it be that the pod, which claims the IP, is not the one at this place, but one that had the IP before?
 * Only a place that is a pod's can be in doubt.
 */
bool unclaimed_doubts(struct unclaimed *u, const struct inet_ip *ip, const struct place *at,
		      const struct pod *p);
