/* SPDX-License-Identifier: MIT */

/* Malformed objects, each named once: see rejects.h. */

#include "mic-client/rejects.h"

#include "lib/base/mem.h"
#include "mic-client/crd.h"

#include <string.h>

/* Two of the longest names, and the NUL between; a longer key is cut, which costs a warning at most. */
#define KEY_MAX 512

struct reject {
	struct hmap_node node;
	char *resource_version;
	unsigned epoch;
	unsigned key_len;
	char key[]; /* namespace, NUL, name */
};

static struct str key_of(const struct hmap_node *n)
{
	const struct reject *j = container_of(n, struct reject, node);

	return (struct str){ j->key, j->key_len };
}

static size_t make_key(char key[static KEY_MAX], const struct object_id *id)
{
	size_t ns = strnlen(id->namespace, KEY_MAX / 2 - 1);
	size_t name = strnlen(id->name, KEY_MAX / 2);

	memcpy(key, id->namespace, ns);
	key[ns] = '\0';
	memcpy(key + ns + 1, id->name, name);
	return ns + 1 + name;
}

static struct reject *find(const struct rejects *r, const char *key, size_t len)
{
	struct hmap_node *n = hmap_find(&r->seen, key, len);

	return n ? container_of(n, struct reject, node) : NULL;
}

static void drop(struct rejects *r, struct reject *j)
{
	hmap_del(&r->seen, &j->node);
	free(j->resource_version);
	free(j);
}

bool rejects_note(struct rejects *r, const struct object_id *id)
{
	char key[KEY_MAX];
	size_t len = make_key(key, id);
	struct reject *j = find(r, key, len);

	if (!j) {
		if (hmap_count(&r->seen) >= REJECTS_MAX)
			drop(r, container_of(hmap_first(&r->seen), struct reject, node));
		j = xcalloc(1, sizeof(*j) + len);
		memcpy(j->key, key, len);
		j->key_len = (unsigned)len;
		hmap_add(&r->seen, &j->node, key_of);
	}
	j->epoch = r->epoch;
	if (j->resource_version && strcmp(j->resource_version, id->resource_version) == 0)
		return false;
	free(j->resource_version);
	j->resource_version = xstrdup(id->resource_version);
	return true;
}

bool rejects_forget(struct rejects *r, const struct object_id *id)
{
	char key[KEY_MAX];
	struct reject *j;

	if (hmap_count(&r->seen) == 0)
		return false;
	j = find(r, key, make_key(key, id));
	if (!j)
		return false;
	drop(r, j);
	return true;
}

void rejects_resync_begin(struct rejects *r)
{
	r->epoch++;
}

void rejects_resync_end(struct rejects *r)
{
	hmap_for_each_safe (n, next, &r->seen) {
		struct reject *j = container_of(n, struct reject, node);

		if (j->epoch != r->epoch)
			drop(r, j);
	}
}

void rejects_deinit(struct rejects *r)
{
	hmap_for_each_safe (n, next, &r->seen)
		drop(r, container_of(n, struct reject, node));
}
