/* SPDX-License-Identifier: MIT */

/*
 * Tokens from the instance metadata service: see imds.h.
 *
 * Two rules guard what is handed out. A request for an AzureIdentity always carries a selector: one
 * without would be answered with the node's own identity. And an answer that names another client
 * id than was asked for is thrown away.
 */

#include "nmi/token/imds.h"

#include "lib/base/buf.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/http/client.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/token/exchange.h"
#include "nmi/token/failure.h"
#include "nmi/token/token.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

/* The first version with tokens (Azure, "How to use managed identities on a VM"); all SDKs send it. */
#define IMDS_NAME  "imds"
#define TOKEN_PATH "/metadata/identity/oauth2/token?api-version=2018-02-01"
/* The end of year 9999: later is a mistake of units, and would overflow what is computed from it. */
#define LATEST	   INT64_C(253402300799)
#define ANSWER_MAX ((size_t)LIMIT_TOKEN_ANSWER_BYTES)
/* Of an error_description, escaped; the message of an err holds 256. */
#define DESCRIPTION_MAX 160

/* failures */

static enum token_fault fault_of_status(long status)
{
	switch (status) {
	case 404: /* "the endpoint is updating", as 410 (Azure, "Error handling") */
	case 410:
		return TOKEN_FAULT_UPDATING;
	case 408:
		return TOKEN_FAULT_DOWN;
	case 429:
		return TOKEN_FAULT_THROTTLED;
	default:
		if (status >= 500)
			return TOKEN_FAULT_DOWN;
		return status >= 400 ? TOKEN_FAULT_REFUSED : TOKEN_FAULT_GARBLED;
	}
}

/* Copies what of `from` is made of these characters; from NULL: nothing. */
static void copy_of(char *to, size_t size, const char *from, const char *of)
{
	size_t n = from ? strspn(from, of) : 0;

	while (n && from[n - 1] == ' ')
		n--;
	(void)snprintf(to, size, "%.*s", (int)n, from ? from : "");
}

/*
 * Entra's own members of the body where they were passed on, else the end of its sentence: "Trace ID: ...
 * Correlation ID: ... Timestamp: ...". Only digits and what stands between them are taken.
 */
