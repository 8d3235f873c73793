/* SPDX-License-Identifier: MIT */

/*
 * What was told of grants: see grants.h. Two tables of fixed size. In the first a grant has one of 32 places
 * by the hash of its parts, the most recent one first; the hash stands for it, so a collision (2^-64) costs a
 * line. The second has a bucket for each pod; where two fall together, the one that comes while the other's is
 * not full yet draws on a bucket that all such share.
 */

#include "nmi/front/grants.h"

#include "lib/base/bucket.h"
#include "lib/base/mem.h"
#include "lib/base/siphash.h"
#include "nmi/limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/*
 * 1,024 grants. A set that more fall into than it has places forgets each before it comes again, so that all of them
 * are told for ever: with few large sets that happens to none of 250 pods with a resource each (6 in 10^10 nodes),
 * nor with two (3 in 1,000). In sets of four it would be one set on most nodes.
 */
#define SETS 32
#define WAYS 32
#define PODS 256

struct told {
	uint64_t grant, token_id; /* of none: 0 */
};

struct allowance {
	uint64_t pod;
	struct bucket bucket;
	unsigned long held;
};

struct grants {
	struct siphash_key key;
	struct told told[SETS][WAYS];
	struct allowance pods[PODS], others;
};

struct grants *grants_new(void)
{
	struct grants *g = xnew(struct grants);

	/* without randomness a pod could at worst have others' grants told again */
	(void)!getrandom(&g->key, sizeof(g->key), GRND_NONBLOCK);
	return g;
}

struct grants *grants_free(struct grants *g)
{
	free(g);
	return NULL;
}

static uint64_t hash_text(const struct grants *g, const char *s)
{
	return s ? siphash(&g->key, s, strlen(s)) : 0;
}

static uint64_t hash(const struct grants *g, const struct grant *grant)
{
	const uint64_t parts[] = {
		hash_text(g, grant->pod_uid),
		hash_text(g, grant->identity_kind),
		hash_text(g, grant->identity_namespace),
		hash_text(g, grant->identity),
		hash_text(g, grant->resource),
	};
	uint64_t h = siphash(&g->key, parts, sizeof(parts));

	return h ? h : 1;
}

enum grant_news grants_note(struct grants *g, const struct grant *grant)
{
	const struct told now = { hash(g, grant), grant->token_id };
	struct told *set = g->told[now.grant % SETS];
	size_t at = 0;
	struct told was;

	while (at < WAYS - 1 && set[at].grant != now.grant)
		at++;
	was = set[at];
	memmove(set + 1, set, at * sizeof(*set));
	set[0] = now;
	if (was.grant != now.grant)
		return GRANT_FIRST;
	return was.token_id == now.token_id ? GRANT_KNOWN : GRANT_RENEWED;
}

bool grants_may_tell(struct grants *g, const char *pod_uid, struct mono now,
		     unsigned long *out_held)
{
	const uint64_t interval = LIMIT_GRANT_LOG_MSEC * NSEC_PER_MSEC;
	uint64_t pod = hash_text(g, pod_uid);
	struct allowance *a = &g->pods[pod % PODS];

	if (a->pod != pod && mono_before(now, a->bucket.full_at))
		a = &g->others;
	else if (a->pod != pod)
		*a = (struct allowance){ .pod = pod };
	if (!bucket_try(&a->bucket, interval, LIMIT_GRANT_LOG_BURST, now)) {
		a->held++;
		return false;
	}
	*out_held = a->held;
	a->held = 0;
	return true;
}
