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
	uint64_t round;			/* that of `begun` */
	unsigned begun;			/* requests, in that round */
	struct crowd_place *late;	/* places that wait for their turn, the first first */
	struct crowd_peer *prev, *next; /* in crowd.waiting, if there are any */
};

static struct str peer_key(const struct hmap_node *n)
{
	return HMAP_BYTES(container_of(n, struct crowd_peer, node)->ip);
}

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
	const struct crowd_peer *most = is_full(c) ? biggest(c) : NULL;
	size_t has = peer ? peer->n : 0;

	if (c->peer_max && has >= c->peer_max)
		return false;
	return !most || has + 1 < most->n;
}

void crowd_enter(struct crowd *c, struct crowd_place *p, const struct inet_ip *ip)
{
	struct crowd_peer *peer = find(c, ip);

	assert(!p->peer);
	if (!peer) {
		peer = xnew(struct crowd_peer);
		peer->ip = *ip;
		hmap_add(&c->peers, &peer->node, peer_key);
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

/* False, and nothing taken: all of this round are taken. */
static bool take_turn(struct crowd *c, struct crowd_peer *peer)
{
	if (peer->round != c->round)
		peer->begun = 0;
	peer->round = c->round;
	if (peer->begun >= c->turns)
		return false;
	peer->begun++;
	return true;
}

static void stop_waiting(struct crowd *c, struct crowd_place *p)
{
	struct crowd_peer *peer = p->peer;

	DL_DELETE2(peer->late, p, prev_turn, next_turn);
	p->turn = CROWD_NO_TURN;
	if (!peer->late)
		DL_DELETE(c->waiting, peer);
}

/* Those that wait already are first, or one connection's pipeline would overtake the others of its address. */
bool crowd_turn(struct crowd *c, struct crowd_place *p)
{
	struct crowd_peer *peer = p->peer;

	bool is_alone;

	if (!c->turns || !peer || p->turn == CROWD_TURN) {
		p->turn = CROWD_NO_TURN;
		return true;
	}
	is_alone = !c->turns_always && hmap_count(&c->peers) == 1;
	if (!peer->late && (is_alone || take_turn(c, peer)))
		return true;
	if (!peer->late)
		DL_APPEND(c->waiting, peer);
	DL_APPEND2(peer->late, p, prev_turn, next_turn);
	p->turn = CROWD_WAITS;
	return false;
}

void crowd_round(struct crowd *c)
{
	c->round++;
}

struct crowd_place *crowd_next(struct crowd *c)
{
	struct crowd_peer *peer;

	DL_FOREACH (c->waiting, peer) {
		struct crowd_place *p = peer->late;

		if (!take_turn(c, peer))
			continue;
		stop_waiting(c, p);
		p->turn = CROWD_TURN;
		return p;
	}
	return NULL;
}

void crowd_leave(struct crowd *c, struct crowd_place *p)
{
	struct crowd_peer *peer = p->peer;

	if (!peer)
		return;
	if (p->turn == CROWD_WAITS)
		stop_waiting(c, p);
	p->peer = NULL;
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
	struct crowd_peer *most = c->full_at && c->n > c->full_at ? biggest(c) : NULL;

	return most ? most->places : NULL;
}

static struct crowd_place *first_unused(const struct crowd_peer *peer,
					crowd_unused_fn *unused_since)
{
	struct crowd_place *p;

	DL_FOREACH (peer->places, p) {
		if (unused_since(p))
			return p;
	}
	return NULL;
}

bool crowd_is_easier(const struct crowd_place *p, const struct crowd_place *than,
		     crowd_unused_fn *unused_since)
{
	if (!p || !than || p->peer->n != than->peer->n)
		return p && (!than || p->peer->n > than->peer->n);
	return unused_since(p) < unused_since(than);
}

struct crowd_place *crowd_spare(const struct crowd *c, crowd_unused_fn *unused_since)
{
	struct crowd_place *out = NULL;

	for (struct hmap_node *n = hmap_first(&c->peers); n; n = hmap_next(n)) {
		struct crowd_peer *peer = container_of(n, struct crowd_peer, node);
		struct crowd_place *p = NULL;

		if (!out || peer->n >= out->peer->n)
			p = first_unused(peer, unused_since);
		if (crowd_is_easier(p, out, unused_since))
			out = p;
	}
	return out;
}
