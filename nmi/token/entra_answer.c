/* SPDX-License-Identifier: MIT */

/*
 * What Entra answers: see entra.h. Of an error the fields that a person or Microsoft's support asks for
 * are kept, made printable; of a token nothing is ever quoted. An answer may repeat what it was asked
 * with, so the secret or assertion is taken out of every text before it is cut.
 */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "nmi/token/entra.h"
#include "nmi/token/failure.h"
#include "nmi/token/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ANSWER_MAX ((size_t)LIMIT_TOKEN_ANSWER_BYTES)
/* A token of Entra lives a day at most; a year is a mistake of units. */
#define LIFE_MAX_SEC (INT64_C(366) * 86400)

/* errors */

/*
 * What to do, by AADSTS number; the numbers are Microsoft's and stable, the words are ours. Only for what
 * is said, never for what is done (learn.microsoft.com, "Microsoft Entra error codes").
 */
/* clang-format off */
enum about {
	ABOUT_OTHER,
	ABOUT_CREDENTIAL, /* the hint begins with where it stands */
	ABOUT_FEDERATION, /* the hint ends with what has to be configured */
};

static const struct {
	unsigned code;
	enum about about;
	const char *hint;
} hints[] = {
	{ 7000215, ABOUT_CREDENTIAL, "the client secret is wrong: the value of the secret is needed, not its id" },
	{ 7000222, ABOUT_CREDENTIAL, "the client secret has expired: make a new one and put it there" },
	{ 700027, ABOUT_CREDENTIAL, "the certificate is not registered with the application: az ad app credential reset --id <clientID> --cert @<file> --append" },
	{ 700024, ABOUT_OTHER, "the assertion is not valid now: is this node's clock right?" },
	{ 700016, ABOUT_OTHER, "spec.clientID is no application of the tenant: check clientID and tenantID" },
	{ 7000112, ABOUT_OTHER, "the application is disabled in this tenant" },
	{ 90002, ABOUT_OTHER, "there is no such tenant: check spec.tenantID and the cloud (spec.adEndpoint)" },
	{ 900023, ABOUT_OTHER, "spec.tenantID is no tenant: give its GUID or its domain" },
	{ 500011, ABOUT_OTHER, "the resource that was asked for is not known in this tenant" },
	{ 50001, ABOUT_OTHER, "the resource that was asked for is not known in this tenant" },
	{ 70011, ABOUT_OTHER, "the resource that was asked for is none" },
	{ 1002012, ABOUT_OTHER, "the resource that was asked for is none" },
	{ 700022, ABOUT_OTHER, "more than one resource was asked for" },
	{ 70021, ABOUT_FEDERATION, "no federated credential matches" },
	{ 700211, ABOUT_FEDERATION, "no federated credential has this issuer" },
	{ 700212, ABOUT_FEDERATION, "no federated credential has this audience" },
	{ 700213, ABOUT_FEDERATION, "no federated credential has this subject" },
	{ 90061, ABOUT_OTHER, "Entra could not read the cluster's OIDC issuer: it must be open to the internet" },
	{ 53003, ABOUT_OTHER, "a Conditional Access policy of the tenant blocks it" },
};
/* clang-format on */

static void print_hint(struct token_failure *fail, const struct entra_ask *ask, size_t at)
{
	const struct entra_federation *f = ask->federation;
	const char *hint = hints[at].hint;

	if (hints[at].about == ABOUT_FEDERATION && f)
		(void)snprintf(fail->hint, sizeof(fail->hint),
			       "%s: configure one with exactly issuer %s, subject %s, audience %s "
			       "(a new one takes some minutes)",
			       hint, f->issuer, f->subject, f->audience);
	else if (hints[at].about == ABOUT_CREDENTIAL && ask->credential)
		(void)snprintf(fail->hint, sizeof(fail->hint), "%s: %s", ask->credential, hint);
	else
		(void)snprintf(fail->hint, sizeof(fail->hint), "%s", hint);
}

