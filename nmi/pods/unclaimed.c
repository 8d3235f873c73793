/* SPDX-License-Identifier: MIT */

/*
 * Links that have gone and that no pod has claimed: see unclaimed.h.
 *
 * Theory of operation
 *
 * A pod that lives shorter than the API server's news of it take has lost its link by the time that the
 * news come, and its IP may lead to the next pod's link already. From the IP and the links alone the two
 * cannot be told apart. So each link that was a pod's, for all that is known, and has gone without one is
 * remembered here. As long as it is, a pod that claims its IP is in doubt if it may have been that link's:
 *
 *	- not if the kubelet took the pod up (status.startTime) after the link had come: its links came later;
 *	- not if a container of the pod was started (state.*.startedAt) after the link had gone: it has
 *	  another one;
 *	- not if the place that the IP leads to is older than us: then there was no next one yet.
 *
 * Both times are written by the kubelet of this node, by the clock that we go by too, in whole seconds.
 * Rounded as they are here, they can only cause a doubt, not remove one. A pod without them is in doubt.
 *
 * A doubt passes
 *
 *	- with the link's pod: one that was never bound, whose last container was started while the link
 *	  stood, has ended, as the API server tells. The end must be told, not just the object be gone: one
 *	  that was deleted by force may run still, and be the very one that asks. Which came first, the end
 *	  of the pod or of the link, does not matter;
 *	- when the pod's own next news have the time of its container's start;
 *	- with time (LIMIT_UNCLAIMED_MSEC, LIMIT_UNCLAIMED_PORT_MSEC).
 *
 * Several links of one IP. Each pod that has ended stands for one of them; for the oldest that can be its
 * own. The other way round a pod that is still to be told of might be left without: whoever may have
 * been the older link's may, by the rules above, have been the younger one's too, since one IP leads to
 * one link at a time. So there are always at least as many left as pods that are still to come.
 *
 * Bridges. Which IP was behind a port is known only if its pod has spoken, and then not surely: a
 * neighbour can make it seem another. So a port that has gone may have had any IP of its bridge; but it is
 * no matter for those whose own port is older. A pod that has ended stands for a port only if it can have
 * had no other, be it one that is still there; or together with as many as there are ports, if none of
 * them can have had another.
 *
 * What is forgotten. The end of a pod that may have had a link that is remembered no more, by its times,
 * tells nothing either: it would be taken for that of another's pod.
 *
 * What is not known. Links that had gone before we were started are not here: security.md. So the end of
 * a pod that may have had one of those, by its start, tells nothing. Of a link that
 * was there when we were, or when news were lost, the IPs are not known: once gone, any may have been
 * its. When there are too many, the oldest become one that may have had any IP: those who come now were
 * taken up later, and are not concerned.
 */

#include "nmi/pods/unclaimed.h"

#include "lib/base/hmap.h"
#include "lib/base/inet.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/pods/place.h"
#include "nmi/pods/pod.h"

#include <assert.h>
#include <utlist.h>

/* A link that is there. */
struct life {
	struct hmap_node node;
	uint32_t link, bridge;
	struct wall born;
	bool is_claimed;
	bool is_unsure; /* it may have had IPs that are not listed */
	unsigned n_ips;
	struct inet_ip *ips; /* NULL once it is claimed */
};

/* One that has gone, with one IP that it had; or with all that it may have had. */
struct past {
	enum { PAST_IP, PAST_PORT, PAST_ANY } kind;
	uint32_t link, bridge;
	struct inet_ip ip; /* of PAST_IP */
	struct wall born, died;
	struct mono until;
	struct past *prev, *next;
};

/* A pod that has ended unbound, and whose link is not among the past ones (yet). */
struct end {
	struct inet_ip ip;
	bool is_first;
	struct wall started, ran;
	struct mono until;
	struct end *prev, *next;
};

struct unclaimed {
	struct loop *loop;
	unclaimed_lapse_fn *lapsed;
	void *ctx;
	struct hmap lives;
	uint32_t oldest;	/* links up to this one were there before us */
	struct wall since;	/* all links that have come later are, or were, here */
	struct wall born, died; /* the latest of those that are remembered no more */
	struct past *pasts;	/* the one that went first comes first */
	struct end *ends;	/* likewise */
	unsigned n_pasts, n_ends;
	bool has_doubted; /* since that was told to have changed */
	struct loop_timer timer;
	struct loop_defer later;
};

