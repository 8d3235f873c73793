/* SPDX-License-Identifier: MIT */

/*
 * Claims of pods on IPs: see claim.h.
 *
 * Theory of operation
 *
 * A pod claims each of its IPs. Exactly one living claim on an IP: its pod is found. Several: nobody is,
 * since to guess is to give one tenant's token to another.
 *
 * An IP is given to the next pod before the API server tells of the last one's end. So, where places
 * are known (place.h), a claim is bound to the link that the IP leads to:
 *
 * UNBOUND  Not found. Becomes BOUND when the IP leads to a link of its own that is no younger than the
 *          claim and not another pod's already, and no other claim on it lives. Becomes DEAD when that
 *          link is younger. Barred, neither bound nor found, once the pod is being deleted. In doubt,
 *          and not bound, while its pod may be one whose own link has gone before it was told of
 *          (unclaimed.c); it is no rival then of one that is not in doubt, for that one cannot be it.
 * BOUND    Found while the IP leads to that very link. Becomes DEAD when the link is gone, or the IP
 *          leads to another one. When it leads to none, or the kernel cannot be asked, nobody is found
 *          until it leads to that link again, for which it is worth waiting (POD_UNSEEN): a bridge
 *          forgets a pod that is silent. Nobody is found either while a bridge has it behind another
 *          port, which a neighbour can bring about.
 * DEAD     For ever: this UID is never found at this IP again. It is no rival of another one.
 *
 * Why younger links do not count: a pod's link is there before the kubelet says which IP it has. A link
 * that comes after we were told is another pod's, whose own news are on their way.
 *
 * Why a pod that is being deleted is barred: after a restart of ours, its IP may be the next one's
 * already. It may as well be its own still, and then it is the other one that has ended and whose end
 * has not been told; so neither is bound. One that was bound before is served as long as its link stands.
 *
 * Why not while a list is being read: the other one at the IP may be further down in it.
 *
 * A claim lives while its pod is active and has the IP. One that lives no longer is remembered with its
 * state, since late news may make it live again: of a pod whose containers all wait to be started once
 * more, of one that gets another IP and the old one back, of one that was removed and that a server
 * which lags behind lists once more.
 */

#include "nmi/pods/claim.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/unclaimed.h"

#include <assert.h>
#include <string.h>
#include <utlist.h>

/* What is remembered of one pod: a sandbox that is made anew leaves one claim each time. */
#define PAST_MAX 8

enum claim_state { CLAIM_UNBOUND, CLAIM_BOUND, CLAIM_DEAD };

struct claim {
	struct claimant *who;
	struct address *address;
	struct claim *next;  /* of the same pod */
	struct claim *rival; /* on the same address */
	enum claim_state state : 8;
	bool was_bound : 1;
	bool is_current : 1;  /* the pod is active and has the IP */
	bool is_told : 1;     /* a line was logged why it is not bound */
	bool is_doubtful : 1; /* UNBOUND: its link may have gone already, as of the last news */
	union {
		uint32_t newest;    /* UNBOUND: which link was the newest when it was made */
		struct place place; /* BOUND */
	};
};

/* An IP with claims on it. Most have one, which has its room here: `who` is NULL when it is not in use. */
struct address {
	struct hmap_node node;
	struct inet_ip ip;
	struct place place; /* where it leads to, as of the last news */
	bool is_touched : 1;
	enum pod_lookup shown : 8; /* what was told last, and of whom */
	const struct claimant *shown_who;
	struct claim *claims;
	struct claim room;
};

/* A claim that lives no longer, to be told. */
struct claim_end {
	struct inet_ip ip;
	struct pod *pod;
	struct claim_end *next;
};

/* addresses */

static struct str address_key(const struct hmap_node *n)
{
	return HMAP_BYTES(container_of(n, struct address, node)->ip);
}

static struct address *address_find(const struct claims *t, const struct inet_ip *ip)
{
	struct hmap_node *n = hmap_find(&t->by_ip, ip, sizeof(*ip));

	return n ? container_of(n, struct address, node) : NULL;
}

static void touch(struct claims *t, struct address *a)
{
	if (a->is_touched)
		return;
	a->is_touched = true;
	if (t->are_all_touched)
		return;
	if (t->n_touched == t->max_touched) {
		t->max_touched = t->max_touched ? 2 * t->max_touched : 4;
		t->touched = xrealloc(t->touched, t->max_touched * sizeof(struct address *));
	}
	t->touched[t->n_touched++] = a;
}

static bool is_barred(const struct claims *t, const struct claim *c)
{
	return t->places && c->state == CLAIM_UNBOUND && c->who->pod->deleting;
}

