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
 * So a request can wait for three things, one after the other, each with its own limit: its pod to be
 * known, the first sync of the identity objects, its token.
 */

#include "nmi/issue.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/identity/decide.h"
#include "nmi/limits.h"
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
 * RESOLVING  Nobody, or more than one, has the address. `resolving` is set, `pod` is not. Left by
 *            on_pod().
 * SYNCING    The pod is known (`pod`), the identity objects are not. `timer` runs. Left by
 *            on_identities(), once the decider is ready, or on_sync_late().
 * FETCHING   Granted. `fetching` is set; `pod` and `identity` are what it is fetched for. Left by
 *            on_token(), once into FETCHING again.
 *
 * Entered in this order; SYNCING or both first ones may be passed over, and a request that never waits
 * has no struct issue at all.
 */
enum issue_state { ISSUE_RESOLVING, ISSUE_SYNCING, ISSUE_FETCHING };

struct issue {
	struct issuer *issuer;
	enum issue_state state;
	struct issue_request req; /* strings owned */
	struct resolver_wait *resolving;
	struct token_wait *fetching;
	struct loop_timer timer;
	struct loop_defer wake;
	struct pod *pod;		 /* the first that had the address; no other is served */
	bool is_vouched;		 /* by the API server, against our watch */
	struct place vouched_at;	 /* where the address led to then */
	struct azure_identity *identity; /* NULL: the node's own */
	bool is_again;			 /* fetched for another identity before */
	struct mono token_deadline;
	issue_done_fn *done;
	void *ctx;
	struct issue *prev, *next;
};

struct issuer {
	struct loop *loop;
	struct issuer_spec spec;
	struct issue *issues;
	size_t n_syncing;
};

/* answers */

/*
 * Some SDKs take a text with this word for "there is no metadata service here" and never come back; it
 * may stand in what the kernel or an upstream said.
 */
static void avoid_unreachable(char *text)
{
	static const char bad[] = "unreachable", good[] = "unavailable";

	static_assert(sizeof(bad) == sizeof(good), "replaced in place");
	for (char *at = text; (at = strcasestr(at, bad));)
		memcpy(at, good, sizeof(good) - 1);
}

static void refuse(struct issue_answer *a, enum reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct issue_answer *a, enum reason reason, const char *fmt, ...)
{
	va_list ap;

	a->reason = reason;
	va_start(ap, fmt);
	(void)vsnprintf(a->text, sizeof(a->text), fmt, ap);
	va_end(ap);
	avoid_unreachable(a->text);
}

static void grant(struct issue_answer *a, const struct token *tok)
{
	a->reason = REASON_NONE;
	a->token = tok;
	a->body_id = tok->id;
}

/* Field by field: the text is half a kilobyte, and this is on the way of every request. */
static void answer_init(struct issue_answer *a)
{
	a->reason = REASON_INTERNAL;
	a->token = NULL;
	a->body_id = 0;
	a->retry_after_sec = 0;
	a->error[0] = '\0';
	a->text[0] = '\0';
	a->pod_namespace[0] = '\0';
}

static void name_pod(struct issue_answer *a, const struct pod *pod)
{
	(void)snprintf(a->pod_namespace, sizeof(a->pod_namespace), "%s", pod->namespace);
}

/* looking */

enum look {
	LOOK_REFUSED,	/* the answer says why */
	LOOK_UNKNOWN,	/* nobody is known to have the address */
	LOOK_AMBIGUOUS, /* several have it; the answer says so */
	LOOK_UNSYNCED,	/* the pod is known, the identity objects have not been seen */
	LOOK_GRANTED,	/* `ask` is what to fetch */
};

