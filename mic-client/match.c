/* SPDX-License-Identifier: MIT */

/*
 * Who may have which identity: see match.h.
 *
 * Managed mode, in order:
 *  1. An exception of the pod's namespace, any of whose label pairs the pod carries (keys exact, values
 *     without case), covers the pod; whatever id it asks for is passed on.
 *  2. object_id is refused: AzureIdentity does not hold it, and to ignore it would answer with an
 *     identity that was not asked for.
 *  3. Label aadpodidbinding = spec.selector of a binding in the pod's namespace, exactly. No label or
 *     an empty one selects nothing, also not an empty spec.selector.
 *  4. The bindings name identities of that same namespace; two bindings of one identity are one
 *     candidate.
 *  5. With an id, the candidates that have it, without case; an empty id is no identity's. That no
 *     identity of the cluster has it is another refusal than that the pod is not bound to it, since
 *     SDKs go on to other credentials after the one, as after IMDS's own, and not after the other.
 *  6. Of several, the one with the highest weight, then the identity's name, then the binding's: the
 *     same answer whatever the order in which objects arrived.
 *
 * Standard mode: 1, 2 and 6 are the same, and 3 in that a pod without the label has no identity. Then,
 * of the AzureAssignedIdentity objects that name the pod:
 *  a. Those count that the controller has not taken back (Assigned, "" or Created) and whose binding still
 *     selects the label of the pod: the label may have changed, or the pod may be a new one of an old
 *     name, and the controller not have seen it yet.
 *  b. An identity that counts only in its own namespace (by its annotation, or for all by a setting) is
 *     none of a pod elsewhere.
 *  c. With an id, those that have it.
 *  d. Assigned and "" can be used, Created will be. If none can be used, it is waited for: for one that is
 *     Created, or, while the pod has none or others of its are Created, for one that may come.
 *
 * ServiceAccounts, where they count, come last, in both modes. They are the pod's own word for which
 * application trusts it, which Entra checks; so no binding is needed, and none is overruled:
 *  i. A pod without the label has what its account names, and nothing else: another id is refused.
 *  ii. A pod with the label has it if it asks for it by client_id, and by 1 to 6, or a to d, it would be
 *     refused or would have to wait.
 *  iii. As long as it is not known what the account names, only those wait who would be refused otherwise.
 *
 * What an identity must hold to be usable (a type 0 without spec.clientID would make IMDS answer with
 * the node's default identity) is for the source of its tokens to refuse, with the reason.
 */

#include "mic-client/match.h"

#include "lib/base/log.h"
#include "lib/base/str.h"
#include "mic-client/index.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* exceptions */

struct who {
	const struct match_pod *pod;
};

static bool covers(void *ctx, const struct azure_exception *e)
{
	const struct match_pod *pod = ((const struct who *)ctx)->pod;

	for (const char *l = e->labels; *l; l = label_next(l)) {
		const char *v = labels_find(pod->labels, l);

		if (v && str_ieq(str_of(v), str_of(label_value(l))))
			return true;
	}
	return false;
}

static const struct azure_exception *exception_of(const struct identity_index *x,
						  const struct match_pod *pod)
{
	struct who who = { pod };

	return pod->no_exceptions ? NULL
				  : identity_index_exceptions(x, pod->namespace, covers, &who);
}

/* bindings */

struct walk {
	const struct identity_index *index;
	const struct selector *sel;
	const struct azure_identity *last; /* bindings of one identity come together */
	const struct azure_binding *missing;
	size_t candidates, bindings;
	const struct azure_identity *identity;
	const struct azure_binding *binding;
};

static bool goes_first(const struct azure_binding *a, const struct azure_binding *b)
{
	int names;

	if (a->weight != b->weight)
		return a->weight > b->weight;
	names = strcmp(a->azure_identity, b->azure_identity);
	return names ? names < 0 : strcmp(a->meta.name, b->meta.name) < 0;
}

static bool id_eq(const char *has, const char *asked)
{
	return *asked && str_ieq(str_of(has), str_of(asked));
}

