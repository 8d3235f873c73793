/* SPDX-License-Identifier: MIT */

#include "lib/loop/loop.h"
#include "nmi/metrics.h"
#include "nmi/token/entra.h"
#include "nmi/token/secrets.h"
#include "nmi/token/sp.h"
#include "nmi/token/token.h"
#include "tests/unit/fake-http.h"
#include "tests/unit/fake-kube.h"
#include "tests/unit/mk-cert.h"
#include "tests/unit/mk-json.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static struct kube_client *const kube = (struct kube_client *)(uintptr_t) "kube";

#define TENANT	"72f988bf-0000-4000-8000-2d7cd011db47"
#define TENANT2 "72f988bf-0000-4000-8000-2d7cd011db48"
#define SECRET(version, data)                                                                      \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"sp\",\"uid\":\"u1\","                    \
	"\"resourceVersion\":"                                                                     \
	"\"" version "\"},\"data\":{" data "}}"
#define ABC   "\"clientSecret\":\"YWJj\""
#define TOKEN "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"tok\"}"

struct bench {
	struct loop *loop;
	struct http_client http;
	struct entra *entra;
	struct secrets *secrets;
	struct sp_source *sp;
	struct token_source source;
	struct azure_identity *identity;
	struct token *tok;
	struct token_failure fail;
	unsigned told;
};

/* An AzureIdentity of these lines of spec. */
static struct azure_identity *identity(const char *spec)
{
	struct azure_identity *i;
	struct jval *doc;
	char text[1024];

	(void)snprintf(text, sizeof(text),
		       "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"web\"},\"spec\":{%s}}",
		       spec);
	doc = mk_json(text);
	i = azure_identity_parse(doc, NULL);
	(void)jval_free(doc);
	ck_assert_ptr_nonnull(i);
	ck_assert_str_eq(i->flaw, "");
	return i;
}

#define SPEC(type)                                                                                 \
	"\"type\":" #type ",\"clientID\":\"id\",\"tenantID\":\"" TENANT                            \
	"\",\"clientPassword\":{\"name\":\"sp\",\"namespace\":\"shop\"}"

static void bench_init(struct bench *b, const char *spec)
{
	fake_kube_reset();
	*b = (struct bench){ .loop = loop_new_fake(NULL), .identity = identity(spec) };
	b->entra =
		entra_new(b->loop,
			  &(struct entra_spec){ .http = &b->http,
						.authority = "https://login.microsoftonline.com" },
			  NULL);
	b->secrets = secrets_new(b->loop, kube, NULL);
	b->sp = sp_source_new(b->loop,
			      &(struct sp_spec){ .entra = b->entra, .secrets = b->secrets });
	b->source = sp_source_vtable(b->sp);
}

static void bench_deinit(struct bench *b)
{
	b->sp = sp_source_free(b->sp);
	b->secrets = secrets_free(b->secrets);
	b->entra = entra_free(b->entra);
	(void)azure_identity_unref(b->identity);
	(void)token_unref(b->tok);
	b->loop = loop_free(b->loop);
	fake_kube_reset();
}

static void on_done(void *ctx, struct token *tok, const struct token_failure *fail)
{
	struct bench *b = ctx;

	b->told++;
	ck_assert(!tok != !fail);
	(void)token_unref(b->tok);
	b->tok = tok ? token_ref(tok) : NULL;
	b->fail = fail ? *fail : (struct token_failure){ 0 };
}

static void *fetch(struct bench *b, struct token *known)
{
	const struct token_ask ask = { .identity = b->identity,
				       .resource = "https://vault.azure.net",
				       .known = known };

	return b->source.fetch(b->source.ctx, &ask, on_done, b, &b->fail);
}

static void give_secret(const char *text)
{
	fake_answer(fake_kube.n_calls - 1, 200, text);
}

