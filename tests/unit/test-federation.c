/* SPDX-License-Identifier: MIT */

#include "lib/loop/loop.h"
#include "nmi/metrics.h"
#include "nmi/token/cache.h"
#include "nmi/token/entra.h"
#include "nmi/token/federation.h"
#include "nmi/token/token.h"
#include "tests/unit/fake-http.h"
#include "tests/unit/fake-kube.h"
#include "tests/unit/mk-identity.h"
#include "tests/unit/unit.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static struct kube_client *const kube = (struct kube_client *)(uintptr_t) "kube";

#define TENANT	  "72f988bf-0000-4000-8000-2d7cd011db47"
#define AUDIENCE  "api://AzureADTokenExchange"
#define ANSWER	  "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"tok\"}"
#define FEDERATED "\"aadpodidentity.k8s.io/token-source\":\"federation\""

static const struct token_pod web = { "shop", "web-0", "u-0", "web" };
static const struct token_pod web_too = { "shop", "web-1", "u-1", "web" };
static const struct token_pod other = { "shop", "db-0", "u-2", "db" };

struct bench {
	struct loop *loop;
	struct metrics *metrics;
	struct http_client http;
	struct entra *entra;
	struct federation *federation;
	struct token_source source;
	struct azure_identity *identity;
	struct token *tok;
	struct token_failure fail;
	unsigned told;
};

/* `tenant` is that of --tenant-id; the identity is taken over. */
static void bench_init(struct bench *b, struct azure_identity *identity, const char *tenant)
{
	fake_kube_reset();
	*b = (struct bench){ .loop = loop_new_fake(NULL),
			     .metrics = metrics_new(nmi_metric_descs, NMI_METRICS, 16),
			     .identity = identity };
	b->entra = entra_new(b->loop,
			     &(struct entra_spec){ .http = &b->http,
						   .authority = "https://login.microsoftonline.com",
						   .metrics = b->metrics },
			     NULL);
	b->federation = federation_new(&(struct federation_spec){ .kube = kube,
								  .entra = b->entra,
								  .metrics = b->metrics,
								  .audience = AUDIENCE,
								  .tenant_id = tenant },
				       NULL);
	b->source = federation_vtable(b->federation);
}

static void bench_init_plain(struct bench *b)
{
	bench_init(b, mk_identity(.type = 3, .tenant_id = TENANT), "");
}

static void bench_deinit(struct bench *b)
{
	b->federation = federation_free(b->federation);
	b->entra = entra_free(b->entra);
	(void)azure_identity_unref(b->identity);
	(void)token_unref(b->tok);
	b->metrics = metrics_free(b->metrics);
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

static struct token_ask ask_of(const struct bench *b, const struct token_pod *pod)
{
	return (struct token_ask){ .pod = pod,
				   .identity = b->identity,
				   .resource = "https://vault.azure.net" };
}

static void *fetch(struct bench *b)
{
	const struct token_ask ask = ask_of(b, &web);

	return b->source.fetch(b->source.ctx, &ask, on_done, b, &b->fail);
}

/* A JWT that nobody signed, which is all that may be looked at here. */
static const char *mk_jwt(const char *claims)
{
	static char text[2048];
	unsigned char encoded[1024];

	ck_assert_uint_lt(strlen(claims), sizeof(encoded) / 2);
	(void)EVP_EncodeBlock(encoded, (const unsigned char *)claims, (int)strlen(claims));
	for (char *p = (char *)encoded; *p; p++)
		*p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p == '=' ? '\0' : *p);
	(void)snprintf(text, sizeof(text), "eyJhbGciOiJSUzI1NiJ9.%s.c2ln", (char *)encoded);
	return text;
}

/* "?>~~" brings what base64url spells otherwise than base64. */
static const char *account_jwt(void)
{
	return mk_jwt("{\"iss\":\"https://oidc/?>~~\",\"sub\":\"system:serviceaccount:shop:web\","
		      "\"aud\":[\"" AUDIENCE "\"]}");
}

