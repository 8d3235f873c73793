/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/str.h"

#include <stddef.h>

/*
 * A hash table. Intrusive: a node lives in its object, which also has the key, and the key must not change
 * while the object is in the table. The same key twice is the caller's mistake (assert). Iteration is in
 * order of insertion. A table that is all zeros is empty; an empty one has nothing to free.
 *
 * A node holds no more than its place, three pointers, since every pod has two of them: its key is asked for
 * (docs/decisions/002-hmap.md).
 */
struct hmap_node {
	struct hmap_node *chain; /* in the same bucket */
	struct hmap_node *prev, *next;
};

/* The key of the object that the node is in; the same function for all nodes of a table. */
typedef struct str hmap_key_fn(const struct hmap_node *node);
/* A member that is a key, byte by byte: a number, an address. */
#define HMAP_BYTES(member) ((struct str){ (const void *)&(member), sizeof(member) })

struct hmap {
	struct hmap_node **buckets;
	hmap_key_fn *key;
	struct hmap_node *first, *last;
	unsigned n_buckets; /* a power of two, or 0 */
	unsigned count;
};

/* Keys come from pods: hashed by a secret, so that nobody can make them collide. */
unsigned hmap_hash(const void *key, size_t key_len);

void hmap_add(struct hmap *m, struct hmap_node *node, hmap_key_fn *key);
struct hmap_node *hmap_find(const struct hmap *m, const void *key, size_t key_len);
void hmap_del(struct hmap *m, struct hmap_node *node);
size_t hmap_count(const struct hmap *m);
/* The first node, and the one after; NULL at the end. Taking the next one before deleting is safe. */
struct hmap_node *hmap_first(const struct hmap *m);
struct hmap_node *hmap_next(const struct hmap_node *node);

/* The node at hand may be deleted inside; the one after must not be. */
#define hmap_for_each_safe(node, next, m)                                                          \
	for (struct hmap_node *node = hmap_first(m), *next = node ? hmap_next(node) : NULL; node;  \
	     node = next, next = node ? hmap_next(node) : NULL)
