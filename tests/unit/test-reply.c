/* SPDX-License-Identifier: MIT */

#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/front/reply.h"
#include "nmi/issue.h"
#include "tests/unit/unit.h"

#define ID "11111111-2222-4333-8444-555555555555"

static const enum reason all_reasons[] = {
#define X(name, code, status, error, retry_after) REASON_##name,
#include "nmi/reasons.def"
#undef X
};

static struct jval *read_body(const struct refusal *why)
{
	_cleanup_free_ char *body = NULL;
	struct err err = { 0 };
	struct jval *doc;
	size_t n = 0;

	body = reply_body(why, &n);
	ck_assert_uint_eq(n, strlen(body));
	doc = jval_parse(body, n, 65536, &err);
	ck_assert_msg(doc != NULL, "%s: %s", err.msg, body);
	return doc;
}

static const char *field(const struct jval *doc, const char *name)
{
	const struct jval *v = jval_get(doc, name);

	return v ? jval_as_str(v) : NULL;
}

/* The error codes that the SDKs' specification of the endpoint knows. */
static const char *const spec_errors[] = {
	"invalid_request",     "unauthorized_client",
	"access_denied",       "unsupported_response_type",
	"invalid_scope",       "server_error",
	"service_unavailable", "bad_request",
	"forbidden",	       "not_found",
	"method_not_allowed",  "too_many_requests",
};

START_TEST(every_reason_has_a_body_that_sdks_can_read)
{
	enum reason r = all_reasons[_i];
	_cleanup_(jval_freep) struct jval *doc =
		read_body(&(struct refusal){ .reason = r, .text = "Because.", .id = ID });
	const char *error = field(doc, "error");
	bool known = false;

	ck_assert_ptr_nonnull(error);
	for (size_t i = 0; i < ARRAY_SIZE(spec_errors); i++)
		known |= strcmp(error, spec_errors[i]) == 0;
	ck_assert_msg(known, "%s", error);
	ck_assert_str_eq(field(doc, "error_description"), "Because.");
	if (r == REASON_METADATA_HEADER)
		return;
	ck_assert_str_eq(field(doc, "reason"), reply_code(r));
	ck_assert_str_eq(field(doc, "correlation_id"), ID);
	ck_assert_str_eq(field(doc, "correlationId"), ID);
	ck_assert_ptr_null(jval_get(doc, "client_request_id"));
}
END_TEST

START_TEST(a_status_is_one_that_sdks_treat_rightly)
{
	struct refusal why = { .reason = all_reasons[_i], .text = "x" };
	unsigned status = reply_status(why.reason);

	/* 502 and 504 become "gateway error", and .NET does not retry 502 */
	ck_assert_uint_ge(status, 400);
	ck_assert_uint_lt(status, 600);
	ck_assert_uint_ne(status, 502);
	ck_assert_uint_ne(status, 504);
	/* JavaScript retries 429 only with Retry-After, Terraform 503 the better for it */
	if (status == 429 || status == 503)
		ck_assert_uint_gt(reply_retry_after(&why), 0);
	else
		ck_assert_uint_eq(reply_retry_after(&why), 0);
}
END_TEST

START_TEST(a_permanent_refusal_never_has_retry_after)
{
	struct refusal why = { .reason = all_reasons[_i], .retry_after_sec = 17 };
	unsigned status = reply_status(why.reason);

	if (status == 429 || status == 503 || status == 410)
		ck_assert_uint_eq(reply_retry_after(&why), 17);
	else
		ck_assert_uint_eq(reply_retry_after(&why), 0);
}
END_TEST

START_TEST(a_missing_metadata_header_is_answered_with_imds_own_88_bytes)
{
	_cleanup_free_ char *body = NULL;
	size_t n;

	body = reply_body(&(struct refusal){ .reason = REASON_METADATA_HEADER,
					     .text = "Required metadata header not specified",
					     .id = ID,
					     .client_request_id = ID },
			  &n);
	ck_assert_str_eq(body, "{\"error\":\"invalid_request\",\"error_description\":"
			       "\"Required metadata header not specified\"}");
	ck_assert_uint_eq(n, 88);
}
END_TEST

START_TEST(error_and_description_come_first)
{
	_cleanup_free_ char *body = NULL;

	body = reply_body(&(struct refusal){ .reason = REASON_NO_BINDING, .text = "t", .id = ID },
			  NULL);
	ck_assert_msg(strncmp(body, "{\"error\":\"invalid_request\",\"error_description\":\"t\",",
			      49) == 0,
		      "%s", body);
}
END_TEST