START_TEST(a_client_secret_becomes_a_token)
{
	struct bench b;

	bench_init(&b, SPEC(1));
	ck_assert_ptr_nonnull(fetch(&b, NULL));
	ck_assert_uint_eq(b.http.sent, 0);
	give_secret(SECRET("1", ABC));
	ck_assert_str_eq(b.http.url,
			 "https://login.microsoftonline.com/" TENANT "/oauth2/v2.0/token");
	ck_assert_ptr_nonnull(strstr(b.http.body, "client_id=id&"));
	ck_assert_ptr_nonnull(strstr(b.http.body, "&client_secret=abc"));
	ck_assert_uint_eq(b.told, 0);
	fake_http_reply(&b.http, 200, TOKEN);
	ck_assert_uint_eq(b.told, 1);
	ck_assert_ptr_nonnull(b.tok);
	ck_assert_uint_ne(b.tok->origin, 0);
	ck_assert_ptr_null(b.tok->next);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_token_at_hand_is_given_back_while_its_secret_is_the_same)
{
	struct token *first;
	struct bench b;

	bench_init(&b, SPEC(1));
	(void)fetch(&b, NULL);
	give_secret(SECRET("1", ABC));
	fake_http_reply(&b.http, 200, TOKEN);
	first = token_ref(b.tok);
	(void)fetch(&b, first);
	ck_assert_str_eq(fake_kube.calls[1]->accept, KUBE_ACCEPT_METADATA);
	give_secret(SECRET("1", ""));
	ck_assert_uint_eq(b.told, 2);
	ck_assert_ptr_eq(b.tok, first);
	ck_assert_uint_eq(b.http.sent, 1);
	/* changed: the new one is read and used */
	(void)fetch(&b, first);
	give_secret(SECRET("2", ""));
	ck_assert_uint_eq(b.told, 2);
	give_secret(SECRET("2", "\"clientSecret\":\"eHl6\""));
	ck_assert_ptr_nonnull(strstr(b.http.body, "client_secret=xyz"));
	fake_http_reply(&b.http, 200, TOKEN);
	ck_assert_uint_eq(b.told, 3);
	ck_assert_ptr_ne(b.tok, first);
	ck_assert_uint_ne(b.tok->origin, first->origin);
	(void)token_unref(first);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_token_of_a_secret_elsewhere_is_not_to_be_used_once_that_is_not_allowed)
{
	const struct cert_style style = { 0 };
	struct token_ask ask = { .resource = "https://vault.azure.net" };
	struct bench b;

	bench_init(&b, "\"type\":1,\"clientID\":\"id\",\"tenantID\":\"" TENANT
		       "\",\"clientPassword\":{\"name\":\"sp\",\"namespace\":\"elsewhere\"}");
	ask.identity = b.identity;
	ck_assert_ptr_null(fetch(&b, NULL));
	ck_assert_ptr_nonnull(strstr(b.fail.err.msg, "--secrets-across-namespaces"));
	sp_source_set(b.sp, &style, true);
	ck_assert_ptr_nonnull(fetch(&b, NULL));
	give_secret(SECRET("1", ABC));
	fake_http_reply(&b.http, 200, TOKEN);
	ck_assert_ptr_nonnull(b.tok);
	ck_assert_int_ne(b.source.check(b.source.ctx, &ask, b.tok->origin), TOKEN_NEWS_CHANGED);
	sp_source_set(b.sp, &style, false);
	ck_assert_int_eq(b.source.check(b.source.ctx, &ask, b.tok->origin), TOKEN_NEWS_CHANGED);
	ck_assert_ptr_null(fetch(&b, b.tok));
	bench_deinit(&b);
}
END_TEST

START_TEST(auxiliary_tenants_have_a_token_each_after_the_own_one)
{
	struct bench b;

	bench_init(&b, SPEC(1) ",\"auxiliaryTenantIDs\":[\"" TENANT2 "\",\"a.b\"]");
	(void)fetch(&b, NULL);
	give_secret(SECRET("1", ABC));
	ck_assert_ptr_nonnull(strstr(b.http.url, TENANT "/"));
	fake_http_reply(&b.http, 200, TOKEN); /* answers those too that it brings about */
	ck_assert_uint_eq(b.http.sent, 3);
	ck_assert_ptr_nonnull(strstr(b.http.url, "/a.b/"));
	ck_assert_ptr_nonnull(strstr(b.http.body, "client_secret=abc"));
	ck_assert_uint_eq(b.told, 1);
	ck_assert_ptr_nonnull(b.tok->next->next);
	ck_assert_ptr_null(b.tok->next->next->next);
	bench_deinit(&b);
}
END_TEST

START_TEST(one_tenant_without_the_application_means_no_token)
{
	struct bench b;

	bench_init(&b, SPEC(1) ",\"auxiliaryTenantIDs\":[\"" TENANT2 "\"]");
	(void)fetch(&b, NULL);
	give_secret(SECRET("1", ABC));
	fake_http_reply(&b.http, 401, "{\"error\":\"e\",\"error_codes\":[700016]}");
	ck_assert_uint_eq(b.told, 1);
	ck_assert_ptr_null(b.tok);
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_REFUSED);
	ck_assert_uint_ne(b.fail.origin, 0);
	bench_deinit(&b);
}
END_TEST

static char *base64(const struct secret *s)
{
	char *out = xcalloc(1, s->n * 2);

	EVP_EncodeBlock((unsigned char *)out, s->p, (int)s->n);
	return out;
}

