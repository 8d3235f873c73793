/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/token/entra.h"
#include "nmi/token/token.h"
#include "tests/unit/fake-http.h"
#include "tests/unit/unit.h"

#include <string.h>

#define TENANT "72f988bf-0000-4000-8000-2d7cd011db47"
#define URL    "https://login.microsoftonline.com/" TENANT "/oauth2/v2.0/token"

/* where */

static const struct {
	const char *text, *want; /* NULL: refused */
} authorities[] = {
	{ "https://login.microsoftonline.com/", "https://login.microsoftonline.com" },
	{ "https://login.microsoftonline.com", "https://login.microsoftonline.com" },
	{ "https://login.microsoftonline.com///", "https://login.microsoftonline.com" },
	{ "HTTPS://Login.MicrosoftOnline.US", "https://login.microsoftonline.us" },
	{ "https://sts.private:8443/", "https://sts.private:8443" },
	{ "http://login.microsoftonline.com/", NULL },
	{ "login.microsoftonline.com", NULL },
	{ "", NULL },
	{ "https://", NULL },
	{ "https:///", NULL },
	{ "https://a/b", NULL },
	{ "https://a/?x", NULL },
	{ "https://a#x", NULL },
	{ "https://user@a/", NULL },
	{ "https://login.microsoftonline.com@evil/", NULL },
	{ "https://a:x/", NULL },
	{ "https://a:123456/", NULL },
	{ "https://a b/", NULL },
	{ "https://a\r\nb/", NULL },
	{ "https://.a/", NULL },
};

START_TEST(an_authority_is_a_host_by_https)
{
	struct err err = { 0 };
	_cleanup_free_ char *got = entra_authority_parse(authorities[_i].text, &err);

	if (authorities[_i].want) {
		ck_assert_msg(got != NULL, "%s", err.msg);
		ck_assert_str_eq(got, authorities[_i].want);
	} else {
		ck_assert_ptr_null(got);
		ck_assert_int_eq(err.kind, ERR_INPUT);
	}
}
END_TEST

static const struct {
	const char *text;
	bool is;
} tenants[] = {
	{ TENANT, true },
	{ "72F988BF-0000-4000-8000-2D7CD011DB47", true },
	{ "contoso.onmicrosoft.com", true },
	{ "a.b", true },
	{ "", false },
	{ "common", false },
	{ "72f988bf-0000-4000-8000-2d7cd011db4", false },
	{ "72f988bf-0000-4000-8000-2d7cd011db47x", false },
	{ "../x", false },
	{ "..", false },
	{ ".a", false },
	{ "a.", false },
	{ "a..b", false },
	{ "a.b/c", false },
	{ "a.b?c", false },
	{ "a.b%2f", false },
	{ "a.b c", false },
	{ "-a.b", false },
};

START_TEST(a_tenant_is_a_guid_or_a_domain)
{
	ck_assert_int_eq(entra_is_tenant(tenants[_i].text), tenants[_i].is);
}
END_TEST

struct bench {
	struct loop *loop;
	struct metrics *metrics;
	struct http_client http;
	struct entra *entra;
	struct token *tok;
	struct token_failure fail;
	unsigned told;
};

static void bench_init_at(struct bench *b, const char *authority)
{
	*b = (struct bench){ .loop = loop_new_fake(NULL) };
	b->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, 16);
	b->entra = entra_new(b->loop,
			     &(struct entra_spec){ .http = &b->http,
						   .authority = authority,
						   .timeout_msec = 1234,
						   .metrics = b->metrics },
			     NULL);
	ck_assert_ptr_nonnull(b->entra);
}

static void bench_init(struct bench *b)
{
	bench_init_at(b, "https://login.microsoftonline.com/");
}

static void bench_deinit(struct bench *b)
{
	b->entra = entra_free(b->entra);
	(void)token_unref(b->tok);
	b->metrics = metrics_free(b->metrics);
	b->loop = loop_free(b->loop);
}

static const struct {
	const char *endpoint, *tenant, *want; /* NULL: refused, and `why` stands in the error */
	const char *why;
} urls[] = {
	{ NULL, TENANT, "https://sts.private/" TENANT "/oauth2/v2.0/token", NULL },
	{ "", "a.b", "https://sts.private/a.b/oauth2/v2.0/token", NULL },
	{ "https://login.partner.microsoftonline.cn/", TENANT,
	  "https://login.partner.microsoftonline.cn/" TENANT "/oauth2/v2.0/token", NULL },
	{ "https://STS.private/", TENANT, "https://sts.private/" TENANT "/oauth2/v2.0/token",
	  NULL },
	{ "https://evil.example/", TENANT, NULL, "evil.example is no login host" },
	{ "https://login.microsoftonline.com.evil.example/", TENANT, NULL, "is no login host" },
	{ "https://login.microsoftonline.com:444/", TENANT, NULL, "is no login host" },
	{ "http://login.microsoftonline.com/", TENANT, NULL, "spec.adEndpoint" },
	{ NULL, "", NULL, "set spec.tenantID" },
	{ NULL, "../../x", NULL, "is no tenant" },
};

