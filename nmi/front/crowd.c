/* SPDX-License-Identifier: MIT */

/* Who may have how many connections: see crowd.h. */

#include "nmi/front/crowd.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <assert.h>
#include <utlist.h>

struct crowd_peer {
	struct hmap_node node;
	struct inet_ip ip;
	size_t n;
	struct crowd_place *places;
};

static struct crowd_peer *find(const struct crowd *c, const struct inet_ip *ip)
{
	struct hmap_node *node = hmap_find(&c->peers, ip, sizeof(*ip));

	return node ? container_of(node, struct crowd_peer, node) : NULL;
}

/* Over as many as a node has pods, mostly: it is asked only where room is short. */
static struct crowd_peer *biggest(const struct crowd *c)
{
	struct crowd_peer *most = NULL;

	for (struct hmap_node *n = hmap_first(&c->peers); n; n = hmap_next(n)) {
		struct crowd_peer *peer = container_of(n, struct crowd_peer, node);

		if (!most || peer->n > most->n)
			most = peer;
	}
	return most;
}

static bool is_full(const struct crowd *c)
{
	return c->full_at && c->n >= c->full_at;
}

/*
 * One that takes a place of somebody else's must have fewer than that one afterwards too; otherwise those who
 * have the most would push each other out all the time.
 */
bool crowd_admits(const struct crowd *c, const struct inet_ip *ip)
{
	const struct crowd_peer *peer = find(c, ip);
	size_t has = peer ? peer->n : 0;

	if (c->peer_max && has >= c->peer_max)
		return false;
	return !is_full(c) || has + 1 < biggest(c)->n;
}

void crowd_enter(struct crowd *c, struct crowd_place *p, const struct inet_ip *ip)
{
	struct crowd_peer *peer = find(c, ip);

	assert(!p->peer);
	if (!peer) {
		peer = xnew(struct crowd_peer);
		peer->ip = *ip;
		hmap_add(&c->peers, &peer->node, &peer->ip, sizeof(peer->ip));
	}
	p->peer = peer;
	DL_APPEND(peer->places, p);
	peer->n++;
	c->n++;
}

void crowd_use(struct crowd_place *p)
{
	struct crowd_peer *peer = p->peer;

	if (!peer || !p->next)
		return; /* it has left, or is the last already */
	DL_DELETE(peer->places, p);
	DL_APPEND(peer->places, p);
}

void crowd_leave(struct crowd *c, struct crowd_place *p)
{
	struct crowd_peer *peer = steal_ptr(p->peer);

	if (!peer)
		return;
	DL_DELETE(peer->places, p);
	c->n--;
	if (--peer->n)
		return;
	hmap_del(&c->peers, &peer->node);
	free(peer);
}

struct crowd_place *crowd_excess(const struct crowd *c)
{
	/* the one that has just come is the one too many */
	return c->full_at && c->n > c->full_at ? biggest(c)->places : NULL;
}
