/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/token/imds.h"
#include "nmi/token/token.h"
#include "tests/unit/fake-http.h"
#include "tests/unit/mk-identity.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

/* the request */

static const struct {
	const char *client_id; /* NULL: an excepted pod */
	struct selector selector;
	const char *resource;
	bool bypass;
	const char *query; /* past the api-version */
} requests[] = {
	{ "c1",
	  { SELECTOR_NONE, "" },
	  "https://vault.azure.net",
	  false,
	  "&client_id=c1&resource=https%3A%2F%2Fvault.azure.net" },
	{ "c1", { SELECTOR_RESOURCE_ID, "/x" }, "r", false, "&client_id=c1&resource=r" },
	{ "c1", { SELECTOR_NONE, "" }, "r", true, "&client_id=c1&resource=r&bypass_cache=true" },
	{ "a&b=c d%+#\"\r\n\xc3\xa9",
	  { SELECTOR_NONE, "" },
	  "r&object_id=x",
	  false,
	  "&client_id=a%26b%3Dc%20d%25%2B%23%22%0D%0A%C3%A9&resource=r%26object_id%3Dx" },
	{ NULL, { SELECTOR_NONE, "" }, "AZaz09-._~", false, "&resource=AZaz09-._~" },
	{ NULL, { SELECTOR_CLIENT_ID, "c2" }, "r", false, "&client_id=c2&resource=r" },
	{ NULL, { SELECTOR_RESOURCE_ID, "/s/x" }, "r", false, "&msi_res_id=%2Fs%2Fx&resource=r" },
	{ NULL,
	  { SELECTOR_OBJECT_ID, "o" },
	  "r",
	  true,
	  "&object_id=o&resource=r&bypass_cache=true" },
};

START_TEST(the_request_carries_the_identity_or_the_callers_own_selector)
{
	static const char head[] = "/metadata/identity/oauth2/token?api-version=2018-02-01";
	struct azure_identity i = { .client_id = (char *)(uintptr_t)requests[_i].client_id };
	const struct token_ask ask = { .identity = i.client_id ? &i : NULL,
				       .selector = requests[_i].selector,
				       .resource = requests[_i].resource,
				       .bypass_cache = requests[_i].bypass };
	_cleanup_free_ char *path = imds_request_path(&ask);

	ck_assert_int_eq(strncmp(path, head, strlen(head)), 0);
	ck_assert_str_eq(path + strlen(head), requests[_i].query);
}
END_TEST

/* the answer */

#define NOW 1000
/* An answer with one thing changed. */
#define ANSWER(more) "{\"access_token\":\"eyJ0.secret.sig\"" more "}"

static struct token *parse(long status, const char *body, const char *retry_after,
			   const struct token_ask *ask, struct token_failure *fail)
{
	return imds_answer_parse(status, body, strlen(body), retry_after, ask, (struct wall){ NOW },
				 fail);
}

static const struct {
	const char *body;
	int64_t expires_on, not_before;
	const char *client_id;
	int64_t lives_sec;
} good[] = {
	{ ANSWER(",\"client_id\":\"C1\",\"expires_in\":\"3599\",\"expires_on\":\"4600\","
		 "\"ext_expires_in\":\"3599\",\"not_before\":\"990\",\"resource\":\"r\","
		 "\"token_type\":\"Bearer\",\"refresh_token\":\"\""),
	  4600, 990, "C1", 3599 },
	{ ANSWER(",\"expires_on\":4600,\"token_type\":\"bearer\""), 4600, NOW, "c1" },
	{ ANSWER(",\"expires_in\":\"60\""), NOW + 60, NOW, "c1", 60 },
	{ ANSWER(",\"expires_in\":60,\"expires_on\":null"), NOW + 60, NOW, "c1", 60 },
	{ ANSWER(",\"expires_in\":60,\"expires_on\":\"1001\""), NOW + 1, NOW, "c1", 60 },
	{ ANSWER(",\"expires_in\":-1,\"expires_on\":\"1001\""), NOW + 1, NOW, "c1", 0 },
	{ ANSWER(",\"expires_on\":253402300799"), 253402300799, NOW, "c1" },
};

