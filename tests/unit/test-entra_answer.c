/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "nmi/token/entra.h"
#include "nmi/token/token.h"
#include "tests/unit/unit.h"

#include <string.h>

#define NOW    INT64_C(1764000000)
#define SECRET "s3cr~et&value"
#define URL    "https://login.microsoftonline.com/a.b/oauth2/v2.0/token"

static const struct secret secret = { (unsigned char *)(uintptr_t)SECRET, sizeof(SECRET) - 1 };
static const struct entra_ask with_secret = { .url = URL,
					      .tenant = "a.b",
					      .client_id = "id",
					      .resource = "r",
					      .credential = "Secret shop/sp",
					      .client_secret = &secret };

static struct token *parse(long status, const char *body, const char *retry_after,
			   struct token_failure *fail)
{
	return entra_answer_parse(status, (struct str){ body, strlen(body) }, retry_after,
				  &with_secret, (struct wall){ NOW }, fail);
}

static const struct {
	const char *body;
	int64_t life;
} good[] = {
	{ "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"ext_expires_in\":3599,"
	  "\"access_token\":\"a.b.c\"}",
	  3599 },
	{ "{\"expires_in\":\"86399\",\"access_token\":\"a.b.c\",\"token_type\":\"bearer\"}",
	  86399 },
	{ "{\"expires_in\":1,\"access_token\":\"a.b.c\",\"resource\":\"other\"}", 1 },
};

START_TEST(a_token_is_read_with_its_lifetime_as_number_or_text)
{
	struct token_failure fail = { .retry_after_sec = 7 };
	_cleanup_(token_unrefp) struct token *t = parse(200, good[_i].body, "9", &fail);

	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(t->expires_on.s, NOW + good[_i].life);
	ck_assert_int_eq(t->not_before.s, NOW);
	ck_assert_str_eq(t->client_id, "id");
	ck_assert_str_eq(t->resource, "r");
	ck_assert_uint_eq(fail.retry_after_sec, 7); /* left alone */
}
END_TEST

static const struct {
	long status;
	const char *body, *text;
} garbled[] = {
	{ 200, "", "answered 200 for tenant a.b" },
	{ 200, "<html>", "not a token" },
	{ 200, "[]", "not a token" },
	{ 200, "{}", "not a token" },
	{ 200, "{\"expires_in\":1}", "access_token" },
	{ 200, "{\"access_token\":\"a\"}", "expires_in" },
	{ 200, "{\"access_token\":\"\",\"expires_in\":1}", "access_token is empty" },
	{ 200, "{\"access_token\":\"a\\u0000b\",\"expires_in\":1}", "access_token" },
	{ 200, "{\"access_token\":\"a\\r\\nb\",\"expires_in\":1}", "characters that no token has" },
	{ 200, "{\"access_token\":\"a\",\"expires_in\":0}", "no lifetime" },
	{ 200, "{\"access_token\":\"a\",\"expires_in\":-5}", "no lifetime" },
	{ 200, "{\"access_token\":\"a\",\"expires_in\":9223372036854775807}", "no lifetime" },
	{ 200, "{\"access_token\":\"a\",\"expires_in\":1,\"token_type\":\"pop\"}", "not Bearer" },
	{ 302, "", "login.microsoftonline.com answered 302" },
	{ 404, "<!DOCTYPE html><h1>No</h1>", "answered 404 for tenant a.b, and not as Entra does" },
	{ 400, "{\"error\":\"Bad request, friend\"}", "not as Entra does" },
	{ 401, "{\"error\":7}", "not as Entra does" },
	{ 407, "proxy", "is something between" },
};

START_TEST(what_is_no_answer_of_entras_is_said_to_be_none)
{
	struct token_failure fail = { 0 };

	ck_assert_ptr_null(parse(garbled[_i].status, garbled[_i].body, "9", &fail));
	ck_assert_int_eq(fail.fault, TOKEN_FAULT_GARBLED);
	ck_assert_int_eq(fail.err.http_status, garbled[_i].status);
	ck_assert_uint_eq(fail.retry_after_sec, 0);
	ck_assert_msg(strstr(fail.err.msg, garbled[_i].text) != NULL, "%s", fail.err.msg);
}
END_TEST