struct sight {
	const struct pod *pod; /* borrowed, as all of it, until the loop runs again */
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

static enum reason reason_of_match(enum match_result r)
{
	switch (r) {
	case MATCH_NO_LABEL:
		return REASON_NO_LABEL;
	case MATCH_NO_BINDING:
		return REASON_NO_BINDING;
	case MATCH_IDENTITY_NOT_FOUND:
		return REASON_IDENTITY_NOT_FOUND;
	case MATCH_SELECTOR_NOT_BOUND:
		return REASON_NOT_BOUND;
	case MATCH_SELECTOR_UNSUPPORTED:
		return REASON_SELECTOR;
	case MATCH_GRANTED:
	case MATCH_EXCEPTED:
	case MATCH_RESULTS:
		break;
	}
	return REASON_INTERNAL;
}

static bool lacks_client_id(const struct azure_identity *i)
{
	return i->type == AZURE_IDENTITY_USER_ASSIGNED &&
	       i->client_id[strspn(i->client_id, " \t\r\n")] == '\0';
}

static enum look decide(const struct issuer *i, const struct issue_request *req, struct sight *out,
			struct issue_answer *a)
{
	const struct pod *pod = out->pod;
	const struct match_pod mp = { .namespace = pod->namespace,
				      .name = pod->name,
				      .labels = pod->labels,
				      .n_labels = pod->n_labels };
	struct match_answer m = { 0 };

