/* SPDX-License-Identifier: MIT */

/*
 * Tokens by federation: see federation.h.
 *
 * A fetch is a TokenRequest for the pod that asks, then one POST to Entra. The request is bound to the
 * pod's UID, so the API server itself refuses it for a pod that has gone, was replaced by another of its
 * name, or runs as another service account. Such a failure says something of that pod only, and not of
 * the key, which pods of one service account share: it is TOKEN_FAULT_POD, which is not remembered, and
 * whoever else waits for the same token is asked for in his turn.
 */

#include "nmi/token/federation.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/kube/client.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/token/account_token.h"
#include "nmi/token/entra.h"
#include "nmi/token/failure.h"

#include <string.h>
#include <utlist.h>

#define OPERATION "create_token"

struct federation {
	struct federation_spec spec;
	struct federation_fetch *fetches;
};

struct federation_fetch {
	struct federation *owner;
	struct azure_identity *identity;
	char *resource, *url, *namespace, *account, *pod;
	struct kube_call *requesting;
	struct entra_call *asking;
	token_done_fn *done;
	void *ctx;
	struct federation_fetch *prev, *next;
};

static const char *tenant_of(const struct federation *s, const struct azure_identity *i)
{
	return str_is_blank(i->tenant_id) ? s->spec.tenant_id : i->tenant_id;
}

/* ending */

static void fetch_free(struct federation_fetch *f)
{
	DL_DELETE(f->owner->fetches, f);
	(void)azure_identity_unref(f->identity);
	free(f->resource);
	free(f->url);
	free(f->namespace);
	free(f->account);
	free(f->pod);
	free(f);
}

static void fetch_cancel(void *ctx, void *handle)
{
	struct federation_fetch *f = handle;

	(void)ctx;
	kube_cancel(f->requesting);
	if (f->asking)
		entra_cancel(f->asking);
	fetch_free(f);
}

static bool is_answering(const void *handle)
{
	const struct federation_fetch *f = handle;

	return f->asking && entra_is_answering(f->asking);
}

static void finish(struct federation_fetch *f, struct token *tok, const struct token_failure *fail)
{
	token_done_fn *done = f->done;
	void *ctx = f->ctx;

	fetch_free(f);
	done(ctx, tok, fail);
}

/* Entra */

static void on_answer(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct federation_fetch *f = ctx;

	f->asking = NULL;
	finish(f, tok, fail);
}

static void exchange(struct federation_fetch *f, const struct secret *token,
		     const struct account_claims *claims)
{
	const struct entra_federation shown = { claims->issuer, claims->subject, claims->audience };
	struct token_failure fail = { 0 };
	const struct entra_ask what = { .url = f->url,
					.tenant = tenant_of(f->owner, f->identity),
					.client_id = f->identity->client_id,
					.resource = f->resource,
					.assertion = token,
					.federation = &shown };

	f->asking = entra_fetch(f->owner->spec.entra, &what, on_answer, f, &fail);
	if (!f->asking)
		finish(f, NULL, &fail);
}

/* the API server */

/*
 * What the API server's status says. 404: the pod or its account is gone; 409: another pod has its name;
 * 400: the pod runs as another account. 422: what was asked for is not to be had from anybody.
 */
static enum token_fault fault_of(long status)
{
	if (status == 400 || status == 404 || status == 409)
		return TOKEN_FAULT_POD;
	if (status == 403 || status == 422)
		return TOKEN_FAULT_CREDENTIAL;
	return status >= 200 && status < 300 ? TOKEN_FAULT_GARBLED : TOKEN_FAULT_DOWN;
}

/*
 * Of a ValidatingAdmissionPolicy's refusal, its own words, or NULL. What the API server puts before them
 * would leave no room for them in an error; who may ask at all is not in question then.
 */
static const char *policy_words(const struct err *err)
{
	static const char before[] = "denied request: ";
	const char *at = strstr(err->msg, "ValidatingAdmissionPolicy ");

	at = at ? strstr(at, before) : NULL;
	return at ? at + strlen(before) : NULL;
}

static void refuse(const struct federation_fetch *f, long status, const struct err *err,
		   struct token_failure *fail)
{
	const char *hint = "", *policy = policy_words(err);

	if (policy)
		hint = "an admission policy does not take what nmi asks: its words say what to "
		       "change, there or here";
	else if (status == 403)
		hint = "grant nmi's service account create on serviceaccounts/token, and see "
		       "whether an admission policy is in the way";
	else if (status == 422)
		hint = "the API server or an admission policy does not take the request: is "
		       "--federation-audience the one that is allowed?";
	else if (fault_of(status) == TOKEN_FAULT_POD)
		hint = "the pod or its service account is gone, was replaced, or they do not "
		       "belong "
		       "together; ask again";
	(void)token_fail(fail, fault_of(status),
			 "no token of service account %s/%s for pod %s: %s%s", f->namespace,
			 f->account, f->pod, policy ? "by admission policy: " : "",
			 policy ? policy : err->msg);
	fail->err.http_status = (int)status;
	(void)snprintf(fail->hint, sizeof(fail->hint), "%s", hint);
}

