/* SPDX-License-Identifier: MIT */

/*
 * The life of one token request: see issue.h.
 *
 * Theory of operation. look() is a pure question to memory: who has this address now, and what may that
 * pod have now? It is asked when a request starts, and asked again from the beginning each time the
 * request wakes from a wait: what was true before a wait is never relied upon after it. In particular
 * a token that arrives is handed out only if, at that moment, the address still belongs to the same
 * pod (by UID) and that pod is still granted the same identity:
 *
 *	- another pod, or none, has the address: refused, and the caller asks again as whoever it is;
 *	- the pod may no longer have an identity: refused with that reason;
 *	- it is granted another identity: fetched once more, for that one.
 *
 * So a request can wait for four things, one after the other, each with its own limit: its pod to be
 * known, the first sync of the identity objects, the controller to assign its identity (standard mode),
 * its token. Nothing is polled: a change of objects or pods makes those look again whom it may concern.
 */

#include "nmi/issue.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/loop/loop.h"
#include "nmi/identity/decide.h"
#include "nmi/issue_text.h"
#include "nmi/limits.h"
#include "nmi/pods/by_name.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/resolver.h"
#include "nmi/token/cache.h"
#include "nmi/token/key.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

/*
 * RESOLVING  Nobody, or more than one, has the address, or the name: `pod` is not set; or the kernel does
 *            not know where the address is: `pod` is, and `was_unseen`. `resolving`, or `naming`, is set.
 *            Left by on_pod(), or on_named().
 * SYNCING    The pod is known (`pod`), the identity objects are not, or not its ServiceAccount.
 *            `sync_deadline` is set, `timer` runs. Left by on_change(), once they are, or on_late().
 * ASSIGNING  The decider says that it is worth waiting. `assigning_since` is set, `timer` runs. Left by
 *            on_change(), once it says something else, or on_late().
 * FETCHING   Granted. `fetching` is set; `pod` and `identity` are what it is fetched for. Left by
 *            on_token(), once into FETCHING again, or back to ASSIGNING, or once to RESOLVING.
 *
 * Entered in this order; any but the last may be passed over, and a request that never waits has no
 * struct issue at all.
 */
enum issue_state { ISSUE_RESOLVING, ISSUE_SYNCING, ISSUE_ASSIGNING, ISSUE_FETCHING };

struct issue {
	struct issuer *issuer;
	enum issue_state state;
	struct mono state_since;
	struct issue_waits waits; /* before that */
	struct issue_request req; /* strings owned */
	struct resolver_wait *resolving;
	struct by_name_wait *naming;
	struct token_wait *fetching;
	struct loop_timer timer;
	struct loop_defer wake;
	struct pod *pod;		 /* the first that had the address; no other is served */
	bool was_unseen;		 /* it has waited for that */
	bool is_vouched;		 /* by the API server, against our watch */
	struct place vouched_at;	 /* where the address led to then */
	struct azure_identity *identity; /* NULL: the node's own */
	bool is_again;			 /* fetched for another identity before */
	struct mono assigning_since;	 /* all waiting for an assignment counts from there */
	bool was_assigning;
	struct mono sync_deadline, token_deadline;
	issue_done_fn *done;
	void *ctx;
	struct issue *prev, *next;
};

struct issuer {
	struct loop *loop;
	struct issuer_spec spec;
	struct issue *issues;
	size_t n_undecided; /* SYNCING or ASSIGNING */
};

/* answers */

static void grant(struct issue_answer *a, const struct token *tok, const struct token_ask *ask,
		  const char *source)
{
	a->reason = REASON_NONE;
	a->token = tok;
	a->body_id = tok->id;
	a->client_id = ask->identity ? ask->identity->client_id : NULL;
	a->source = source;
	a->token_client_id = tok->client_id;
	a->expires_on = tok->expires_on;
	a->renew_at = tok->renew_at;
}

static void answer_name(struct issue_answer *a, const struct pod *pod)
{
	str_copy(a->pod_namespace, sizeof(a->pod_namespace), pod->namespace);
	a->pod_uid = pod->uid;
	a->pod_name = pod->name;
}

