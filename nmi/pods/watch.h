/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"

#include <stdbool.h>

struct kube_client;
struct loop;
struct pod_store;
struct reflector;

/*
 * Feeds the pod store from the API server: the pods of one node. A malformed pod is left out with one
 * warning that names it.
 */
struct pod_watch;

struct pod_watch *pod_watch_new(struct loop *l, struct kube_client *client, const char *node,
				struct pod_store *store);
struct pod_watch *pod_watch_free(struct pod_watch *w);
DEFINE_CLEANUP(struct pod_watch, pod_watch_free);
void pod_watch_start(struct pod_watch *w);
bool pod_watch_has_synced(const struct pod_watch *w);
const struct reflector *pod_watch_reflector(const struct pod_watch *w);
/* Called once, when the first whole has been seen. */
void pod_watch_on_synced(struct pod_watch *w, void (*fn)(void *ctx), void *ctx);
/* Called from the loop after any change of the pods; the changes of one turn are told once. */
void pod_watch_on_change(struct pod_watch *w, void (*fn)(void *ctx), void *ctx);