START_TEST(an_answer_with_a_token_and_an_expiry_is_taken)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = mk_identity();
	const struct token_ask ask = { .identity = i, .resource = "R/" };
	struct token_failure fail = { .retry_after_sec = 77 };
	_cleanup_(token_unrefp) struct token *t = parse(200, good[_i].body, NULL, &ask, &fail);

	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(t->expires_on.s, good[_i].expires_on);
	ck_assert_int_eq(t->not_before.s, good[_i].not_before);
	ck_assert_int_eq(t->lives_sec, good[_i].lives_sec);
	ck_assert_str_eq(t->client_id, good[_i].client_id);
	ck_assert_str_eq(t->resource, "R/"); /* as it was asked for */
	ck_assert_mem_eq(t->access_token.p, "eyJ0.secret.sig", t->access_token.n);
	ck_assert_uint_eq(fail.retry_after_sec, 77); /* left alone */
}
END_TEST

static const struct {
	long status;
	const char *body;
} garbled[] = {
	{ 200, "" },
	{ 200, "<html>eyJ0.secret.sig</html>" },
	{ 200, "[]" },
	{ 200, "{}" },
	{ 200, "{\"access_token\":\"\",\"expires_on\":4600}" },
	{ 200, "{\"access_token\":7,\"expires_on\":4600}" },
	{ 200, ANSWER("") },
	{ 200, ANSWER(",\"expires_on\":\"soon\"") },
	{ 200, ANSWER(",\"expires_on\":{}") },
	{ 200, ANSWER(",\"expires_on\":4600.5") },
	{ 200, ANSWER(",\"expires_on\":\"\"") },
	{ 200, ANSWER(",\"expires_on\":1000") },
	{ 200, ANSWER(",\"expires_on\":-1") },
	{ 200, ANSWER(",\"expires_on\":253402300800") },
	{ 200, ANSWER(",\"expires_in\":0") },
	{ 200, ANSWER(",\"expires_in\":-60") },
	{ 200, ANSWER(",\"expires_in\":9223372036854775807") },
	{ 200, ANSWER(",\"expires_on\":4600,\"token_type\":\"pop\"") },
	{ 200, ANSWER(",\"expires_on\":4600,\"client_id\":\"c2\"") },
	{ 200, ANSWER(",\"expires_on\":4600,\"client_id\":\"\"") },
	{ 200, ANSWER(",\"expires_on\":4600,\"access_token\":\"two\"") },
	{ 200, ANSWER(",\"expires_on\":4600") "x" },
	{ 204, "" },
	{ 302, "" },
	{ 201, ANSWER(",\"expires_on\":4600") },
};

START_TEST(an_answer_that_is_not_a_good_token_is_garbled_and_not_quoted)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = mk_identity();
	const struct token_ask ask = { .identity = i, .resource = "r" };
	struct token_failure fail = { 0 };

	ck_assert_ptr_null(parse(garbled[_i].status, garbled[_i].body, "5", &ask, &fail));
	ck_assert_int_eq(fail.fault, TOKEN_FAULT_GARBLED);
	ck_assert_str_ne(fail.err.msg, "");
	ck_assert_ptr_null(strstr(fail.err.msg, "secret"));
	ck_assert_uint_eq(fail.retry_after_sec, 0);
}
END_TEST

START_TEST(an_answer_over_the_limit_is_garbled)
{
	const struct token_ask ask = { .resource = "r" };
	static const char answer[] = ANSWER(",\"expires_on\":4600");
	size_t n = LIMIT_TOKEN_ANSWER_BYTES + 1;
	_cleanup_free_ char *body = xcalloc(1, n + 1);
	struct token_failure fail = { 0 };

	memset(body, ' ', n);
	memcpy(body, answer, sizeof(answer) - 1);
	ck_assert_ptr_null(parse(200, body, NULL, &ask, &fail));
	ck_assert_int_eq(fail.fault, TOKEN_FAULT_GARBLED);
}
END_TEST

static const struct {
	struct selector selector;
	const char *has, *client_id; /* NULL: not taken */
} nodes[] = {
	{ { SELECTOR_NONE, "" }, "any", "any" },
	{ { SELECTOR_CLIENT_ID, "c9" }, "C9", "C9" },
	{ { SELECTOR_CLIENT_ID, "c9" }, "c8", NULL },
	{ { SELECTOR_RESOURCE_ID, "/x" }, "c8", "c8" },
};

START_TEST(an_excepted_pod_gets_the_identity_that_it_named)
{
	const struct token_ask ask = { .selector = nodes[_i].selector, .resource = "r" };
	_cleanup_(token_unrefp) struct token *t = NULL;
	struct token_failure fail = { 0 };
	char body[256];

	(void)snprintf(body, sizeof(body), ANSWER(",\"expires_on\":4600,\"client_id\":\"%s\""),
		       nodes[_i].has);
	t = parse(200, body, NULL, &ask, &fail);
	ck_assert_int_eq(t != NULL, nodes[_i].client_id != NULL);
	if (t)
		ck_assert_str_eq(t->client_id, nodes[_i].client_id);
}
END_TEST