/* looking */

enum look {
	LOOK_REFUSED,	/* the answer says why */
	LOOK_UNKNOWN,	/* nobody is known to have the address */
	LOOK_AMBIGUOUS, /* several have it; the answer says so */
	LOOK_UNSEEN,	/* one has it, the kernel does not know where; the answer says so */
	LOOK_UNSYNCED,	/* the pod is known, not all objects have been seen; the answer says so */
	LOOK_ASSIGNING, /* the controller has not assigned it; the answer says so */
	LOOK_GRANTED,	/* `ask` is what to fetch */
};

struct sight {
	const struct pod *pod; /* borrowed, as all of it, until the loop runs again */
	bool is_named;	       /* of LOOK_ASSIGNING: the controller is at it */
	struct token_pod asker;
	struct token_ask ask;
};

static void note_choice(const struct issue_request *req, const struct pod *pod,
			const struct match_answer *m)
{
	const struct log_field fields[] = { { "request", req->id } };

	if (m->candidates < 2 || req->selector.kind != SELECTOR_NONE ||
	    !log_enabled(LOG_LEVEL_DEBUG))
		return;
	log_write(LOG_LEVEL_DEBUG, fields, ARRAY_SIZE(fields),
		  "pod %s/%s names none of its %zu identities: AzureIdentity %s, chosen by weight, "
		  "then name",
		  pod->namespace, pod->name, m->candidates, m->identity->meta.name);
}

static enum look decide(const struct issuer *i, const struct issue_request *req, struct sight *out,
			struct issue_answer *a)
{
	const struct pod *pod = out->pod;
	const struct match_pod mp = { .namespace = pod->namespace,
				      .name = pod->name,
				      .labels = pod->labels,
				      .service_account = pod->service_account,
				      .no_exceptions = req->by_name };
	struct match_answer m = { 0 };

	i->spec.decider->decide(i->spec.decider->ctx, &mp, &req->selector, &m);
	if (m.result != MATCH_GRANTED && (m.result != MATCH_EXCEPTED || req->by_name)) {
		char why[ISSUE_TEXT_MAX];

		match_explain(&mp, &req->selector, &m, why, sizeof(why));
		issue_refuse(a, issue_reason_of_match(m.result), "%s", why);
		if (m.result == MATCH_ACCOUNT_UNSEEN)
			return LOOK_UNSYNCED;
		out->is_named = m.result == MATCH_NOT_ASSIGNED_YET;
		return match_is_wait(m.result) ? LOOK_ASSIGNING : LOOK_REFUSED;
	}
	out->asker = (struct token_pod){ .namespace = pod->namespace,
					 .name = pod->name,
					 .uid = pod->uid,
					 .service_account = pod->service_account };
	out->ask = (struct token_ask){ .pod = &out->asker,
				       .identity = m.result == MATCH_GRANTED ? m.identity : NULL,
				       .selector = req->selector,
				       .resource = req->resource,
				       .bypass_cache = req->bypass_cache };
	a->identity = out->ask.identity;
	a->is_node = !a->identity;
	if (a->is_node)
		return LOOK_GRANTED;
	if (issue_refuse_identity(a, pod, m.identity))
		return LOOK_REFUSED;
	note_choice(req, pod, &m);
	return LOOK_GRANTED;
}

static void refuse_unplaced(const struct issuer *i, struct issue_answer *a, const struct pod *pod,
			    const struct inet_ip *peer)
{
	char ip[INET_IP_TEXT_MAX], place[PLACE_NAME_MAX];

	resolver_print_place(i->spec.resolver, peer, place);
	answer_name(a, pod);
	issue_refuse(
		a, REASON_LINK_MISMATCH,
		"pod %s/%s: its address %s leads to %s, which is not known to be its own link, so "
		"it may be another pod that asks; ask again if the pod has just started",
		pod->namespace, pod->name, inet_ip_print(peer, ip), place);
}