START_TEST(a_certificate_becomes_an_assertion_for_that_tenant)
{
	static char text[16384];
	struct mk_cert m = { .key = mk_rsa() };
	_cleanup_(secret_deinit) struct secret p12 = { 0 };
	char *encoded;
	struct bench b;

	bench_init(&b, SPEC(2) ",\"auxiliaryTenantIDs\":[\"" TENANT2 "\"]");
	/* the fake clock's now */
	m.cert = mk_x509(m.key, "app", (long)(loop_wall(b.loop).s - MK_NOW) - 3600,
			 (long)(loop_wall(b.loop).s - MK_NOW) + 3600);
	mk_p12(&p12, m.key, m.cert, "pw", 0, 0, NULL);
	encoded = base64(&p12);
	(void)snprintf(text, sizeof(text),
		       SECRET("1", "\"certificate\":\"%s\",\"password\":\"cHc=\""), encoded);
	(void)fetch(&b, NULL);
	give_secret(text);
	ck_assert_msg(b.told == 0, "%s", b.fail.err.msg);
	ck_assert_ptr_nonnull(strstr(b.http.body, "client_assertion_type=urn"));
	ck_assert_ptr_nonnull(strstr(b.http.body, "&client_assertion=eyJ"));
	ck_assert_ptr_null(strstr(b.http.body, "client_secret"));
	fake_http_reply(&b.http, 200, TOKEN);
	ck_assert_ptr_nonnull(b.tok);
	ck_assert_uint_eq(b.http.sent, 1); /* a certificate is for the own tenant alone */
	free(encoded);
	mk_cert_deinit(&m);
	bench_deinit(&b);
}
END_TEST

static const struct {
	const char *spec, *why;
} incomplete[] = {
	{ "\"type\":1,\"tenantID\":\"a.b\",\"clientPassword\":{\"name\":\"sp\"}", "spec.clientID" },
	{ "\"type\":1,\"clientID\":\" \",\"tenantID\":\"a.b\",\"clientPassword\":{\"name\":\"sp\"}",
	  "spec.clientID is empty" },
	{ "\"type\":1,\"clientID\":\"c\",\"tenantID\":\"a.b\"",
	  "spec.clientPassword.name is empty" },
	{ "\"type\":1,\"clientID\":\"c\",\"clientPassword\":{\"name\":\"sp\"}", "spec.tenantID" },
	{ "\"type\":1,\"clientID\":\"c\",\"tenantID\":\"../"
	  "x\",\"clientPassword\":{\"name\":\"sp\"}",
	  "is no tenant" },
	{ "\"type\":2,\"clientID\":\"c\",\"tenantID\":\"a.b\",\"adEndpoint\":\"https://"
	  "evil.example\","
	  "\"clientPassword\":{\"name\":\"sp\"}",
	  "spec.adEndpoint" },
	{ "\"type\":1,\"clientID\":\"c\",\"tenantID\":\"a.b\",\"auxiliaryTenantIDs\":[\"..\"],"
	  "\"clientPassword\":{\"name\":\"sp\"}",
	  "is no tenant" },
	{ "\"type\":1,\"clientID\":\"c\",\"tenantID\":\"a.b\","
	  "\"clientPassword\":{\"name\":\"sp\",\"namespace\":\"other\"}",
	  "namespace other" },
	{ "\"type\":1,\"clientID\":\"c\",\"tenantID\":\"a.b\",\"clientPassword\":{\"name\":\"../"
	  "x\"}",
	  "cannot be the namespace and name" },
};

START_TEST(nothing_is_sent_for_an_identity_that_lacks_something)
{
	struct bench b;

	bench_init(&b, incomplete[_i].spec);
	ck_assert_ptr_null(fetch(&b, NULL));
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_INVALID);
	ck_assert_msg(strstr(b.fail.err.msg, incomplete[_i].why) != NULL, "%s", b.fail.err.msg);
	ck_assert_uint_eq(fake_kube.n_calls + b.http.sent + b.told, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_secret_of_another_namespace_is_read_where_the_operator_says_so)
{
	struct bench b;

	bench_init(&b, "\"type\":1,\"clientID\":\"c\",\"tenantID\":\"a.b\","
		       "\"clientPassword\":{\"Name\":\"sp\",\"Namespace\":\"other\"}");
	b.sp = sp_source_free(b.sp);
	b.sp = sp_source_new(b.loop, &(struct sp_spec){ .entra = b.entra,
							.secrets = b.secrets,
							.across_namespaces = true });
	b.source = sp_source_vtable(b.sp);
	ck_assert_ptr_nonnull(fetch(&b, NULL));
	ck_assert_str_eq(fake_kube.calls[0]->path, "/api/v1/namespaces/other/secrets/sp");
	bench_deinit(&b);
}
END_TEST

