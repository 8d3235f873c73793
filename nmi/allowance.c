/* SPDX-License-Identifier: MIT */

/* How often each address may have something: see allowance.h. */

#include "nmi/allowance.h"

#include "lib/base/bucket.h"
#include "lib/base/mem.h"

struct allowance_peer {
	struct hmap_node node;
	struct inet_ip ip;
	struct bucket bucket;
};

static struct str peer_key(const struct hmap_node *n)
{
	return HMAP_BYTES(container_of(n, struct allowance_peer, node)->ip);
}

static void forget(struct allowance *a, struct hmap_node *node)
{
	hmap_del(&a->peers, node);
	free(container_of(node, struct allowance_peer, node));
}

/* Those from the front that have all of theirs back; one more, if that is not enough. */
static void make_room(struct allowance *a, struct mono now)
{
	hmap_for_each_safe (node, next, &a->peers) {
		const struct allowance_peer *peer = container_of(node, struct allowance_peer, node);

		if (mono_before(now, peer->bucket.full_at) && hmap_count(&a->peers) < a->remembered)
			return;
		forget(a, node);
	}
}

bool allowance_take(struct allowance *a, const struct inet_ip *ip, struct mono now)
{
	struct hmap_node *node = hmap_find(&a->peers, ip, sizeof(*ip));
	struct allowance_peer *peer;

	if (!node) {
		make_room(a, now);
		peer = xnew(struct allowance_peer);
		peer->ip = *ip;
		hmap_add(&a->peers, &peer->node, peer_key);
		node = &peer->node;
	}
	peer = container_of(node, struct allowance_peer, node);
	return bucket_try(&peer->bucket, a->interval_ns, a->burst, now);
}

void allowance_deinit(struct allowance *a)
{
	hmap_for_each_safe (node, next, &a->peers) {
		forget(a, node);
	}
}