static bool is_asked_for(const struct azure_identity *i, const struct selector *sel)
{
	switch (sel->kind) {
	case SELECTOR_NONE:
		return true;
	case SELECTOR_CLIENT_ID:
		return id_eq(i->client_id, sel->value);
	case SELECTOR_RESOURCE_ID:
		return id_eq(i->resource_id, sel->value);
	case SELECTOR_OBJECT_ID:
		break;
	}
	return false;
}

static void visit(void *ctx, const struct azure_binding *b)
{
	struct walk *w = ctx;
	const struct azure_identity *i = identity_index_identity(w->index, b->meta.namespace,
								 b->azure_identity);

	w->bindings++;
	if (!i) {
		if (!w->missing || goes_first(b, w->missing))
			w->missing = b;
		return;
	}
	if (i != w->last)
		w->candidates++;
	w->last = i;
	if (is_asked_for(i, w->sel) && (!w->binding || goes_first(b, w->binding))) {
		w->identity = i;
		w->binding = b;
	}
}

/* Which of the two it is, when the pod is bound to none that has the id. */
static enum match_result selector_refusal(const struct identity_index *x,
					  const struct selector *sel)
{
	bool exists = sel->kind == SELECTOR_CLIENT_ID
			      ? identity_index_has_client_id(x, sel->value)
			      : identity_index_has_resource_id(x, sel->value);

	return exists ? MATCH_SELECTOR_NOT_BOUND : MATCH_SELECTOR_UNKNOWN;
}

static void match_bindings(const struct identity_index *x, const struct match_pod *pod,
			   const char *label, const struct selector *sel, struct match_answer *out)
{
	struct walk w = { .index = x, .sel = sel };

	identity_index_bindings(x, pod->namespace, label, visit, &w);
	out->candidates = w.candidates;
	out->binding = w.missing;
	if (w.bindings == 0) {
		out->result = MATCH_NO_BINDING;
	} else if (w.candidates == 0) {
		out->result = MATCH_IDENTITY_NOT_FOUND;
	} else if (!w.identity) {
		out->result = selector_refusal(x, sel);
	} else {
		out->result = MATCH_GRANTED;
		out->identity = w.identity;
		out->binding = w.binding;
	}
}

/* service accounts */

static void look_at_account(const struct identity_index *x, const struct match_pod *pod,
			    struct match_answer *out)
{
	if (identity_index_accounts(x) == ACCOUNTS_UNUSED || !pod->service_account)
		return;
	out->account = pod->service_account;
	out->account_identity = identity_index_account(x, pod->namespace, pod->service_account);
}

static void grant_of_account(struct match_answer *out)
{
	out->result = MATCH_GRANTED;
	out->identity = out->account_identity;
	out->binding = NULL;
	out->assigned = NULL;
}

static bool may_name_one(const struct identity_index *x, const struct match_answer *out)
{
	return out->account && !out->account_identity &&
	       identity_index_accounts(x) == ACCOUNTS_UNSEEN;
}

/* Of a pod without the label. What is wrong with the annotations goes before what was asked for. */
static void match_account(const struct identity_index *x, const struct match_pod *pod,
			  const struct selector *sel, struct match_answer *out)
{
	const struct azure_identity *i;

	look_at_account(x, pod, out);
	i = out->account_identity;
	out->candidates = i != NULL;
	if (i && (*i->flaw || is_asked_for(i, sel)))
		grant_of_account(out);
	else if (i)
		out->result = MATCH_ACCOUNT_OTHER;
	else
		out->result = may_name_one(x, out) ? MATCH_ACCOUNT_UNSEEN : MATCH_NO_LABEL;
}

/* Of a pod with the label, once all else is decided. */
static void match_account_last(const struct identity_index *x, const struct match_pod *pod,
			       const struct selector *sel, struct match_answer *out)
{
	if (out->result == MATCH_GRANTED)
		return;
	look_at_account(x, pod, out);
	if (sel->kind != SELECTOR_CLIENT_ID)
		return;
	if (out->account_identity && is_asked_for(out->account_identity, sel))
		grant_of_account(out);
	else if (may_name_one(x, out) && !match_is_wait(out->result))
		out->result = MATCH_ACCOUNT_UNSEEN;
}

