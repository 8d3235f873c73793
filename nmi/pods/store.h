/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/inet.h"

#include <stdbool.h>
#include <stddef.h>

struct pod;

/*
 * The pods of this node by UID and, the active ones, by IP. Pure: no loop, no I/O; fed by watch.c.
 * Two active pods with one IP: nobody is found at it.
 */
struct pod_store;

enum pod_lookup { POD_FOUND, POD_NONE, POD_AMBIGUOUS };

struct pod_store *pod_store_new(void);
struct pod_store *pod_store_free(struct pod_store *s);
DEFINE_CLEANUP(struct pod_store, pod_store_free);

/* feeding */
void pod_store_put_take(struct pod_store *s, struct pod *p); /* replaces by UID */
void pod_store_remove(struct pod_store *s, const char *uid);
void pod_store_resync_begin(struct pod_store *s);
void pod_store_resync_end(struct pod_store *s);

/* asking: the pod is borrowed until the next change; pod_ref() keeps it */
enum pod_lookup pod_store_find_ip(const struct pod_store *s, const struct inet_ip *ip,
				  const struct pod **out);
/* Each active pod that claims the IP; more than one: POD_AMBIGUOUS. `fn` may not feed. */
typedef void pod_claimant_fn(void *ctx, const struct pod *pod);
void pod_store_claimants(const struct pod_store *s, const struct inet_ip *ip, pod_claimant_fn *fn,
			 void *ctx);
const struct pod *pod_store_find_uid(const struct pod_store *s, const char *uid);
/* Of that name and not ended, with or without an IP; of several, none: who is meant is not known. */
const struct pod *pod_store_find_name(const struct pod_store *s, const char *namespace,
				      const char *name);
/* Has a pod of this node an address of this one's family that is not its first? */
bool pod_store_has_second(const struct pod_store *s, const struct inet_ip *ip);
size_t pod_store_count(const struct pod_store *s);

/* Called after each change of who holds an IP, with that IP; it may ask, not feed. One listener. */
typedef void pod_ip_changed_fn(void *ctx, const struct inet_ip *ip);
void pod_store_on_change(struct pod_store *s, pod_ip_changed_fn *fn, void *ctx);
/* Called after each pod that was put or removed, with what it is or was; as above. */
typedef void pod_seen_fn(void *ctx, const struct pod *p);
void pod_store_on_pod(struct pod_store *s, pod_seen_fn *fn, void *ctx);
