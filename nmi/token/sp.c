/* SPDX-License-Identifier: MIT */

/*
 * Tokens of service principals: see sp.h.
 *
 * A fetch goes through these, each but the first ending in a callback:
 *
 *	start	what the AzureIdentity must have; nothing is sent for one that lacks it
 *	look	only if there is a token at hand: is the Secret still the one it was made with? Then it is
 *		given back, and nobody but the API server was asked
 *	get	the Secret; the credential is taken out of it
 *	ask	Entra, one tenant after the other; the credential is wiped after the last
 *
 * Whoever may create an AzureIdentity in a namespace must not thereby have the use of another namespace's
 * Secret, so it names one of its own unless the operator says otherwise.
 */

#include "nmi/token/sp.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/token/credential.h"
#include "nmi/token/entra.h"
#include "nmi/token/failure.h"
#include "nmi/token/secrets.h"
#include "nmi/token/token.h"

#include <inttypes.h>
#include <string.h>
#include <utlist.h>

struct sp_source {
	struct loop *loop;
	struct sp_spec spec;
	struct sp_fetch *fetches;
};

struct sp_fetch {
	struct sp_source *source;
	struct azure_identity *identity;
	char *resource;
	struct token *known; /* may be given back; NULL: none */
	struct secrets_wait *reading;
	struct entra_call *asking;
	uint64_t origin;	  /* of the Secret that was read */
	struct secret credential; /* client secret, or assertion */
	size_t n_asked;		  /* tenants */
	struct token *tokens;	  /* of those, the first one's, and so on by `next` */
	token_done_fn *done;
	void *ctx;
	struct sp_fetch *prev, *next;
};

/* what an identity names */

static struct secret_ref ref_of(const struct azure_identity *i)
{
	return (struct secret_ref){ *i->secret_namespace ? i->secret_namespace : i->meta.namespace,
				    i->secret_name };
}

/* The contract of aad-pod-identity: a certificate is shown to the primary tenant alone. */
static size_t n_tenants(const struct azure_identity *i)
{
	return i->type == AZURE_IDENTITY_SERVICE_PRINCIPAL ? 1 + i->n_aux_tenants : 1;
}

static const char *tenant_at(const struct azure_identity *i, size_t at)
{
	return at == 0 ? i->tenant_id : i->aux_tenants[at - 1];
}

static char *url_at(const struct sp_source *s, const struct azure_identity *i, size_t at,
		    struct err *err)
{
	return entra_url_for(s->spec.entra, i->ad_endpoint, tenant_at(i, at), err);
}

static bool is_allowed(const struct sp_source *s, const struct azure_identity *i)
{
	return s->spec.across_namespaces || strcmp(ref_of(i).namespace, i->meta.namespace) == 0;
}

/* False with `fail` filled: nothing can be asked for it. */
static bool is_complete(const struct sp_source *s, const struct azure_identity *i,
			struct token_failure *fail)
{
	const struct secret_ref ref = ref_of(i);
	struct err err = { 0 };

	if (str_is_blank(i->client_id) || strlen(i->client_id) > LIMIT_PARAM_BYTES) {
		(void)token_fail(fail, TOKEN_FAULT_INVALID,
				 "spec.clientID is %s: set it to the application's client id",
				 str_is_blank(i->client_id) ? "empty" : "too long");
		return false;
	}
	if (!*ref.name) {
		(void)token_fail(fail, TOKEN_FAULT_INVALID,
				 "spec.clientPassword.name is empty: name the Secret there");
		return false;
	}
	if (!is_allowed(s, i)) {
		(void)token_fail(
			fail, TOKEN_FAULT_INVALID,
			"spec.clientPassword names a Secret of namespace %.63s: only one of "
			"its own namespace is read (--secrets-across-namespaces)",
			ref.namespace);
		return false;
	}
	for (size_t at = 0; at < n_tenants(i); at++) {
		_cleanup_free_ char *url = url_at(s, i, at, &err);

		if (!url) {
			(void)token_fail(fail, TOKEN_FAULT_INVALID, "%s", err.msg);
			return false;
		}
	}
	return true;
}

/* ending */

static void fetch_free(struct sp_fetch *f)
{
	DL_DELETE(f->source->fetches, f);
	(void)azure_identity_unref(f->identity);
	(void)token_unref(f->known);
	(void)token_unref(f->tokens);
	secret_deinit(&f->credential);
	free(f->resource);
	free(f);
}