void match_managed(const struct identity_index *x, const struct match_pod *pod,
		   const struct selector *sel, struct match_answer *out)
{
	const char *label = labels_find(pod->labels, LABEL_BINDING);

	*out = (struct match_answer){ 0 };
	out->exception = exception_of(x, pod);
	if (out->exception) {
		out->result = MATCH_EXCEPTED;
	} else if (sel->kind == SELECTOR_OBJECT_ID) {
		out->result = MATCH_SELECTOR_UNSUPPORTED;
	} else if (!label || !*label) {
		match_account(x, pod, sel, out);
	} else {
		match_bindings(x, pod, label, sel, out);
		match_account_last(x, pod, sel, out);
	}
}

/* assigned identities */

struct assigned_walk {
	const struct match_standard_rules *rules;
	const struct match_pod *pod;
	const char *label;
	const struct selector *sel;
	const struct azure_assigned_identity *best, *last; /* those of one identity come together */
	const struct azure_assigned_identity *created, *elsewhere, *stale;
	size_t usable;
	bool any_created, id_elsewhere;
};

static int64_t weight_of(const struct azure_assigned_identity *a)
{
	return a->binding ? a->binding->weight : 0;
}

static bool is_heavier(const struct azure_assigned_identity *a,
		       const struct azure_assigned_identity *than)
{
	return !than || weight_of(a) > weight_of(than); /* equal ones come in order of name */
}

/* Without a binding, or without its selector, there is nothing to compare. */
static bool is_stale(const struct azure_assigned_identity *a, const char *label)
{
	return a->binding && *a->binding->selector && strcmp(a->binding->selector, label) != 0;
}

static bool is_same_identity(const struct azure_identity *a, const struct azure_identity *b)
{
	return strcmp(a->meta.namespace, b->meta.namespace) == 0 &&
	       strcmp(a->meta.name, b->meta.name) == 0;
}

static void visit_here(struct assigned_walk *w, const struct azure_assigned_identity *a, bool asked)
{
	if (a->state == ASSIGNED_CREATED) {
		w->any_created = true;
		if (asked && is_heavier(a, w->created))
			w->created = a;
		return;
	}
	w->usable += !w->last || !is_same_identity(w->last->identity, a->identity);
	w->last = a;
	if (asked && is_heavier(a, w->best))
		w->best = a;
}

static void visit_assigned(void *ctx, const struct azure_assigned_identity *a)
{
	struct assigned_walk *w = ctx;
	const struct azure_identity *i = a->identity;
	bool asked = is_asked_for(i, w->sel);

	if (a->state == ASSIGNED_OTHER)
		return;
	if (is_stale(a, w->label)) {
		w->stale = w->stale ? w->stale : a;
		return;
	}
	if (!(w->rules->force_namespaced || i->namespaced) ||
	    strcmp(i->meta.namespace, w->pod->namespace) == 0) {
		visit_here(w, a, asked);
		return;
	}
	if (!w->elsewhere || (asked && !w->id_elsewhere))
		w->elsewhere = a;
	w->id_elsewhere |= asked;
}

static void answer_assigned(const struct assigned_walk *w, struct match_answer *out)
{
	out->candidates = w->usable;
	if (w->best) {
		out->result = MATCH_GRANTED;
		out->assigned = w->best;
		out->identity = w->best->identity;
		out->binding = w->best->binding;
	} else if (w->created) {
		out->result = MATCH_NOT_ASSIGNED_YET;
		out->assigned = w->created;
	} else if (w->id_elsewhere || (w->elsewhere && !w->usable && !w->any_created)) {
		out->result = MATCH_NAMESPACE_MISMATCH;
		out->assigned = w->elsewhere;
	} else if (w->usable && !w->any_created) {
		out->result = MATCH_SELECTOR_NOT_BOUND;
	} else {
		out->result = MATCH_NO_ASSIGNED;
		out->assigned = w->stale;
	}
}