/*
 * `vouched` is a pod that the API server has named at the end of a wait, or NULL. It stands in as long
 * as our own watch knows nobody at the address. LOOK_GRANTED: there is a pod.
 */
static enum look look_for_pod(const struct issuer *i, const struct issue_request *req,
			      const struct pod *vouched, struct sight *out, struct issue_answer *a)
{
	char ip[INET_IP_TEXT_MAX];

	if (req->by_name) {
		out->pod = by_name_peek(i->spec.names, req->pod_namespace, req->pod_name);
		return out->pod ? LOOK_GRANTED : LOOK_UNKNOWN;
	}
	if (issue_refuse_source(a, &req->peer))
		return LOOK_REFUSED;
	switch (resolver_peek(i->spec.resolver, &req->peer, &out->pod)) {
	case RESOLVE_UNKNOWN:
		out->pod = vouched;
		return vouched ? LOOK_GRANTED : LOOK_UNKNOWN;
	case RESOLVE_AMBIGUOUS:
		issue_refuse(
			a, REASON_AMBIGUOUS_IP,
			"more than one running pod of this node has the address %s, so none of "
			"them "
			"is served; ask again when the older one has ended, and if that does not "
			"help find them with kubectl get pods -A -o wide",
			inet_ip_print(&req->peer, ip));
		return LOOK_AMBIGUOUS;
	case RESOLVE_UNPLACED:
		refuse_unplaced(i, a, out->pod, &req->peer);
		return LOOK_REFUSED;
	case RESOLVE_UNSEEN:
		refuse_unplaced(i, a, out->pod, &req->peer);
		return LOOK_UNSEEN;
	case RESOLVE_OVERLOADED:
		issue_refuse_overloaded(a, "their pod to be known");
		return LOOK_REFUSED;
	case RESOLVE_FOUND:
		break;
	}
	return LOOK_GRANTED;
}

static enum look look(const struct issuer *i, const struct issue_request *req,
		      const struct pod *vouched, struct sight *out, struct issue_answer *a)
{
	enum look seen = look_for_pod(i, req, vouched, out, a);

	if (seen != LOOK_GRANTED)
		return seen;
	if (req->pod_uid && strcmp(req->pod_uid, out->pod->uid) != 0) {
		/* names neither: who reads it is not known */
		issue_refuse(
			a, REASON_STALE_CONNECTION,
			"the address belongs to another pod than when this connection was made; "
			"connect again");
		return LOOK_REFUSED;
	}
	answer_name(a, out->pod);
	if (!i->spec.decider->is_ready(i->spec.decider->ctx)) {
		issue_refuse_unsynced(a, out->pod);
		return LOOK_UNSYNCED;
	}
	return decide(i, req, out, a);
}

/* refusals of the issuer's own */

/* Says nothing of the pod that has the address now: the caller may be either. */
static void refuse_moved(struct issue_answer *a, const struct issue *q)
{
	char ip[INET_IP_TEXT_MAX];

	/* nor does the log mix the two: what was looked at last is perhaps the other one's */
	answer_name(a, q->pod);
	a->identity = NULL;
	a->is_node = false;
	a->source = NULL;
	if (q->req.by_name) {
		issue_refuse(
			a, REASON_POD_UNKNOWN,
			"pod %s/%s ended, or was replaced, while the request in its name was under "
			"way, so nothing is handed out; ask again",
			q->pod->namespace, q->pod->name);
		return;
	}
	issue_refuse(a, REASON_POD_UNKNOWN,
		     "the address %s left pod %s/%s while its request was under way, so nothing is "
		     "handed out; ask again",
		     inet_ip_print(&q->req.peer, ip), q->pod->namespace, q->pod->name);
}

/* reporting */

struct report {
	const struct issuer *issuer;
	const struct issue_request *req;
	struct issue_answer *answer;
};

static void report_to(void *ctx, const struct pod *pod)
{
	const struct report *r = ctx;
	const struct issuer_spec *spec = &r->issuer->spec;

	r->answer->is_reported |= spec->refused(spec->refused_ctx, pod, r->answer->reason,
						r->answer->text, r->req->id);
}

