/* SPDX-License-Identifier: MIT */

/*
 * The client of Entra's token endpoint: see entra.h.
 *
 * Where the endpoint is comes in part from an AzureIdentity, which whoever may create one in a namespace
 * writes, and a secret is sent there. So the host has to be one of Entra's, or the operator's own; the
 * tenant becomes a segment of the path and has the characters of a GUID or a domain name only.
 */

#include "nmi/token/entra.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/http/client.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/token/exchange.h"
#include "nmi/token/failure.h"
#include "nmi/token/policy.h"
#include "nmi/token/token.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <utlist.h>

#define ANSWER_MAX     ((size_t)LIMIT_TOKEN_ANSWER_BYTES)
#define HOST_MAX       253
#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
/* The name is aad-pod-identity's, which its dashboards select by. */
#define OPERATION "adal_token"

/* An application of a tenant that was answered 429: it is not asked for again before the time that was said. */
struct brake {
	char *url, *client_id;
	struct mono since, until;
	struct token_failure said;
};

struct entra {
	struct loop *loop;
	struct brake brakes[LIMIT_ENTRA_BRAKES];
	struct entra_spec spec;
	char *authority;
	struct entra_call *calls;
};

struct entra_call {
	struct entra *entra;
	struct http_call *http;
	char *url, *tenant, *client_id, *resource, *credential;
	struct secret secret, assertion; /* one of them; for what an answer must not repeat */
	bool is_federated;
	char *issuer, *subject, *audience;
	struct mono started;
	token_done_fn *done;
	void *ctx;
	struct entra_call *prev, *next;
};

/* where */

/* https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud, and MSAL's list */
static const char *const known_hosts[] = {
	"login.microsoftonline.com",
	"login.microsoft.com",
	"login.windows.net",
	"sts.windows.net",
	"login.microsoftonline.us",
	"login.usgovcloudapi.net",
	"login-us.microsoftonline.com",
	"login.partner.microsoftonline.cn",
	"login.chinacloudapi.cn",
	"login.sovcloud-identity.fr",
	"login.sovcloud-identity.de",
	"login.sovcloud-identity.sg",
};

static size_t span(const char *s, const char *more)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || (s[n] && strchr(more, s[n])))
		n++;
	return n;
}

char *entra_authority_parse(const char *text, struct err *err)
{
	static const char scheme[] = "https://";
	const char *host = text + strlen(scheme), *end;
	char *out;

	if (strncasecmp(text, scheme, strlen(scheme)) != 0) {
		(void)err_set(err, ERR_INPUT, "'%.64s' does not begin with https://", text);
		return NULL;
	}
	end = host + span(host, ".-");
	if (end == host || end - host > HOST_MAX || !isalnum((unsigned char)*host)) {
		(void)err_set(err, ERR_INPUT, "'%.64s' has no host name", text);
		return NULL;
	}
	if (*end == ':') {
		size_t digits = strspn(end + 1, "0123456789");

		end += digits && digits <= 5 ? digits + 1 : 0;
	}
	if (end[strspn(end, "/")] != '\0') {
		(void)err_set(err, ERR_INPUT,
			      "'%.64s' is more than a host: only https://HOST/ is taken", text);
		return NULL;
	}
	out = xasprintf("%s%.*s", scheme, (int)(end - host), host);
	for (char *p = out; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return out;
}

bool entra_is_known_host(const char *authority)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_hosts); i++) {
		if (strncmp(authority, "https://", 8) == 0 &&
		    strcmp(authority + 8, known_hosts[i]) == 0)
			return true;
	}
	return false;
}

bool entra_is_tenant(const char *s)
{
	size_t n = strlen(s);

	if (str_is_guid(str_of(s)))
		return true;
	return n <= HOST_MAX && span(s, ".-") == n && strchr(s, '.') && !strstr(s, "..") &&
	       isalnum((unsigned char)s[0]) && isalnum((unsigned char)s[n - 1]);
}

char *entra_url_for(const struct entra *e, const char *ad_endpoint, const char *tenant,
		    struct err *err)
{
	_cleanup_free_ char *own = NULL;
	const char *authority = e->authority;

	if (ad_endpoint && *ad_endpoint) {
		own = entra_authority_parse(ad_endpoint, err);
		if (!own) {
			(void)err_wrap(err, "spec.adEndpoint");
			return NULL;
		}
		if (strcmp(own, e->authority) != 0 && !entra_is_known_host(own)) {
			(void)err_set(err, ERR_INPUT,
				      "spec.adEndpoint: %.64s is no login host of Entra's, and not "
				      "the one of --authority-host",
				      own);
			return NULL;
		}
		authority = own;
	}
	if (!entra_is_tenant(tenant)) {
		(void)err_set(err, ERR_INPUT,
			      *tenant ? "'%.64s' is no tenant: give its GUID or its domain"
				      : "there is no tenant%s: set spec.tenantID",
			      tenant);
		return NULL;
	}
	return xasprintf("%s/%s/oauth2/v2.0/token", authority, tenant);
}

