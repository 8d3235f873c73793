/* SPDX-License-Identifier: MIT */

/*
 * Which pod has this IP? See resolver.h.
 *
 * Theory of operation. A wait ends by the first of three things:
 *  - the store tells that somebody else holds the IP now, and exactly one active pod does: FOUND;
 *  - the deadline passes while several hold it: AMBIGUOUS (a duplicate may clear by an event until
 *    then, as when a pod and its successor overlap); or one, of which the kernel has forgotten where it
 *    is: UNSEEN (until then it mostly asks, and is answered);
 *  - the deadline passes while nobody holds it: one GET at the API server, in case our watch is the one
 *    that is behind, and what it says.
 * Waits are grouped by IP, one GET a group at a time, and a wait whose deadline passes meanwhile joins.
 *
 * The answer of a GET is used for these waits and not fed to the store. It races with the watch, and
 * resourceVersions cannot be compared: a pod whose DELETED event was seen already would be put back and
 * stay for ever. For the same reason it is not believed against what the store knows of that UID.
 *
 * Each wait is answered by a deferred call of its own, which asks the store again: callbacks may
 * cancel and add other waits of the same IP, or free the resolver, and what they get is true at the
 * moment they get it.
 */

#include "nmi/pods/resolver.h"

#include "lib/base/hmap.h"
#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/kube/client.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/store.h"

#include <string.h>
#include <utlist.h>

/* The wait is over already, and SDKs give up after 10 to 60 s: the API server is near or it is down. */
#define GET_MSEC 3000

/* All waits of one IP. Exists while there is one. */
struct target {
	struct hmap_node node;
	struct inet_ip ip;
	struct resolver *resolver;
	struct resolver_wait *waits;
	struct kube_call *call; /* the GET under way, or NULL */
	uint32_t newest;	/* the link that came last before it */
};

struct resolver {
	struct loop *loop;
	struct pod_store *store;
	struct kube_client *client;
	char *node;
	unsigned wait_msec;
	struct hmap targets;
	size_t waiting;
};

enum wait_state {
	WAIT_EVENT, /* from resolver_wait(); left by an event that finds the pod, or the deadline */
	WAIT_GET,   /* from the deadline; left by the answer, or an event that finds the pod */
	WAIT_OVER,  /* from the answer, or a deadline without a GET; left by the deferred call */
};

struct resolver_wait {
	struct target *target;
	struct resolver_wait *prev, *next;
	enum wait_state state;
	struct pod *got; /* what the GET found, or NULL */
	struct loop_timer deadline;
	struct loop_defer answer;
	resolve_done_fn *done;
	void *ctx;
};

static enum resolve_result peek(struct pod_store *store, const struct inet_ip *ip,
				const struct pod **out)
{
	pod_store_catch_up_on(store, ip);
	switch (pod_store_find_ip(store, ip, out)) {
	case POD_FOUND:
		return RESOLVE_FOUND;
	case POD_AMBIGUOUS:
		return RESOLVE_AMBIGUOUS;
	case POD_UNPLACED:
		return RESOLVE_UNPLACED;
	case POD_UNSEEN:
		return RESOLVE_UNSEEN;
	case POD_NONE:
		break;
	}
	return RESOLVE_UNKNOWN;
}

/* targets */

static struct str target_key(const struct hmap_node *n)
{
	return HMAP_BYTES(container_of(n, struct target, node)->ip);
}

static struct target *target_find(const struct resolver *r, const struct inet_ip *ip)
{
	struct hmap_node *n = hmap_find(&r->targets, ip, sizeof(*ip));

	return n ? container_of(n, struct target, node) : NULL;
}

static struct target *target_new(struct resolver *r, const struct inet_ip *ip)
{
	struct target *t = xnew(struct target);

	t->ip = *ip;
	t->resolver = r;
	hmap_add(&r->targets, &t->node, target_key);
	return t;
}

static void target_free(struct target *t)
{
	if (t->call)
		kube_cancel(t->call);
	hmap_del(&t->resolver->targets, &t->node);
	free(t);
}

/* waits */

/* Takes the wait out of everything; the target goes with the last one. */
static void wait_free(struct resolver_wait *w)
{
	struct target *t = w->target;

	loop_timer_del(&w->deadline);
	loop_defer_del(&w->answer);
	DL_DELETE(t->waits, w);
	t->resolver->waiting--;
	if (!t->waits)
		target_free(t);
	(void)pod_unref(w->got);
	free(w);
}