static bool is_living(const struct claims *t, const struct claim *c)
{
	return c->is_current && c->state != CLAIM_DEAD && !is_barred(t, c);
}

/*
 * The only living claim; NULL when there is none, or there are several. A barred one stands in the way of
 * one that has no link yet: whose link it is that the address leads to, nobody can tell. Those in doubt
 * count only among themselves.
 */
static struct claim *sole(const struct claims *t, const struct address *a, enum pod_lookup *out)
{
	struct claim *found = NULL, *doubtful = NULL;
	bool barred = false, several = false;

	for (struct claim *c = a->claims; c; c = c->rival) {
		if (c->is_doubtful) {
			doubtful = is_living(t, c) ? c : doubtful;
			continue;
		}
		barred |= c->is_current && is_barred(t, c);
		if (!is_living(t, c))
			continue;
		several |= found != NULL;
		found = c;
	}
	if (!found)
		found = doubtful;
	*out = found ? POD_FOUND : POD_NONE;
	if (!several && !(found && barred && found->state == CLAIM_UNBOUND))
		return found;
	*out = POD_AMBIGUOUS;
	return NULL;
}

static enum pod_lookup outcome(const struct claims *t, const struct address *a,
			       const struct claimant **who)
{
	enum pod_lookup found;
	const struct claim *c = sole(t, a, &found);

	*who = c ? c->who : NULL;
	if (!c || !t->places)
		return found;
	if (c->state == CLAIM_UNBOUND && (t->is_listing || c->is_doubtful))
		return POD_NONE; /* wait for the rest of the list, or for other news */
	if (c->state == CLAIM_BOUND && a->place.kind == PLACE_LINK &&
	    place_is_same(&c->place, &a->place))
		return POD_FOUND;
	return place_is_known(&a->place) ? POD_UNPLACED : POD_UNSEEN;
}

/* words */

struct words {
	char ip[INET_IP_TEXT_MAX];
	char place[PLACE_NAME_MAX];
};

static void print_words(const struct claims *t, const struct claim *c, const struct place *p,
			struct words *out)
{
	inet_ip_print(&c->address->ip, out->ip);
	t->places->print(t->places->ctx, p, out->place);
}

static void say_gone(const struct claims *t, const struct claim *c)
{
	struct words w;

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	print_words(t, c, &c->place, &w);
	log_debug("pod %s/%s has no claim on %s any more: its link %s is gone",
		  c->who->pod->namespace, c->who->pod->name, w.ip, w.place);
}

static void say_elsewhere(struct claims *t, const struct claim *c)
{
	struct words w;

	t->stats.mismatches++;
	print_words(t, c, &c->address->place, &w);
	log_info("pod %s/%s has no claim on %s any more, whatever the API server says: the address "
		 "leads to %s now, the link of another pod",
		 c->who->pod->namespace, c->who->pod->name, w.ip, w.place);
}

static void say_deleting(struct claim *c)
{
	char ip[INET_IP_TEXT_MAX];

	if (c->is_told)
		return;
	c->is_told = true;
	log_info("pod %s/%s is not served at %s: it is being deleted, and which link it has was "
		 "not seen before",
		 c->who->pod->namespace, c->who->pod->name, inet_ip_print(&c->address->ip, ip));
}

static void say_doubtful(struct claim *c)
{
	char ip[INET_IP_TEXT_MAX];

	if (c->is_told)
		return;
	c->is_told = true;
	log_info("pod %s/%s is not served at %s yet: a link of that address has gone without a pod "
		 "being known to have it, which may have been this pod's",
		 c->who->pod->namespace, c->who->pod->name, inet_ip_print(&c->address->ip, ip));
}

static void say_shared(struct claims *t, struct claim *c)
{
	struct words w;

	if (c->is_told)
		return;
	c->is_told = true;
	t->stats.mismatches++;
	print_words(t, c, &c->address->place, &w);
	log_warn("pod %s/%s is not served: its address %s leads to %s, not to a link of its own; "
		 "if the network plugin gives pods no links of their own, set --link-binding=off",
		 c->who->pod->namespace, c->who->pod->name, w.ip, w.place);
}

/* the states */

static void note_end(struct claims *t, const struct claim *c)
{
	struct claim_end *e = xnew(struct claim_end);

	e->ip = c->address->ip;
	e->pod = pod_ref(c->who->pod);
	LL_APPEND(t->ends, e);
}

/* Before or after a change of a claim that is, or was, of use to claims_each_port(). */
static void note_port(struct claims *t, const struct claim *c)
{
	if (c->state == CLAIM_BOUND && c->place.port)
		t->have_ports_changed = true;
}