/* Of whatever answer a request ends with; `pod` NULL: it is not known. */
static void report(const struct issuer *i, const struct issue_request *req, const struct pod *pod,
		   struct issue_answer *a)
{
	struct report r = { i, req, a };

	if (a->reason == REASON_NONE || !i->spec.refused)
		return;
	if (a->reason == REASON_AMBIGUOUS_IP)
		resolver_claimants(i->spec.resolver, &req->peer, report_to, &r);
	else if (pod)
		report_to(&r, pod);
}

/* the life of a request that waits */

static const char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static struct issue *issue_new(struct issuer *i, const struct issue_request *req,
			       issue_done_fn *done, void *ctx)
{
	struct issue *q = xnew(struct issue);

	q->issuer = i;
	q->req = *req;
	q->req.resource = xstrdup(req->resource);
	q->req.selector.value = xstrdup(req->selector.value ? req->selector.value : "");
	q->req.id = copy(req->id);
	q->req.pod_namespace = copy(req->pod_namespace);
	q->req.pod_name = copy(req->pod_name);
	q->req.pod_uid = copy(req->pod_uid);
	q->done = done;
	q->ctx = ctx;
	q->state = ISSUE_RESOLVING;
	q->state_since = loop_mono(i->loop);
	DL_APPEND(i->issues, q);
	return q;
}

static bool is_undecided(enum issue_state state)
{
	return state == ISSUE_SYNCING || state == ISSUE_ASSIGNING;
}

static uint64_t *wait_of(struct issue *q)
{
	switch (q->state) {
	case ISSUE_RESOLVING:
		return &q->waits.pod_ns;
	case ISSUE_SYNCING:
	case ISSUE_ASSIGNING:
		return &q->waits.identity_ns;
	case ISSUE_FETCHING:
		break;
	}
	return &q->waits.token_ns;
}

static void set_state(struct issue *q, enum issue_state state)
{
	struct mono now = loop_mono(q->issuer->loop);

	*wait_of(q) += now.ns - q->state_since.ns;
	q->state_since = now;
	q->issuer->n_undecided += is_undecided(state);
	q->issuer->n_undecided -= is_undecided(q->state);
	q->state = state;
}

static void issue_free(struct issue *q)
{
	set_state(q, ISSUE_RESOLVING);
	/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a head without a next is its own prev */
	DL_DELETE(q->issuer->issues, q);
	if (q->resolving)
		resolver_cancel(q->resolving);
	if (q->naming)
		by_name_cancel(q->naming);
	if (q->fetching)
		token_cache_cancel(q->fetching);
	loop_timer_del(&q->timer);
	loop_defer_del(&q->wake);
	(void)pod_unref(q->pod);
	(void)azure_identity_unref(q->identity);
	free((char *)(uintptr_t)q->req.resource);
	free((char *)(uintptr_t)q->req.selector.value);
	free((char *)(uintptr_t)q->req.id);
	free((char *)(uintptr_t)q->req.pod_namespace);
	free((char *)(uintptr_t)q->req.pod_name);
	free((char *)(uintptr_t)q->req.pod_uid);
	free(q);
}

static void finish(struct issue *q, struct issue_answer *a)
{
	issue_done_fn *done = q->done;
	void *ctx = q->ctx;
	struct pod *pod;

	set_state(q, q->state);
	a->waits = q->waits;
	report(q->issuer, &q->req, q->pod, a);
	a->began_as = q->pod ? q->pod->uid : NULL;
	pod = steal_ptr(q->pod); /* the answer borrows from it */
	issue_free(q);
	done(ctx, a);
	(void)pod_unref(pod);
}

static void on_token(void *ctx, struct token *tok, const struct token_failure *fail);