/* Answers the last question to the API server with a token. */
static void give_account_token(const char *jwt)
{
	char text[4096];

	(void)snprintf(text, sizeof(text),
		       "{\"kind\":\"TokenRequest\",\"status\":{\"token\":\"%s\"}}", jwt);
	fake_answer(fake_kube.n_calls - 1, 201, text);
}

START_TEST(a_pods_account_token_becomes_a_token_of_the_application)
{
	char want[4096];
	struct bench b;

	bench_init_plain(&b);
	ck_assert_ptr_nonnull(fetch(&b));
	ck_assert_uint_eq(fake_kube.n_calls, 1);
	ck_assert_str_eq(fake_kube.calls[0]->path,
			 "/api/v1/namespaces/shop/serviceaccounts/web/token");
	ck_assert(fake_kube.calls[0]->is_secret);
	ck_assert_ptr_nonnull(strstr(fake_kube.calls[0]->body, "\"audiences\":[\"" AUDIENCE "\"]"));
	ck_assert_ptr_nonnull(strstr(fake_kube.calls[0]->body,
				     "\"kind\":\"Pod\",\"name\":\"web-0\",\"uid\":\"u-0\""));
	ck_assert_uint_eq(b.http.sent, 0);
	give_account_token(account_jwt());
	ck_assert_str_eq(b.http.url,
			 "https://login.microsoftonline.com/" TENANT "/oauth2/v2.0/token");
	(void)snprintf(want, sizeof(want), "&client_assertion=%s", account_jwt());
	ck_assert_ptr_nonnull(strstr(b.http.body, want));
	ck_assert_ptr_nonnull(strstr(b.http.body, "client_id=c1&"));
	ck_assert_ptr_null(strstr(b.http.body, "client_secret"));
	ck_assert_uint_eq(b.told, 0);
	fake_http_reply(&b.http, 200, ANSWER);
	ck_assert_uint_eq(b.told, 1);
	ck_assert_ptr_nonnull(b.tok);
	ck_assert_str_eq(b.tok->client_id, "c1");
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_UPSTREAM,
				       (const char *const[]){ "federation", "200" }),
			    1);
	bench_deinit(&b);
}
END_TEST

static const struct {
	const char *tenant, *note, *setting, *asked; /* asked NULL: nobody is */
} tenants[] = {
	{ TENANT, "b.example", "c.example", TENANT },
	{ "", "b.example", "c.example", "b.example" },
	{ "", NULL, "c.example", "c.example" },
	{ " ", NULL, "c.example", "c.example" },
	{ "", NULL, "", NULL },
};

START_TEST(the_tenant_is_the_identitys_or_its_annotations_or_the_operators)
{
	char notes[256], url[128];
	struct bench b;

	(void)snprintf(notes, sizeof(notes), FEDERATED "%s%s%s",
		       tenants[_i].note ? ",\"azure.workload.identity/tenant-id\":\"" : "",
		       tenants[_i].note ? tenants[_i].note : "", tenants[_i].note ? "\"" : "");
	bench_init(&b, mk_identity(.tenant_id = tenants[_i].tenant, .annotations = notes),
		   tenants[_i].setting);
	if (!tenants[_i].asked) {
		ck_assert_ptr_null(fetch(&b));
		ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_INVALID);
		ck_assert_ptr_nonnull(strstr(b.fail.err.msg, "spec.tenantID"));
		ck_assert_ptr_nonnull(strstr(b.fail.err.msg, "--tenant-id"));
	} else {
		ck_assert_ptr_nonnull(fetch(&b));
		give_account_token(account_jwt());
		(void)snprintf(url, sizeof(url), "https://login.microsoftonline.com/%s/oauth2/",
			       tenants[_i].asked);
		ck_assert_uint_eq(b.http.sent, 1);
		ck_assert_ptr_eq(strstr(b.http.url, url), b.http.url);
	}
	bench_deinit(&b);
}
END_TEST