static void kill_claim(struct claims *t, struct claim *c)
{
	if (is_living(t, c))
		note_end(t, c);
	note_port(t, c);
	c->state = CLAIM_DEAD;
	c->is_doubtful = false;
	touch(t, c->address);
}

/* Does the address lead to a link that cannot be this claim's? */
static bool is_elsewhere(const struct claim *c, const struct place *now)
{
	if (now->kind != PLACE_LINK)
		return false;
	switch (c->state) {
	case CLAIM_UNBOUND:
		return place_own_link(now) > c->newest;
	case CLAIM_BOUND:
		return now->link != c->place.link;
	case CLAIM_DEAD:
		break;
	}
	return false;
}

/*
 * Is the link that of another pod, at another address of which it is, or may be: two addresses that lead to
 * one link before either is bound are one pod's and one that it has borrowed. A link of two is nobody's own.
 */
static bool is_taken(const struct claims *t, const struct claim *c, uint32_t link)
{
	hmap_for_each_safe (n, next, &t->by_ip) {
		const struct address *a = container_of(n, struct address, node);

		for (const struct claim *o = a->claims; o; o = o->rival) {
			const struct place *p = o->state == CLAIM_BOUND ? &o->place : &a->place;

			if (o->is_doubtful && a == c->address)
				continue; /* it has another link, or c were in doubt too */
			if (o->who != c->who && is_living(t, o) && p->kind == PLACE_LINK &&
			    place_own_link(p) == link)
				return true;
		}
	}
	return false;
}

static bool is_in_doubt(const struct claims *t, const struct inet_ip *ip, const struct place *at,
			const struct pod *pod)
{
	struct unclaimed *u = t->places ? t->places->unclaimed : NULL;

	return u && unclaimed_doubts(u, ip, at, pod);
}

static void bind(struct claims *t, struct claim *c, const struct place *to)
{
	c->state = CLAIM_BOUND;
	c->was_bound = true;
	c->place = *to;
	if (t->places->unclaimed)
		unclaimed_claim(t->places->unclaimed, place_own_link(to));
	note_port(t, c);
}

/* The link is another pod's, surely, so theirs has gone. */
static void kill_doubtful(struct claims *t, struct address *a)
{
	for (struct claim *c = a->claims; c; c = c->rival) {
		if (c->is_doubtful)
			kill_claim(t, c);
	}
}

/* Asks where the address leads to, and lets that decide. */
static void settle(struct claims *t, struct address *a)
{
	enum pod_lookup found;
	struct claim *c;

	touch(t, a);
	if (!t->places || !a->claims)
		return;
	t->places->find(t->places->ctx, &a->ip, &a->place);
	for (c = a->claims; c; c = c->rival) {
		c->is_doubtful = c->is_current && c->state == CLAIM_UNBOUND &&
				 is_in_doubt(t, &a->ip, &a->place, c->who->pod);
		if (!is_elsewhere(c, &a->place))
			continue;
		if (is_living(t, c))
			say_elsewhere(t, c);
		kill_claim(t, c);
	}
	c = sole(t, a, &found);
	if (c && c->is_doubtful)
		say_doubtful(c);
	if (!c || c->is_doubtful || t->is_listing)
		return;
	if (c->state == CLAIM_UNBOUND && a->place.kind == PLACE_SHARED)
		say_shared(t, c);
	if (c->state == CLAIM_UNBOUND && a->place.kind == PLACE_LINK &&
	    !is_taken(t, c, place_own_link(&a->place)))
		bind(t, c, &a->place);
	if (c->state == CLAIM_BOUND && place_is_same(&c->place, &a->place))
		kill_doubtful(t, a);
}

/* claims */

static struct claim *claim_find(const struct claimant *who, const struct inet_ip *ip)
{
	struct claim *c;

	LL_FOREACH (who->claims, c) {
		if (inet_ip_eq(&c->address->ip, ip))
			return c;
	}
	return NULL;
}

static struct claim *claim_new(struct claims *t, struct claimant *who, const struct inet_ip *ip)
{
	struct address *a = address_find(t, ip);
	struct claim *c;

	if (!a) {
		a = xnew(struct address);
		a->ip = *ip;
		a->shown = POD_NONE;
		hmap_add(&t->by_ip, &a->node, address_key);
	}
	c = a->room.who ? xnew(struct claim) : &a->room;
	c->who = who;
	c->address = a;
	c->newest = t->places ? t->places->newest(t->places->ctx) : 0;
	LL_APPEND(who->claims, c);
	LL_APPEND2(a->claims, c, rival);
	return c;
}