/* the form */

static void put_field(struct buf *out, const char *name, const char *p, size_t n)
{
	if (out->n)
		buf_put(out, "&", 1);
	buf_put(out, name, strlen(name));
	buf_put(out, "=", 1);
	buf_put_percent(out, p, n);
}

static void put_text(struct buf *out, const char *name, const char *text)
{
	put_field(out, name, text, strlen(text));
}

static void put_secret(struct buf *out, const char *name, const struct secret *s)
{
	put_field(out, name, (const char *)s->p, s->n);
}

char *entra_scope(const char *resource)
{
	static const struct str suffix = { "/.default", 9 };
	struct str r = str_of(resource);

	if (r.n > suffix.n && str_eq((struct str){ r.p + r.n - suffix.n, suffix.n }, suffix))
		return xstrdup(resource);
	/*
	 * Entra takes what stands before the last slash for the audience, so one at the end of the resource
	 * is kept: "https://database.windows.net/" becomes "https://database.windows.net//.default".
	 */
	return xasprintf("%s%s", resource, suffix.p);
}

void entra_form(const struct entra_ask *ask, struct buf *out)
{
	_cleanup_free_ char *scope = entra_scope(ask->resource);

	assert(!ask->client_secret != !ask->assertion);
	*out = (struct buf){ .wipe = true };
	put_text(out, "grant_type", "client_credentials");
	put_text(out, "client_id", ask->client_id);
	put_text(out, "scope", scope);
	if (ask->client_secret) {
		put_secret(out, "client_secret", ask->client_secret);
		return;
	}
	put_text(out, "client_assertion_type", ASSERTION_TYPE);
	put_secret(out, "client_assertion", ask->assertion);
}

/* asking */

struct entra *entra_new(struct loop *l, const struct entra_spec *spec, struct err *err)
{
	struct entra *e = xnew(struct entra);

	e->loop = l;
	e->spec = *spec;
	e->authority = entra_authority_parse(spec->authority, err);
	return e->authority ? e : entra_free(e);
}

static void call_free(struct entra_call *c)
{
	DL_DELETE(c->entra->calls, c);
	secret_deinit(&c->secret);
	secret_deinit(&c->assertion);
	free(c->url);
	free(c->tenant);
	free(c->client_id);
	free(c->resource);
	free(c->credential);
	free(c->issuer);
	free(c->subject);
	free(c->audience);
	free(c);
}

void entra_cancel(struct entra_call *call)
{
	http_cancel(call->http);
	call_free(call);
}

bool entra_is_answering(const struct entra_call *call)
{
	return http_is_answering(call->http);
}

struct entra *entra_free(struct entra *e)
{
	if (!e)
		return NULL;
	while (e->calls)
		entra_cancel(e->calls);
	for (size_t i = 0; i < LIMIT_ENTRA_BRAKES; i++) {
		free(e->brakes[i].url);
		free(e->brakes[i].client_id);
	}
	free(e->authority);
	free(e);
	return NULL;
}

static struct token *read_reply(const struct entra_call *c, const struct http_reply *reply,
				const struct err *err, struct token_failure *fail)
{
	const struct entra_federation federation = { c->issuer, c->subject, c->audience };
	const struct entra_ask ask = { .url = c->url,
				       .tenant = c->tenant,
				       .client_id = c->client_id,
				       .resource = c->resource,
				       .credential = c->credential,
				       .client_secret = c->secret.p ? &c->secret : NULL,
				       .assertion = c->assertion.p ? &c->assertion : NULL,
				       .federation = c->is_federated ? &federation : NULL };

	if (reply)
		return entra_answer_parse(reply->status,
					  (struct str){ reply->body, reply->body_len },
					  reply->header(reply, "Retry-After"), &ask,
					  loop_wall(c->entra->loop), fail);
	if (err->kind == ERR_LIMIT)
		return token_fail(fail, TOKEN_FAULT_GARBLED,
				  "Entra, tenant %s, sent more than the %d bytes that a token's "
				  "answer may have: %s",
				  c->tenant, LIMIT_TOKEN_ANSWER_BYTES, err->msg);
	(void)token_fail(fail, TOKEN_FAULT_DOWN, "Entra, tenant %s, did not answer: %s", c->tenant,
			 err->msg);
	token_fail_exchange(fail, err);
	return NULL;
}

/* Throttling: Entra counts by application and tenant, which the URL names */