/* those that have gone */

static void past_free(struct unclaimed *u, struct past *p)
{
	DL_DELETE(u->pasts, p);
	u->n_pasts--;
	free(p);
}

static void end_free(struct unclaimed *u, struct end *e)
{
	DL_DELETE(u->ends, e);
	u->n_ends--;
	free(e);
}

/* Can the pod have been the link's, by what the kubelet tells of times? */
static bool is_possible(const struct past *p, struct wall started, struct wall ran)
{
	return started.s <= p->born.s && ran.s <= p->died.s;
}

/* Is it likely, too: was a container started while the link stood? */
static bool fits(const struct past *p, const struct end *e)
{
	if (!is_possible(p, e->started, e->ran) || e->ran.s < p->born.s)
		return false;
	if (p->kind == PAST_IP)
		return inet_ip_eq(&p->ip, &e->ip);
	return p->kind == PAST_PORT && e->is_first;
}

/* It will not be found by its pod's end any more: an end that may be that one's stands for no other. */
static void leave(struct unclaimed *u, const struct past *p)
{
	struct end *e, *next;

	DL_FOREACH_SAFE (u->ends, e, next) {
		if (fits(p, e))
			end_free(u, e);
	}
	u->born.s = u->born.s > p->born.s ? u->born.s : p->born.s;
	u->died.s = u->died.s > p->died.s ? u->died.s : p->died.s;
}

static void on_timer(struct loop_timer *t);

static void set_timer(struct unclaimed *u)
{
	struct mono first = { UINT64_MAX };
	const struct past *p;

	DL_FOREACH (u->pasts, p) {
		if (mono_before(p->until, first))
			first = p->until;
	}
	loop_timer_del(&u->timer);
	if (u->pasts)
		loop_timer_set(u->loop, &u->timer, first, on_timer);
}

static void tell_later(struct loop_defer *d)
{
	struct unclaimed *u = container_of(d, struct unclaimed, later);

	u->lapsed(u->ctx);
}

/* Who was in doubt may be so no longer. */
static void changed(struct unclaimed *u)
{
	if (!u->has_doubted)
		return;
	u->has_doubted = false;
	loop_defer(u->loop, &u->later, tell_later);
}

static void forget_old(struct unclaimed *u)
{
	const struct mono now = loop_mono(u->loop);
	struct past *p, *next;

	DL_FOREACH_SAFE (u->pasts, p, next) {
		if (mono_before(now, p->until))
			continue;
		leave(u, p);
		past_free(u, p);
	}
	while (u->ends && !mono_before(now, u->ends->until))
		end_free(u, u->ends);
}

static void on_timer(struct loop_timer *t)
{
	struct unclaimed *u = container_of(t, struct unclaimed, timer);

	forget_old(u);
	set_timer(u);
	changed(u);
}

/* The two that went first become one: what may have been either's is all in doubt. */
static void merge_oldest(struct unclaimed *u)
{
	struct past *p = u->pasts, *q = p->next;

	assert(q);
	leave(u, p);
	leave(u, q);
	q->kind = PAST_ANY;
	q->until = mono_before(q->until, p->until) ? p->until : q->until;
	q->link = q->link < p->link ? q->link : p->link;
	q->born.s = q->born.s > p->born.s ? q->born.s : p->born.s;
	q->died.s = q->died.s > p->died.s ? q->died.s : p->died.s;
	past_free(u, p);
}

/* Can the pod's port be there still, as another one than this? */
static bool has_port(const struct unclaimed *u, const struct end *e, uint32_t but)
{
	hmap_for_each_safe (n, next, &u->lives) {
		const struct life *l = container_of(n, struct life, node);

		if (l->bridge && l->link != but && !l->is_claimed && e->started.s <= l->born.s &&
		    l->born.s <= e->ran.s)
			return true;
	}
	return false;
}

/* The one that this end stands for, or NULL. */
static struct past *past_of(const struct unclaimed *u, const struct end *e)
{
	struct past *found = NULL, *p;

	DL_FOREACH (u->pasts, p) {
		if (!fits(p, e))
			continue;
		if (p->kind == PAST_IP)
			return p;
		if (found)
			return NULL;
		found = p;
	}
	return found && !has_port(u, e, 0) ? found : NULL;
}

