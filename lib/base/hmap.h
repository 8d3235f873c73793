/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Keys come from pods: hashed by a secret, so that nobody can make them collide. */
unsigned hmap_hash(const void *key, size_t key_len);
#define HASH_FUNCTION(key, key_len, out) ((out) = hmap_hash((key), (key_len)))
#include <uthash.h>

/*
 * A hash table over uthash, so that its macros are expanded in one place. Intrusive: the node and the
 * key both live in the object, and the key must not change while the object is in the table. The same
 * key twice is the caller's mistake (assert). Iteration is in order of insertion.
 */
struct hmap_node {
	UT_hash_handle hh;
};

struct hmap {
	struct hmap_node *head;
};

void hmap_add(struct hmap *m, struct hmap_node *node, const void *key, size_t key_len);
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