/* refusals */

static const struct {
	long status;
	const char *retry_after;
	enum token_fault fault;
	unsigned retry_after_sec;
} statuses[] = {
	{ 400, "5", TOKEN_FAULT_REFUSED, 0 },
	{ 401, NULL, TOKEN_FAULT_REFUSED, 0 },
	{ 403, NULL, TOKEN_FAULT_REFUSED, 0 },
	{ 405, NULL, TOKEN_FAULT_REFUSED, 0 },
	{ 499, NULL, TOKEN_FAULT_REFUSED, 0 },
	{ 404, NULL, TOKEN_FAULT_UPDATING, 0 },
	{ 410, "70", TOKEN_FAULT_UPDATING, 70 },
	{ 408, NULL, TOKEN_FAULT_DOWN, 0 },
	{ 429, "3", TOKEN_FAULT_THROTTLED, 3 },
	{ 429, NULL, TOKEN_FAULT_THROTTLED, 0 },
	{ 500, NULL, TOKEN_FAULT_DOWN, 0 },
	{ 502, NULL, TOKEN_FAULT_DOWN, 0 },
	{ 503, "2", TOKEN_FAULT_DOWN, 2 },
	{ 599, NULL, TOKEN_FAULT_DOWN, 0 },
	{ 100, NULL, TOKEN_FAULT_GARBLED, 0 },
	{ 0, NULL, TOKEN_FAULT_GARBLED, 0 },
	/* seconds only, and not for ever */
	{ 429, "", TOKEN_FAULT_THROTTLED, 0 },
	{ 429, "-3", TOKEN_FAULT_THROTTLED, 0 },
	{ 429, "3s", TOKEN_FAULT_THROTTLED, 0 },
	{ 429, "3600", TOKEN_FAULT_THROTTLED, 3600 },
	{ 429, "99999999999999999999", TOKEN_FAULT_THROTTLED, 3600 },
	{ 429, "Fri, 31 Dec 1999 23:59:59 GMT", TOKEN_FAULT_THROTTLED, 0 },
};

START_TEST(a_status_is_sorted_into_its_class)
{
	const struct token_ask ask = { .resource = "r" };
	struct token_failure fail = { 0 };

	ck_assert_ptr_null(parse(statuses[_i].status, "{\"error\":\"e_1\"}",
				 statuses[_i].retry_after, &ask, &fail));
	ck_assert_int_eq(fail.fault, statuses[_i].fault);
	ck_assert_uint_eq(fail.retry_after_sec, statuses[_i].retry_after_sec);
	ck_assert_int_eq(fail.err.http_status, statuses[_i].status);
	ck_assert_str_eq(fail.error, "e_1");
}
END_TEST

static const struct {
	const char *body, *error, *said;
	bool not_assigned;
} bodies[] = {
	{ "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}",
	  "invalid_request", "IMDS answered 400 invalid_request: Identity not found", true },
	{ "{\"error\":\"invalid_resource\",\"error_description\":\"AADSTS500011: \\\"x\\\"\\nno\"}",
	  "invalid_resource", "IMDS answered 400 invalid_resource: AADSTS500011: \\\"x\\\"\\nno",
	  false },
	/* a sentence is no code */
	{ "{\"error\":\"Bad request. api-version was not specified\"}", "",
	  "IMDS answered 400: Bad request. api-version was not specified", false },
	/* only these two fields are quoted, and no token even there */
	{ "{\"access_token\":\"eyJ0.secret.sig\"}", "", "IMDS answered 400", false },
	{ "eyJ0.secret.sig", "", "IMDS answered 400", false },
	{ "", "", "IMDS answered 400", false },
	{ "{\"error\":{\"code\":\"secret\"}}", "", "IMDS answered 400", false },
	{ "{\"error\":\"e\",\"error_description\":\"got eyJhbGciOiJSUzI1NiJ9.secret.sig_-, and "
	  "on\"}",
	  "e", "IMDS answered 400 e: got eyJ..., and on", false },
	{ "{\"error\":\"eyJhbGciOiJSUzI1NiJ9.secret\"}", "eyJ...", "IMDS answered 400 eyJ...",
	  false },
	{ "{\"error\":\"e\",\"error_description\":\"\\u00e9\\u0007\"}", "e",
	  "IMDS answered 400 e: \\u00c3\\u00a9\\u0007", false },
};