/* Its address goes with claims_tell(), if nobody claims it then. */
static void claim_free(struct claims *t, struct claim *c)
{
	touch(t, c->address);
	LL_DELETE2(c->address->claims, c, rival);
	LL_DELETE(c->who->claims, c);
	if (c == &c->address->room)
		*c = (struct claim){ 0 };
	else
		free(c);
}

static void rest(struct claims *t, struct claim *c)
{
	if (is_living(t, c))
		note_end(t, c);
	note_port(t, c);
	c->is_current = false;
}

static bool has_ip(const struct pod *p, const struct inet_ip *ip)
{
	for (size_t i = 0; p && i < p->n_ips; i++) {
		if (inet_ip_eq(&p->ips[i], ip))
			return true;
	}
	return false;
}

static void claim_ip(struct claims *t, struct claimant *who, const struct inet_ip *ip)
{
	struct claim *c = claim_find(who, ip);

	if (!c)
		c = claim_new(t, who, ip);
	if (!c->is_current)
		note_port(t, c);
	c->is_current = true;
	if (is_barred(t, c))
		say_deleting(c);
	settle(t, c->address);
}

/* Of those that do not live, only the last ones are remembered; without places, none. */
static void prune(struct claims *t, struct claimant *who)
{
	size_t past = 0;
	struct claim *c, *next;

	LL_FOREACH (who->claims, c)
		past += !c->is_current;
	LL_FOREACH_SAFE (who->claims, c, next) {
		struct address *a = c->address;

		if (c->is_current || (t->places && past <= PAST_MAX))
			continue;
		past--;
		claim_free(t, c);
		settle(t, a);
	}
}

/* Its containers will not be started again. */
static bool has_ended_for_good(const struct pod *p)
{
	return p->phase == POD_SUCCEEDED || p->phase == POD_FAILED ||
	       (p->deleting && p->terminated);
}

static bool was_bound(const struct claimant *who)
{
	const struct claim *c;

	LL_FOREACH (who->claims, c) {
		if (c->was_bound)
			return true;
	}
	return false;
}

/* That a pod has ended which never was bound may tell others from it. */
static void note_end_unbound(struct claims *t, struct claimant *who, const struct pod *pod)
{
	struct unclaimed *u = t->places ? t->places->unclaimed : NULL;
	struct claim *c;

	if (!u || !has_ended_for_good(pod) || who->has_ended)
		return;
	who->has_ended = true;
	if (pod->host_network || was_bound(who))
		return;
	for (size_t i = 0; i < pod->n_ips; i++)
		unclaimed_end(u, &pod->ips[i], pod, i == 0);
	/* the kubelet may tell no IP any more */
	for (c = pod->n_ips ? NULL : who->claims; c; c = c->next)
		unclaimed_end(u, &c->address->ip, pod, c == who->claims);
}

void claims_update(struct claims *t, struct claimant *who, struct pod *pod)
{
	bool active = pod && pod_is_active(pod);
	struct claim *c;

	assert(!t->is_telling);
	LL_FOREACH (who->claims, c) {
		if (c->is_current && !(active && has_ip(pod, &c->address->ip))) {
			rest(t, c);
			settle(t, c->address); /* another may be the only one now */
		}
	}
	if (pod) {
		who->pod = pod;
		note_end_unbound(t, who, pod);
	}
	for (size_t i = 0; active && i < pod->n_ips; i++)
		claim_ip(t, who, &pod->ips[i]);
	prune(t, who);
}

void claims_list_begin(struct claims *t)
{
	t->is_listing = true;
}

void claims_list_end(struct claims *t)
{
	t->is_listing = false;
	t->are_all_touched = true;
	hmap_for_each_safe (n, next, &t->by_ip)
		settle(t, container_of(n, struct address, node));
}

void claims_forget(struct claims *t, struct claimant *who)
{
	struct claim *c, *next;

	LL_FOREACH_SAFE (who->claims, c, next) {
		struct address *a = c->address;

		rest(t, c);
		claim_free(t, c);
		settle(t, a);
	}
}

/* news */

void claims_look(struct claims *t, const struct inet_ip *ip)
{
	struct address *a = address_find(t, ip);

	if (a)
		settle(t, a);
}

static bool is_at(const struct place *p, uint32_t link)
{
	return p->link == link || p->port == link;
}

void claims_link_gone(struct claims *t, uint32_t link)
{
	hmap_for_each_safe (n, next, &t->by_ip) {
		struct address *a = container_of(n, struct address, node);

		for (struct claim *c = a->claims; c; c = c->rival) {
			if (c->state != CLAIM_BOUND || !is_at(&c->place, link))
				continue;
			say_gone(t, c);
			kill_claim(t, c);
		}
		if (a->is_touched || is_at(&a->place, link))
			settle(t, a);
	}
}