static void answer(struct loop_defer *d)
{
	struct resolver_wait *w = container_of(d, struct resolver_wait, answer);
	resolve_done_fn *done = w->done;
	void *ctx = w->ctx;
	const struct pod *known = NULL;
	enum resolve_result result = peek(w->target->resolver->store, &w->target->ip, &known);
	_cleanup_(pod_unrefp) struct pod *pod = NULL;

	if (result != RESOLVE_FOUND && w->state != WAIT_OVER)
		return; /* it was there and went again: the wait goes on */
	if (result == RESOLVE_UNKNOWN && w->got) {
		result = RESOLVE_FOUND;
		known = w->got;
	}
	if (known)
		pod = pod_ref(known);
	wait_free(w); /* before the call, which may free the resolver */
	done(ctx, result, pod);
}

static void answer_soon(struct resolver_wait *w)
{
	loop_defer(w->target->resolver->loop, &w->answer, answer);
}

static void wait_is_over(struct resolver_wait *w, const struct pod *got)
{
	w->state = WAIT_OVER;
	w->got = got ? pod_ref(got) : NULL;
	answer_soon(w);
}

static void on_ip_changed(void *ctx, const struct inet_ip *ip)
{
	struct resolver *r = ctx;
	struct target *t = target_find(r, ip);
	const struct pod *pod;
	struct resolver_wait *w;

	if (!t || peek(r->store, ip, &pod) != RESOLVE_FOUND)
		return;
	DL_FOREACH (t->waits, w)
		answer_soon(w);
}

/* the GET */

static bool has_ip(const struct pod *p, const struct inet_ip *ip)
{
	for (size_t i = 0; i < p->n_ips; i++) {
		if (inet_ip_eq(&p->ips[i], ip))
			return true;
	}
	return false;
}

/* The store knows this pod, and not as one that merely has no IP yet; or has seen it go. */
static bool is_contradicted(const struct resolver *r, const struct pod *p)
{
	const struct pod *known = pod_store_find_uid(r->store, p->uid);

	return (known && (!pod_is_active(known) || known->n_ips > 0)) ||
	       pod_store_was_removed(r->store, p->uid);
}

/*
 * As for a pod of the store (claim.c): none that is being deleted, its link must have been there before
 * the API server was asked, and it must not be one that has lost its link already (unclaimed.c).
 */
static bool is_misplaced(const struct target *t, const struct pod *p)
{
	struct place place;

	if (!pod_store_is_bound(t->resolver->store))
		return false;
	pod_store_place(t->resolver->store, &t->ip, &place);
	return p->deleting || place.kind != PLACE_LINK || place_own_link(&place) > t->newest ||
	       pod_store_doubts(t->resolver->store, &t->ip, p);
}

static bool is_on_node(const struct resolver *r, const struct jval *obj)
{
	const char *node = "";
	const struct jval_field field = { "spec.nodeName", JVAL_STR, JVAL_MUST, &node };

	return jval_read(obj, &field, 1, JVAL_CASE_EXACT, NULL) == 0 && strcmp(node, r->node) == 0;
}

/*
 * The one active pod of this node in the list that has the IP; else NULL. The selectors of the request
 * say the same; what decides about tokens is not left to them.
 */
static struct pod *pod_from_list(const struct target *t, const struct jval *items)
{
	_cleanup_(pod_unrefp) struct pod *found = NULL;

	for (size_t i = 0; i < jval_len(items); i++) {
		const struct jval *obj = jval_at(items, i);
		struct err err = { 0 };
		_cleanup_(pod_unrefp) struct pod *p = pod_parse(obj, &err);

		if (!p) {
			log_debug("a pod in the answer is ignored: %s", err.msg);
			continue;
		}
		if (!is_on_node(t->resolver, obj) || !pod_is_active(p) || !has_ip(p, &t->ip))
			continue;
		if (found)
			return NULL;
		found = steal_ptr(p);
	}
	if (found && (is_contradicted(t->resolver, found) || is_misplaced(t, found)))
		return NULL;
	return steal_ptr(found);
}

static void on_get(void *ctx, long status, const struct jval *doc, const struct err *err)
{
	struct target *t = ctx;
	const struct jval *items = NULL;
	const struct jval_field field = { "items", JVAL_ARR, JVAL_MUST, &items };
	_cleanup_(pod_unrefp) struct pod *pod = NULL;
	struct resolver_wait *w;

	t->call = NULL;
	if (status == 200 && doc && jval_read(doc, &field, 1, JVAL_CASE_EXACT, NULL) == 0)
		pod = pod_from_list(t, items);
	else
		log_debug("asking the API server for a pod: HTTP %ld %s", status,
			  err ? err->msg : "");
	/* those whose own deadline has not come may still see an event, if this found nobody */
	DL_FOREACH (t->waits, w) {
		if (w->state == WAIT_GET || (w->state == WAIT_EVENT && pod))
			wait_is_over(w, pod);
	}
}