#define REFUSAL                                                                                    \
	"{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client "     \
	"secret provided.\\r\\nTrace ID: 0a\\r\\nCorrelation ID: "                                 \
	"0b\\r\\nTimestamp: 2026-11-24 14:00:00Z\",\"error_codes\":[7000215],"                     \
	"\"timestamp\":\"2026-11-24 14:00:00Z\","                                                  \
	"\"trace_id\":\"11111111-2222-3333-4444-555555555555\","                                   \
	"\"correlation_id\":\"66666666-2222-3333-4444-555555555555\",\"error_uri\":\"https://x\"}"

START_TEST(a_refusal_keeps_what_support_asks_for)
{
	struct token_failure fail = { 0 };

	ck_assert_ptr_null(parse(401, REFUSAL, "9", &fail));
	ck_assert_int_eq(fail.fault, TOKEN_FAULT_REFUSED);
	ck_assert_uint_eq(fail.retry_after_sec, 0); /* SDKs would repeat it */
	ck_assert_str_eq(fail.error, "invalid_client");
	ck_assert_str_eq(
		fail.err.msg,
		"Entra (login.microsoftonline.com, tenant a.b) answered 401 invalid_client");
	ck_assert_str_eq(fail.description,
			 "AADSTS7000215: Invalid client secret provided. Trace ID: 0a Correlation "
			 "ID: 0b Timestamp: 2026-11-24 14:00:00Z");
	ck_assert_uint_eq(fail.n_codes, 1);
	ck_assert_uint_eq(fail.codes[0], 7000215);
	ck_assert_str_eq(fail.trace_id, "11111111-2222-3333-4444-555555555555");
	ck_assert_str_eq(fail.correlation_id, "66666666-2222-3333-4444-555555555555");
	ck_assert_str_eq(fail.timestamp, "2026-11-24 14:00:00Z");
	ck_assert_ptr_nonnull(strstr(fail.hint, "Secret shop/sp: the client secret is wrong"));
}
END_TEST

static const struct {
	long status;
	const char *body;
	enum token_fault fault;
	unsigned retry_after_sec;
} classes[] = {
	{ 429, "", TOKEN_FAULT_THROTTLED, 9 },
	{ 429, "{\"error\":\"invalid_request\",\"error_codes\":[90055]}", TOKEN_FAULT_THROTTLED,
	  9 },
	{ 500, "", TOKEN_FAULT_DOWN, 9 },
	{ 503, "<html>", TOKEN_FAULT_DOWN, 9 },
	{ 504, "{\"error\":\"server_error\"}", TOKEN_FAULT_DOWN, 9 },
	{ 408, "", TOKEN_FAULT_DOWN, 9 },
	{ 400, "{\"error\":\"temporarily_unavailable\"}", TOKEN_FAULT_DOWN, 9 },
	{ 400, "{\"error\":\"x\",\"error_codes\":[1,90033]}", TOKEN_FAULT_DOWN, 9 },
	{ 400, "{\"error\":\"invalid_request\",\"error_codes\":[90061]}", TOKEN_FAULT_DOWN, 9 },
	{ 400, "{\"error\":\"invalid_scope\",\"error_codes\":[70011]}", TOKEN_FAULT_REFUSED, 0 },
	{ 401, "{\"error\":\"invalid_client\"}", TOKEN_FAULT_REFUSED, 0 },
	{ 403, "{\"error\":\"access_denied\",\"error_codes\":\"none\"}", TOKEN_FAULT_REFUSED, 0 },
};

START_TEST(what_passes_by_itself_is_told_from_what_does_not)
{
	struct token_failure fail = { 0 };

	ck_assert_ptr_null(parse(classes[_i].status, classes[_i].body, "9", &fail));
	ck_assert_int_eq(fail.fault, classes[_i].fault);
	ck_assert_uint_eq(fail.retry_after_sec, classes[_i].retry_after_sec);
}
END_TEST

static const struct {
	unsigned code;
	const char *hint;
} hints[] = {
	{ 7000215, "Secret shop/sp: the client secret is wrong" },
	{ 7000222, "Secret shop/sp: the client secret has expired" },
	{ 700027, "Secret shop/sp: the certificate is not registered" },
	{ 700016, "check clientID and tenantID" },
	{ 7000112, "disabled" },
	{ 90002, "spec.tenantID" },
	{ 900023, "spec.tenantID" },
	{ 500011, "resource" },
	{ 50001, "resource" },
	{ 70011, "resource" },
	{ 1002012, "resource" },
	{ 700022, "more than one resource" },
	{ 700024, "clock" },
	{ 90061, "OIDC issuer" },
	{ 53003, "Conditional Access" },
	{ 12345, "" },
};