void claims_link_changed(struct claims *t, uint32_t link)
{
	hmap_for_each_safe (n, next, &t->by_ip) {
		struct address *a = container_of(n, struct address, node);
		bool is_here = is_at(&a->place, link);

		for (const struct claim *c = a->claims; c; c = c->rival) {
			if (c->state != CLAIM_BOUND || !is_at(&c->place, link))
				continue;
			is_here = true;
			note_port(t, c); /* it may have another name */
		}
		if (is_here)
			settle(t, a);
	}
}

static bool has_prefix(const struct inet_ip *ip, const struct inet_ip *prefix, unsigned bits)
{
	unsigned whole = bits / 8, rest_bits = bits % 8;

	if (memcmp(ip->b, prefix->b, whole) != 0)
		return false;
	return rest_bits == 0 || ((ip->b[whole] ^ prefix->b[whole]) >> (8 - rest_bits)) == 0;
}

void claims_moved(struct claims *t, const struct inet_ip *prefix, unsigned bits)
{
	if (bits == 128) {
		claims_look(t, prefix);
		return;
	}
	hmap_for_each_safe (n, next, &t->by_ip) {
		struct address *a = container_of(n, struct address, node);

		if (has_prefix(&a->ip, prefix, bits))
			settle(t, a);
	}
}

/* telling */

static void tell_ends(struct claims *t)
{
	struct claim_end *e;

	while ((e = t->ends)) {
		LL_DELETE(t->ends, e);
		if (t->ended)
			t->ended(t->ended_ctx, &e->ip, e->pod->uid);
		(void)pod_unref(e->pod);
		free(e);
	}
}

static void tell_outcome(struct claims *t, struct address *a)
{
	const struct claimant *who;
	enum pod_lookup now = outcome(t, a, &who);

	if (now == a->shown && who == a->shown_who)
		return;
	a->shown = now;
	a->shown_who = who;
	if (t->changed)
		t->changed(t->changed_ctx, &a->ip);
}

/* Frees it if nobody claims it any more. */
static void tell_touched(struct claims *t, struct address *a)
{
	if (!a->is_touched)
		return;
	a->is_touched = false;
	tell_outcome(t, a);
	if (!a->claims) {
		hmap_del(&t->by_ip, &a->node);
		free(a);
	}
}

/* Whatever has been noted since the last time. The listeners may ask; they must not feed. */
void claims_tell(struct claims *t)
{
	assert(!t->is_telling);
	t->is_telling = true;
	tell_ends(t);
	for (size_t i = 0; i < t->n_touched; i++)
		tell_touched(t, t->touched[i]);
	free(t->touched);
	t->touched = NULL;
	t->n_touched = t->max_touched = 0;
	if (t->are_all_touched) {
		hmap_for_each_safe (n, next, &t->by_ip)
			tell_touched(t, container_of(n, struct address, node));
	}
	t->are_all_touched = false;
	if (t->have_ports_changed && t->ports_changed)
		t->ports_changed(t->ports_changed_ctx);
	t->have_ports_changed = false;
	t->is_telling = false;
}

/* asking */

enum pod_lookup claims_find(const struct claims *t, const struct inet_ip *ip,
			    const struct pod **out)
{
	const struct address *a = address_find(t, ip);
	const struct claimant *who;
	enum pod_lookup found;

	if (!a)
		return POD_NONE;
	found = outcome(t, a, &who);
	if (who)
		*out = who->pod;
	return found;
}

bool claims_doubt(const struct claims *t, const struct inet_ip *ip, const struct pod *pod)
{
	struct place at;

	if (!t->places)
		return false;
	t->places->find(t->places->ctx, ip, &at);
	return is_in_doubt(t, ip, &at, pod);
}

void claims_each_port(const struct claims *t, pod_port_fn *fn, void *ctx)
{
	hmap_for_each_safe (n, next, &t->by_ip) {
		const struct address *a = container_of(n, struct address, node);

		for (const struct claim *c = a->claims; c; c = c->rival) {
			if (is_living(t, c) && c->state == CLAIM_BOUND && c->place.port)
				fn(ctx, &a->ip, c->place.port);
		}
	}
}

void claims_each(const struct claims *t, const struct inet_ip *ip, pod_claimant_fn *fn, void *ctx)
{
	const struct address *a = address_find(t, ip);

	for (const struct claim *c = a ? a->claims : NULL; c; c = c->rival) {
		if (c->is_current && c->state != CLAIM_DEAD)
			fn(ctx, c->who->pod);
	}
}
