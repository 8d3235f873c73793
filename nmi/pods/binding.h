/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

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
