/* SPDX-License-Identifier: MIT */

/* What a request is told, a refused one above all: see issue_text.h. */

#include "nmi/issue_text.h"

#include "lib/base/str.h"
#include "nmi/issue.h"
#include "nmi/limits.h"
#include "nmi/pods/pod.h"
#include "nmi/token/source.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

/* Field by field: the text is most of a kilobyte, and this is on the way of every request. */
void issue_answer_init(struct issue_answer *a)
{
	a->reason = REASON_INTERNAL;
	a->token = NULL;
	a->body_id = 0;
	a->retry_after_sec = 0;
	a->error[0] = '\0';
	a->trace = (struct upstream_trace){ 0 };
	a->text[0] = '\0';
	a->pod_namespace[0] = '\0';
	a->is_reported = false;
	a->pod_uid = NULL;
	a->began_as = NULL;
	a->client_id = NULL;
	a->pod_name = NULL;
	a->identity = NULL;
	a->is_node = false;
	a->source = NULL;
	a->token_client_id = NULL;
	a->expires_on = a->renew_at = (struct wall){ 0 };
	a->waits = (struct issue_waits){ 0 };
}

void issue_refuse(struct issue_answer *a, enum reason reason, const char *fmt, ...)
{
	va_list ap;

	a->reason = reason;
	va_start(ap, fmt);
	(void)vsnprintf(a->text, sizeof(a->text), fmt, ap);
	va_end(ap);
	avoid_unreachable(a->text);
}

enum reason issue_reason_of_match(enum match_result r)
{
	switch (r) {
	case MATCH_NO_LABEL:
		return REASON_NO_LABEL;
	case MATCH_NO_BINDING:
		return REASON_NO_BINDING;
	case MATCH_IDENTITY_NOT_FOUND:
		return REASON_IDENTITY_NOT_FOUND;
	case MATCH_SELECTOR_UNKNOWN:
		return REASON_IDENTITY_UNKNOWN;
	case MATCH_SELECTOR_NOT_BOUND:
	case MATCH_ACCOUNT_OTHER:
		return REASON_NOT_BOUND;
	case MATCH_ACCOUNT_UNSEEN:
		return REASON_NOT_SYNCED;
	case MATCH_SELECTOR_UNSUPPORTED:
		return REASON_SELECTOR;
	case MATCH_NAMESPACE_MISMATCH:
		return REASON_NAMESPACE_MISMATCH;
	case MATCH_NOT_ASSIGNED_YET:
	case MATCH_NO_ASSIGNED:
		return REASON_NOT_ASSIGNED_YET;
	case MATCH_GRANTED:
	case MATCH_EXCEPTED:
	case MATCH_RESULTS:
		break;
	}
	return REASON_INTERNAL;
}

void issue_refuse_overloaded(struct issue_answer *a, const char *what)
{
	issue_refuse(a, REASON_OVERLOADED,
		     "%d requests of this node's pods wait for %s already; ask again in a moment",
		     LIMIT_WAITING, what);
}

void issue_refuse_unknown(struct issue_answer *a, const struct issue_request *req)
{
	char ip[INET_IP_TEXT_MAX];

	if (req->by_name)
		issue_refuse(a, REASON_POD_UNKNOWN,
			     "no pod %s/%s is known on this node that has not ended; ask again if "
			     "it was "
			     "just created",
			     req->pod_namespace, req->pod_name);
	else
		issue_refuse(
			a, REASON_POD_UNKNOWN,
			"no running pod of this node is known to have the address %s; ask again if "
			"it has just started (pods on the host's network have no address of their "
			"own)",
			inet_ip_print(&req->peer, ip));
}

/*
 * Addresses that no pod can have: to wait for one would be in vain. A link-local one may be several
 * pods' at once, each on its own link.
 */
bool issue_refuse_source(struct issue_answer *a, const struct inet_ip *peer)
{
	char ip[INET_IP_TEXT_MAX];

	if (inet_ip_is_loopback(peer))
		issue_refuse(a, REASON_SOURCE,
			     "the request comes from the node itself (%s), which has no pod's "
			     "identity: the node's own is at 169.254.169.254 directly, a pod's at "
			     "/host/token",
			     inet_ip_print(peer, ip));
	else if (inet_ip_is_link_local6(peer))
		issue_refuse(a, REASON_SOURCE,
			     "the request's source address %s is link-local, and may be that of "
			     "several pods: ask 169.254.169.254, or an address of the node that is "
			     "not link-local",
			     inet_ip_print(peer, ip));
	else
		return false;
	return true;
}