static const struct {
	const char *client, *tenant, *spec;
	const char *account;
	const char *why;
} incomplete[] = {
	{ "", TENANT, NULL, "web", "spec.clientID is empty" },
	{ " \\t", TENANT, NULL, "web", "spec.clientID is empty" },
	{ "c1", "../x", NULL, "web", "is no tenant" },
	{ "c1", TENANT, ",\"adEndpoint\":\"https://evil.example\"", "web", "spec.adEndpoint" },
	{ "c1", TENANT, NULL, "", "no service account" },
	{ "c1", TENANT, NULL, NULL, "no service account" },
};

START_TEST(nothing_is_asked_for_what_lacks_something)
{
	const struct token_pod pod = { "shop", "web-0", "u-0", incomplete[_i].account };
	struct token_ask ask;
	struct bench b;

	bench_init(&b,
		   mk_identity(.type = 3, .client_id = incomplete[_i].client,
			       .tenant_id = incomplete[_i].tenant, .spec = incomplete[_i].spec),
		   "");
	ask = ask_of(&b, &pod);
	ck_assert_ptr_null(b.source.fetch(b.source.ctx, &ask, on_done, &b, &b.fail));
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_INVALID);
	ck_assert_msg(strstr(b.fail.err.msg, incomplete[_i].why) != NULL, "%s", b.fail.err.msg);
	ck_assert_uint_eq(fake_kube.n_calls + b.http.sent + b.told, 0);
	bench_deinit(&b);
}
END_TEST

static const struct {
	const char *tenant, *why;
} account_tenants[] = {
	{ "", "annotation azure.workload.identity/tenant-id is missing or empty, and so is "
	      "--tenant-id" },
	{ "../x", "annotation azure.workload.identity/tenant-id: '../x' is no tenant" },
};

START_TEST(what_an_account_lacks_is_an_annotation)
{
	struct bench b;

	bench_init(&b, mk_identity(.type = 3, .tenant_id = account_tenants[_i].tenant), "");
	b.identity->of_account = true;
	ck_assert_ptr_null(fetch(&b));
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_INVALID);
	ck_assert_msg(strstr(b.fail.err.msg, account_tenants[_i].why) == b.fail.err.msg, "%s",
		      b.fail.err.msg);
	bench_deinit(&b);
}
END_TEST

START_TEST(for_nobody_there_is_no_account)
{
	struct token_ask ask;
	struct bench b;

	bench_init_plain(&b);
	ask = ask_of(&b, NULL);
	ck_assert_ptr_null(b.source.fetch(b.source.ctx, &ask, on_done, &b, &b.fail));
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_INVALID);
	bench_deinit(&b);
}
END_TEST

static const struct {
	long status;
	enum token_fault fault;
	const char *hint; /* "": none of its own */
} refusals[] = {
	{ 400, TOKEN_FAULT_POD, "do not belong together" },
	{ 404, TOKEN_FAULT_POD, "is gone" },
	{ 409, TOKEN_FAULT_POD, "was replaced" },
	{ 403, TOKEN_FAULT_CREDENTIAL, "create on serviceaccounts/token" },
	{ 422, TOKEN_FAULT_CREDENTIAL, "--federation-audience" },
	{ 401, TOKEN_FAULT_DOWN, "" },
	{ 429, TOKEN_FAULT_DOWN, "" },
	{ 500, TOKEN_FAULT_DOWN, "" },
	{ 0, TOKEN_FAULT_DOWN, "" },
};