/* By exact namespace and account: a prefix of a name is what anybody can choose. */
static bool is_controller(const struct match_standard_rules *rules, const struct match_pod *pod)
{
	const char *at = rules->controller_accounts;
	struct str mine = str_of(pod->service_account);

	if (mine.n == 0 || strcmp(rules->controller_namespace, pod->namespace) != 0)
		return false;
	while (*at) {
		size_t n = strcspn(at, ", ");

		if (str_eq((struct str){ at, n }, mine))
			return true;
		at += n;
		at += strspn(at, ", ");
	}
	return false;
}

void match_standard(const struct identity_index *x, const struct match_standard_rules *rules,
		    const struct match_pod *pod, const struct selector *sel,
		    struct match_answer *out)
{
	const char *label = labels_find(pod->labels, LABEL_BINDING);
	struct assigned_walk w = { .rules = rules, .pod = pod, .label = label, .sel = sel };

	*out = (struct match_answer){ 0 };
	out->exception = exception_of(x, pod);
	if (out->exception || (!pod->no_exceptions && is_controller(rules, pod))) {
		out->result = MATCH_EXCEPTED;
	} else if (sel->kind == SELECTOR_OBJECT_ID) {
		out->result = MATCH_SELECTOR_UNSUPPORTED;
	} else if (!label || !*label) {
		match_account(x, pod, sel, out);
	} else {
		identity_index_assigned(x, pod->namespace, pod->name, visit_assigned, &w);
		answer_assigned(&w, out);
		match_account_last(x, pod, sel, out);
	}
}

/* explaining */

static const char *parameter_name(enum selector_kind kind)
{
	switch (kind) {
	case SELECTOR_CLIENT_ID:
		return "client_id";
	case SELECTOR_RESOURCE_ID:
		return "resource id";
	case SELECTOR_OBJECT_ID:
		return "object_id";
	case SELECTOR_NONE:
		break;
	}
	return "id";
}

static void explain_not_bound(const struct match_pod *pod, const struct selector *sel,
			      const struct match_answer *a, char *buf, size_t size)
{
	const char *missing = a->binding ? a->binding->azure_identity : NULL;
	char also[2 * LOG_Q_MAX] = "";

	if (missing)
		(void)snprintf(also, sizeof(also),
			       " (AzureIdentity %s, which is bound too, does not exist)",
			       LOG_Q(missing));
	(void)snprintf(
		buf, size,
		"none of the %zu AzureIdentity objects that pod %s/%s is bound to has %s %s%s: ask "
		"for one of those, or bind the one with that id in namespace %s",
		a->candidates, pod->namespace, pod->name, parameter_name(sel->kind),
		LOG_Q(sel->value), also, pod->namespace);
}

static void explain_granted(const struct match_pod *pod, const struct match_answer *a, char *buf,
			    size_t size)
{
	const char *by = a->assigned ? "AzureAssignedIdentity" : "AzureIdentityBinding";
	const struct object_meta *m;

	if (a->identity->of_account) {
		(void)snprintf(buf, size, "pod %s/%s has client_id %s through ServiceAccount %s/%s",
			       pod->namespace, pod->name, LOG_Q(a->identity->client_id),
			       a->identity->meta.namespace, a->identity->meta.name);
		return;
	}
	m = a->assigned ? &a->assigned->meta : &a->binding->meta;
	(void)snprintf(buf, size,
		       "pod %s/%s has AzureIdentity %s through %s %s, one of "
		       "%zu",
		       pod->namespace, pod->name, a->identity->meta.name, by, m->name,
		       a->candidates);
}

static void explain_excepted(const struct match_pod *pod, const struct match_answer *a, char *buf,
			     size_t size)
{
	if (a->exception)
		(void)snprintf(buf, size,
			       "pod %s/%s uses the node's own identities: "
			       "AzurePodIdentityException %s covers it",
			       pod->namespace, pod->name, a->exception->meta.name);
	else
		(void)snprintf(buf, size,
			       "pod %s/%s uses the node's own identities: by its service account "
			       "it is the controller's (--MICNamespace, --mic-service-account)",
			       pod->namespace, pod->name);
}