static void add_hint(struct token_failure *fail, const struct entra_ask *ask)
{
	for (size_t i = 0; i < fail->n_codes; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(hints); k++) {
			if (hints[k].code == fail->codes[i]) {
				print_hint(fail, ask, k);
				return;
			}
		}
	}
}

static void hide_credential(char *text, const struct entra_ask *ask)
{
	const struct secret *s = ask->client_secret ? ask->client_secret : ask->assertion;

	token_text_hide(text, (const char *)s->p, s->n);
	token_text_mask(text);
}

/* One line of printable ASCII; Entra breaks its texts before "Trace ID". */
static void copy_text(char *to, size_t size, const char *text, const struct entra_ask *ask)
{
	_cleanup_free_ char *whole = xstrdup(text);
	char *at = whole;

	hide_credential(whole, ask);
	for (const char *p = whole; *p; p++) {
		if ((unsigned char)*p > ' ')
			*at++ = *p;
		else if (at > whole && at[-1] != ' ')
			*at++ = ' ';
	}
	(void)str_escape(to, size, (struct str){ whole, (size_t)(at - whole) });
}

/* An id or a time: whole and of the characters of such, or not at all. */
static void copy_id(char *to, size_t size, const char *text, const struct entra_ask *ask)
{
	_cleanup_free_ char *whole = xstrdup(text ? text : "");
	size_t n = strlen(whole);

	hide_credential(whole, ask);
	if (n >= size ||
	    strspn(whole, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-:. ") !=
		    n)
		return;
	memcpy(to, whole, n + 1);
}

static void read_codes(const struct jval *list, struct token_failure *fail)
{
	int64_t code;

	for (size_t i = 0; list && i < jval_len(list) && fail->n_codes < TOKEN_CODES_MAX; i++) {
		if (jval_as_int(jval_at(list, i), &code) && code > 0 && code <= UINT32_MAX)
			fail->codes[fail->n_codes++] = (unsigned)code;
	}
}

static const char *text_of(const struct jval *doc, const char *key)
{
	const struct jval *v = jval_get(doc, key);

	return v ? jval_as_str(v) : NULL;
}

/* False: that is no error of Entra's, but some other server's page. */
static bool read_error(struct str body, const struct entra_ask *ask, struct token_failure *fail)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse(body.p, body.n, ANSWER_MAX, NULL);
	const char *error = doc ? text_of(doc, "error") : NULL;
	const char *description = doc ? text_of(doc, "error_description") : NULL;
	const struct jval *codes = NULL;
	const struct jval_field fields[] = { { "error_codes", JVAL_ARR, JVAL_MAY, &codes } };

	if (!error || !token_is_error_code(error))
		return false;
	(void)snprintf(fail->error, sizeof(fail->error), "%s", error);
	hide_credential(fail->error, ask);
	copy_text(fail->description, sizeof(fail->description), description ? description : "",
		  ask);
	copy_id(fail->trace_id, sizeof(fail->trace_id), text_of(doc, "trace_id"), ask);
	copy_id(fail->correlation_id, sizeof(fail->correlation_id), text_of(doc, "correlation_id"),
		ask);
	copy_id(fail->timestamp, sizeof(fail->timestamp), text_of(doc, "timestamp"), ask);
	/* a list that is none is no reason to lose the rest */
	(void)jval_read(doc, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, NULL);
	read_codes(codes, fail);
	add_hint(fail, ask);
	return true;
}

static bool has_code(const struct token_failure *fail, unsigned code)
{
	for (size_t i = 0; i < fail->n_codes; i++) {
		if (fail->codes[i] == code)
			return true;
	}
	return false;
}

