/* SPDX-License-Identifier: MIT */

/*
 * The ids that exist: see id_set.h.
 *
 * A sorted array of 64-bit hashes, so 16 bytes an identity and no strings. The answer only decides
 * between two refusals, so the one wrong "yes" in 2^64 / n is of no consequence; the key is secret all
 * the same, so that nobody can look for one.
 */

#include "mic-client/id_set.h"

#include "lib/base/mem.h"
#include "lib/base/siphash.h"
#include "mic-client/crd.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct id_set {
	struct siphash_key client, resource; /* one key a kind: an id of one is none of the other */
	size_t n, max;
	bool sealed;
	uint64_t hashes[];
};

struct id_set *id_set_new(size_t n_identities)
{
	struct id_set *s = xcalloc(1, sizeof(*s) + 2 * n_identities * sizeof(s->hashes[0]));

	arc4random_buf(&s->client, sizeof(s->client));
	arc4random_buf(&s->resource, sizeof(s->resource));
	s->max = 2 * n_identities;
	return s;
}

struct id_set *id_set_free(struct id_set *s)
{
	free(s);
	return NULL;
}

/* ASCII, as str_ieq() compares. On the stack unless it is longer than ids are. */
static uint64_t hash(const struct siphash_key *key, const char *id)
{
	size_t n = strlen(id);
	char small[512];
	_cleanup_free_ char *heap = n > sizeof(small) ? xcalloc(1, n) : NULL;
	char *lower = heap ? heap : small;

	for (size_t i = 0; i < n; i++)
		lower[i] = (char)(id[i] >= 'A' && id[i] <= 'Z' ? id[i] + ('a' - 'A') : id[i]);
	return siphash(key, lower, n);
}

static void add(struct id_set *s, const struct siphash_key *key, const char *id)
{
	if (!*id)
		return;
	assert(s->n < s->max && !s->sealed);
	s->hashes[s->n++] = hash(key, id);
}

void id_set_add(struct id_set *s, const struct azure_identity *i)
{
	add(s, &s->client, i->client_id);
	add(s, &s->resource, i->resource_id);
}

static int order(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void id_set_seal(struct id_set *s)
{
	if (s->n)
		qsort(s->hashes, s->n, sizeof(s->hashes[0]), order);
	s->sealed = true;
}

static bool has(const struct id_set *s, const struct siphash_key *key, const char *id)
{
	uint64_t h;

	assert(s->sealed);
	if (!*id || !s->n)
		return false;
	h = hash(key, id);
	return bsearch(&h, s->hashes, s->n, sizeof(h), order) != NULL;
}

bool id_set_has_client(const struct id_set *s, const char *client_id)
{
	return has(s, &s->client, client_id);
}

bool id_set_has_resource(const struct id_set *s, const char *resource_id)
{
	return has(s, &s->resource, resource_id);
}