START_TEST(of_an_errors_body_the_code_and_the_description_are_kept)
{
	const struct token_ask ask = { .resource = "r" };
	struct token_failure fail = { 0 };

	ck_assert_ptr_null(parse(400, bodies[_i].body, NULL, &ask, &fail));
	ck_assert_str_eq(fail.error, bodies[_i].error);
	ck_assert_str_eq(fail.err.msg, bodies[_i].said);
	ck_assert_int_eq(fail.not_assigned, bodies[_i].not_assigned);
}
END_TEST

#define GUID1 "11111111-2222-4333-8444-555555555555"
#define GUID2 "66666666-7777-4888-9999-aaaaaaaaaaaa"
#define SENTENCE                                                                                   \
	"AADSTS500011: The resource principal named https://no.such was not found in the tenant "  \
	"named Contoso. This can happen if the application has not been installed. Trace "         \
	"ID: " GUID1

static const struct {
	const char *body, *trace_id, *correlation_id, *timestamp;
} traces[] = {
	{ "{\"error\":\"e\",\"error_description\":\"" SENTENCE " Correlation ID: " GUID2
	  " Timestamp: 2026-01-02 03:04:05Z\"}",
	  GUID1, GUID2, "2026-01-02 03:04:05Z" },
	{ "{\"error\":\"e\",\"error_description\":\"" SENTENCE "\\r\\nCorrelation ID: " GUID2
	  "\\r\\nTimestamp: 2026-01-02 03:04:05Z\"}",
	  GUID1, GUID2, "2026-01-02 03:04:05Z" },
	/* members go before the sentence */
	{ "{\"error\":\"e\",\"error_description\":\"Trace ID: 0\",\"trace_id\":\"" GUID2
	  "\",\"timestamp\":\"2026-01-02T03:04:05.678Z\"}",
	  GUID2, "", "2026-01-02T03:04:05.678Z" },
	/* nothing but what can be an id or a time, and none of it without end */
	{ "{\"trace_id\":\"eyJ0.secret\",\"correlation_id\":7,\"timestamp\":\"now\"}", "e", "",
	  "" },
	{ "{\"trace_id\":\"" GUID1 GUID1 "\",\"timestamp\":\"2026-01-02  \"}", GUID1 "111", "",
	  "2026-01-02" },
	{ "{\"error\":\"e\",\"error_description\":\"Trace ID: \"}", "", "", "" },
	{ "{\"error\":\"e\"}", "", "", "" },
	{ "[]", "", "", "" },
	{ "nonsense", "", "", "" },
};

START_TEST(the_ids_that_support_asks_for_are_kept)
{
	const struct token_ask ask = { .resource = "r" };
	struct token_failure fail = { 0 };

	ck_assert_ptr_null(parse(400, traces[_i].body, NULL, &ask, &fail));
	ck_assert_str_eq(fail.trace.trace_id, traces[_i].trace_id);
	ck_assert_str_eq(fail.trace.correlation_id, traces[_i].correlation_id);
	ck_assert_str_eq(fail.trace.timestamp, traces[_i].timestamp);
}
END_TEST

START_TEST(a_long_error_is_cut_and_a_long_code_is_none)
{
	const struct token_ask ask = { .resource = "r" };
	char x[501], body[1200];
	struct token_failure fail = { 0 };

	memset(x, 'x', 500);
	x[500] = '\0';
	(void)snprintf(body, sizeof(body), "{\"error\":\"%s\",\"error_description\":\"%s\"}", x, x);
	ck_assert_ptr_null(parse(400, body, NULL, &ask, &fail));
	ck_assert_str_eq(fail.error, "");
	ck_assert_uint_lt(strlen(fail.err.msg), 200);
}
END_TEST

/* the source */

struct told {
	unsigned calls;
	bool has_token;
	struct token_failure fail;
};

static void on_done(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct told *t = ctx;

	t->calls++;
	t->has_token = tok != NULL;
	if (fail)
		t->fail = *fail;
}

struct rig {
	struct http_client http;
	struct loop *loop;
	struct metrics *metrics;
	struct imds_source *source;
	struct token_source vtable;
	struct azure_identity *identity;
	struct told told;
};