START_TEST(a_secret_goes_to_a_host_of_entras_or_the_operators_only)
{
	struct err err = { 0 };
	struct bench b;
	char *got;

	bench_init_at(&b, "https://sts.private/");
	got = entra_url_for(b.entra, urls[_i].endpoint, urls[_i].tenant, &err);
	if (urls[_i].want) {
		ck_assert_msg(got != NULL, "%s", err.msg);
		ck_assert_str_eq(got, urls[_i].want);
	} else {
		ck_assert_ptr_null(got);
		ck_assert_int_eq(err.kind, ERR_INPUT);
		ck_assert_msg(strstr(err.msg, urls[_i].why) != NULL, "%s", err.msg);
	}
	free(got);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_authority_that_is_none_makes_no_client)
{
	struct err err = { 0 };

	ck_assert_ptr_null(entra_new(NULL, &(struct entra_spec){ .authority = "ftp://x" }, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
}
END_TEST

/* the form */

static const struct {
	const char *resource, *scope;
} scopes[] = {
	{ "https://vault.azure.net", "https://vault.azure.net/.default" },
	{ "https://management.azure.com/", "https://management.azure.com//.default" },
	{ "https://vault.azure.net/.default", "https://vault.azure.net/.default" },
	{ "api://x", "api://x/.default" },
	{ "/.default", "/.default/.default" },
	{ "x.default", "x.default/.default" },
};

START_TEST(a_scope_is_the_resource_untrimmed)
{
	_cleanup_free_ char *got = entra_scope(scopes[_i].resource);

	ck_assert_str_eq(got, scopes[_i].scope);
}
END_TEST

static struct secret text_secret(const char *text)
{
	return (struct secret){ (unsigned char *)(uintptr_t)text, strlen(text) };
}

START_TEST(the_form_has_every_byte_of_the_secret)
{
	const struct secret s = text_secret("~Q8~r&s=+/ %\xc3\xa9\"\\\n");
	const struct entra_ask ask = { .client_id = "id-1", .resource = "r", .client_secret = &s };
	struct buf form;

	entra_form(&ask, &form);
	ck_assert_str_eq(form.p, "grant_type=client_credentials&client_id=id-1&scope=r%2F.default"
				 "&client_secret=~Q8~r%26s%3D%2B%2F%20%25%C3%A9%22%5C%0A");
	ck_assert(form.wipe);
	buf_deinit(&form);
}
END_TEST

START_TEST(an_assertion_goes_with_its_type)
{
	const struct secret s = text_secret("a.b-c_d.e");
	const struct entra_ask ask = { .client_id = "i", .resource = "r", .assertion = &s };
	struct buf form;

	entra_form(&ask, &form);
	ck_assert_str_eq(form.p,
			 "grant_type=client_credentials&client_id=i&scope=r%2F.default"
			 "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-"
			 "type%3Ajwt-bearer&client_assertion=a.b-c_d.e");
	buf_deinit(&form);
}
END_TEST

/* asking */

static void on_done(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct bench *b = ctx;

	b->told++;
	ck_assert(!tok != !fail);
	if (tok)
		b->tok = token_ref(tok);
	else
		b->fail = *fail;
}

static struct entra_call *start_for(struct bench *b, const char *client_id, const char *url)
{
	static const struct secret s = { (unsigned char *)(uintptr_t) "s3cret", 6 };
	const struct entra_ask ask = { .url = url,
				       .tenant = TENANT,
				       .client_id = client_id,
				       .resource = "https://vault.azure.net",
				       .client_secret = &s };

	return entra_fetch(b->entra, &ask, on_done, b, &b->fail);
}

static struct entra_call *start(struct bench *b)
{
	return start_for(b, "id", URL);
}

START_TEST(a_token_is_asked_for_by_a_form_and_bounded)
{
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b));
	ck_assert_uint_eq(b.told, 0);
	ck_assert_str_eq(b.http.method, "POST");
	ck_assert_str_eq(b.http.url, URL);
	ck_assert_ptr_nonnull(
		strstr(b.http.headers, "Content-Type: application/x-www-form-urlencoded\n"));
	ck_assert_ptr_nonnull(strstr(b.http.body, "client_secret=s3cret"));
	ck_assert_uint_eq(b.http.timeout_msec, 1234);
	ck_assert_uint_eq(b.http.body_max, 65536);
	fake_http_reply(&b.http, 200,
			"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"tok\"}");
	ck_assert_uint_eq(b.told, 1);
	ck_assert_str_eq(b.tok->client_id, "id");
	ck_assert_str_eq(b.tok->resource, "https://vault.azure.net");
	ck_assert_int_eq(b.tok->expires_on.s, loop_wall(b.loop).s + 3599);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_IMDS_DURATION,
				       (const char *const[]){ "adal_token" }),
			    1);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_UPSTREAM,
				       (const char *const[]){ "entra", "200" }),
			    1);
	bench_deinit(&b);
}
END_TEST