START_TEST(what_the_api_server_refuses_is_told_with_what_to_do)
{
	static const char *const labels[] = { "create_token" };
	struct bench b;

	bench_init_plain(&b);
	(void)fetch(&b);
	fake_kube.retry_after_sec = 7;
	fake_answer(0, refusals[_i].status, NULL);
	ck_assert_uint_eq(b.told, 1);
	ck_assert_int_eq(b.fail.fault, refusals[_i].fault);
	ck_assert_uint_eq(b.fail.retry_after_sec, b.fail.fault == TOKEN_FAULT_DOWN ? 7 : 0);
	ck_assert_int_ne(b.fail.err.kind, ERR_NONE);
	ck_assert_int_eq(b.fail.err.http_status, (int)refusals[_i].status);
	ck_assert_str_eq(b.fail.err.msg, "no token of service account shop/web for pod web-0: "
					 "the test says no");
	ck_assert_msg(*refusals[_i].hint ? strstr(b.fail.hint, refusals[_i].hint) != NULL
					 : !*b.fail.hint,
		      "%s", b.fail.hint);
	ck_assert_uint_eq(b.http.sent, 0);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_KUBE_ERRORS, labels), 1);
	bench_deinit(&b);
}
END_TEST

#define DENIED                                                                                     \
	"HTTP 422: serviceaccounts \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with "      \
	"binding 'b' denied request: "

static const struct {
	const char *said, *told; /* behind what is always told */
	bool by_policy;
} denials[] = {
	{ DENIED "one audience alone", "by admission policy: one audience alone", true },
	{ DENIED "", "by admission policy: ", true },
	{ "HTTP 422: denied request: x", "HTTP 422: denied request: x", false },
	{ "ValidatingAdmissionPolicy 'p' failed", "ValidatingAdmissionPolicy 'p' failed", false },
};

START_TEST(an_admission_policy_speaks_for_itself)
{
	char want[ERR_MSG_MAX];
	struct bench b;

	bench_init_plain(&b);
	(void)fetch(&b);
	fake_finish(0, 422, NULL, denials[_i].said);
	ck_assert_uint_eq(b.told, 1);
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_CREDENTIAL);
	(void)snprintf(want, sizeof(want), "no token of service account shop/web for pod web-0: %s",
		       denials[_i].told);
	ck_assert_str_eq(b.fail.err.msg, want);
	ck_assert(denials[_i].by_policy == (strstr(b.fail.hint, "its words say") != NULL));
	bench_deinit(&b);
}
END_TEST

/* The middle of each is a well-formed claim that has to be absent from what is said of it. */
static const char *const garbled[] = {
	NULL,
	"{}",
	"{\"status\":{\"token\":7}}",
	"{\"status\":{\"token\":\"secret-half\"}}",
	"{\"status\":{\"token\":\"secret-half.e30.x\"}}",
};

START_TEST(an_answer_without_a_token_is_not_shown_to_anybody)
{
	struct bench b;

	bench_init_plain(&b);
	(void)fetch(&b);
	fake_answer(0, 201, garbled[_i]);
	ck_assert_uint_eq(b.told, 1);
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_GARBLED);
	ck_assert_ptr_null(strstr(b.fail.err.msg, "secret-half"));
	ck_assert_uint_eq(b.http.sent, 0);
	bench_deinit(&b);
}
END_TEST

static const unsigned unconfigured[] = { 70021, 700211, 700212, 700213 };

/* The values are the token's own: what Entra compares is what it was shown, not what was set here. */
START_TEST(the_hint_says_what_the_federated_credential_has_to_be)
{
	char text[128];
	struct bench b;

	bench_init_plain(&b);
	(void)fetch(&b);
	give_account_token(mk_jwt("{\"iss\":\"https://oidc.example/c1\",\"sub\":\"system:"
				  "serviceaccount:shop:web\",\"aud\":\"api://Other\"}"));
	(void)snprintf(text, sizeof(text), "{\"error\":\"invalid_request\",\"error_codes\":[%u]}",
		       unconfigured[_i]);
	fake_http_reply(&b.http, 401, text);
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_REFUSED);
	ck_assert_ptr_nonnull(strstr(b.fail.hint, "issuer https://oidc.example/c1, subject system:"
						  "serviceaccount:shop:web, audience api://Other"));
	bench_deinit(&b);
}
END_TEST

