/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

#include <stdbool.h>
#include <stddef.h>

struct identity_index;
struct kube_client;
struct loop;
struct reflector;

/*
 * The index, kept in step with the API server by a reflector for each kind. A malformed object is
 * left out with one warning that names it (again only when its resourceVersion changes).
 */
struct identity_store;

/*
 * What is kept: with `node` NULL (managed mode) the cluster's identities and bindings, else (standard
 * mode) what the controller has assigned to pods of that node; exceptions in either.
 */
struct identity_store *identity_store_new(struct loop *l, struct kube_client *client,
					  const char *node);
struct identity_store *identity_store_free(struct identity_store *s);
DEFINE_CLEANUP(struct identity_store, identity_store_free);
/* To be called before the start: ServiceAccounts count too, all of the cluster's. */
void identity_store_use_accounts(struct identity_store *s);
void identity_store_start(struct identity_store *s);
const struct identity_index *identity_store_index(const struct identity_store *s);
/* Everything was seen but, where they count, ServiceAccounts: identity_index_accounts() tells of those. */
bool identity_store_has_synced(const struct identity_store *s);
/* For health and metrics: reflector i of n, NULL past the end. */
const struct reflector *identity_store_reflector(const struct identity_store *s, size_t i);
/*
 * Called from the loop after any change, and when the store becomes synced; the changes of one turn are
 * told once. Who asks the index sees each at once. One listener.
 */
void identity_store_on_change(struct identity_store *s, void (*fn)(void *ctx), void *ctx);
