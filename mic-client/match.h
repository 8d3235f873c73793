/* SPDX-License-Identifier: MIT */
#pragma once

#include "mic-client/crd.h"

#include <stdbool.h>
#include <stddef.h>

struct identity_index;

/*
 * Who may have which identity: the policy, and nothing else. Pure functions over the index; shared
 * by the agent, the controller and the kubectl plugin. Rules: aad-pod-identity's two modes, with the
 * differences of docs/differences.md.
 */
#define LABEL_BINDING "aadpodidbinding"

/* Which of its identities a caller asks for; at most one kind in a request. */
enum selector_kind {
	SELECTOR_NONE,
	SELECTOR_CLIENT_ID,
	SELECTOR_RESOURCE_ID, /* msi_res_id, mi_res_id */
	SELECTOR_OBJECT_ID,
};

struct selector {
	enum selector_kind kind;
	const char *value; /* "" for SELECTOR_NONE */
};

/* Of the pod, just what the rules read. */
struct match_pod {
	const char *namespace, *name;
	const char *labels; /* as of labels_parse(); NULL: none */
	bool no_exceptions; /* never the node's own identity: the host asks in the pod's name */
	const char *service_account; /* NULL: none is known */
};

enum match_result {
	MATCH_GRANTED,
	MATCH_EXCEPTED,	  /* an AzurePodIdentityException covers it: the node's own identity */
	MATCH_NO_LABEL,	  /* the pod has no label aadpodidbinding, or an empty one */
	MATCH_NO_BINDING, /* no AzureIdentityBinding of the namespace selects the label */
	MATCH_IDENTITY_NOT_FOUND,   /* the bindings name AzureIdentity objects that do not exist */
	MATCH_SELECTOR_UNKNOWN,	    /* no AzureIdentity of the cluster has the id asked for */
	MATCH_SELECTOR_NOT_BOUND,   /* one has, but the pod is not bound to it */
	MATCH_SELECTOR_UNSUPPORTED, /* object_id: AzureIdentity does not hold it */
	MATCH_ACCOUNT_OTHER, /* the pod's ServiceAccount names an identity, and another is asked for */
	MATCH_ACCOUNT_UNSEEN, /* it may name the pod's identity: ServiceAccounts were not seen yet */
	/* standard mode only */
	MATCH_NAMESPACE_MISMATCH, /* it counts only in its own namespace, which is not the pod's */
	MATCH_NOT_ASSIGNED_YET,	  /* the controller is assigning it: wait for the event */
	MATCH_NO_ASSIGNED, /* the controller has not said anything: wait, it may be about to */
	MATCH_RESULTS,
};

/* No answer yet: an event may change it, so it is worth waiting for. */
static inline bool match_is_wait(enum match_result r)
{
	return r == MATCH_NOT_ASSIGNED_YET || r == MATCH_NO_ASSIGNED || r == MATCH_ACCOUNT_UNSEEN;
}

struct match_answer {
	enum match_result result;
	const struct azure_identity *identity;	 /* GRANTED; borrowed from the index */
	const struct azure_binding *binding;	 /* GRANTED by one; else the first without its
						  identity, or NULL */
	const struct azure_exception *exception; /* EXCEPTED; NULL: it is one of the controller's */
	size_t candidates;			 /* identities that the pod is bound to */
	const struct azure_assigned_identity
		*assigned; /* standard mode: GRANTED, NAMESPACE_MISMATCH, NOT_ASSIGNED_YET; of
			      NO_ASSIGNED one that no longer fits the pod's label, or NULL */
	/* The name of the pod's ServiceAccount, where it was looked at because nothing else grants */
	const char *account;
	const struct azure_identity *account_identity; /* what it names, or NULL */
};

/*
 * Where ServiceAccounts count (identity_index_accounts()), in both modes: what the pod's own names is the
 * identity of a pod without the label, and one that a pod may ask for by client_id if nothing else
 * grants that.
 */

/*
 * Exceptions first, then managed mode: label = binding selector, binding and identity in the pod's
 * namespace. Ids compare without case. Several candidates and no selector: highest binding weight,
 * then identity name, then binding name.
 */
void match_managed(const struct identity_index *x, const struct match_pod *pod,
		   const struct selector *sel, struct match_answer *out);

struct match_standard_rules {
	bool force_namespaced;		  /* as if every identity were annotated so */
	const char *controller_namespace; /* pods there, of one of these service accounts (names */
	const char *controller_accounts;  /* between commas), are the controller's own */
};

/*
 * Exceptions and the controller's own pods first, then standard mode: what the controller has assigned
 * to the pod, as the identity and the binding were at that time. Ids and several candidates as above.
 */
void match_standard(const struct identity_index *x, const struct match_standard_rules *rules,
		    const struct match_pod *pod, const struct selector *sel,
		    struct match_answer *out);
/* One sentence for a person: what is missing, on which object, and what to do. */
void match_explain(const struct match_pod *pod, const struct selector *sel,
		   const struct match_answer *a, char *buf, size_t size);