START_TEST(a_fetch_can_be_cancelled_wherever_it_is)
{
	struct bench b;
	void *handle;

	bench_init_plain(&b);
	handle = fetch(&b);
	b.source.cancel(b.source.ctx, handle); /* at the API server */
	ck_assert_uint_eq(fake_kube.n_cancelled, 1);
	handle = fetch(&b);
	b.http.is_answering = true;
	ck_assert(!b.source.is_answering(handle));
	give_account_token(account_jwt());
	ck_assert(b.source.is_answering(handle));
	b.source.cancel(b.source.ctx, handle); /* at Entra */
	ck_assert_uint_eq(b.http.cancelled, 1);
	(void)fetch(&b); /* goes with the source */
	b.federation = federation_free(b.federation);
	ck_assert_uint_eq(b.told, 0);
	ck_assert_ptr_null(fake_kube.calls[fake_kube.n_calls - 1]);
	bench_deinit(&b);
}
END_TEST

static const struct {
	const char *audience, *tenant, *says; /* NULL: accepted */
} settings[] = {
	{ AUDIENCE, "", NULL },
	{ AUDIENCE, TENANT, NULL },
	{ AUDIENCE, "contoso.example", NULL },
	{ "", "", "--federation-audience" },
	{ " ", "", "--federation-audience" },
	{ AUDIENCE, "../x", "--tenant-id" },
	{ AUDIENCE, "contoso", "--tenant-id" },
};

START_TEST(settings_that_could_never_work_are_told_at_start)
{
	const struct federation_spec spec = { .audience = settings[_i].audience,
					      .tenant_id = settings[_i].tenant };
	struct err err = { 0 };
	struct federation *f = federation_new(&spec, &err);

	ck_assert_int_eq(f != NULL, settings[_i].says == NULL);
	if (settings[_i].says) {
		ck_assert_int_eq(err.kind, ERR_INPUT);
		ck_assert_ptr_eq(strstr(err.msg, settings[_i].says), err.msg);
	}
	(void)federation_free(f);
}
END_TEST

/* behind the cache, as pods meet it */

struct behind_cache {
	struct bench b;
	const struct token_source *by_type[AZURE_IDENTITY_TYPES];
	struct token_cache *cache;
};

static void cache_init(struct behind_cache *c)
{
	bench_init_plain(&c->b);
	memset(c->by_type, 0, sizeof(c->by_type));
	c->by_type[AZURE_IDENTITY_FEDERATED] = &c->b.source;
	c->cache = token_cache_new(c->b.loop,
				   &(struct token_cache_spec){ .by_type = c->by_type,
							       .n_types = AZURE_IDENTITY_TYPES,
							       .max_tokens = 8,
							       .max_waiting = 8 },
				   c->b.metrics);
}

static void cache_deinit(struct behind_cache *c)
{
	c->cache = token_cache_free(c->cache);
	bench_deinit(&c->b);
}

static void get(struct behind_cache *c, const struct token_pod *pod)
{
	const struct token_ask ask = ask_of(&c->b, pod);

	(void)token_cache_get(c->cache, &ask, mono_add_msec(loop_mono(c->b.loop), 20000), on_done,
			      &c->b);
	loop_fake_advance(c->b.loop, 0);
}

START_TEST(a_pod_that_went_meanwhile_gets_none_and_holds_up_no_other_of_its_account)
{
	struct behind_cache c;

	cache_init(&c);
	get(&c, &web);
	fake_answer(0, 409, NULL);
	loop_fake_advance(c.b.loop, 0);
	ck_assert_uint_eq(c.b.told, 1); /* at once: to try again would be in vain */
	ck_assert_ptr_null(c.b.tok);
	ck_assert_int_eq(c.b.fail.fault, TOKEN_FAULT_POD);
	get(&c, &web_too);
	ck_assert_uint_eq(fake_kube.n_calls, 2);
	ck_assert_ptr_nonnull(strstr(fake_kube.calls[1]->body, "\"uid\":\"u-1\""));
	give_account_token(account_jwt());
	fake_http_reply(&c.b.http, 200, ANSWER);
	loop_fake_advance(c.b.loop, 0);
	ck_assert_uint_eq(c.b.told, 2);
	ck_assert_ptr_nonnull(c.b.tok);
	cache_deinit(&c);
}
END_TEST