static void rig_init(struct rig *r)
{
	*r = (struct rig){ .loop = loop_new_fake(NULL), .identity = mk_identity() };
	r->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, 16);
	r->source = imds_source_new(r->loop, &r->http, "http://169.254.169.254", 10000, r->metrics);
	r->vtable = imds_source_vtable(r->source);
}

static void rig_deinit(struct rig *r)
{
	r->source = imds_source_free(r->source);
	(void)azure_identity_unref(r->identity);
	(void)metrics_free(r->metrics);
	(void)loop_free(r->loop);
}

static void *fetch(struct rig *r, const struct azure_identity *i, struct token_failure *fail)
{
	const struct token_ask ask = { .identity = i,
				       .selector = { SELECTOR_NONE, "" },
				       .resource = "r" };

	ck_assert(r->vtable.fetch != NULL);
	return r->vtable.fetch(r->vtable.ctx, &ask, on_done, &r->told, fail);
}

static double count(const struct rig *r, enum nmi_metric id, const char *operation)
{
	return metric_get(r->metrics, id, &operation);
}

static double upstream(const struct rig *r, const char *status)
{
	return metric_get(r->metrics, NMI_METRIC_UPSTREAM, (const char *const[]){ "imds", status });
}

START_TEST(the_source_sends_one_get_with_the_metadata_header_and_no_other)
{
	struct token_failure fail = { 0 };
	struct rig r;

	rig_init(&r);
	ck_assert_ptr_nonnull(fetch(&r, r.identity, &fail));
	ck_assert_str_eq(r.http.url, "http://169.254.169.254/metadata/identity/oauth2/"
				     "token?api-version=2018-02-01&client_id=c1&resource=r");
	ck_assert_str_eq(r.http.method, "GET");
	ck_assert_str_eq(r.http.headers, "Metadata: true\n");
	ck_assert_uint_eq(r.http.timeout_msec, 10000);
	ck_assert_uint_eq(r.http.body_max, (size_t)LIMIT_TOKEN_ANSWER_BYTES);
	ck_assert_uint_eq(r.told.calls, 0);
	loop_fake_advance(r.loop, 250);
	fake_http_reply(&r.http, 200, ANSWER(",\"expires_in\":60"));
	ck_assert_uint_eq(r.told.calls, 1);
	ck_assert(r.told.has_token);
	ck_assert(count(&r, NMI_METRIC_IMDS_DURATION, "adal_token_msi_userassignedid") > 0.2);
	ck_assert(count(&r, NMI_METRIC_IMDS_ERRORS, "adal_token_msi_userassignedid") < 0.5);
	ck_assert(upstream(&r, "200") == 1);
	rig_deinit(&r);
}
END_TEST

START_TEST(a_refusal_is_passed_on_with_its_retry_after_and_counted)
{
	struct token_failure fail = { 0 };
	struct rig r;

	rig_init(&r);
	ck_assert_ptr_nonnull(fetch(&r, NULL, &fail));
	r.http.reply_headers[0] = "Retry-After: 9";
	fake_http_reply(&r.http, 429, "{}");
	ck_assert(!r.told.has_token);
	ck_assert_int_eq(r.told.fail.fault, TOKEN_FAULT_THROTTLED);
	ck_assert_uint_eq(r.told.fail.retry_after_sec, 9);
	ck_assert(count(&r, NMI_METRIC_IMDS_ERRORS, "adal_token_msi") > 0.5);
	ck_assert(upstream(&r, "429") == 1);
	rig_deinit(&r);
}
END_TEST

static const struct {
	enum err_kind kind;
	enum token_fault fault;
} transport[] = {
	{ ERR_TIMEOUT, TOKEN_FAULT_DOWN },
	{ ERR_UNAVAILABLE, TOKEN_FAULT_DOWN },
	{ ERR_OS, TOKEN_FAULT_DOWN },
	{ ERR_LIMIT, TOKEN_FAULT_GARBLED },
};

START_TEST(a_transport_error_is_down_and_an_oversized_answer_is_garbled)
{
	struct token_failure fail = { 0 };
	struct err err = { 0 };
	struct rig r;

	rig_init(&r);
	ck_assert_ptr_nonnull(fetch(&r, r.identity, &fail));
	(void)err_set(&err, transport[_i].kind, "what curl said");
	fake_http_fail(&r.http, &err);
	ck_assert_int_eq(r.told.fail.fault, transport[_i].fault);
	ck_assert_str_eq(r.told.fail.err.msg, "IMDS did not answer: what curl said");
	ck_assert(upstream(&r, transport[_i].kind == ERR_TIMEOUT ? "timeout" : "error") == 1);
	ck_assert(count(&r, NMI_METRIC_IMDS_ERRORS, "adal_token_msi_userassignedid") > 0.5);
	rig_deinit(&r);
}
END_TEST