START_TEST(without_a_namespace_the_secret_is_beside_the_identity)
{
	struct bench b;

	bench_init(&b, "\"type\":1,\"clientID\":\"c\",\"tenantID\":\"a.b\","
		       "\"clientPassword\":{\"name\":\"sp\"}");
	ck_assert_ptr_nonnull(fetch(&b, NULL));
	ck_assert_str_eq(fake_kube.calls[0]->path, "/api/v1/namespaces/shop/secrets/sp");
	bench_deinit(&b);
}
END_TEST

static const struct {
	int type;
	const char *data, *why;
} unusable[] = {
	{ 1, "", "Secret shop/sp: it holds no keys" },
	{ 1, "\"a\":\"YQ==\",\"b\":\"YQ==\"", "Secret shop/sp: it has the keys a, b" },
	{ 2, "\"a\":\"YQ==\"", "Secret shop/sp: it has no key certificate" },
	{ 2, "\"certificate\":\"YWJj\"", "Secret shop/sp: key certificate: it is neither PEM" },
};

START_TEST(a_secret_that_is_of_no_use_is_named_with_what_is_wrong)
{
	char text[512];
	struct bench b;

	bench_init(&b, unusable[_i].type == 1 ? SPEC(1) : SPEC(2));
	(void)fetch(&b, NULL);
	(void)snprintf(text, sizeof(text), SECRET("1", "%s"), unusable[_i].data);
	give_secret(text);
	ck_assert_uint_eq(b.told, 1);
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_CREDENTIAL);
	ck_assert_msg(strstr(b.fail.err.msg, unusable[_i].why) != NULL, "%s", b.fail.err.msg);
	ck_assert_uint_eq(b.http.sent, 0);
	/* mended: the failure says nothing any more */
	ck_assert_int_eq(
		b.source.check(b.source.ctx,
			       &(struct token_ask){ .identity = b.identity, .resource = "r" },
			       b.fail.origin),
		TOKEN_NEWS_NONE);
	(void)fetch(&b, NULL);
	give_secret(SECRET("2", ABC));
	ck_assert_int_eq(
		b.source.check(b.source.ctx,
			       &(struct token_ask){ .identity = b.identity, .resource = "r" },
			       unusable[_i].type == 1 ? 1 : b.fail.origin + 1),
		TOKEN_NEWS_CHANGED);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_fetch_can_be_cancelled_wherever_it_is)
{
	struct bench b;
	void *handle;

	bench_init(&b, SPEC(1));
	handle = fetch(&b, NULL);
	b.source.cancel(b.source.ctx, handle); /* reading */
	give_secret(SECRET("1", ABC));
	ck_assert_uint_eq(b.http.sent, 0);
	handle = fetch(&b, NULL);
	b.http.is_answering = true;
	ck_assert(!b.source.is_answering(handle)); /* it is not Entra that is asked */
	give_secret(SECRET("1", ABC));
	ck_assert(b.source.is_answering(handle));
	b.source.cancel(b.source.ctx, handle); /* asking */
	ck_assert_uint_eq(b.http.cancelled, 1);
	(void)fetch(&b, NULL); /* goes with the source */
	ck_assert_uint_eq(b.told, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_is_no_service_principal_is_not_served)
{
	struct bench b;

	bench_init(&b, "\"type\":0,\"clientID\":\"c\"");
	ck_assert_ptr_null(fetch(&b, NULL));
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_UNSUPPORTED);
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("sp", UNIT(a_client_secret_becomes_a_token),
	  UNIT(a_token_at_hand_is_given_back_while_its_secret_is_the_same),
	  UNIT(a_token_of_a_secret_elsewhere_is_not_to_be_used_once_that_is_not_allowed),
	  UNIT(auxiliary_tenants_have_a_token_each_after_the_own_one),
	  UNIT(one_tenant_without_the_application_means_no_token),
	  UNIT(a_certificate_becomes_an_assertion_for_that_tenant),
	  UNIT_LOOP(nothing_is_sent_for_an_identity_that_lacks_something, incomplete),
	  UNIT(a_secret_of_another_namespace_is_read_where_the_operator_says_so),
	  UNIT(without_a_namespace_the_secret_is_beside_the_identity),
	  UNIT_LOOP(a_secret_that_is_of_no_use_is_named_with_what_is_wrong, unusable),
	  UNIT(a_fetch_can_be_cancelled_wherever_it_is),
	  UNIT(what_is_no_service_principal_is_not_served))