static const struct {
	enum err_kind kind;
	enum token_fault fault;
	enum err_kind want;
	const char *text;
} broken[] = {
	{ ERR_UNAVAILABLE, TOKEN_FAULT_DOWN, ERR_UNAVAILABLE, "tenant " TENANT ", did not answer" },
	{ ERR_TIMEOUT, TOKEN_FAULT_DOWN, ERR_TIMEOUT, "did not answer: the reason" },
	{ ERR_LIMIT, TOKEN_FAULT_GARBLED, ERR_INPUT, "sent more than the 65536 bytes" },
};

START_TEST(what_breaks_on_the_way_says_which_tenant_and_why)
{
	struct err err = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b));
	(void)err_set(&err, broken[_i].kind, "the reason");
	fake_http_fail(&b.http, &err);
	ck_assert_uint_eq(b.told, 1);
	ck_assert_int_eq(b.fail.fault, broken[_i].fault);
	ck_assert_int_eq(b.fail.err.kind, broken[_i].want);
	ck_assert_msg(strstr(b.fail.err.msg, broken[_i].text) != NULL, "%s", b.fail.err.msg);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_IMDS_ERRORS,
				       (const char *const[]){ "adal_token" }),
			    1);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_request_that_cannot_be_formed_is_a_failure_at_once)
{
	struct bench b;

	bench_init(&b);
	b.http.refuse = true;
	ck_assert_ptr_null(start(&b));
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_DOWN);
	ck_assert_uint_eq(b.told, 0);
	bench_deinit(&b);
}
END_TEST

#define THROTTLED "{\"error\":\"temporarily_unavailable\",\"error_description\":\"AADSTS50196: x\"}"

static void throttle(struct bench *b, const char *client_id)
{
	ck_assert_ptr_nonnull(start_for(b, client_id, URL));
	fake_http_reply(&b->http, 429, THROTTLED);
	ck_assert_int_eq(b->fail.fault, TOKEN_FAULT_THROTTLED);
}

START_TEST(an_application_that_is_throttled_is_not_asked_for_and_others_are)
{
	struct bench b;

	bench_init(&b);
	throttle(&b, "id");
	loop_fake_advance(b.loop, 2000);
	b.fail = (struct token_failure){ 0 };
	ck_assert_ptr_null(start_for(&b, "ID", URL)); /* ids have no case */
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_THROTTLED);
	ck_assert_uint_eq(b.http.sent, 1);
	ck_assert_ptr_nonnull(start_for(&b, "other", URL));
	ck_assert_ptr_nonnull(
		start_for(&b, "id", "https://login.microsoftonline.com/a.b/oauth2/v2.0/token"));
	ck_assert_uint_eq(b.http.sent, 3);
	loop_fake_advance(b.loop, 3000); /* five seconds where none is said */
	ck_assert_ptr_nonnull(start(&b));
	bench_deinit(&b);
}
END_TEST

START_TEST(of_too_many_throttled_ones_those_are_forgotten_that_end_first)
{
	char id[16];
	struct bench b;

	bench_init(&b);
	for (int i = 0; i <= LIMIT_ENTRA_BRAKES; i++) {
		(void)snprintf(id, sizeof(id), "id-%d", i);
		throttle(&b, id);
		loop_fake_advance(b.loop, 1);
	}
	ck_assert_ptr_null(start_for(&b, "id-1", URL));
	ck_assert_ptr_null(start_for(&b, id, URL));
	ck_assert_ptr_nonnull(start_for(&b, "id-0", URL));
	bench_deinit(&b);
}
END_TEST

START_TEST(a_cancelled_call_says_nothing_and_leaves_nothing)
{
	struct entra_call *c;
	struct bench b;

	bench_init(&b);
	c = start(&b);
	ck_assert_ptr_nonnull(c);
	entra_cancel(c);
	ck_assert_uint_eq(b.http.cancelled, 1);
	ck_assert_ptr_nonnull(start(&b)); /* this one goes with the client */
	b.entra = entra_free(b.entra);
	ck_assert_uint_eq(b.http.cancelled, 2);
	ck_assert_uint_eq(b.told, 0);
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("entra", UNIT_LOOP(an_authority_is_a_host_by_https, authorities),
	  UNIT_LOOP(a_tenant_is_a_guid_or_a_domain, tenants),
	  UNIT_LOOP(a_secret_goes_to_a_host_of_entras_or_the_operators_only, urls),
	  UNIT(an_authority_that_is_none_makes_no_client),
	  UNIT_LOOP(a_scope_is_the_resource_untrimmed, scopes),
	  UNIT(the_form_has_every_byte_of_the_secret), UNIT(an_assertion_goes_with_its_type),
	  UNIT(a_token_is_asked_for_by_a_form_and_bounded),
	  UNIT_LOOP(what_breaks_on_the_way_says_which_tenant_and_why, broken),
	  UNIT(a_request_that_cannot_be_formed_is_a_failure_at_once),
	  UNIT(an_application_that_is_throttled_is_not_asked_for_and_others_are),
	  UNIT(of_too_many_throttled_ones_those_are_forgotten_that_end_first),
	  UNIT(a_cancelled_call_says_nothing_and_leaves_nothing))