static struct brake *find_brake(struct entra *e, const char *url, const char *client_id)
{
	for (size_t i = 0; i < LIMIT_ENTRA_BRAKES; i++) {
		struct brake *b = &e->brakes[i];

		if (b->url && strcmp(b->url, url) == 0 && strcasecmp(b->client_id, client_id) == 0)
			return b;
	}
	return NULL;
}

/* In the place of its own, or of the one that ends first: one that is free ended before all time. */
static void put_brake(struct entra *e, const struct entra_call *c, const struct token_failure *fail)
{
	struct brake *b = find_brake(e, c->url, c->client_id);

	if (!b) {
		b = &e->brakes[0];
		for (size_t i = 1; i < LIMIT_ENTRA_BRAKES; i++) {
			if (mono_before(e->brakes[i].until, b->until))
				b = &e->brakes[i];
		}
	}
	free(b->url);
	free(b->client_id);
	b->url = xstrdup(c->url);
	b->client_id = xstrdup(c->client_id);
	b->since = loop_mono(e->loop);
	b->until = mono_add_msec(b->since, policy_remember_msec(fail));
	b->said = *fail;
}

static bool is_braked(struct entra *e, const struct entra_ask *ask, struct token_failure *out_fail)
{
	const struct brake *b = find_brake(e, ask->url, ask->client_id);
	struct mono now = loop_mono(e->loop);

	if (!b || !mono_before(now, b->until))
		return false;
	*out_fail = token_failure_after(&b->said, b->since, now);
	return true;
}

static void on_reply(void *ctx, const struct http_reply *reply, const struct err *err)
{
	static const char *const labels[] = { OPERATION };
	struct entra_call *c = ctx;
	struct entra *e = c->entra;
	struct token_failure fail = { 0 };
	_cleanup_(token_unrefp) struct token *tok = read_reply(c, reply, err, &fail);
	token_done_fn *done = c->done;
	void *done_ctx = c->ctx;
	double took = mono_seconds_between(c->started, loop_mono(e->loop));

	token_exchange_count(e->spec.metrics, c->is_federated ? "federation" : "entra", reply, err,
			     took);
	if (tok)
		metric_observe(e->spec.metrics, NMI_METRIC_IMDS_DURATION, labels, took);
	else
		metric_add(e->spec.metrics, NMI_METRIC_IMDS_ERRORS, labels, 1);
	if (!tok && fail.fault == TOKEN_FAULT_THROTTLED)
		put_brake(e, c, &fail);
	call_free(c);
	done(done_ctx, tok, tok ? NULL : &fail);
}

static struct http_call *send_request(struct entra_call *c, const struct entra_ask *ask,
				      struct err *err)
{
	static const char *const headers[] = { "Content-Type: application/x-www-form-urlencoded",
					       "Accept: application/json", NULL };
	_cleanup_(buf_deinit) struct buf form = { 0 };
	struct http_request req = {
		.method = "POST",
		.url = c->url,
		.headers = headers,
		.body_max = ANSWER_MAX,
		.timeout_msec = c->entra->spec.timeout_msec,
		.done = on_reply,
		.ctx = c,
	};

	entra_form(ask, &form);
	req.body = form.p;
	req.body_len = form.n;
	return http_send(c->entra->spec.http, &req, err);
}

static struct entra_call *call_new(struct entra *e, const struct entra_ask *ask)
{
	struct entra_call *c = xnew(struct entra_call);

	c->entra = e;
	c->url = xstrdup(ask->url);
	c->tenant = xstrdup(ask->tenant);
	c->client_id = xstrdup(ask->client_id);
	c->resource = xstrdup(ask->resource);
	c->credential = ask->credential ? xstrdup(ask->credential) : NULL;
	if (ask->client_secret)
		secret_set(&c->secret, ask->client_secret->p, ask->client_secret->n);
	if (ask->assertion)
		secret_set(&c->assertion, ask->assertion->p, ask->assertion->n);
	if (ask->federation) {
		c->is_federated = true;
		c->issuer = xstrdup(ask->federation->issuer);
		c->subject = xstrdup(ask->federation->subject);
		c->audience = xstrdup(ask->federation->audience);
	}
	c->started = loop_mono(e->loop);
	DL_APPEND(e->calls, c);
	return c;
}

struct entra_call *entra_fetch(struct entra *e, const struct entra_ask *ask, token_done_fn *done,
			       void *ctx, struct token_failure *out_fail)
{
	struct entra_call *c;
	struct err err = { 0 };

	if (is_braked(e, ask, out_fail))
		return NULL;
	c = call_new(e, ask);
	c->done = done;
	c->ctx = ctx;
	c->http = send_request(c, ask, &err);
	if (c->http)
		return c;
	call_free(c);
	(void)token_fail(out_fail, TOKEN_FAULT_DOWN, "request to Entra, tenant %s: %s", ask->tenant,
			 err.msg);
	return NULL;
}
