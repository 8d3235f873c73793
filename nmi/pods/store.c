/* SPDX-License-Identifier: MIT */

/*
 * The pods of this node: see store.h. Which of them is found at an IP is decided in claim.c.
 *
 * Where places are known, a removed pod is not forgotten at once: a server that lags behind may list it
 * again, when its IP has long been another's. It would be found in the table of removed ones, with
 * its claims as they were.
 *
 * Changes are told when the store is whole again, so that a listener may ask anything. It must not feed.
 */

#include "nmi/pods/store.h"

#include "lib/base/hmap.h"
#include "lib/base/mem.h"
#include "nmi/pods/claim.h"
#include "nmi/pods/place.h"
#include "nmi/pods/pod.h"

#include <string.h>

/* Removed pods that are remembered: more than come and go while a server lags behind. */
#define REMOVED_MAX 256

struct entry {
	struct hmap_node node;	  /* key: the UID of the pod */
	struct claimant claimant; /* with the pod */
	unsigned epoch;
};

struct pod_store {
	struct hmap by_uid;
	struct hmap removed; /* the one that went first comes first */
	struct claims claims;
	unsigned epoch;
	pod_seen_fn *seen;
	void *seen_ctx;
};

/* entries */

static struct str uid_of(const struct hmap_node *n)
{
	return str_of(container_of(n, struct entry, node)->claimant.pod->uid);
}

static struct entry *find_in(const struct hmap *m, const char *uid)
{
	struct hmap_node *n = hmap_find(m, uid, strlen(uid));

	return n ? container_of(n, struct entry, node) : NULL;
}

static struct entry *entry_take_out(struct pod_store *s, const char *uid)
{
	struct entry *e = find_in(&s->by_uid, uid);

	if (e) {
		hmap_del(&s->by_uid, &e->node);
		return e;
	}
	e = find_in(&s->removed, uid);
	if (e)
		hmap_del(&s->removed, &e->node);
	return e;
}

/* All that has changed, and the pod that it came from. */
static void tell(struct pod_store *s, const struct pod *p)
{
	claims_tell(&s->claims);
	if (!s->seen)
		return;
	s->claims.is_telling = true;
	s->seen(s->seen_ctx, p);
	s->claims.is_telling = false;
}

static void entry_free(struct pod_store *s, struct entry *e)
{
	claims_forget(&s->claims, &e->claimant);
	claims_tell(&s->claims);
	(void)pod_unref(e->claimant.pod);
	free(e);
}

static void entry_remove(struct pod_store *s, struct entry *e)
{
	hmap_del(&s->by_uid, &e->node);
	claims_update(&s->claims, &e->claimant, NULL);
	tell(s, e->claimant.pod);
	if (!s->claims.places) {
		entry_free(s, e);
		return;
	}
	hmap_add(&s->removed, &e->node, uid_of);
	if (hmap_count(&s->removed) <= REMOVED_MAX)
		return;
	e = container_of(hmap_first(&s->removed), struct entry, node);
	hmap_del(&s->removed, &e->node);
	entry_free(s, e);
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
	s->claims.changed = NULL;
	s->claims.ended = NULL;
	s->claims.ports_changed = NULL;
	s->seen = NULL;
	s->claims.places = NULL;
	for (struct hmap *m = &s->by_uid; m; m = m == &s->by_uid ? &s->removed : NULL) {
		hmap_for_each_safe (n, next, m) {
			hmap_del(m, n);
			entry_free(s, container_of(n, struct entry, node));
		}
	}
	free(s);
	return NULL;
}

void pod_store_put_take(struct pod_store *s, struct pod *p)
{
	struct entry *e;
	struct pod *was = NULL;

	pod_store_catch_up(s);
	e = entry_take_out(s, p->uid);
	if (e)
		was = e->claimant.pod;
	else
		e = xnew(struct entry);
	e->epoch = s->epoch;
	claims_update(&s->claims, &e->claimant, p);
	hmap_add(&s->by_uid, &e->node, uid_of);
	tell(s, p);
	(void)pod_unref(was);
}

void pod_store_remove(struct pod_store *s, const char *uid)
{
	struct entry *e;

	pod_store_catch_up(s);
	e = find_in(&s->by_uid, uid);
	if (e)
		entry_remove(s, e);
}

/* A resync that was cut short is no harm: nothing is dropped, and the next one starts over. */
void pod_store_resync_begin(struct pod_store *s)
{
	s->epoch++;
	claims_list_begin(&s->claims);
}

void pod_store_resync_end(struct pod_store *s)
{
	pod_store_catch_up(s);
	hmap_for_each_safe (n, next, &s->by_uid) {
		struct entry *e = container_of(n, struct entry, node);

		if (e->epoch != s->epoch)
			entry_remove(s, e);
	}
	claims_list_end(&s->claims);
	claims_tell(&s->claims);
}