bool issue_refuse_identity(struct issue_answer *a, const struct pod *pod,
			   const struct azure_identity *identity)
{
	const char *namespace = identity->meta.namespace, *name = identity->meta.name;

	if (*identity->flaw) {
		issue_refuse(a, REASON_IDENTITY_INVALID, "pod %s/%s: %s %s/%s: %s", pod->namespace,
			     pod->name, azure_identity_kind(identity), namespace, name,
			     identity->flaw);
		return true;
	}
	if (identity->type != AZURE_IDENTITY_USER_ASSIGNED || !str_is_blank(identity->client_id))
		return false;
	issue_refuse(a, REASON_IDENTITY_INVALID,
		     "pod %s/%s: AzureIdentity %s/%s has no spec.clientID; set it to the client "
		     "id of the managed identity",
		     pod->namespace, pod->name, namespace, name);
	return true;
}

void issue_refuse_unsynced(struct issue_answer *a, const struct pod *pod)
{
	issue_refuse(
		a, REASON_NOT_SYNCED,
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
	case TOKEN_FAULT_INVALID:
		return REASON_IDENTITY_INVALID;
	case TOKEN_FAULT_CREDENTIAL:
		return REASON_CREDENTIAL;
	case TOKEN_FAULT_POD_LIMIT:
		return REASON_POD_LIMIT;
	case TOKEN_FAULT_POD:
		return REASON_POD_UNKNOWN;
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
		[TOKEN_FAULT_THROTTLED] = "too many tokens are asked for; ask again later",
		[TOKEN_FAULT_UPDATING] = "it is back within 70 s; ask again",
		[TOKEN_FAULT_DOWN] = "ask again",
		[TOKEN_FAULT_GARBLED] = "ask again",
		[TOKEN_FAULT_UNSUPPORTED] = "use one of spec.type 0, 1, 2 or 3",
		[TOKEN_FAULT_OVERLOADED] = "ask again",
		[TOKEN_FAULT_INVALID] = "complete the object",
		[TOKEN_FAULT_CREDENTIAL] = "correct the Secret",
		[TOKEN_FAULT_POD_LIMIT] = "ask again later, and without bypass_cache",
		[TOKEN_FAULT_POD] = "ask again",
	};
	const char *id = identity && identity->resource_id[0] ? identity->resource_id
							      : "<its resource id>";

	if (fail->hint[0])
		(void)snprintf(buf, size, "%s", fail->hint);
	else if (fail->not_assigned)
		(void)snprintf(buf, size,
			       "the managed identity is not assigned to this node's VM: az vmss "
			       "identity assign -g <group> -n <scale set> --identities %s",
			       id);
	else
		(void)snprintf(buf, size, "%s", advice[fail->fault]);
}

void issue_refuse_failure(struct issue_answer *a, const struct pod *pod,
			  const struct azure_identity *identity, const struct token_failure *fail)
{
	char todo[ISSUE_TEXT_MAX], who[ISSUE_TEXT_MAX];

	if (identity)
		(void)snprintf(who, sizeof(who), "%s %s/%s", azure_identity_kind(identity),
			       identity->meta.namespace, identity->meta.name);
	else
		(void)snprintf(who, sizeof(who), "the node's own identity (excepted pod)");
	advise(todo, sizeof(todo), fail, identity);
	issue_refuse(a, reason_of_fault(fail->fault), "pod %s/%s, %s: %s%s%s; %s", pod->namespace,
		     pod->name, who, fail->err.msg, fail->description[0] ? ": " : "",
		     fail->description, todo);
	a->retry_after_sec = fail->retry_after_sec;
	/* a code of a transient failure means nothing to the SDKs, whose retries go by ours */
	if (fail->fault != TOKEN_FAULT_REFUSED)
		return;
	(void)snprintf(a->error, sizeof(a->error), "%s", fail->error);
	a->trace = fail->trace;
}
