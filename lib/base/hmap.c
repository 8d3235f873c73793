/* SPDX-License-Identifier: MIT */

/*
 * A hash table with chains: see hmap.h.
 *
 * All nodes are in one list, in order of insertion, and each in the chain of its bucket. When the chains get
 * long there are twice as many buckets, and all chains are made anew along the list.
 */

#include "lib/base/hmap.h"

#include "lib/base/mem.h"
#include "lib/base/siphash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 8
#define CHAIN_MAX   4 /* on average; a key is compared in 10 to 20 instructions, and hashed in 100 */

/* One key for the process; which one changes nothing that can be observed but time. */
unsigned hmap_hash(const void *key, size_t key_len)
{
	static struct siphash_key secret;
	static bool drawn;

	if (!drawn)
		arc4random_buf(&secret, sizeof(secret));
	drawn = true;
	return (unsigned)siphash_1_3(&secret, key, key_len);
}

static struct hmap_node **bucket_of(const struct hmap *m, const void *key, size_t key_len)
{
	return &m->buckets[hmap_hash(key, key_len) & (m->n_buckets - 1)];
}

static void put_in_chain(struct hmap *m, struct hmap_node *node)
{
	struct str key = m->key(node);
	struct hmap_node **bucket = bucket_of(m, key.p, key.n);

	node->chain = *bucket;
	*bucket = node;
}

static void grow(struct hmap *m)
{
	m->n_buckets = m->n_buckets ? 2 * m->n_buckets : BUCKETS_MIN;
	free(m->buckets);
	m->buckets = xcalloc(m->n_buckets, sizeof(struct hmap_node *));
	for (struct hmap_node *n = m->first; n; n = n->next)
		put_in_chain(m, n);
}

void hmap_add(struct hmap *m, struct hmap_node *node, hmap_key_fn *key)
{
	struct str k = key(node);

	assert(!m->count || m->key == key);
	assert(!hmap_find(m, k.p, k.n));
	m->key = key;
	if (m->count >= CHAIN_MAX * m->n_buckets)
		grow(m);
	node->prev = m->last;
	node->next = NULL;
	*(m->last ? &m->last->next : &m->first) = node;
	m->last = node;
	m->count++;
	put_in_chain(m, node);
}

struct hmap_node *hmap_find(const struct hmap *m, const void *key, size_t key_len)
{
	if (!m->count)
		return NULL;
	for (struct hmap_node *n = *bucket_of(m, key, key_len); n; n = n->chain) {
		struct str k = m->key(n);

		if (k.n == key_len && memcmp(k.p, key, key_len) == 0)
			return n;
	}
	return NULL;
}

void hmap_del(struct hmap *m, struct hmap_node *node)
{
	struct hmap_node **at;
	struct str key;

	/* else it is not in this table, or its key has changed */
	assert(m->count);
	key = m->key(node);
	at = bucket_of(m, key.p, key.n);
	while (*at != node) {
		assert(*at);
		at = &(*at)->chain;
	}
	*at = node->chain;
	*(node->prev ? &node->prev->next : &m->first) = node->next;
	*(node->next ? &node->next->prev : &m->last) = node->prev;
	if (--m->count)
		return;
	free(m->buckets);
	*m = (struct hmap){ 0 };
}

size_t hmap_count(const struct hmap *m)
{
	return m->count;
}

struct hmap_node *hmap_first(const struct hmap *m)
{
	return m->first;
}

struct hmap_node *hmap_next(const struct hmap_node *node)
{
	return node->next;
}