static const struct {
	const char *text, *becomes;
} texts[] = {
	{ "Network is unreachable", "Network is unavailable" },
	{ "UNREACHABLE, unreachable; Unreachable", "unavailable, unavailable; unavailable" },
	{ "unreachableunreachable", "unavailableunavailable" },
	{ "unreachabl", "unreachabl" },
	{ "quote \" backslash \\ newline \n tab \t", "quote \" backslash \\ newline \n tab \t" },
	{ "caf\xc3\xa9", "caf\xc3\xa9" },
	{ "bad \xff utf-8", "bad ? utf-8" },
	{ "", "The request was refused" },
	{ NULL, "The request was refused" },
};

START_TEST(a_text_is_said_so_that_no_sdk_misreads_it)
{
	_cleanup_(jval_freep) struct jval *doc = read_body(&(struct refusal){
		.reason = REASON_UPSTREAM_DOWN, .text = texts[_i].text, .error = texts[_i].text });

	ck_assert_str_eq(field(doc, "error_description"), texts[_i].becomes);
}
END_TEST

START_TEST(the_upstreams_error_and_the_clients_id_are_passed_on)
{
	_cleanup_(jval_freep) struct jval *doc =
		read_body(&(struct refusal){ .reason = REASON_UPSTREAM_REFUSED,
					     .text = "AADSTS700016",
					     .error = "unauthorized_client",
					     .client_request_id = ID });

	ck_assert_str_eq(field(doc, "error"), "unauthorized_client");
	ck_assert_str_eq(field(doc, "client_request_id"), ID);
}
END_TEST

START_TEST(a_refusal_of_entras_is_found_again_by_its_own_ids)
{
	static const struct issue_upstream up = { .codes = { 7000215, 7 },
						  .n_codes = 2,
						  .trace_id = "t-1",
						  .correlation_id = "c-1",
						  .timestamp = "2026-11-24 14:00:00Z" };
	struct refusal why = {
		.reason = REASON_UPSTREAM_REFUSED, .text = "x", .id = ID, .upstream = &up
	};
	_cleanup_(jval_freep) struct jval *doc = read_body(&why);
	const struct jval *codes = jval_get(doc, "error_codes");
	int64_t code = 0;

	ck_assert_str_eq(field(doc, "trace_id"), "t-1");
	ck_assert_str_eq(field(doc, "timestamp"), "2026-11-24 14:00:00Z");
	ck_assert_str_eq(field(doc, "correlation_id"), "c-1");
	ck_assert_str_eq(field(doc, "correlationId"), "c-1");
	ck_assert_str_eq(field(doc, "request_id"), ID);
	ck_assert_uint_eq(jval_len(codes), 2);
	ck_assert(jval_as_int(jval_at(codes, 1), &code));
	ck_assert_int_eq(code, 7);
}
END_TEST

START_TEST(what_is_no_refusal_of_entras_has_none_of_its_ids)
{
	static const struct issue_upstream up = {
		.codes = { 1 }, .n_codes = 1, .trace_id = "t", .correlation_id = "c"
	};
	_cleanup_(jval_freep) struct jval *doc = read_body(&(struct refusal){
		.reason = REASON_UPSTREAM_DOWN, .text = "x", .id = ID, .upstream = &up });

	ck_assert_ptr_null(jval_get(doc, "error_codes"));
	ck_assert_ptr_null(jval_get(doc, "trace_id"));
	ck_assert_ptr_null(jval_get(doc, "request_id"));
	ck_assert_str_eq(field(doc, "correlation_id"), ID);
}
END_TEST

START_TEST(codes_are_unique)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_reasons); i++) {
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(reply_code(all_reasons[i]), reply_code(all_reasons[j]));
	}
}
END_TEST

UNIT_MAIN("reply", UNIT_LOOP(every_reason_has_a_body_that_sdks_can_read, all_reasons),
	  UNIT_LOOP(a_status_is_one_that_sdks_treat_rightly, all_reasons),
	  UNIT_LOOP(a_permanent_refusal_never_has_retry_after, all_reasons),
	  UNIT(a_missing_metadata_header_is_answered_with_imds_own_88_bytes),
	  UNIT(error_and_description_come_first),
	  UNIT_LOOP(a_text_is_said_so_that_no_sdk_misreads_it, texts),
	  UNIT(the_upstreams_error_and_the_clients_id_are_passed_on),
	  UNIT(a_refusal_of_entras_is_found_again_by_its_own_ids),
	  UNIT(what_is_no_refusal_of_entras_has_none_of_its_ids), UNIT(codes_are_unique))