static void read_trace(const struct jval *doc, const char *sentence, struct upstream_trace *out)
{
	static const char hex[] = "0123456789abcdefABCDEF-", date[] = "0123456789-: .TZ";
	const struct {
		const char *member, *label, *of;
		char *to;
		size_t size;
	} fields[] = {
		{ "trace_id", "Trace ID: ", hex, out->trace_id, sizeof(out->trace_id) },
		{ "correlation_id", "Correlation ID: ", hex, out->correlation_id,
		  sizeof(out->correlation_id) },
		{ "timestamp", "Timestamp: ", date, out->timestamp, sizeof(out->timestamp) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct jval *v = jval_get(doc, fields[i].member);
		const char *at = v ? jval_as_str(v) : NULL;

		if (!at && sentence && (at = strstr(sentence, fields[i].label)))
			at += strlen(fields[i].label);
		copy_of(fields[i].to, fields[i].size, at, fields[i].of);
	}
}

/* What `error` and `error_description` say; other shapes of body say nothing. */
static void read_error_body(const char *body, size_t n, struct token_failure *fail,
			    char description[static DESCRIPTION_MAX])
{
	struct jval *doc = jval_parse(body, n, ANSWER_MAX, NULL);
	const char *error = doc ? jval_as_str(jval_get(doc, "error")) : NULL;
	const char *text = doc ? jval_as_str(jval_get(doc, "error_description")) : NULL;

	if (error && token_is_error_code(error))
		(void)snprintf(fail->error, sizeof(fail->error), "%s", error);
	else if (!text)
		text = error;
	description[0] = '\0';
	if (text) {
		(void)str_escape(description, DESCRIPTION_MAX, str_of(text));
		token_text_mask(description);
	}
	token_text_mask(fail->error);
	if (doc)
		read_trace(doc, text, &fail->trace);
	(void)jval_free(doc);
}

static struct token *parse_error(long status, const char *body, size_t n, const char *retry_after,
				 struct token_failure *fail)
{
	enum token_fault fault = fault_of_status(status);
	char said[DESCRIPTION_MAX];

	fail->err.http_status = (int)status;
	read_error_body(body, n, fail, said);
	/* never with a refusal: SDKs repeat whatever carries it */
	if (fault != TOKEN_FAULT_REFUSED && fault != TOKEN_FAULT_GARBLED)
		fail->retry_after_sec = token_retry_after(retry_after);
	fail->not_assigned = status == 400 && strcasestr(said, "identity not found");
	return token_fail(fail, fault, "IMDS answered %ld%s%s%s%s", status,
			  fail->error[0] ? " " : "", fail->error, said[0] ? ": " : "", said);
}

/* success */

/* The client id that the answer must be for; NULL when the caller leaves that to IMDS. */
static const char *asked_client_id(const struct token_ask *ask)
{
	if (ask->identity)
		return ask->identity->client_id;
	return ask->selector.kind == SELECTOR_CLIENT_ID ? ask->selector.value : NULL;
}

struct answer {
	const char *access_token, *token_type, *client_id;
	int64_t expires_on, expires_in, not_before;
};

static int read_answer(const struct jval *doc, struct answer *a, struct err *err)
{
	const struct jval_field fields[] = {
		{ "access_token", JVAL_STR, JVAL_MUST, &a->access_token },
		{ "token_type", JVAL_STR, JVAL_MAY, &a->token_type },
		{ "client_id", JVAL_STR, JVAL_MAY, &a->client_id },
		{ "expires_on", JVAL_INT_ANY, JVAL_MAY, &a->expires_on },
		{ "expires_in", JVAL_INT_ANY, JVAL_MAY, &a->expires_in },
		{ "not_before", JVAL_INT_ANY, JVAL_MAY, &a->not_before },
	};

	return jval_read(doc, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err);
}

/* What is wrong with the answer, or NULL; settles expires_on. */
static const char *fault_in(struct answer *a, const struct token_ask *ask, struct wall now)
{
	const char *want = asked_client_id(ask);

	if (!a->access_token[0])
		return "access_token is empty";
	if (a->token_type && strcasecmp(a->token_type, "Bearer") != 0)
		return "token_type is not Bearer";
	if (a->client_id && want && strcasecmp(a->client_id, want) != 0)
		return "it is for another client_id than was asked for";
	if (a->expires_on == INT64_MIN && a->expires_in == INT64_MIN)
		return "neither expires_on nor expires_in is there";
	if (a->expires_on == INT64_MIN && a->expires_in > 0 && a->expires_in <= LATEST - now.s)
		a->expires_on = now.s + a->expires_in;
	if (a->expires_on > LATEST)
		return "expires_on is beyond the year 9999";
	if (a->expires_on <= now.s)
		return "the token has expired already; is this node's clock right?";
	return NULL;
}

static struct token *parse_success(const char *body, size_t n, const struct token_ask *ask,
				   struct wall now, struct token_failure *fail)
{
	struct answer a = { .expires_on = INT64_MIN, .expires_in = INT64_MIN, .not_before = now.s };
	struct err err = { 0 };
	struct jval *doc = jval_parse(body, n, ANSWER_MAX, &err);
	struct token *tok = NULL;
	const char *fault;

	fail->err.http_status = 200;
	if (!doc || read_answer(doc, &a, &err) < 0) {
		(void)token_fail(fail, TOKEN_FAULT_GARBLED, "IMDS sent what is not a token: %s",
				 err.msg);
	} else if ((fault = fault_in(&a, ask, now))) {
		(void)token_fail(fail, TOKEN_FAULT_GARBLED,
				 "IMDS sent a token that is not used: %s", fault);
	} else {
		const char *id = a.client_id ? a.client_id : asked_client_id(ask);

		tok = token_new(
			&(struct token_fields){ .access_token = a.access_token,
						.client_id = id,
						.resource = ask->resource,
						.expires_on = a.expires_on,
						.not_before = a.not_before,
						.lives_sec = a.expires_in > 0 ? a.expires_in : 0 });
	}
	(void)jval_free(doc);
	return tok;
}

struct token *imds_answer_parse(long status, const char *body, size_t n, const char *retry_after,
				const struct token_ask *ask, struct wall now,
				struct token_failure *out_fail)
{
	struct token_failure fail = { 0 };
	struct token *tok = status == 200 ? parse_success(body, n, ask, now, &fail)
					  : parse_error(status, body, n, retry_after, &fail);

	if (!tok)
		*out_fail = fail;
	return tok;
}

/* the request */

static void put(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

static void put_parameter(struct buf *b, const char *name, const char *value)
{
	assert(value);
	put(b, "&");
	put(b, name);
	put(b, "=");
	buf_put_percent(b, value, strlen(value));
}

char *imds_request_path(const struct token_ask *ask)
{
	static const char *const names[] = { [SELECTOR_CLIENT_ID] = "client_id",
					     [SELECTOR_RESOURCE_ID] = "msi_res_id",
					     [SELECTOR_OBJECT_ID] = "object_id" };
	struct buf b = { 0 };

	put(&b, TOKEN_PATH);
	if (ask->identity)
		put_parameter(&b, "client_id", ask->identity->client_id);
	else if (ask->selector.kind != SELECTOR_NONE)
		put_parameter(&b, names[ask->selector.kind], ask->selector.value);
	put_parameter(&b, "resource", ask->resource);
	if (ask->bypass_cache)
		put_parameter(&b, "bypass_cache", "true");
	return buf_steal(&b, NULL);
}

/* the source */

struct imds_source {
	struct loop *loop;
	struct http_client *http;
	char *base_url;
	unsigned timeout_msec;
	struct metrics *metrics;
	struct imds_fetch *fetches;
};

struct imds_fetch {
	struct imds_source *source;
	struct http_call *call;
	struct azure_identity *identity; /* NULL: the node's own */
	struct selector selector;	 /* value owned */
	char *resource;
	struct mono started;
	token_done_fn *done;
	void *ctx;
	struct imds_fetch *prev, *next;
};

struct imds_source *imds_source_new(struct loop *l, struct http_client *http, const char *base_url,
				    unsigned timeout_msec, struct metrics *metrics)
{
	struct imds_source *s = xnew(struct imds_source);

	s->loop = l;
	s->http = http;
	s->base_url = xstrdup(base_url);
	s->timeout_msec = timeout_msec;
	s->metrics = metrics;
	return s;
}

static void fetch_free(struct imds_fetch *f)
{
	DL_DELETE(f->source->fetches, f);
	(void)azure_identity_unref(f->identity);
	free((char *)(uintptr_t)f->selector.value);
	free(f->resource);
	free(f);
}

static void fetch_cancel(void *ctx, void *handle)
{
	struct imds_fetch *f = handle;

	http_cancel(f->call);
	fetch_free(f);
}

static bool is_answering(const void *handle)
{
	const struct imds_fetch *f = handle;

	return http_is_answering(f->call);
}

struct imds_source *imds_source_free(struct imds_source *s)
{
	if (!s)
		return NULL;
	while (s->fetches)
		fetch_cancel(s, s->fetches);
	free(s->base_url);
	free(s);
	return NULL;
}

/* The names are aad-pod-identity's, which its dashboards select by. */
static const char *operation_of(const struct imds_fetch *f)
{
	return f->identity || f->selector.kind != SELECTOR_NONE ? "adal_token_msi_userassignedid"
								: "adal_token_msi";
}

static struct token *read_reply(const struct imds_fetch *f, const struct http_reply *reply,
				const struct err *err, struct token_failure *fail)
{
	const struct token_ask ask = { .identity = f->identity,
				       .selector = f->selector,
				       .resource = f->resource };

	if (reply)
		return imds_answer_parse(reply->status, reply->body, reply->body_len,
					 reply->header(reply, "Retry-After"), &ask,
					 loop_wall(f->source->loop), fail);
	(void)token_fail(fail, err->kind == ERR_LIMIT ? TOKEN_FAULT_GARBLED : TOKEN_FAULT_DOWN,
			 "IMDS did not answer: %s", err->msg);
	token_fail_exchange(fail, err);
	return NULL;
}

static void on_reply(void *ctx, const struct http_reply *reply, const struct err *err)
{
	struct imds_fetch *f = ctx;
	struct imds_source *s = f->source;
	const char *const labels[] = { operation_of(f) };
	struct token_failure fail = { 0 };
	_cleanup_(token_unrefp) struct token *tok = read_reply(f, reply, err, &fail);
	token_done_fn *done = f->done;
	void *done_ctx = f->ctx;
	double took = mono_seconds_between(f->started, loop_mono(s->loop));

	token_exchange_count(s->metrics, IMDS_NAME, reply, err, took);
	if (tok)
		metric_observe(s->metrics, NMI_METRIC_IMDS_DURATION, labels, took);
	else
		metric_add(s->metrics, NMI_METRIC_IMDS_ERRORS, labels, 1);
	fetch_free(f);
	done(done_ctx, tok, tok ? NULL : &fail);
}

/* May this be asked of IMDS at all? False with `fail` filled. */
static bool is_askable(const struct token_ask *ask, struct token_failure *fail)
{
	const struct azure_identity *i = ask->identity;

	if (!i)
		return true;
	if (i->type != AZURE_IDENTITY_USER_ASSIGNED) {
		(void)token_fail(fail, TOKEN_FAULT_UNSUPPORTED,
				 "AzureIdentity %s/%s: spec.type %" PRId64 " is not IMDS's",
				 i->meta.namespace, i->meta.name, i->type);
		return false;
	}
	if (str_is_blank(i->client_id)) {
		(void)token_fail(fail, TOKEN_FAULT_REFUSED,
				 "AzureIdentity %s/%s: spec.clientID is empty", i->meta.namespace,
				 i->meta.name);
		return false;
	}
	if (strlen(i->client_id) > LIMIT_PARAM_BYTES) {
		(void)token_fail(fail, TOKEN_FAULT_REFUSED,
				 "AzureIdentity %s/%s: spec.clientID is over %d characters",
				 i->meta.namespace, i->meta.name, LIMIT_PARAM_BYTES);
		return false;
	}
	return true;
}

static struct http_call *send_request(struct imds_fetch *f, const struct token_ask *ask,
				      struct err *err)
{
	static const char *const headers[] = { "Metadata: true", NULL };
	_cleanup_free_ char *path = imds_request_path(ask);
	_cleanup_free_ char *url = xasprintf("%s%s", f->source->base_url, path);
	const struct http_request req = {
		.url = url,
		.headers = headers,
		.body_max = ANSWER_MAX,
		.timeout_msec = f->source->timeout_msec,
		.done = on_reply,
		.ctx = f,
	};

	return http_send(f->source->http, &req, err);
}

static void *fetch_start(void *ctx, const struct token_ask *ask, token_done_fn *done,
			 void *done_ctx, struct token_failure *out_fail)
{
	struct imds_source *s = ctx;
	struct err err = { 0 };
	struct imds_fetch *f;

	if (!is_askable(ask, out_fail))
		return NULL;
	f = xnew(struct imds_fetch);
	f->source = s;
	f->identity = ask->identity ? azure_identity_ref(ask->identity) : NULL;
	f->selector.kind = ask->selector.kind;
	f->selector.value = xstrdup(ask->selector.value ? ask->selector.value : "");
	f->resource = xstrdup(ask->resource);
	f->started = loop_mono(s->loop);
	f->done = done;
	f->ctx = done_ctx;
	DL_APPEND(s->fetches, f);
	f->call = send_request(f, ask, &err);
	if (f->call)
		return f;
	fetch_free(f);
	(void)token_fail(out_fail, TOKEN_FAULT_DOWN, "request to IMDS: %s", err.msg);
	return NULL;
}

struct token_source imds_source_vtable(struct imds_source *s)
{
	return (struct token_source){
		.name = IMDS_NAME,
		.ctx = s,
		.budget = { .max_in_flight = LIMIT_IMDS_IN_FLIGHT,
			    .per_second = LIMIT_IMDS_PER_SECOND },
		.fetch = fetch_start,
		.cancel = fetch_cancel,
		.is_answering = is_answering,
	};
}
