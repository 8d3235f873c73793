/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"

#include <stddef.h>

struct loop;
struct pod;
struct pod_store;

/*
 * Which pod is called so? For those who ask in a pod's name instead of from its address: it need not
 * have an address yet, nor one of its own. A known one is found at once, an unknown one waits for the
 * pod's event. No polling. `done` exactly once, from the loop, unless cancelled.
 */
struct by_name;
struct by_name_wait;

/* `pod` is borrowed for the call; NULL: it has not come. */
typedef void by_name_done_fn(void *ctx, const struct pod *pod);

struct by_name *by_name_new(struct loop *l, struct pod_store *store, unsigned wait_msec);
/* For who begins to wait from then on. */
void by_name_set_wait(struct by_name *b, unsigned wait_msec);
struct by_name *by_name_free(struct by_name *b); /* silently cancels all waits */
DEFINE_CLEANUP(struct by_name, by_name_free);

const struct pod *by_name_peek(const struct by_name *b, const char *namespace, const char *name);
/* NULL when too many are waiting already. Both strings are copied. */
struct by_name_wait *by_name_wait(struct by_name *b, const char *namespace, const char *name,
				  by_name_done_fn *done, void *ctx);
void by_name_cancel(struct by_name_wait *w);
size_t by_name_waiting(const struct by_name *b);