START_TEST(a_token_is_for_the_pods_of_its_account_alone)
{
	struct token_ask ask;
	struct behind_cache c;

	cache_init(&c);
	get(&c, &web);
	give_account_token(account_jwt());
	fake_http_reply(&c.b.http, 200, ANSWER);
	loop_fake_advance(c.b.loop, 0);
	ask = ask_of(&c.b, &web_too);
	ck_assert_ptr_nonnull(token_cache_peek(c.cache, &ask));
	ask = ask_of(&c.b, &other);
	ck_assert_ptr_null(token_cache_peek(c.cache, &ask));
	get(&c, &other);
	ck_assert_str_eq(fake_kube.calls[1]->path,
			 "/api/v1/namespaces/shop/serviceaccounts/db/token");
	fake_answer(1, 403, NULL);
	loop_fake_advance(c.b.loop, 0);
	ck_assert_ptr_null(c.b.tok);
	ask = ask_of(&c.b, &web);
	ck_assert_ptr_nonnull(token_cache_peek(c.cache, &ask));
	cache_deinit(&c);
}
END_TEST

/* Each renewal shows Entra a new account token; none is kept from the time before. */
START_TEST(a_renewal_asks_for_a_new_account_token)
{
	struct token_ask ask;
	struct behind_cache c;
	unsigned asked;

	cache_init(&c);
	get(&c, &web);
	give_account_token(account_jwt());
	fake_http_reply(&c.b.http, 200, ANSWER);
	loop_fake_advance(c.b.loop, 0);
	ask = ask_of(&c.b, &web);
	for (asked = fake_kube.n_calls; asked == fake_kube.n_calls;) {
		ck_assert_ptr_nonnull(token_cache_peek(c.cache, &ask)); /* never without one */
		loop_fake_advance(c.b.loop, 60000);
	}
	ck_assert_uint_eq(fake_kube.n_calls, 2);
	fake_answer(1, 404, NULL); /* gone: the token at hand stays good for the others */
	loop_fake_advance(c.b.loop, 0);
	ck_assert_ptr_nonnull(token_cache_peek(c.cache, &ask));
	ck_assert_uint_eq(c.b.http.sent, 1);
	cache_deinit(&c);
}
END_TEST

UNIT_MAIN("federation", UNIT(a_pods_account_token_becomes_a_token_of_the_application),
	  UNIT_LOOP(the_tenant_is_the_identitys_or_its_annotations_or_the_operators, tenants),
	  UNIT_LOOP(nothing_is_asked_for_what_lacks_something, incomplete),
	  UNIT_LOOP(what_an_account_lacks_is_an_annotation, account_tenants),
	  UNIT(for_nobody_there_is_no_account),
	  UNIT_LOOP(what_the_api_server_refuses_is_told_with_what_to_do, refusals),
	  UNIT_LOOP(an_admission_policy_speaks_for_itself, denials),
	  UNIT_LOOP(an_answer_without_a_token_is_not_shown_to_anybody, garbled),
	  UNIT_LOOP(the_hint_says_what_the_federated_credential_has_to_be, unconfigured),
	  UNIT(a_fetch_can_be_cancelled_wherever_it_is),
	  UNIT_LOOP(settings_that_could_never_work_are_told_at_start, settings),
	  UNIT(a_pod_that_went_meanwhile_gets_none_and_holds_up_no_other_of_its_account),
	  UNIT(a_token_is_for_the_pods_of_its_account_alone),
	  UNIT(a_renewal_asks_for_a_new_account_token))