	i->spec.decider->decide(i->spec.decider->ctx, &mp, &req->selector, &m);
	if (m.result != MATCH_GRANTED && m.result != MATCH_EXCEPTED) {
		char why[ISSUE_TEXT_MAX];

		match_explain(&mp, &req->selector, &m, why, sizeof(why));
		refuse(a, reason_of_match(m.result), "%s", why);
		return LOOK_REFUSED;
	}
	out->ask = (struct token_ask){ .identity = m.result == MATCH_GRANTED ? m.identity : NULL,
				       .selector = req->selector,
				       .resource = req->resource,
				       .bypass_cache = req->bypass_cache };
	if (!out->ask.identity)
		return LOOK_GRANTED;
	if (lacks_client_id(m.identity)) {
		refuse(a, REASON_IDENTITY_INVALID,
		       "pod %s/%s: AzureIdentity %s/%s has no spec.clientID; set it to the client "
		       "id of the managed identity",
		       pod->namespace, pod->name, m.identity->meta.namespace,
		       m.identity->meta.name);
		return LOOK_REFUSED;
	}
	note_choice(req, pod, &m);
	return LOOK_GRANTED;
}

static void refuse_unplaced(const struct issuer *i, struct issue_answer *a, const struct pod *pod,
			    const struct inet_ip *peer)
{
	char ip[INET_IP_TEXT_MAX], place[PLACE_NAME_MAX];

	resolver_print_place(i->spec.resolver, peer, place);
	name_pod(a, pod);
	refuse(a, REASON_LINK_MISMATCH,
	       "pod %s/%s: its address %s leads to %s, which is not known to be its own link, so "
	       "it may be another pod that asks; ask again if the pod has just started",
	       pod->namespace, pod->name, inet_ip_print(peer, ip), place);
}

/*
 * `vouched` is a pod that the API server has named at the end of a wait, or NULL. It stands in as long
 * as our own watch knows nobody at the address.
 */
static enum look look(const struct issuer *i, const struct issue_request *req,
		      const struct pod *vouched, struct sight *out, struct issue_answer *a)
{
	char ip[INET_IP_TEXT_MAX];

	switch (resolver_peek(i->spec.resolver, &req->peer, &out->pod)) {
	case RESOLVE_UNKNOWN:
		if (!vouched)
			return LOOK_UNKNOWN;
		out->pod = vouched;
		break;
	case RESOLVE_AMBIGUOUS:
		refuse(a, REASON_AMBIGUOUS_IP,
		       "more than one running pod of this node has the address %s, so none of them "
		       "is served; ask again when the older one has ended",
		       inet_ip_print(&req->peer, ip));
		return LOOK_AMBIGUOUS;
	case RESOLVE_UNPLACED:
		refuse_unplaced(i, a, out->pod, &req->peer);
		return LOOK_REFUSED;
	case RESOLVE_OVERLOADED:
		refuse(a, REASON_OVERLOADED, "too many requests wait for their pod; ask again");
		return LOOK_REFUSED;
	case RESOLVE_FOUND:
		break;
	}
	name_pod(a, out->pod);
	if (!i->spec.decider->is_ready(i->spec.decider->ctx))
		return LOOK_UNSYNCED;
	return decide(i, req, out, a);
}

/* refusals of the issuer's own */

static void refuse_unknown(struct issue_answer *a, const struct inet_ip *peer)
{
	char ip[INET_IP_TEXT_MAX];

	refuse(a, REASON_POD_UNKNOWN,
	       "no running pod of this node is known to have the address %s; ask again if it has "
	       "just started (pods on the host's network have no address of their own)",
	       inet_ip_print(peer, ip));
}

/* Says nothing of the pod that has the address now: the caller may be either. */
static void refuse_moved(struct issue_answer *a, const struct issue *q)
{
	char ip[INET_IP_TEXT_MAX];

	refuse(a, REASON_POD_UNKNOWN,
	       "the address %s left pod %s/%s while its request was under way, so nothing is "
	       "handed out; ask again",
	       inet_ip_print(&q->req.peer, ip), q->pod->namespace, q->pod->name);
}

static void refuse_unsynced(struct issue_answer *a, const struct pod *pod)
{
	refuse(a, REASON_NOT_SYNCED,
	       "pod %s/%s: the identity objects have not been read from the API server yet; ask "
	       "again, and if that does not help look at the agent's readiness",
	       pod->namespace, pod->name);
}

static enum reason reason_of_fault(enum token_fault fault)
{
	switch (fault) {
	case TOKEN_FAULT_REFUSED:
		return REASON_UPSTREAM_REFUSED;
	case TOKEN_FAULT_THROTTLED:
		return REASON_UPSTREAM_THROTTLED;
	case TOKEN_FAULT_UPDATING:
		return REASON_UPSTREAM_UPDATING;
	case TOKEN_FAULT_DOWN:
	case TOKEN_FAULT_GARBLED:
		return REASON_UPSTREAM_DOWN;
	case TOKEN_FAULT_UNSUPPORTED:
		return REASON_IDENTITY_TYPE;
	case TOKEN_FAULT_OVERLOADED:
		return REASON_OVERLOADED;
	}
	return REASON_INTERNAL;
}

/* What to do about it. */
static void advise(char *buf, size_t size, const struct token_failure *fail,
		   const struct azure_identity *identity)
{
	static const char *const advice[] = {
		[TOKEN_FAULT_REFUSED] =
			"asking again will not help: check the identity and the resource",
		[TOKEN_FAULT_THROTTLED] = "this VM asks for too many tokens; ask again later",
		[TOKEN_FAULT_UPDATING] = "it is back within 70 s; ask again",
		[TOKEN_FAULT_DOWN] = "ask again",
		[TOKEN_FAULT_GARBLED] = "ask again",
		[TOKEN_FAULT_UNSUPPORTED] = "use a managed identity (spec.type 0)",
		[TOKEN_FAULT_OVERLOADED] = "ask again",
	};
	const char *id = identity && identity->resource_id[0] ? identity->resource_id
							      : "<its resource id>";

	if (fail->not_assigned)
		(void)snprintf(buf, size,
			       "the managed identity is not assigned to this node's VM: az vmss "
			       "identity assign -g <group> -n <scale set> --identities %s",
			       id);
	else
		(void)snprintf(buf, size, "%s", advice[fail->fault]);
}

static void refuse_failure(struct issue_answer *a, const struct pod *pod,
			   const struct azure_identity *identity, const struct token_failure *fail)
{
	char todo[ISSUE_TEXT_MAX], who[ISSUE_TEXT_MAX];

	if (identity)
		(void)snprintf(who, sizeof(who), "AzureIdentity %s/%s", identity->meta.namespace,
			       identity->meta.name);
	else
		(void)snprintf(who, sizeof(who), "the node's own identity (excepted pod)");
	advise(todo, sizeof(todo), fail, identity);
	refuse(a, reason_of_fault(fail->fault), "pod %s/%s, %s: %s; %s", pod->namespace, pod->name,
	       who, fail->err.msg, todo);
	a->retry_after_sec = fail->retry_after_sec;
	/* a code of a transient failure means nothing to the SDKs, whose retries go by ours */
	if (fail->fault == TOKEN_FAULT_REFUSED)
		(void)snprintf(a->error, sizeof(a->error), "%s", fail->error);
}

/* the life of a request that waits */

static struct issue *issue_new(struct issuer *i, const struct issue_request *req,
			       issue_done_fn *done, void *ctx)
{
	struct issue *q = xnew(struct issue);

	q->issuer = i;
	q->req = *req;
	q->req.resource = xstrdup(req->resource);
	q->req.selector.value = xstrdup(req->selector.value ? req->selector.value : "");
	q->req.id = req->id ? xstrdup(req->id) : NULL;
	q->done = done;
	q->ctx = ctx;
	q->state = ISSUE_RESOLVING;
	DL_APPEND(i->issues, q);
	return q;
}

static void set_state(struct issue *q, enum issue_state state)
{
	q->issuer->n_syncing += state == ISSUE_SYNCING;
	q->issuer->n_syncing -= q->state == ISSUE_SYNCING;
	q->state = state;
}

static void issue_free(struct issue *q)
{
	set_state(q, ISSUE_RESOLVING);
	/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a head without a next is its own prev */
	DL_DELETE(q->issuer->issues, q);
	if (q->resolving)
		resolver_cancel(q->resolving);
	if (q->fetching)
		token_cache_cancel(q->fetching);
	loop_timer_del(&q->timer);
	loop_defer_del(&q->wake);
	(void)pod_unref(q->pod);
	(void)azure_identity_unref(q->identity);
	free((char *)(uintptr_t)q->req.resource);
	free((char *)(uintptr_t)q->req.selector.value);
	free((char *)(uintptr_t)q->req.id);
	free(q);
}

static void finish(struct issue *q, const struct issue_answer *a)
{
	issue_done_fn *done = q->done;
	void *ctx = q->ctx;

	issue_free(q);
	done(ctx, a);
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
	const struct token_ask then = { .identity = q->identity,
					.selector = q->req.selector,
					.resource = q->req.resource };

	return token_key_eq(&then, now);
}

static const struct pod *vouched(const struct issue *q)
{
	return q->is_vouched && resolver_vouches(q->issuer->spec.resolver, &q->req.peer, q->pod,
						 &q->vouched_at)
		       ? q->pod
		       : NULL;
}

static void on_token(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct issue *q = ctx;
	struct issue_answer a;
	struct sight s = { 0 };
	enum look seen;

	q->fetching = NULL;
	answer_init(&a);
	seen = look(q->issuer, &q->req, vouched(q), &s, &a);
	if (seen == LOOK_UNKNOWN || (s.pod && !is_same_pod(q, s.pod))) {
		refuse_moved(&a, q);
	} else if (seen == LOOK_UNSYNCED) {
		refuse_unsynced(&a, q->pod);
	} else if (seen == LOOK_GRANTED && !is_same_ask(q, &s.ask)) {
		if (!q->is_again) {
			q->is_again = true;
			fetch(q, &s);
			return;
		}
		refuse(&a, REASON_NOT_SYNCED,
		       "pod %s/%s: its identity was changed twice while a token was fetched; ask "
		       "again",
		       q->pod->namespace, q->pod->name);
	} else if (seen == LOOK_GRANTED && tok) {
		grant(&a, tok);
	} else if (seen == LOOK_GRANTED) {
		refuse_failure(&a, q->pod, q->identity, fail);
	}
	finish(q, &a);
}

static void on_sync_late(struct loop_timer *t)
{
	struct issue *q = container_of(t, struct issue, timer);
	struct issue_answer a;

	answer_init(&a);
	(void)snprintf(a.pod_namespace, sizeof(a.pod_namespace), "%s", q->pod->namespace);
	refuse_unsynced(&a, q->pod);
	finish(q, &a);
}

/* False with the answer filled if it cannot wait. */
static bool wait_for_sync(struct issue *q, struct issue_answer *a)
{
	struct issuer *i = q->issuer;

	if (q->state == ISSUE_SYNCING)
		return true;
	if (i->n_syncing >= LIMIT_WAITING) {
		refuse(a, REASON_OVERLOADED,
		       "too many requests wait for the identity objects; ask again");
		return false;
	}
	set_state(q, ISSUE_SYNCING);
	loop_timer_set_msec(i->loop, &q->timer, i->spec.sync_wait_msec, on_sync_late);
	return true;
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
			refuse_unknown(a, &q->req.peer);
		return false;
	case LOOK_UNSYNCED:
		return wait_for_sync(q, a);
	case LOOK_GRANTED:
		loop_timer_del(&q->timer);
		tok = token_cache_peek(q->issuer->spec.tokens, &s->ask);
		if (tok) {
			grant(a, tok);
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

	answer_init(&a);
	seen = look(q->issuer, &q->req, vouched(q), &s, &a);
	if (!go_on(q, seen, &s, &a))
		finish(q, &a);
}

/* It may be found by the resolver's own means only: look() asks the watch first all the same. */
static void on_pod(void *ctx, enum resolve_result result, const struct pod *pod)
{
	struct issue *q = ctx;

	q->resolving = NULL;
	if (result == RESOLVE_FOUND) {
		q->pod = pod_ref(pod);
		q->is_vouched = resolver_vouch(q->issuer->spec.resolver, &q->req.peer,
					       &q->vouched_at);
	}
	look_and_go_on(q);
}

static void on_identities(struct loop_defer *d)
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

	if (!i->n_syncing || !i->spec.decider->is_ready(i->spec.decider->ctx))
		return;
	DL_FOREACH (i->issues, q) {
		if (q->state == ISSUE_SYNCING)
			loop_defer(i->loop, &q->wake, on_identities);
	}
}

void issuer_admit(struct issuer *i, const struct inet_ip *peer)
{
	resolver_admit(i->spec.resolver, peer);
}

struct issue *issue_start(struct issuer *i, const struct issue_request *req,
			  struct issue_answer *out, issue_done_fn *done, void *ctx)
{
	struct sight s = { 0 };
	const struct token *tok;
	struct issue *q;
	enum look seen;

	answer_init(out);
	seen = look(i, req, NULL, &s, out);
	if (seen == LOOK_REFUSED)
		return NULL;
	if (seen == LOOK_GRANTED && (tok = token_cache_peek(i->spec.tokens, &s.ask))) {
		grant(out, tok);
		return NULL;
	}
	q = issue_new(i, req, done, ctx);
	if (seen == LOOK_UNKNOWN || seen == LOOK_AMBIGUOUS) {
		q->resolving = resolver_wait(i->spec.resolver, &req->peer, on_pod, q);
		if (q->resolving)
			return q;
		refuse(out, REASON_OVERLOADED, "too many requests wait for their pod; ask again");
	} else if (go_on(q, seen, &s, out)) {
		return q;
	}
	issue_free(q);
	return NULL;
}

void issue_cancel(struct issue *q)
{
	issue_free(q);
}

char *issue_body(struct issuer *i, const struct token *token, size_t *out_len)
{
	return token_body(token, loop_wall(i->loop), out_len);
}

void issue_body_free(char *body, size_t len)
{
	token_body_free(body, len);
}
