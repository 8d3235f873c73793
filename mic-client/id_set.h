/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

struct azure_identity;

/*
 * The client and resource ids of all identities: whether one exists anywhere. Made once from all of
 * them, and thrown away when they change. Owned by the index.
 */
struct id_set;

struct id_set *id_set_new(size_t n_identities);
struct id_set *id_set_free(struct id_set *s);
DEFINE_CLEANUP(struct id_set, id_set_free);
/* At most as many as were announced; then id_set_seal(), once, before anything is asked. */
void id_set_add(struct id_set *s, const struct azure_identity *i);
void id_set_seal(struct id_set *s);

/* Without case. The empty id is nobody's. */
bool id_set_has_client(const struct id_set *s, const char *client_id);
bool id_set_has_resource(const struct id_set *s, const char *resource_id);
