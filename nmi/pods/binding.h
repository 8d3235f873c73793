/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdint.h>

struct loop;
struct pod_store;

/*
 * Ties the pod store to the links and routes of this host, as the kernel tells of them. Made before the
 * first pod is put; freed before the store is.
 */
struct binding;

struct binding *binding_new(struct loop *l, struct pod_store *store, struct err *err);
struct binding *binding_free(struct binding *b);
DEFINE_CLEANUP(struct binding, binding_free);

/* Of the link with this number in a struct place; NULL: it is gone. Borrowed until the next call. */
const char *binding_link_name(const struct binding *b, uint32_t link);