static enum token_fault fault_of(long status, const struct token_failure *fail)
{
	if (status == 429)
		return TOKEN_FAULT_THROTTLED;
	/* "a transient error", and Entra could not fetch the cluster's keys: both pass by themselves */
	if (status >= 500 || status == 408 || strcmp(fail->error, "temporarily_unavailable") == 0 ||
	    has_code(fail, 90033) || has_code(fail, 90061))
		return TOKEN_FAULT_DOWN;
	return fail->error[0] && status >= 400 ? TOKEN_FAULT_REFUSED : TOKEN_FAULT_GARBLED;
}

/* "https://host/…": its host, for a message. */
static struct str host_of(const char *url)
{
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	return (struct str){ host, strcspn(host, "/") };
}

static struct token *parse_error(long status, struct str body, const char *retry_after,
				 const struct entra_ask *ask, struct token_failure *fail)
{
	bool is_entras = read_error(body, ask, fail);
	enum token_fault fault = fault_of(status, fail);
	struct str host = host_of(ask->url);

	fail->err.http_status = (int)status;
	/* never with a refusal: SDKs repeat whatever carries it */
	if (fault == TOKEN_FAULT_THROTTLED || fault == TOKEN_FAULT_DOWN)
		fail->retry_after_sec = token_retry_after(retry_after);
	if (is_entras)
		return token_fail(fail, fault, "Entra (%.*s, tenant %s) answered %ld %s",
				  (int)host.n, host.p, ask->tenant, status, fail->error);
	return token_fail(fail, fault,
			  "%.*s answered %ld for tenant %s, and not as Entra does; is something "
			  "between this node and Entra?",
			  (int)host.n, host.p, status, ask->tenant);
}

/* tokens */

struct answer {
	const char *access_token, *token_type;
	int64_t expires_in;
};

static const char *fault_in(const struct answer *a)
{
	if (!a->access_token[0])
		return "access_token is empty";
	for (const char *p = a->access_token; *p; p++) {
		if (*p <= ' ' || *p > '~')
			return "access_token has characters that no token has";
	}
	if (a->token_type && strcasecmp(a->token_type, "Bearer") != 0)
		return "token_type is not Bearer";
	if (a->expires_in <= 0 || a->expires_in > LIFE_MAX_SEC)
		return "expires_in is no lifetime";
	return NULL;
}

static struct token *parse_success(struct str body, const struct entra_ask *ask, struct wall now,
				   struct token_failure *fail)
{
	struct err err = { 0 };
	_cleanup_(jval_freep) struct jval *doc = jval_parse(body.p, body.n, ANSWER_MAX, &err);
	struct answer a = { 0 };
	const struct jval_field fields[] = {
		{ "access_token", JVAL_STR, JVAL_MUST, &a.access_token },
		{ "token_type", JVAL_STR, JVAL_MAY, &a.token_type },
		{ "expires_in", JVAL_INT_ANY, JVAL_MUST, &a.expires_in },
	};
	struct str host = host_of(ask->url);
	const char *fault;

	fail->err.http_status = 200;
	if (!doc || jval_read(doc, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, &err) < 0)
		return token_fail(fail, TOKEN_FAULT_GARBLED,
				  "%.*s answered 200 for tenant %s with what is not a token: %s",
				  (int)host.n, host.p, ask->tenant, err.msg);
	fault = fault_in(&a);
	if (fault)
		return token_fail(fail, TOKEN_FAULT_GARBLED,
				  "Entra (%.*s, tenant %s) sent a token that is not used: %s",
				  (int)host.n, host.p, ask->tenant, fault);
	return token_new(&(struct token_fields){ .access_token = a.access_token,
						 .client_id = ask->client_id,
						 .resource = ask->resource,
						 .expires_on = now.s + a.expires_in,
						 .not_before = now.s });
}

struct token *entra_answer_parse(long status, struct str body, const char *retry_after,
				 const struct entra_ask *ask, struct wall now,
				 struct token_failure *out_fail)
{
	struct token_failure fail = { 0 };
	struct token *tok = status == 200 ? parse_success(body, ask, now, &fail)
					  : parse_error(status, body, retry_after, ask, &fail);

	if (!tok)
		*out_fail = fail;
	return tok;
}
