/* SPDX-License-Identifier: MIT */

/*
 * The pods of this node: see store.h.
 *
 * Every pod is in a table by UID. An active one claims each of its IPs; the first claim on an IP is in
 * the table of IPs, further ones hang on it. One claim: the pod is found. Several: nobody is, since to
 * guess is to give one tenant's token to another.
 *
 * Changes are told when the store is whole again, with the pods that they came from still held, so that
 * a listener may ask anything. It must not feed.
 */

#include "nmi/pods/store.h"

#include "lib/base/hmap.h"
#include "lib/base/mem.h"
#include "nmi/pods/pod.h"

#include <assert.h>
#include <string.h>
#include <utlist.h>

struct claim {
	struct hmap_node node; /* of the first claim on an IP only; key: the IP, inside the pod */
	const struct entry *entry;
	struct claim *next;
};

struct entry {
	struct hmap_node node; /* key: the UID, inside the pod */
	struct pod *pod;
	unsigned epoch;
	unsigned n_claims;
	struct claim claims[];
};

struct pod_store {
	struct hmap by_uid;
	struct hmap by_ip;
	unsigned epoch;
	pod_ip_changed_fn *changed;
	void *changed_ctx;
	pod_seen_fn *seen;
	void *seen_ctx;
	bool is_telling;
};

/* claims */

static struct claim *first_claim(const struct pod_store *s, const struct inet_ip *ip)
{
	struct hmap_node *n = hmap_find(&s->by_ip, ip, sizeof(*ip));

	return n ? container_of(n, struct claim, node) : NULL;
}

static const struct inet_ip *claim_ip(const struct claim *c)
{
	return &c->entry->pod->ips[c - c->entry->claims];
}

static void add_first(struct pod_store *s, struct claim *c)
{
	hmap_add(&s->by_ip, &c->node, claim_ip(c), sizeof(struct inet_ip));
}

static void claim_add(struct pod_store *s, struct claim *c)
{
	struct claim *first = first_claim(s, claim_ip(c));

	if (first)
		LL_APPEND(first, c);
	else
		add_first(s, c);
}

static void claim_del(struct pod_store *s, struct claim *c)
{
	struct claim *first = first_claim(s, claim_ip(c));

	if (first != c) {
		LL_DELETE(first, c);
		return;
	}
	hmap_del(&s->by_ip, &c->node);
	if (c->next)
		add_first(s, c->next);
}

/* entries */

static struct entry *entry_find(const struct pod_store *s, const char *uid)
{
	struct hmap_node *n = hmap_find(&s->by_uid, uid, strlen(uid));

	return n ? container_of(n, struct entry, node) : NULL;
}

static struct entry *entry_add_take(struct pod_store *s, struct pod *p)
{
	unsigned n = pod_is_active(p) ? (unsigned)p->n_ips : 0;
	struct entry *e = xcalloc(1, sizeof(*e) + n * sizeof(struct claim));

	e->pod = p;
	e->epoch = s->epoch;
	e->n_claims = n;
	hmap_add(&s->by_uid, &e->node, p->uid, strlen(p->uid));
	for (unsigned i = 0; i < n; i++) {
		e->claims[i].entry = e;
		claim_add(s, &e->claims[i]);
	}
	return e;
}

/* Out of both tables; still whole, for telling() to read. */
static void entry_detach(struct pod_store *s, struct entry *e)
{
	for (unsigned i = 0; i < e->n_claims; i++)
		claim_del(s, &e->claims[i]);
	hmap_del(&s->by_uid, &e->node);
}

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	(void)pod_unref(e->pod);
	free(e);
}

/* telling */

static bool has_claim(const struct entry *e, const struct inet_ip *ip)
{
	for (unsigned i = 0; e && i < e->n_claims; i++) {
		if (inet_ip_eq(claim_ip(&e->claims[i]), ip))
			return true;
	}
	return false;
}

/* For each IP that `a` claims and `b` does not; either may be NULL. */
static void tell_difference(struct pod_store *s, const struct entry *a, const struct entry *b)
{
	for (unsigned i = 0; a && s->changed && i < a->n_claims; i++) {
		const struct inet_ip *ip = claim_ip(&a->claims[i]);

		if (!has_claim(b, ip))
			s->changed(s->changed_ctx, ip);
	}
}