/* Finds the pods of links, as far as may be. */
static void match(struct unclaimed *u)
{
	struct end *e, *next;

	/* each that is found may be what another could have had as well */
	for (unsigned n = u->n_pasts + 1; n != u->n_pasts;) {
		n = u->n_pasts;
		DL_FOREACH_SAFE (u->ends, e, next) {
			struct past *p = past_of(u, e);

			if (!p)
				continue;
			past_free(u, p);
			end_free(u, e);
		}
	}
	set_timer(u);
	changed(u);
}

static void past_add(struct unclaimed *u, const struct past *what)
{
	struct past *p = xmemdup(what, sizeof(*what));

	p->died = loop_wall(u->loop);
	p->until = mono_add_msec(loop_mono(u->loop), p->kind == PAST_PORT
							     ? LIMIT_UNCLAIMED_PORT_MSEC
							     : LIMIT_UNCLAIMED_MSEC);
	DL_APPEND(u->pasts, p);
	if (++u->n_pasts > LIMIT_UNCLAIMED)
		merge_oldest(u);
}

/* links */

static struct str life_key(const struct hmap_node *n)
{
	return HMAP_BYTES(container_of(n, struct life, node)->link);
}

static struct life *life_find(const struct unclaimed *u, uint32_t link)
{
	struct hmap_node *n = hmap_find(&u->lives, &link, sizeof(link));

	return n ? container_of(n, struct life, node) : NULL;
}

static void life_free(struct unclaimed *u, struct life *l)
{
	hmap_del(&u->lives, &l->node);
	free(l->ips);
	free(l);
}

static bool life_has(const struct life *l, const struct inet_ip *ip)
{
	for (unsigned i = 0; i < l->n_ips; i++) {
		if (inet_ip_eq(&l->ips[i], ip))
			return true;
	}
	return false;
}

static void life_end_at(struct unclaimed *u, const struct life *l, const struct inet_ip *ip)
{
	past_add(u, &(struct past){ .kind = PAST_IP, .link = l->link, .ip = *ip, .born = l->born });
}

void unclaimed_link(struct unclaimed *u, uint32_t link, uint32_t bridge)
{
	struct life *l = life_find(u, link);

	if (!l) {
		l = xnew(struct life);
		l->link = link;
		l->born = loop_wall(u->loop);
		hmap_add(&u->lives, &l->node, life_key);
	}
	if (bridge)
		l->bridge = bridge; /* the kernel takes it off its bridge before it goes */
}

void unclaimed_led(struct unclaimed *u, const struct inet_ip *ip, uint32_t link)
{
	struct life *now = life_find(u, link);

	hmap_for_each_safe (n, next, &u->lives) {
		struct life *l = container_of(n, struct life, node);

		for (unsigned i = 0; l != now && i < l->n_ips; i++) {
			if (!inet_ip_eq(&l->ips[i], ip))
				continue;
			life_end_at(u, l, ip);
			l->ips[i--] = l->ips[--l->n_ips];
		}
	}
	if (now && !now->is_claimed && !life_has(now, ip)) {
		now->ips = xrealloc(now->ips, (now->n_ips + 1) * sizeof(*now->ips));
		now->ips[now->n_ips++] = *ip;
	}
	match(u);
}

void unclaimed_gone(struct unclaimed *u, uint32_t link)
{
	struct life *l = life_find(u, link);
	struct past any = { .link = link };

	if (!l)
		return;
	forget_old(u);
	any.kind = l->bridge ? PAST_PORT : PAST_ANY;
	any.bridge = l->bridge;
	any.born = l->born;
	if (!l->is_claimed && (l->bridge || l->is_unsure))
		past_add(u, &any);
	for (unsigned i = 0; !l->bridge && i < l->n_ips; i++)
		life_end_at(u, l, &l->ips[i]);
	life_free(u, l);
	match(u);
}

void unclaimed_lost(struct unclaimed *u, uint32_t newest)
{
	u->oldest = newest ? newest : u->oldest;
	u->since = loop_wall(u->loop);
	hmap_for_each_safe (n, next, &u->lives) {
		struct life *l = container_of(n, struct life, node);

		l->is_unsure = true;
	}
}

/* pods */