/*
 * The API server selects by the first of a pod's addresses only. Where it gives the other family first,
 * all pods of the node are asked for: 53 ms of work for 250 of them, once at the end of a wait in vain.
 */
static struct kube_call *ask(struct target *t)
{
	struct resolver *r = t->resolver;
	char ip[INET_IP_TEXT_MAX];
	bool second = pod_store_has_second(r->store, &t->ip);
	_cleanup_free_ char *selector =
		xasprintf("spec.nodeName=%s%s%s", r->node,
			  second ? "" : ",status.podIP=", second ? "" : inet_ip_print(&t->ip, ip));
	_cleanup_free_ char *escaped = kube_escape(selector);
	_cleanup_free_ char *path = xasprintf("/api/v1/pods?fieldSelector=%s", escaped);

	t->newest = pod_store_newest_link(r->store);
	return kube_get(r->client, path, GET_MSEC, on_get, t);
}

static void on_deadline(struct loop_timer *timer)
{
	struct resolver_wait *w = container_of(timer, struct resolver_wait, deadline);
	struct target *t = w->target;
	const struct pod *pod;

	if (peek(t->resolver->store, &t->ip, &pod) != RESOLVE_UNKNOWN || !t->resolver->client) {
		wait_is_over(w, NULL);
		return;
	}
	w->state = WAIT_GET;
	if (!t->call)
		t->call = ask(t);
}

/* the resolver */

struct resolver *resolver_new(struct loop *l, struct pod_store *store, struct kube_client *client,
			      const char *node, unsigned wait_msec)
{
	struct resolver *r = xnew(struct resolver);

	r->loop = l;
	r->store = store;
	r->client = client;
	r->node = xstrdup(node);
	r->wait_msec = wait_msec;
	pod_store_on_change(store, on_ip_changed, r);
	return r;
}

void resolver_set_wait(struct resolver *r, unsigned wait_msec)
{
	r->wait_msec = wait_msec;
}

struct resolver *resolver_free(struct resolver *r)
{
	struct hmap_node *n;

	if (!r)
		return NULL;
	pod_store_on_change(r->store, NULL, NULL);
	while ((n = hmap_first(&r->targets)))
		wait_free(container_of(n, struct target, node)->waits);
	free(r->node);
	free(r);
	return NULL;
}

void resolver_admit(struct resolver *r, const struct inet_ip *ip)
{
	pod_store_look(r->store, ip);
}

bool resolver_vouch(struct resolver *r, const struct inet_ip *ip, struct place *out)
{
	const struct pod *pod;

	if (peek(r->store, ip, &pod) != RESOLVE_UNKNOWN)
		return false;
	pod_store_place(r->store, ip, out);
	return out->kind == PLACE_LINK;
}

bool resolver_vouches(struct resolver *r, const struct inet_ip *ip, const struct pod *p,
		      const struct place *then)
{
	struct place now;

	pod_store_place(r->store, ip, &now);
	return place_is_same(&now, then) && !is_contradicted(r, p);
}

void resolver_print_place(const struct resolver *r, const struct inet_ip *ip,
			  char buf[PLACE_NAME_MAX])
{
	pod_store_print_place(r->store, ip, buf);
}

enum resolve_result resolver_peek(const struct resolver *r, const struct inet_ip *ip,
				  const struct pod **out)
{
	return peek(r->store, ip, out);
}

void resolver_claimants(const struct resolver *r, const struct inet_ip *ip,
			void (*fn)(void *ctx, const struct pod *pod), void *ctx)
{
	pod_store_claimants(r->store, ip, fn, ctx);
}

struct resolver_wait *resolver_wait(struct resolver *r, const struct inet_ip *ip,
				    resolve_done_fn *done, void *ctx)
{
	const struct pod *pod;
	struct resolver_wait *w;
	struct target *t;

	if (r->waiting >= LIMIT_WAITING)
		return NULL;
	t = target_find(r, ip);
	if (!t)
		t = target_new(r, ip);
	w = xnew(struct resolver_wait);
	w->target = t;
	w->done = done;
	w->ctx = ctx;
	DL_APPEND(t->waits, w);
	r->waiting++;
	loop_timer_set_msec(r->loop, &w->deadline, r->wait_msec, on_deadline);
	if (peek(r->store, ip, &pod) == RESOLVE_FOUND)
		answer_soon(w);
	return w;
}

void resolver_cancel(struct resolver_wait *w)
{
	wait_free(w);
}

size_t resolver_waiting(const struct resolver *r)
{
	return r->waiting;
}