static const struct {
	struct mk_identity_args identity;
	enum token_fault fault;
	const char *why;
} unaskable[] = {
	{ { .client_id = "" }, TOKEN_FAULT_REFUSED, "spec.clientID" },
	{ { .client_id = "  " }, TOKEN_FAULT_REFUSED, "spec.clientID" },
	{ { .type = 1 }, TOKEN_FAULT_UNSUPPORTED, "spec.type 1" },
	{ { .type = 2 }, TOKEN_FAULT_UNSUPPORTED, "spec.type 2" },
};

START_TEST(an_identity_that_imds_cannot_tell_apart_is_never_asked_for)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i =
		mk_identity_(&unaskable[_i].identity);
	struct token_failure fail = { 0 };
	struct rig r;

	rig_init(&r);
	ck_assert_ptr_null(fetch(&r, i, &fail));
	ck_assert_uint_eq(r.http.sent, 0);
	ck_assert_int_eq(fail.fault, unaskable[_i].fault);
	ck_assert_ptr_nonnull(strstr(fail.err.msg, "AzureIdentity shop/web"));
	ck_assert_ptr_nonnull(strstr(fail.err.msg, unaskable[_i].why));
	rig_deinit(&r);
}
END_TEST

START_TEST(a_request_that_cannot_be_sent_fails_at_once)
{
	struct token_failure fail = { 0 };
	struct rig r;

	rig_init(&r);
	r.http.refuse = true;
	ck_assert_ptr_null(fetch(&r, r.identity, &fail));
	ck_assert_int_eq(fail.fault, TOKEN_FAULT_DOWN);
	ck_assert_uint_eq(r.told.calls, 0);
	rig_deinit(&r);
}
END_TEST

START_TEST(an_answer_that_has_begun_is_known)
{
	struct token_failure fail = { 0 };
	struct rig r;
	void *handle;

	rig_init(&r);
	handle = fetch(&r, r.identity, &fail);
	ck_assert(!r.vtable.is_answering(handle));
	r.http.is_answering = true;
	ck_assert(r.vtable.is_answering(handle));
	rig_deinit(&r);
}
END_TEST

START_TEST(a_cancelled_fetch_and_a_freed_source_say_nothing)
{
	struct token_failure fail = { 0 };
	struct rig r;
	void *handle;

	rig_init(&r);
	handle = fetch(&r, r.identity, &fail);
	r.vtable.cancel(r.vtable.ctx, handle);
	ck_assert_uint_eq(r.http.cancelled, 1);
	ck_assert_ptr_nonnull(fetch(&r, r.identity, &fail));
	rig_deinit(&r);
	ck_assert_uint_eq(r.http.cancelled, 2);
	ck_assert_uint_eq(r.told.calls, 0);
}
END_TEST

UNIT_MAIN("imds", UNIT_LOOP(the_request_carries_the_identity_or_the_callers_own_selector, requests),
	  UNIT_LOOP(an_answer_with_a_token_and_an_expiry_is_taken, good),
	  UNIT_LOOP(an_answer_that_is_not_a_good_token_is_garbled_and_not_quoted, garbled),
	  UNIT(an_answer_over_the_limit_is_garbled),
	  UNIT_LOOP(an_excepted_pod_gets_the_identity_that_it_named, nodes),
	  UNIT_LOOP(a_status_is_sorted_into_its_class, statuses),
	  UNIT_LOOP(of_an_errors_body_the_code_and_the_description_are_kept, bodies),
	  UNIT_LOOP(the_ids_that_support_asks_for_are_kept, traces),
	  UNIT(a_long_error_is_cut_and_a_long_code_is_none),
	  UNIT(an_answer_that_has_begun_is_known),
	  UNIT(the_source_sends_one_get_with_the_metadata_header_and_no_other),
	  UNIT(a_refusal_is_passed_on_with_its_retry_after_and_counted),
	  UNIT_LOOP(a_transport_error_is_down_and_an_oversized_answer_is_garbled, transport),
	  UNIT_LOOP(an_identity_that_imds_cannot_tell_apart_is_never_asked_for, unaskable),
	  UNIT(a_request_that_cannot_be_sent_fails_at_once),
	  UNIT(a_cancelled_fetch_and_a_freed_source_say_nothing))