/* places */

void pod_store_bind(struct pod_store *s, const struct place_source *places)
{
	s->claims.places = places;
}

void pod_store_link_gone(struct pod_store *s, uint32_t link)
{
	claims_link_gone(&s->claims, link);
	claims_tell(&s->claims);
}

void pod_store_link_changed(struct pod_store *s, uint32_t link)
{
	claims_link_changed(&s->claims, link);
	claims_tell(&s->claims);
}

void pod_store_moved(struct pod_store *s, const struct inet_ip *prefix, unsigned bits)
{
	claims_moved(&s->claims, prefix, bits);
	claims_tell(&s->claims);
}

static bool catch_up(struct pod_store *s)
{
	const struct place_source *places = s->claims.places;

	return !places || s->claims.is_telling || places->catch_up(places->ctx);
}

void pod_store_catch_up(struct pod_store *s)
{
	(void)catch_up(s); /* what is late is told later */
}

void pod_store_catch_up_on(struct pod_store *s, const struct inet_ip *ip)
{
	if (catch_up(s))
		return;
	claims_look(&s->claims, ip);
	claims_tell(&s->claims);
}

void pod_store_look(struct pod_store *s, const struct inet_ip *ip)
{
	pod_store_catch_up(s);
	claims_look(&s->claims, ip);
	claims_tell(&s->claims);
}

void pod_store_place(const struct pod_store *s, const struct inet_ip *ip, struct place *out)
{
	const struct place_source *places = s->claims.places;

	*out = (struct place){ .kind = PLACE_LINK };
	if (places)
		places->find(places->ctx, ip, out);
}

void pod_store_print_place(const struct pod_store *s, const struct inet_ip *ip,
			   char buf[PLACE_NAME_MAX])
{
	const struct place_source *places = s->claims.places;
	struct place place;

	pod_store_place(s, ip, &place);
	if (places)
		places->print(places->ctx, &place, buf);
	else
		buf[0] = '\0';
}

bool pod_store_doubts(const struct pod_store *s, const struct inet_ip *ip, const struct pod *p)
{
	return claims_doubt(&s->claims, ip, p);
}

bool pod_store_is_bound(const struct pod_store *s)
{
	return s->claims.places != NULL;
}

uint32_t pod_store_newest_link(const struct pod_store *s)
{
	const struct place_source *places = s->claims.places;

	return places ? places->newest(places->ctx) : 0;
}

/* asking */

enum pod_lookup pod_store_find_ip(const struct pod_store *s, const struct inet_ip *ip,
				  const struct pod **out)
{
	return claims_find(&s->claims, ip, out);
}

void pod_store_claimants(const struct pod_store *s, const struct inet_ip *ip, pod_claimant_fn *fn,
			 void *ctx)
{
	claims_each(&s->claims, ip, fn, ctx);
}

const struct pod *pod_store_find_uid(const struct pod_store *s, const char *uid)
{
	const struct entry *e = find_in(&s->by_uid, uid);

	return e ? e->claimant.pod : NULL;
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
		const struct pod *p = container_of(n, struct entry, node)->claimant.pod;

		if (strcmp(p->name, name) != 0 || strcmp(p->namespace, namespace) != 0 ||
		    pod_has_ended(p))
			continue;
		if (found)
			return NULL;
		found = p;
	}
	return found;
}

bool pod_store_was_removed(const struct pod_store *s, const char *uid)
{
	return find_in(&s->removed, uid) != NULL;
}

/* Pods on the host's network count: they have the addresses of the node, of as many families. */
bool pod_store_has_second(const struct pod_store *s, const struct inet_ip *ip)
{
	hmap_for_each_safe (n, next, &s->by_uid) {
		const struct pod *p = container_of(n, struct entry, node)->claimant.pod;

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

const struct pod_store_stats *pod_store_stats(const struct pod_store *s)
{
	return &s->claims.stats;
}

void pod_store_on_change(struct pod_store *s, pod_ip_changed_fn *fn, void *ctx)
{
	s->claims.changed = fn;
	s->claims.changed_ctx = ctx;
}

void pod_store_on_claim_end(struct pod_store *s, pod_claim_end_fn *fn, void *ctx)
{
	s->claims.ended = fn;
	s->claims.ended_ctx = ctx;
}

void pod_store_on_pod(struct pod_store *s, pod_seen_fn *fn, void *ctx)
{
	s->seen = fn;
	s->seen_ctx = ctx;
}

void pod_store_on_ports_changed(struct pod_store *s, pod_ports_changed_fn *fn, void *ctx)
{
	s->claims.ports_changed = fn;
	s->claims.ports_changed_ctx = ctx;
}

void pod_store_each_port(const struct pod_store *s, pod_port_fn *fn, void *ctx)
{
	claims_each_port(&s->claims, fn, ctx);
}