/* Standard mode: what the controller has done, */
static void explain_assigned(const struct match_pod *pod, const struct match_answer *a, char *buf,
			     size_t size)
{
	const struct object_meta *m = &a->assigned->meta, *id = &a->assigned->identity->meta;

	if (a->result == MATCH_NAMESPACE_MISMATCH)
		(void)snprintf(buf, size,
			       "AzureIdentity %s/%s is assigned to pod %s/%s, but counts only in "
			       "its own namespace (annotation aadpodidentity.k8s.io/Behavior, or "
			       "--forceNamespaced): create it, and its binding, in namespace %s",
			       id->namespace, id->name, pod->namespace, pod->name, pod->namespace);
	else
		(void)snprintf(buf, size,
			       "AzureAssignedIdentity %s/%s of pod %s/%s is in state Created: the "
			       "controller (MIC) has not assigned AzureIdentity %s to this node's "
			       "VM yet; if it stays so, look at MIC's logs",
			       m->namespace, m->name, pod->namespace, pod->name, id->name);
}

/* or has not. */
static void explain_no_assigned(const struct match_pod *pod, const struct selector *sel,
				const struct match_answer *a, char *buf, size_t size)
{
	const char *label = labels_find(pod->labels, LABEL_BINDING);
	char with[LOG_Q_MAX + 32] = "", was[2 * LOG_Q_MAX + 64] = "";

	if (sel->kind != SELECTOR_NONE)
		(void)snprintf(with, sizeof(with), " with %s %s", parameter_name(sel->kind),
			       LOG_Q(sel->value));
	if (a->assigned)
		(void)snprintf(was, sizeof(was), " (%s is of the label's old value %s)",
			       a->assigned->meta.name, LOG_Q(a->assigned->binding->selector));
	(void)snprintf(buf, size,
		       "no AzureAssignedIdentity%s exists for pod %s/%s on this node%s: check that "
		       "an AzureIdentityBinding has selector %s, the label " LABEL_BINDING
		       ", and names an AzureIdentity that exists, and that the controller (MIC) "
		       "runs; its logs say more",
		       with, pod->namespace, pod->name, was, LOG_Q(label ? label : ""));
}

static void explain_unknown(const struct match_pod *pod, const struct selector *sel,
			    const struct match_answer *a, const char *label, char *buf, size_t size)
{
	const char *missing = a->binding ? a->binding->azure_identity : NULL;
	char also[2 * LOG_Q_MAX] = "";

	if (missing)
		(void)snprintf(also, sizeof(also),
			       " (nor does AzureIdentity %s, which the pod is bound to)",
			       LOG_Q(missing));
	(void)snprintf(
		buf, size,
		"Identity not found: no AzureIdentity with %s %s exists%s, so pod %s/%s with "
		"label " LABEL_BINDING "=%s cannot have it: correct the id, or create and bind "
		"one with it in namespace %s",
		parameter_name(sel->kind), LOG_Q(sel->value), also, pod->namespace, pod->name,
		LOG_Q(label ? label : ""), pod->namespace);
}

static void explain_no_label(const struct match_pod *pod, const struct match_answer *a,
			     const char *label, char *buf, size_t size)
{
	const char *ns = pod->namespace;

	if (a->account)
		(void)snprintf(buf, size,
			       "Identity not found: pod %s/%s has %s label " LABEL_BINDING
			       ", and its ServiceAccount %s/%s no annotation " AZURE_CLIENT_NOTE
			       ": %s the selector of an AzureIdentityBinding in namespace %s, or "
			       "annotate the ServiceAccount with the client id of an application "
			       "or managed identity that trusts it",
			       ns, pod->name, label ? "an empty" : "no", ns, a->account,
			       label ? "set the label to" : "add the label with", ns);
	else
		(void)snprintf(buf, size,
			       "Identity not found: pod %s/%s has %s label " LABEL_BINDING
			       ": %s the selector of an "
			       "AzureIdentityBinding in namespace %s",
			       ns, pod->name, label ? "an empty" : "no",
			       label ? "set it to" : "add it with", ns);
}

