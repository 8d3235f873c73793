/* SPDX-License-Identifier: MIT */

/* The one place where uthash's macros are expanded: see hmap.h. */

#include "lib/base/hmap.h"

#include "lib/base/siphash.h"

#include <assert.h>

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

/* NOLINTNEXTLINE(readability-function-size): what uthash expands to */
void hmap_add(struct hmap *m, struct hmap_node *node, const void *key, size_t key_len)
{
	assert(!hmap_find(m, key, key_len));
	HASH_ADD_KEYPTR(hh, m->head, key, (unsigned)key_len, node);
}

/* NOLINTNEXTLINE(readability-function-size): what uthash expands to */
struct hmap_node *hmap_find(const struct hmap *m, const void *key, size_t key_len)
{
	struct hmap_node *found = NULL;

	HASH_FIND(hh, m->head, key, (unsigned)key_len, found);
	return found;
}

void hmap_del(struct hmap *m, struct hmap_node *node)
{
	HASH_DEL(m->head, node);
}

size_t hmap_count(const struct hmap *m)
{
	return HASH_COUNT(m->head);
}

struct hmap_node *hmap_first(const struct hmap *m)
{
	return m->head;
}

struct hmap_node *hmap_next(const struct hmap_node *node)
{
	return node->hh.next;
}
