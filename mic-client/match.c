/* SPDX-License-Identifier: MIT */

/*
 * Who may have which identity: see match.h.
 *
 * The rules, in order:
 *  1. An exception of the pod's namespace, any of whose label pairs the pod carries (keys exact, values
 *     without case), covers the pod; whatever id it asks for is passed on.
 *  2. object_id is refused: AzureIdentity does not hold it, and to ignore it would answer with an
 *     identity that was not asked for.
 *  3. Label aadpodidbinding = spec.selector of a binding in the pod's namespace, exactly. No label or
 *     an empty one selects nothing, also not an empty spec.selector.
 *  4. The bindings name identities of that same namespace; two bindings of one identity are one
 *     candidate.
 *  5. With an id, the candidates that have it, without case; an empty id is no identity's.
 *  6. Of several, the one with the highest weight, then the identity's name, then the binding's: the
 *     same answer whatever the order in which objects arrived.
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

	for (size_t i = 0; i < e->n_labels; i++) {
		const char *v = labels_find(pod->labels, pod->n_labels, e->labels[i].key);

		if (v && str_ieq(str_of(v), str_of(e->labels[i].value)))
			return true;
	}
	return false;
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
		out->result = MATCH_SELECTOR_NOT_BOUND;
	} else {
		out->result = MATCH_GRANTED;
		out->identity = w.identity;
		out->binding = w.binding;
	}
}

void match_managed(const struct identity_index *x, const struct match_pod *pod,
		   const struct selector *sel, struct match_answer *out)
{
	const char *label = labels_find(pod->labels, pod->n_labels, LABEL_BINDING);
	struct who who = { pod };

	*out = (struct match_answer){ 0 };
	if (!pod->no_exceptions)
		out->exception = identity_index_exceptions(x, pod->namespace, covers, &who);
	if (out->exception)
		out->result = MATCH_EXCEPTED;
	else if (sel->kind == SELECTOR_OBJECT_ID)
		out->result = MATCH_SELECTOR_UNSUPPORTED;
	else if (!label || !*label)
		out->result = MATCH_NO_LABEL;
	else
		match_bindings(x, pod, label, sel, out);
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

/*
 * What does not fit is cut. The words "Identity not found" are what tools around the old agent look
 * for.
 */
void match_explain(const struct match_pod *pod, const struct selector *sel,
		   const struct match_answer *a, char *buf, size_t size)
{
	const char *label = labels_find(pod->labels, pod->n_labels, LABEL_BINDING);
	const char *ns = pod->namespace, *name = pod->name;

	switch (a->result) {
	case MATCH_GRANTED:
		(void)snprintf(
			buf, size,
			"pod %s/%s has AzureIdentity %s through AzureIdentityBinding %s, one of "
			"%zu",
			ns, name, a->identity->meta.name, a->binding->meta.name, a->candidates);
		return;
	case MATCH_EXCEPTED:
		(void)snprintf(
			buf, size,
			"pod %s/%s uses the node's own identities: AzurePodIdentityException %s "
			"covers it",
			ns, name, a->exception->meta.name);
		return;
	case MATCH_NO_LABEL:
		(void)snprintf(buf, size,
			       "pod %s/%s has %s label " LABEL_BINDING ": %s the selector of an "
			       "AzureIdentityBinding in namespace %s",
			       ns, name, label ? "an empty" : "no",
			       label ? "set it to" : "add it with", ns);
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
	case MATCH_SELECTOR_NOT_BOUND:
		explain_not_bound(pod, sel, a, buf, size);
		return;
	case MATCH_SELECTOR_UNSUPPORTED:
		(void)snprintf(
			buf, size,
			"pod %s/%s asks by object_id, which AzureIdentity does not hold: ask by "
			"client_id or msi_res_id",
			ns, name);
		return;
	case MATCH_RESULTS:
		break;
	}
	assert(false); /* every result has a sentence */
}