static void fetch(struct issue *q, const struct sight *s)
{
	struct issuer *i = q->issuer;
	struct azure_identity *was = q->identity;

	if (!q->token_deadline.ns)
		q->token_deadline = mono_add_msec(loop_mono(i->loop), i->spec.token_wait_msec);
	q->identity = s->ask.identity ? azure_identity_ref(s->ask.identity) : NULL;
	(void)azure_identity_unref(was);
	set_state(q, ISSUE_FETCHING);
	q->fetching = token_cache_get(i->spec.tokens, &s->ask, q->token_deadline, on_token, q);
}

/* Is it still the pod that the request began with? Remembers it the first time. */
static bool is_same_pod(struct issue *q, const struct pod *pod)
{
	if (!q->pod)
		q->pod = pod_ref(pod);
	return strcmp(q->pod->uid, pod->uid) == 0;
}

/* Is what was fetched still what would be fetched? */
static bool is_same_ask(const struct issue *q, const struct token_ask *now)
{
	const struct token_pod asker = { .namespace = q->pod->namespace,
					 .service_account = q->pod->service_account };
	const struct token_ask then = { .pod = &asker,
					.identity = q->identity,
					.selector = q->req.selector,
					.resource = q->req.resource };

	return token_key_eq(&then, now);
}

/* False with the answer filled if it cannot wait. */
static bool wait_undecided(struct issue *q, enum issue_state state, struct issue_answer *a)
{
	if (!is_undecided(q->state) && q->issuer->n_undecided >= LIMIT_WAITING) {
		issue_refuse_overloaded(a, "the identity objects");
		return false;
	}
	set_state(q, state);
	return true;
}

static void look_and_go_on(struct issue *q);

static void on_late(struct loop_timer *t)
{
	look_and_go_on(container_of(t, struct issue, timer));
}

/* The answer is filled already, with what was not seen; it is given when all waiting is done. */
static bool wait_for_sync(struct issue *q, struct issue_answer *a)
{
	struct issuer *i = q->issuer;

	if (!q->sync_deadline.ns)
		q->sync_deadline = mono_add_msec(loop_mono(i->loop), i->spec.sync_wait_msec);
	if (!mono_before(loop_mono(i->loop), q->sync_deadline) ||
	    !wait_undecided(q, ISSUE_SYNCING, a))
		return false;
	loop_timer_set(i->loop, &q->timer, q->sync_deadline, on_late);
	return true;
}

static void on_pod(void *ctx, enum resolve_result result, const struct pod *pod);

/*
 * On a bridge the kernel forgets where a pod is that has been silent for a minute (its neighbour entry), and
 * asks the pod as soon as it acknowledges the request; with a connection that was kept alive that is after
 * we have read it. The answer is filled already; it is given if the wait is in vain, or was before.
 */
static bool wait_to_be_seen(struct issue *q, struct issue_answer *a)
{
	if (q->was_unseen)
		return false;
	q->was_unseen = true;
	q->resolving = resolver_wait(q->issuer->spec.resolver, &q->req.peer, on_pod, q);
	if (!q->resolving) {
		issue_refuse_overloaded(a, "their pod to be known");
		return false;
	}
	loop_timer_del(&q->timer);
	set_state(q, ISSUE_RESOLVING);
	q->token_deadline = (struct mono){ 0 };
	return true;
}

/* The answer is filled already, with why it is not assigned; it is given when all waiting is done. */
static bool wait_for_assignment(struct issue *q, const struct sight *s, struct issue_answer *a)
{
	struct issuer *i = q->issuer;
	unsigned wait_msec = s->is_named ? i->spec.assigned_wait_msec : i->spec.named_wait_msec;
	struct mono until;

	if (!q->was_assigning)
		q->assigning_since = loop_mono(i->loop);
	q->was_assigning = true;
	until = mono_add_msec(q->assigning_since, wait_msec);
	if (!mono_before(loop_mono(i->loop), until) || !wait_undecided(q, ISSUE_ASSIGNING, a))
		return false;
	loop_timer_set(i->loop, &q->timer, until, on_late);
	q->token_deadline = (struct mono){ 0 };
	return true;
}