void unclaimed_claim(struct unclaimed *u, uint32_t link)
{
	struct life *l = life_find(u, link);

	if (!l)
		return;
	l->is_claimed = true;
	free(l->ips);
	l->ips = NULL;
	l->n_ips = 0;
	match(u);
}

void unclaimed_end(struct unclaimed *u, const struct inet_ip *ip, const struct pod *p,
		   bool is_first)
{
	struct end *e;

	/* the link of one that was taken up earlier may have gone unseen, so it stands for none of these */
	if (!p->ran.s || p->started.s <= u->since.s)
		return;
	forget_old(u);
	if (p->started.s <= u->born.s && p->ran.s <= u->died.s)
		return;
	e = xnew(struct end);
	*e = (struct end){ .ip = *ip,
			   .is_first = is_first,
			   .started = wall_from32(p->started),
			   .ran = wall_from32(p->ran),
			   .until = mono_add_msec(loop_mono(u->loop), LIMIT_UNCLAIMED_MSEC) };
	DL_APPEND(u->ends, e);
	if (++u->n_ends > LIMIT_UNCLAIMED)
		end_free(u, u->ends);
	match(u);
}

static bool concerns(const struct past *p, const struct inet_ip *ip, const struct place *at)
{
	const uint32_t own = place_own_link(at);

	switch (p->kind) {
	case PAST_IP:
		return p->link != own && inet_ip_eq(&p->ip, ip);
	case PAST_PORT:
		return p->link < own && p->bridge == at->link;
	case PAST_ANY:
		return p->link < own;
	}
	return true;
}

/* What is asked about: a pod that claims an IP at a place. */
struct question {
	const struct inet_ip *ip;
	const struct place *at;
	const struct pod *pod;
};

static bool is_doubt(const struct past *p, const struct question *q)
{
	return concerns(p, q->ip, q->at) &&
	       is_possible(p, wall_from32(q->pod->started), wall_from32(q->pod->ran));
}

/*
 * Can this end's port only be one of those that cause the doubt? Or be the very one that is asked about: then
 * nobody is there any more whom another could be taken for.
 */
static bool is_of_doubt(const struct unclaimed *u, const struct end *e, const struct question *q)
{
	const struct past *p;

	if (!e->is_first || has_port(u, e, place_own_link(q->at)))
		return false;
	DL_FOREACH (u->pasts, p) {
		if (fits(p, e) && !is_doubt(p, q))
			return false;
	}
	return true;
}

static bool doubts(const struct unclaimed *u, const struct question *q)
{
	const struct mono now = loop_mono(u->loop);
	unsigned ports = 0, ended = 0;
	const struct past *p;
	const struct end *e;

	if (q->at->kind != PLACE_LINK || place_own_link(q->at) <= u->oldest)
		return false;
	DL_FOREACH (u->pasts, p) {
		if (!mono_before(now, p->until) || !is_doubt(p, q))
			continue;
		if (p->kind != PAST_PORT)
			return true;
		ports++;
	}
	if (!ports)
		return false;
	DL_FOREACH (u->ends, e) {
		bool is_there = false;

		DL_FOREACH (u->pasts, p)
			is_there |= fits(p, e);
		ended += is_there && is_of_doubt(u, e, q);
	}
	return ended < ports;
}

bool unclaimed_doubts(struct unclaimed *u, const struct inet_ip *ip, const struct place *at,
		      const struct pod *p)
{
	forget_old(u);
	if (!doubts(u, &(struct question){ ip, at, p }))
		return false;
	u->has_doubted = true;
	return true;
}

/* start */

struct unclaimed *unclaimed_new(struct loop *l, unclaimed_lapse_fn *lapsed, void *ctx)
{
	struct unclaimed *u = xnew(struct unclaimed);

	u->loop = l;
	u->lapsed = lapsed;
	u->ctx = ctx;
	return u;
}

struct unclaimed *unclaimed_free(struct unclaimed *u)
{
	if (!u)
		return NULL;
	loop_timer_del(&u->timer);
	loop_defer_del(&u->later);
	while (u->pasts)
		past_free(u, u->pasts);
	while (u->ends)
		end_free(u, u->ends);
	hmap_for_each_safe (n, next, &u->lives)
		life_free(u, container_of(n, struct life, node));
	free(u);
	return NULL;
}