static void tell(struct pod_store *s, const struct entry *was, const struct entry *is)
{
	assert(!s->is_telling);
	s->is_telling = true;
	tell_difference(s, was, is);
	tell_difference(s, is, was);
	if (s->seen)
		s->seen(s->seen_ctx, is ? is->pod : was->pod);
	s->is_telling = false;
}

static void entry_remove(struct pod_store *s, struct entry *e)
{
	entry_detach(s, e);
	tell(s, e, NULL);
	entry_free(e);
}

/* feeding */

struct pod_store *pod_store_new(void)
{
	return xnew(struct pod_store);
}

struct pod_store *pod_store_free(struct pod_store *s)
{
	if (!s)
		return NULL;
	hmap_for_each_safe (n, next, &s->by_uid) {
		struct entry *e = container_of(n, struct entry, node);

		entry_detach(s, e);
		entry_free(e);
	}
	free(s);
	return NULL;
}

void pod_store_put_take(struct pod_store *s, struct pod *p)
{
	struct entry *was = entry_find(s, p->uid), *is;

	if (was)
		entry_detach(s, was);
	is = entry_add_take(s, p);
	tell(s, was, is);
	entry_free(was);
}

void pod_store_remove(struct pod_store *s, const char *uid)
{
	struct entry *e = entry_find(s, uid);

	if (e)
		entry_remove(s, e);
}

/* A resync that was cut short is no harm: nothing is dropped, and the next one starts over. */
void pod_store_resync_begin(struct pod_store *s)
{
	s->epoch++;
}

void pod_store_resync_end(struct pod_store *s)
{
	hmap_for_each_safe (n, next, &s->by_uid) {
		struct entry *e = container_of(n, struct entry, node);

		if (e->epoch != s->epoch)
			entry_remove(s, e);
	}
}

/* asking */

enum pod_lookup pod_store_find_ip(const struct pod_store *s, const struct inet_ip *ip,
				  const struct pod **out)
{
	const struct claim *c = first_claim(s, ip);

	if (!c)
		return POD_NONE;
	if (c->next)
		return POD_AMBIGUOUS;
	*out = c->entry->pod;
	return POD_FOUND;
}

void pod_store_claimants(const struct pod_store *s, const struct inet_ip *ip, pod_claimant_fn *fn,
			 void *ctx)
{
	for (const struct claim *c = first_claim(s, ip); c; c = c->next)
		fn(ctx, c->entry->pod);
}

const struct pod *pod_store_find_uid(const struct pod_store *s, const char *uid)
{
	const struct entry *e = entry_find(s, uid);

	return e ? e->pod : NULL;
}

/*
 * A walk: it is asked for by /host/token only, a few times in the life of a pod, and a table by name
 * would cost every pod its memory.
 */
const struct pod *pod_store_find_name(const struct pod_store *s, const char *namespace,
				      const char *name)
{
	const struct pod *found = NULL;

	hmap_for_each_safe (n, next, &s->by_uid) {
		const struct pod *p = container_of(n, struct entry, node)->pod;

		if (strcmp(p->name, name) != 0 || strcmp(p->namespace, namespace) != 0 ||
		    pod_has_ended(p))
			continue;
		if (found)
			return NULL;
		found = p;
	}
	return found;
}

/* Pods on the host's network count: they have the addresses of the node, of as many families. */
bool pod_store_has_second(const struct pod_store *s, const struct inet_ip *ip)
{
	hmap_for_each_safe (n, next, &s->by_uid) {
		const struct pod *p = container_of(n, struct entry, node)->pod;

		for (size_t i = 1; i < p->n_ips; i++) {
			if (inet_ip_is_v4(&p->ips[i]) == inet_ip_is_v4(ip))
				return true;
		}
	}
	return false;
}

size_t pod_store_count(const struct pod_store *s)
{
	return hmap_count(&s->by_uid);
}

void pod_store_on_change(struct pod_store *s, pod_ip_changed_fn *fn, void *ctx)
{
	s->changed = fn;
	s->changed_ctx = ctx;
}

void pod_store_on_pod(struct pod_store *s, pod_seen_fn *fn, void *ctx)
{
	s->seen = fn;
	s->seen_ctx = ctx;
}