/*
 * The pod that the API server named while our watch was behind. Once the watch has shown anybody at the
 * address its word counts, also when it takes it back.
 */
static const struct pod *vouched(struct issue *q)
{
	struct resolver *r = q->issuer->spec.resolver;
	const struct pod *known;

	if (q->is_vouched && (resolver_peek(r, &q->req.peer, &known) != RESOLVE_UNKNOWN ||
			      !resolver_vouches(r, &q->req.peer, q->pod, &q->vouched_at)))
		q->is_vouched = false;
	return q->is_vouched ? q->pod : NULL;
}

static void on_token(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct issue *q = ctx;
	struct issue_answer a;
	struct sight s = { 0 };
	enum look seen;

	q->fetching = NULL;
	issue_answer_init(&a);
	seen = look(q->issuer, &q->req, vouched(q), &s, &a);
	if (seen == LOOK_GRANTED)
		a.source = token_cache_source_name(q->issuer->spec.tokens, &s.ask);
	if (seen == LOOK_UNKNOWN || (s.pod && !is_same_pod(q, s.pod))) {
		refuse_moved(&a, q);
	} else if (seen == LOOK_ASSIGNING) {
		/* as after each edit of its binding: the token is kept by the cache meanwhile */
		if (wait_for_assignment(q, &s, &a))
			return;
	} else if (seen == LOOK_UNSEEN) {
		if (wait_to_be_seen(q, &a))
			return;
	} else if (seen == LOOK_GRANTED && !is_same_ask(q, &s.ask)) {
		if (!q->is_again) {
			q->is_again = true;
			fetch(q, &s);
			return;
		}
		issue_refuse(
			&a, REASON_NOT_SYNCED,
			"pod %s/%s: its identity was changed twice while a token was fetched; ask "
			"again",
			q->pod->namespace, q->pod->name);
	} else if (seen == LOOK_GRANTED && tok) {
		grant(&a, tok, &s.ask, token_was_kept(tok, q->state_since) ? "cache" : a.source);
	} else if (seen == LOOK_GRANTED) {
		issue_refuse_failure(&a, q->pod, q->identity, fail);
	}
	finish(q, &a);
}

/* On from a wait, or from nothing: false with the answer filled if the request ends here. */
static bool go_on(struct issue *q, enum look seen, const struct sight *s, struct issue_answer *a)
{
	const struct token *tok;

	if (s->pod && !is_same_pod(q, s->pod)) {
		refuse_moved(a, q);
		return false;
	}
	switch (seen) {
	case LOOK_REFUSED:
	case LOOK_AMBIGUOUS:
		return false;
	case LOOK_UNKNOWN:
		if (q->pod)
			refuse_moved(a, q);
		else
			issue_refuse_unknown(a, &q->req);
		return false;
	case LOOK_UNSEEN:
		return wait_to_be_seen(q, a);
	case LOOK_UNSYNCED:
		return wait_for_sync(q, a);
	case LOOK_ASSIGNING:
		return wait_for_assignment(q, s, a);
	case LOOK_GRANTED:
		loop_timer_del(&q->timer);
		tok = token_cache_peek(q->issuer->spec.tokens, &s->ask);
		if (tok) {
			grant(a, tok, &s->ask, "cache");
			return false;
		}
		fetch(q, s);
		return true;
	}
	return false;
}

static void look_and_go_on(struct issue *q)
{
	struct issue_answer a;
	struct sight s = { 0 };
	enum look seen;

	loop_defer_del(&q->wake); /* it looks now */
	issue_answer_init(&a);
	seen = look(q->issuer, &q->req, vouched(q), &s, &a);
	if (!go_on(q, seen, &s, &a))
		finish(q, &a);
}

/* It may be found by the resolver's own means only: look() asks the watch first all the same. */
static void on_pod(void *ctx, enum resolve_result result, const struct pod *pod)
{
	struct issue *q = ctx;

	q->resolving = NULL;
	if (result == RESOLVE_FOUND)
		q->is_vouched = is_same_pod(q, pod) && resolver_vouch(q->issuer->spec.resolver,
								      &q->req.peer, &q->vouched_at);
	look_and_go_on(q);
}