START_TEST(the_common_numbers_have_a_hint)
{
	struct token_failure fail = { 0 };
	char body[128];

	(void)snprintf(body, sizeof(body), "{\"error\":\"e\",\"error_codes\":[%u]}",
		       hints[_i].code);
	ck_assert_ptr_null(parse(400, body, NULL, &fail));
	if (*hints[_i].hint)
		ck_assert_msg(strstr(fail.hint, hints[_i].hint) != NULL, "%s", fail.hint);
	else
		ck_assert_str_eq(fail.hint, "");
}
END_TEST

static const unsigned federation_codes[] = { 70021, 700211, 700212, 700213 };

START_TEST(no_federated_credential_says_what_to_configure)
{
	static const struct entra_federation f = { "https://oidc.example/x/",
						   "system:serviceaccount:shop:web",
						   "api://AzureADTokenExchange" };
	struct entra_ask ask = with_secret;
	struct token_failure fail = { 0 };
	char body[128];

	ask.client_secret = NULL;
	ask.assertion = &secret;
	ask.federation = &f;
	(void)snprintf(body, sizeof(body), "{\"error\":\"e\",\"error_codes\":[%u]}",
		       federation_codes[_i]);
	ck_assert_ptr_null(entra_answer_parse(400, (struct str){ body, strlen(body) }, NULL, &ask,
					      (struct wall){ NOW }, &fail));
	ck_assert_ptr_nonnull(strstr(fail.hint, "issuer https://oidc.example/x/, subject "
						"system:serviceaccount:shop:web, audience "
						"api://AzureADTokenExchange"));
}
END_TEST

/* Whatever of it the server repeats, and where. */
static const char *const echoes[] = {
	"{\"error\":\"e\",\"error_description\":\"got " SECRET " and s3cr~et%26value\"}",
	"{\"error\":\"e\",\"trace_id\":\"" SECRET "\",\"correlation_id\":\"" SECRET "\"}",
	"{\"error\":\"e\",\"error_description\":\"eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl\"}",
};

START_TEST(a_credential_that_is_repeated_goes_no_further)
{
	struct token_failure fail = { 0 };
	const char *all;

	ck_assert_ptr_null(parse(401, echoes[_i], NULL, &fail));
	all = (const char *)&fail;
	ck_assert_ptr_null(memmem(all, sizeof(fail), "s3cr", 4));
	ck_assert_ptr_null(memmem(all, sizeof(fail), "c2lnbmF0", 8));
}
END_TEST

START_TEST(a_secret_is_hidden_before_a_long_text_is_cut)
{
	struct token_failure fail = { 0 };
	char body[1200];
	int n = snprintf(body, sizeof(body), "{\"error\":\"e\",\"error_description\":\"");

	/* the cut would leave a part of it that is not recognised any more */
	memset(body + n, 'x', 505);
	(void)snprintf(body + n + 505, sizeof(body) - (size_t)n - 505, SECRET "\"}");
	ck_assert_ptr_null(parse(401, body, NULL, &fail));
	ck_assert_uint_gt(strlen(fail.description), 500);
	ck_assert_ptr_null(strstr(fail.description, "s3c"));
}
END_TEST

START_TEST(many_codes_are_cut_to_a_few)
{
	struct token_failure fail = { 0 };

	ck_assert_ptr_null(
		parse(400, "{\"error\":\"e\",\"error_codes\":[0,-1,\"x\",1,2,3,4,5,99999999999]}",
		      NULL, &fail));
	ck_assert_uint_eq(fail.n_codes, TOKEN_CODES_MAX);
	ck_assert_uint_eq(fail.codes[0], 1);
	ck_assert_uint_eq(fail.codes[3], 4);
}
END_TEST

UNIT_MAIN("entra_answer", UNIT_LOOP(a_token_is_read_with_its_lifetime_as_number_or_text, good),
	  UNIT_LOOP(what_is_no_answer_of_entras_is_said_to_be_none, garbled),
	  UNIT(a_refusal_keeps_what_support_asks_for),
	  UNIT_LOOP(what_passes_by_itself_is_told_from_what_does_not, classes),
	  UNIT_LOOP(the_common_numbers_have_a_hint, hints),
	  UNIT_LOOP(no_federated_credential_says_what_to_configure, federation_codes),
	  UNIT_LOOP(a_credential_that_is_repeated_goes_no_further, echoes),
	  UNIT(a_secret_is_hidden_before_a_long_text_is_cut), UNIT(many_codes_are_cut_to_a_few))