static void explain_account(const struct match_pod *pod, const struct selector *sel,
			    const struct match_answer *a, char *buf, size_t size)
{
	const char *ns = pod->namespace, *name = pod->name;

	if (a->result == MATCH_ACCOUNT_UNSEEN)
		(void)snprintf(
			buf, size,
			"pod %s/%s may have an identity by its ServiceAccount %s/%s, and the "
			"ServiceAccounts have not been read from the API server yet; ask again, "
			"and if that does not help look at the agent's readiness",
			ns, name, ns, a->account);
	else
		(void)snprintf(
			buf, size,
			"pod %s/%s has no label " LABEL_BINDING
			", so its only identity is the one of its ServiceAccount %s/%s, client_id "
			"%s, "
			"and it asks for %s %s: ask for that one, or leave the id out, or bind an "
			"AzureIdentity that has the id in namespace %s",
			ns, name, ns, a->account, LOG_Q(a->account_identity->client_id),
			parameter_name(sel->kind), LOG_Q(sel->value), ns);
}

/* A pod that has the label, or asks for another id, may not know of it. */
static void explain_other_way(const struct match_pod *pod, const struct match_answer *a, char *buf,
			      size_t size)
{
	size_t n = strlen(buf);

	if (a->account_identity && !*a->account_identity->flaw)
		(void)snprintf(
			buf + n, size - n,
			"; its ServiceAccount %s/%s names client_id %s, which it may ask for",
			pod->namespace, a->account, LOG_Q(a->account_identity->client_id));
}

static void explain(const struct match_pod *pod, const struct selector *sel,
		    const struct match_answer *a, char *buf, size_t size)
{
	const char *label = labels_find(pod->labels, LABEL_BINDING);
	const char *ns = pod->namespace, *name = pod->name;

	switch (a->result) {
	case MATCH_GRANTED:
		explain_granted(pod, a, buf, size);
		return;
	case MATCH_EXCEPTED:
		explain_excepted(pod, a, buf, size);
		return;
	case MATCH_NO_LABEL:
		explain_no_label(pod, a, label, buf, size);
		return;
	case MATCH_ACCOUNT_OTHER:
	case MATCH_ACCOUNT_UNSEEN:
		explain_account(pod, sel, a, buf, size);
		return;
	case MATCH_NO_BINDING:
		(void)snprintf(
			buf, size,
			"Identity not found: no AzureIdentityBinding in namespace %s has selector "
			"%s, the label " LABEL_BINDING " of pod %s/%s: create one, or correct the "
			"label",
			ns, LOG_Q(label), ns, name);
		return;
	case MATCH_IDENTITY_NOT_FOUND:
		(void)snprintf(
			buf, size,
			"Identity not found: AzureIdentityBinding %s selects pod %s/%s, but "
			"AzureIdentity %s does not exist in namespace %s: create it, or correct "
			"spec.azureIdentity of the binding",
			a->binding->meta.name, ns, name, LOG_Q(a->binding->azure_identity), ns);
		return;
	case MATCH_SELECTOR_UNKNOWN:
		explain_unknown(pod, sel, a, label, buf, size);
		return;
	case MATCH_SELECTOR_NOT_BOUND:
		explain_not_bound(pod, sel, a, buf, size);
		return;
	case MATCH_SELECTOR_UNSUPPORTED:
		(void)snprintf(buf, size,
			       "Identity not found: pod %s/%s asks by object_id, which "
			       "AzureIdentity does not hold: ask by "
			       "client_id or msi_res_id",
			       ns, name);
		return;
	case MATCH_NAMESPACE_MISMATCH:
	case MATCH_NOT_ASSIGNED_YET:
		explain_assigned(pod, a, buf, size);
		return;
	case MATCH_NO_ASSIGNED:
		explain_no_assigned(pod, sel, a, buf, size);
		return;
	case MATCH_RESULTS:
		break;
	}
	assert(false); /* every result has a sentence */
}

/*
 * What does not fit is cut. The words "Identity not found" are what tools around the old agent look
 * for.
 */
void match_explain(const struct match_pod *pod, const struct selector *sel,
		   const struct match_answer *a, char *buf, size_t size)
{
	explain(pod, sel, a, buf, size);
	if (a->result != MATCH_GRANTED && a->result != MATCH_ACCOUNT_OTHER)
		explain_other_way(pod, a, buf, size);
}