static void on_named(void *ctx, const struct pod *pod)
{
	struct issue *q = ctx;

	(void)pod; /* look() asks again, and for the first time too */
	q->naming = NULL;
	look_and_go_on(q);
}

/* False: too many do. */
static bool wait_for_pod(struct issue *q)
{
	const struct issuer_spec *spec = &q->issuer->spec;

	if (q->req.by_name)
		q->naming = by_name_wait(spec->names, q->req.pod_namespace, q->req.pod_name,
					 on_named, q);
	else
		q->resolving = resolver_wait(spec->resolver, &q->req.peer, on_pod, q);
	return q->naming || q->resolving;
}

static void on_change(struct loop_defer *d)
{
	look_and_go_on(container_of(d, struct issue, wake));
}

/* the issuer */

struct issuer *issuer_new(struct loop *l, const struct issuer_spec *spec)
{
	struct issuer *i = xnew(struct issuer);

	i->loop = l;
	i->spec = *spec;
	return i;
}

void issuer_set_waits(struct issuer *i, unsigned token_msec, unsigned named_msec,
		      unsigned assigned_msec)
{
	i->spec.token_wait_msec = token_msec;
	i->spec.named_wait_msec = named_msec;
	i->spec.assigned_wait_msec = assigned_msec;
}

struct issuer *issuer_free(struct issuer *i)
{
	if (!i)
		return NULL;
	while (i->issues)
		issue_free(i->issues);
	free(i);
	return NULL;
}

void issuer_identities_changed(struct issuer *i)
{
	struct issue *q;

	if (!i->n_undecided || !i->spec.decider->is_ready(i->spec.decider->ctx))
		return;
	DL_FOREACH (i->issues, q) {
		if (is_undecided(q->state))
			loop_defer(i->loop, &q->wake, on_change);
	}
}

size_t issuer_waiting(const struct issuer *i)
{
	return i->n_undecided;
}

void issuer_admit(struct issuer *i, const struct inet_ip *peer)
{
	resolver_admit(i->spec.resolver, peer);
}

const char *issuer_owner(const struct issuer *i, const struct inet_ip *peer)
{
	const struct pod *pod;

	return resolver_peek(i->spec.resolver, peer, &pod) == RESOLVE_FOUND ? pod->uid : NULL;
}

struct issue *issue_start(struct issuer *i, const struct issue_request *req,
			  struct issue_answer *out, issue_done_fn *done, void *ctx)
{
	struct sight s = { 0 };
	const struct token *tok;
	struct issue *q;
	enum look seen;

	issue_answer_init(out);
	seen = look(i, req, NULL, &s, out);
	if (seen == LOOK_REFUSED) {
		report(i, req, s.pod, out);
		return NULL;
	}
	if (seen == LOOK_GRANTED && (tok = token_cache_peek(i->spec.tokens, &s.ask))) {
		grant(out, tok, &s.ask, "cache");
		return NULL;
	}
	q = issue_new(i, req, done, ctx);
	if (seen == LOOK_UNKNOWN || seen == LOOK_AMBIGUOUS) {
		if (wait_for_pod(q))
			return q;
		issue_refuse_overloaded(out, "their pod to be known");
	} else if (go_on(q, seen, &s, out)) {
		return q;
	}
	report(i, req, q->pod, out);
	issue_free(q);
	return NULL;
}

const char *issue_pod_uid(const struct issue *q)
{
	return q->pod ? q->pod->uid : NULL;
}

void issue_cancel(struct issue *q)
{
	issue_free(q);
}

char *issue_body(struct issuer *i, const struct token *token, size_t *out_len)
{
	return token_body(token, loop_wall(i->loop), out_len);
}

char *issue_body_first(struct issuer *i, const struct token *token, size_t *out_len)
{
	return token_body_first(token, loop_wall(i->loop), out_len);
}

void issue_body_free(char *body, size_t len)
{
	token_body_free(body, len);
}