static void fetch_cancel(void *ctx, void *handle)
{
	struct sp_fetch *f = handle;

	(void)ctx;
	if (f->reading)
		secrets_cancel(f->reading);
	if (f->asking)
		entra_cancel(f->asking);
	fetch_free(f);
}

static void finish(struct sp_fetch *f, struct token *tok, const struct token_failure *fail)
{
	token_done_fn *done = f->done;
	void *ctx = f->ctx;
	_cleanup_(token_unrefp) struct token *mine = tok ? token_ref(tok) : NULL;
	struct token_failure said = { 0 };

	if (fail)
		said = *fail;
	said.origin = f->origin;
	fetch_free(f);
	done(ctx, mine, mine ? NULL : &said);
}

static void finish_err(struct sp_fetch *f, enum token_fault fault, const struct err *err)
{
	struct token_failure fail = { 0 };

	(void)token_fail(&fail, fault, "%s", err->msg);
	finish(f, NULL, &fail);
}

/* asking Entra */

/* What the answer says of expiry has to hold for all of them: it is answered and renewed as one. */
static void join_tokens(struct token *first, uint64_t origin)
{
	first->origin = origin;
	for (const struct token *t = first->next; t; t = t->next) {
		if (t->expires_on.s < first->expires_on.s)
			first->expires_on = t->expires_on;
	}
}

static void ask(struct sp_fetch *f);

static void on_answer(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct sp_fetch *f = ctx;
	struct token **end = &f->tokens;

	f->asking = NULL;
	if (!tok) {
		finish(f, NULL, fail);
		return;
	}
	while (*end)
		end = &(*end)->next;
	*end = token_ref(tok);
	f->n_asked++;
	if (f->n_asked < n_tenants(f->identity)) {
		ask(f);
		return;
	}
	join_tokens(f->tokens, f->origin);
	finish(f, f->tokens, NULL);
}

static void ask(struct sp_fetch *f)
{
	const struct azure_identity *i = f->identity;
	bool is_secret = i->type == AZURE_IDENTITY_SERVICE_PRINCIPAL;
	struct token_failure fail = { 0 };
	struct err err = { 0 };
	const struct secret_ref ref = ref_of(i);
	_cleanup_free_ char *url = url_at(f->source, i, f->n_asked, &err);
	_cleanup_free_ char *credential = xasprintf("Secret %s/%s", ref.namespace, ref.name);
	const struct entra_ask what = { .url = url,
					.tenant = tenant_at(i, f->n_asked),
					.client_id = i->client_id,
					.resource = f->resource,
					.credential = credential,
					.client_secret = is_secret ? &f->credential : NULL,
					.assertion = is_secret ? NULL : &f->credential };

	if (!url) {
		finish_err(f, TOKEN_FAULT_INVALID, &err);
		return;
	}
	f->asking = entra_fetch(f->source->spec.entra, &what, on_answer, f, &fail);
	if (f->n_asked + 1 == n_tenants(i))
		secret_deinit(&f->credential);
	if (!f->asking)
		finish(f, NULL, &fail);
}

/* the Secret */

static int make_assertion(struct sp_fetch *f, const struct jval *data, struct err *err)
{
	_cleanup_(secret_deinit) struct secret certificate = { 0 };
	_cleanup_(secret_deinit) struct secret password = { 0 };
	_cleanup_(cert_freep) struct cert *cert = NULL;
	_cleanup_free_ char *url = url_at(f->source, f->identity, 0, err);
	struct wall now = loop_wall(f->source->loop);
	int r = url ? credential_read_certificate(data, &certificate, &password, err) : -ERR_INPUT;

	if (r < 0)
		return r;
	cert = cert_parse(&certificate, &password, now, err);
	if (!cert)
		return err_wrap(err, "key certificate");
	return cert_assert(cert, &f->source->spec.style, url, f->identity->client_id, now,
			   &f->credential, err);
}