static void on_account_token(void *ctx, long status, const struct jval *doc, const struct err *err)
{
	static const char *const labels[] = { OPERATION };
	struct federation_fetch *f = ctx;
	_cleanup_(account_claims_deinit) struct account_claims claims = { 0 };
	_cleanup_(secret_deinit) struct secret token = { 0 };
	struct token_failure fail = { 0 };
	struct err why = { 0 };
	unsigned retry_after_sec = kube_call_retry_after(f->requesting);

	f->requesting = NULL;
	if (!err && doc && account_token_parse(doc, &token, &claims, &why) == 0) {
		exchange(f, &token, &claims);
		return;
	}
	metric_add(f->owner->spec.metrics, NMI_METRIC_KUBE_ERRORS, labels, 1);
	if (!err && !doc)
		(void)err_set(&why, ERR_INPUT, "an empty answer");
	refuse(f, status, err ? err : &why, &fail);
	if (fail.fault == TOKEN_FAULT_DOWN)
		fail.retry_after_sec = retry_after_sec;
	finish(f, NULL, &fail);
}

static struct kube_call *request_token(struct federation_fetch *f, const struct token_pod *pod)
{
	_cleanup_free_ char *namespace = kube_escape(f->namespace);
	_cleanup_free_ char *account = kube_escape(f->account);
	_cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/serviceaccounts/%s/token",
					      namespace, account);
	size_t n;
	_cleanup_free_ char *body = account_token_request(pod, f->owner->spec.audience, &n);
	const struct kube_request req = { .method = "POST",
					  .path = path,
					  .body = body,
					  .body_len = n,
					  .timeout_msec = LIMIT_ACCOUNT_TOKEN_MSEC,
					  .is_secret = true };

	return kube_send(f->owner->spec.kube, &req, on_account_token, f);
}

/* the source */

/* The token endpoint, or NULL with `fail` filled: nothing can be asked for it. */
static char *endpoint_of(const struct federation *s, const struct token_ask *ask,
			 struct token_failure *fail)
{
	const struct azure_identity *i = ask->identity;
	const char *tenant = i ? tenant_of(s, i) : NULL;
	struct err err = { 0 };
	char *url;

	if (!i || !ask->pod || !ask->pod->service_account || !*ask->pod->service_account) {
		(void)token_fail(fail, TOKEN_FAULT_INVALID, "the pod has no service account");
		return NULL;
	}
	if (str_is_blank(i->client_id) || strlen(i->client_id) > LIMIT_PARAM_BYTES) {
		(void)token_fail(fail, TOKEN_FAULT_INVALID,
				 "spec.clientID is %s: set it to the client id of the application "
				 "or managed identity",
				 str_is_blank(i->client_id) ? "empty" : "too long");
		return NULL;
	}
	if (str_is_blank(tenant)) {
		(void)token_fail(
			fail, TOKEN_FAULT_INVALID,
			i->of_account
				? "annotation " AZURE_TENANT_NOTE
				  " is missing or empty, and so is --tenant-id"
				: "spec.tenantID is empty, and so are annotation " AZURE_TENANT_NOTE
				  " and --tenant-id");
		return NULL;
	}
	url = entra_url_for(s->spec.entra, i->ad_endpoint, tenant, &err);
	if (!url)
		(void)token_fail(fail, TOKEN_FAULT_INVALID, "%s%s",
				 i->of_account ? "annotation " AZURE_TENANT_NOTE ": " : "",
				 err.msg);
	return url;
}

static void *fetch_start(void *ctx, const struct token_ask *ask, token_done_fn *done,
			 void *done_ctx, struct token_failure *out_fail)
{
	struct federation *s = ctx;
	_cleanup_free_ char *url = endpoint_of(s, ask, out_fail);
	struct federation_fetch *f;

	if (!url)
		return NULL;
	f = xnew(struct federation_fetch);
	f->owner = s;
	f->identity = azure_identity_ref(ask->identity);
	f->resource = xstrdup(ask->resource);
	f->url = steal_ptr(url);
	f->namespace = xstrdup(ask->pod->namespace);
	f->account = xstrdup(ask->pod->service_account);
	f->pod = xstrdup(ask->pod->name);
	f->done = done;
	f->ctx = done_ctx;
	DL_APPEND(s->fetches, f);
	f->requesting = request_token(f, ask->pod);
	return f;
}

struct federation *federation_new(const struct federation_spec *spec, struct err *err)
{
	struct federation *s;

	if (*spec->tenant_id && !entra_is_tenant(spec->tenant_id)) {
		(void)err_set(err, ERR_INPUT, "--tenant-id: %s is neither a GUID nor a domain",
			      LOG_Q(spec->tenant_id));
		return NULL;
	}
	if (str_is_blank(spec->audience)) {
		(void)err_set(err, ERR_INPUT, "--federation-audience must not be empty");
		return NULL;
	}
	s = xnew(struct federation);
	s->spec = *spec;
	return s;
}

struct federation *federation_free(struct federation *s)
{
	if (!s)
		return NULL;
	while (s->fetches)
		/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a freed fetch has left its list */
		fetch_cancel(s, s->fetches);
	free(s);
	return NULL;
}

struct token_source federation_vtable(struct federation *s)
{
	return (struct token_source){
		.name = "federation",
		.ctx = s,
		.budget = { .max_in_flight = LIMIT_ENTRA_IN_FLIGHT,
			    .per_second = LIMIT_ENTRA_PER_SECOND,
			    .slow_msec = LIMIT_ENTRA_SLOW_MSEC,
			    .max_slow = LIMIT_ENTRA_SLOW,
			    .throttles_apart = true },
		.fetch = fetch_start,
		.cancel = fetch_cancel,
		.is_answering = is_answering,
	};
}