static void on_secret(void *ctx, uint64_t origin, const struct jval *data,
		      const struct token_failure *fail)
{
	struct sp_fetch *f = ctx;
	const struct secret_ref ref = ref_of(f->identity);
	struct err err = { 0 };
	int r;

	f->reading = NULL;
	f->origin = origin;
	if (fail) {
		finish(f, NULL, fail);
		return;
	}
	r = f->identity->type == AZURE_IDENTITY_SERVICE_PRINCIPAL
		    ? credential_read_secret(data, &f->credential, &err)
		    : make_assertion(f, data, &err);
	if (r < 0) {
		(void)err_wrap(&err, "Secret %s/%s", ref.namespace, ref.name);
		finish_err(f, TOKEN_FAULT_CREDENTIAL, &err);
		return;
	}
	ask(f);
}

static bool read_secret(struct sp_fetch *f, struct token_failure *fail)
{
	const struct secret_ref ref = ref_of(f->identity);

	f->reading = secrets_get(f->source->spec.secrets, &ref, on_secret, f, fail);
	return f->reading != NULL;
}

static void on_look(void *ctx, uint64_t origin, const struct jval *data,
		    const struct token_failure *fail)
{
	struct sp_fetch *f = ctx;
	struct token_failure why = { 0 };

	(void)data;
	f->reading = NULL;
	if (fail)
		finish(f, NULL, fail);
	else if (origin == f->known->origin)
		finish(f, f->known, NULL);
	else if (!read_secret(f, &why))
		finish(f, NULL, &why);
}

/* the source */

static void *fetch_start(void *ctx, const struct token_ask *ask, token_done_fn *done,
			 void *done_ctx, struct token_failure *out_fail)
{
	struct sp_source *s = ctx;
	const struct azure_identity *i = ask->identity;
	const struct secret_ref ref = i ? ref_of(i) : (struct secret_ref){ 0 };
	struct sp_fetch *f;

	if (!i || (i->type != AZURE_IDENTITY_SERVICE_PRINCIPAL &&
		   i->type != AZURE_IDENTITY_CERTIFICATE)) {
		(void)token_fail(out_fail, TOKEN_FAULT_UNSUPPORTED,
				 "spec.type %" PRId64 " is no service principal", i ? i->type : 0);
		return NULL;
	}
	if (!is_complete(s, i, out_fail))
		return NULL;
	f = xnew(struct sp_fetch);
	f->source = s;
	f->identity = azure_identity_ref(i);
	f->resource = xstrdup(ask->resource);
	f->known = ask->known ? token_ref(ask->known) : NULL;
	f->done = done;
	f->ctx = done_ctx;
	DL_APPEND(s->fetches, f);
	if (f->known)
		f->reading = secrets_look(s->spec.secrets, &ref, on_look, f, out_fail);
	else
		(void)read_secret(f, out_fail);
	if (f->reading)
		return f;
	fetch_free(f);
	return NULL;
}

static bool is_answering(const void *handle)
{
	const struct sp_fetch *f = handle;

	return f->asking && entra_is_answering(f->asking);
}

static enum token_news check(void *ctx, const struct token_ask *ask, uint64_t origin)
{
	const struct sp_source *s = ctx;
	const struct secret_ref ref = ref_of(ask->identity);

	if (!is_allowed(s, ask->identity))
		return TOKEN_NEWS_CHANGED; /* it was, when the token was made */
	return secrets_check(s->spec.secrets, &ref, origin);
}

struct sp_source *sp_source_new(struct loop *l, const struct sp_spec *spec)
{
	struct sp_source *s = xnew(struct sp_source);

	s->loop = l;
	s->spec = *spec;
	return s;
}

void sp_source_set(struct sp_source *s, const struct cert_style *style, bool across_namespaces)
{
	s->spec.style = *style;
	s->spec.across_namespaces = across_namespaces;
}

struct sp_source *sp_source_free(struct sp_source *s)
{
	if (!s)
		return NULL;
	while (s->fetches)
		fetch_cancel(s, s->fetches);
	free(s);
	return NULL;
}

struct token_source sp_source_vtable(struct sp_source *s)
{
	return (struct token_source){ .name = "entra",
				      .ctx = s,
				      .budget = { .max_in_flight = LIMIT_ENTRA_IN_FLIGHT,
						  .per_second = LIMIT_ENTRA_PER_SECOND,
						  .slow_msec = LIMIT_ENTRA_SLOW_MSEC,
						  .max_slow = LIMIT_ENTRA_SLOW,
						  .throttles_apart = true },
				      .fetch = fetch_start,
				      .cancel = fetch_cancel,
				      .is_answering = is_answering,
				      .check = check };
}
