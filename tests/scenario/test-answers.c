/* SPDX-License-Identifier: MIT */

/*
 * The contract with the Azure SDKs, row by row: what a pod reads on the wire in each situation. From the
 * pod's socket to the request to IMDS all is the real thing; API server, IMDS and the clock are the
 * test's.
 *
 * Two tables. The first is the success answer: its fields, their order, their types, from each shape in
 * which IMDS may answer. The second is every refusal: status, error, reason, Retry-After, Allow, and what
 * its sentence must say; the rules that hold for all of them are in assert_refusal().
 *
 * Two rows of the contract are elsewhere: a fault of ours (500 server_error) cannot be brought about, so
 * test-reply.c has it; what never becomes a request, since it does not fit the library's buffers, gets
 * the library's own 413, 414 or 431 in HTML, and a closed connection (test-front-conn.c).
 */

#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/front/front.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "tests/scenario/whole-agent.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define JSON "application/json; charset=utf-8"
#define HOST "Host: 169.254.169.254\r\n"
#define BARE                                                                                       \
	"{\"error\":\"invalid_request\",\"error_description\":"                                    \
	"\"Required metadata header not specified\"}"
#define INSTANCE "/metadata/instance?api-version=2021-02-01"

/* success */

/* A JSON text in which @+N stands for the time N seconds from now. */
static char *with_times(const char *text, int64_t now)
{
	char *out = xstrdup(""), *next;
	const char *at;

	while ((at = strstr(text, "@+"))) {
		char *rest;
		long n = strtol(at + 2, &rest, 10);

		next = xasprintf("%s%.*s%" PRId64, out, (int)(at - text), text, now + n);
		free(out);
		out = next;
		text = rest;
	}
	next = xasprintf("%s%s", out, text);
	free(out);
	return next;
}

#define RESOURCE "https://vault.azure.net"
/* fields, order and types of every success answer; only what varies is given */
#define OURS(client_id, in, on, not_before, resource)                                              \
	"{\"access_token\":\"eyJ.x.y\",\"refresh_token\":\"\",\"client_id\":\"" client_id          \
	"\",\"expires_in\":\"" in "\",\"expires_on\":\"" on "\",\"ext_expires_in\":\"" in          \
	"\",\"not_before\":\"" not_before "\",\"resource\":\"" resource                            \
	"\",\"token_type\":\"Bearer\"}"

static const struct {
	const char *row;
	const char *imds;     /* what IMDS answers */
	const char *resource; /* asked for, as it stands in the query; NULL: RESOURCE */
	const char *body;     /* what the pod reads */
} granted[] = {
	{ "as IMDS answers today: strings",
	  "{\"access_token\":\"eyJ.x.y\",\"client_id\":\"c-web\",\"expires_in\":\"86399\","
	  "\"expires_on\":\"@+86399\",\"ext_expires_in\":\"86399\",\"not_before\":\"@+-300\","
	  "\"resource\":\"" RESOURCE "\",\"token_type\":\"Bearer\"}",
	  NULL, OURS("c-web", "86399", "@+86399", "@+-300", RESOURCE) },
	{ "numbers become strings",
	  "{\"access_token\":\"eyJ.x.y\",\"client_id\":\"c-web\",\"expires_in\":3600,"
	  "\"expires_on\":@+3600,\"ext_expires_in\":3600,\"not_before\":@+-1,\"resource\":"
	  "\"" RESOURCE "\",\"token_type\":\"Bearer\"}",
	  NULL, OURS("c-web", "3600", "@+3600", "@+-1", RESOURCE) },
	{ "expires_on alone", "{\"access_token\":\"eyJ.x.y\",\"expires_on\":\"@+600\"}", NULL,
	  OURS("c-web", "600", "@+600", "@+0", RESOURCE) },
	{ "expires_in alone", "{\"access_token\":\"eyJ.x.y\",\"expires_in\":\"600\"}", NULL,
	  OURS("c-web", "600", "@+600", "@+0", RESOURCE) },
	{ "what IMDS adds is not passed on",
	  "{\"access_token\":\"eyJ.x.y\",\"expires_on\":\"@+600\",\"refresh_token\":\"secret\","
	  "\"object_id\":\"o\",\"msi_res_id\":\"m\",\"extra\":{\"a\":1}}",
	  NULL, OURS("c-web", "600", "@+600", "@+0", RESOURCE) },
	{ "resource: echoed as decoded, not as IMDS has it",
	  "{\"access_token\":\"eyJ.x.y\",\"expires_on\":\"@+600\",\"resource\":\"other\"}",
	  "https%3A%2F%2FVault.Azure.NET%2f",
	  OURS("c-web", "600", "@+600", "@+0", "https://Vault.Azure.NET/") },
	{ "resource: + and %20 are a space",
	  "{\"access_token\":\"eyJ.x.y\",\"expires_on\":\"@+600\"}", "a+b%20c",
	  OURS("c-web", "600", "@+600", "@+0", "a b c") },
	{ "resource: quotes are escaped in JSON",
	  "{\"access_token\":\"eyJ.x.y\",\"expires_on\":\"@+600\"}", "%22%5c",
	  OURS("c-web", "600", "@+600", "@+0", "\\\"\\\\") },
	{ "token_type in another case",
	  "{\"access_token\":\"eyJ.x.y\",\"expires_on\":\"@+600\",\"token_type\":\"bearer\"}", NULL,
	  OURS("c-web", "600", "@+600", "@+0", RESOURCE) },
};

START_TEST(a_token_is_nine_string_fields_in_this_order_whatever_imds_sends)
{
	struct whole_agent a;
	struct answer got;
	struct client *c;
	char request[1024];

	whole_agent_init(&a, world_init);
	world_furnish(&a.w);
	_cleanup_free_ char *imds = with_times(granted[_i].imds, loop_wall(a.w.loop).s);
	_cleanup_free_ char *want = with_times(granted[_i].body, loop_wall(a.w.loop).s);

	snprintf(request, sizeof(request),
		 "GET " TOKEN_PATH "?api-version=2018-02-01&resource=%s HTTP/1.1\r\n" HEADERS
		 "\r\n",
		 granted[_i].resource ? granted[_i].resource : RESOURCE);
	c = whole_agent_pod(&a, "10.0.0.1");
	client_send(c, request);
	client_settle(a.w.loop);
	whole_agent_imds_says(&a, 200, imds, NULL);
	ck_assert(client_next(c, &got));
	ck_assert_msg(got.status == 200, "%s: %d", granted[_i].row, got.status);
	ck_assert_str_eq(got.body, want);
	ck_assert_str_eq(answer_header(&got, "Content-Type"), JSON);
	ck_assert_uint_eq(strtoul(answer_header(&got, "Content-Length"), NULL, 10), strlen(want));
	ck_assert_ptr_nonnull(answer_header(&got, "Date"));
	ck_assert_ptr_null(answer_header(&got, "Retry-After"));
	/* from the cache, a minute later: the same token, a minute less */
	world_pass(&a.w, 60000);
	client_send(c, request);
	ck_assert(client_next(c, &got));
	ck_assert_int_eq(got.status, 200);
	ck_assert_uint_eq(a.http.sent, 1);
	ck_assert_ptr_nonnull(strstr(got.body, "\"access_token\":\"eyJ.x.y\""));
	ck_assert_str_ne(got.body, want);
	client_free(c);
	whole_agent_deinit(&a);
}
END_TEST

#define OK_BODY "{\"access_token\":\"eyJ.x.y\",\"expires_on\":\"@+600\"}"

/* What clients send that is not as the documentation has it, and is served. */
static const struct {
	const char *row, *line, *headers;
} tolerated[] = {
	{ "//metadata (msal4j)", "GET /" TOKEN_PATH "?" QUERY, HEADERS },
	{ "a slash at the end (CSI)", "GET " TOKEN_PATH "/?" QUERY, HEADERS },
	{ "metadata in capitals", "GET /METADATA/identity/oauth2/token?" QUERY, HEADERS },
	{ "Content-Type on a GET (msal-node)", "GET " TOKEN_PATH "?" QUERY,
	  HEADERS "Content-Type: application/x-www-form-urlencoded\r\n" },
	{ "an empty body of known length", "GET " TOKEN_PATH "?" QUERY,
	  HEADERS "Content-Length: 0\r\n" },
	{ "the header's name in another case (Rust)", "GET " TOKEN_PATH "?" QUERY,
	  HOST "metadata: true\r\n" },
	{ "parameters in the order of the alphabet (Go)",
	  "GET " TOKEN_PATH "?api-version=2018-02-01&client_id=c-web&resource=" RESOURCE, HEADERS },
	{ "resource first (azure-cli)",
	  "GET " TOKEN_PATH "?resource=" RESOURCE "&api-version=2018-02-01", HEADERS },
	{ "a client id in capitals", "GET " TOKEN_PATH "?" QUERY "&client_id=C-WEB", HEADERS },
	{ "an ARM id in capitals", "GET " TOKEN_PATH "?" QUERY "&msi_res_id=/ID/C-WEB", HEADERS },
	{ "mi_res_id (adal, Java)", "GET " TOKEN_PATH "?" QUERY "&mi_res_id=%2fid%2fc-web",
	  HEADERS },
	{ "a later api-version (Rust)",
	  "GET " TOKEN_PATH "?api-version=2019-08-01&resource=" RESOURCE, HEADERS },
	{ "unknown parameters (MSAL's xms_cc)", "GET " TOKEN_PATH "?" QUERY "&xms_cc=cp1&a",
	  HEADERS },
	{ "any User-Agent, any x-client header", "GET " TOKEN_PATH "?" QUERY,
	  HEADERS "User-Agent: (;)\r\nx-client-SKU: MSAL.Go\r\n" },
};

START_TEST(what_clients_send_in_their_own_way_is_served)
{
	struct whole_agent a;
	struct answer got;
	struct client *c;
	char request[1024];

	whole_agent_init(&a, world_init);
	world_furnish(&a.w);
	_cleanup_free_ char *imds = with_times(OK_BODY, loop_wall(a.w.loop).s);

	snprintf(request, sizeof(request), "%s HTTP/1.1\r\n%s\r\n", tolerated[_i].line,
		 tolerated[_i].headers);
	c = whole_agent_pod(&a, "10.0.0.1");
	client_send(c, request);
	client_settle(a.w.loop);
	whole_agent_imds_says(&a, 200, imds, NULL);
	ck_assert(client_next(c, &got));
	ck_assert_msg(got.status == 200, "%s: %d %s", tolerated[_i].row, got.status, got.body);
	ck_assert_ptr_nonnull(strstr(got.body, "\"resource\":\"" RESOURCE "\""));
	client_free(c);
	whole_agent_deinit(&a);
}
END_TEST

/* refusals: how a situation comes about, on top of world_furnish() */

static void unlabel(struct world *w)
{
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1", .label = "");
}

static void unbind(struct world *w)
{
	world_remove_binding(w, "web-binding");
}

static void remove_identity(struct world *w)
{
	world_remove_identity(w, "web");
}

static void other_identity(struct world *w)
{
	world_put_identity(w, "other", "c-other");
	world_put_binding(w, "other-binding", "other", "other");
}

static void same_address(struct world *w)
{
	world_put_pod(w, .uid = "p2", .ip = "10.0.0.1");
}

static void no_client_id(struct world *w)
{
	world_put_identity(w, "web", "");
}

static void created(struct world *w)
{
	world_put_assigned(w, "p1", "web", "c-web", "Created");
}

static void standard_pod(struct world *w)
{
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1");
}

static void standard_created(struct world *w)
{
	standard_pod(w);
	created(w);
}

static void standard_assigned(struct world *w)
{
	standard_pod(w);
	world_put_assigned(w, "p1", "web", "c-web", "Assigned");
}

static void nothing(struct world *w)
{
	(void)w; /* as it is */
}

/* refusals: what comes while the request waits */

struct upstream {
	long status; /* 0: IMDS is not asked; FAILS, LATE: it gives no answer */
	const char *body, *retry_after;
};
#define FAILS (-1)
#define LATE  (-2)
#define IDENTITY_NOT_FOUND                                                                         \
	"{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}"
/* as IMDS hands on what Entra says: long, with the ids at its end */
#define TRACE	    "11111111-2222-4333-8444-555555555555"
#define CORRELATION "66666666-7777-4888-9999-aaaaaaaaaaaa"
#define AADSTS                                                                                     \
	"{\"error\":\"invalid_resource\",\"error_description\":\"AADSTS500011: The resource "      \
	"principal named https://x was not found in the tenant named t. This can happen if the "   \
	"application has not been installed by the administrator of the tenant. Trace ID: " TRACE  \
	" Correlation ID: " CORRELATION " Timestamp: 2026-01-02 03:04:05Z\"}"

enum kind { MANAGED, STANDARD, UNSYNCED };

struct row {
	const char *row;
	enum kind kind;
	void (*prepare)(struct world *w); /* NULL: nothing on top */
	const char *from;		  /* NULL: 10.0.0.1 */
	const char *method;		  /* NULL: GET */
	const char *target;		  /* NULL: the token path with a good query */
	const char *headers;		  /* NULL: HEADERS */
	unsigned wait_msec;		  /* the pod hears nothing before */
	bool asks_api_server;		  /* which does not know the pod either */
	struct upstream imds;
	/* what the pod reads */
	int status;
	const char *error, *reason; /* reason NULL: the body is BARE, byte for byte */
	const char *says;	    /* the sentence contains it */
	const char *retry_after, *allow;
};

#define T TOKEN_PATH
/* clang-format off */
static const struct row rows[] = {
	/* no Metadata: true → 400, exactly as IMDS; also while the pod has no identity, or is not known */
	{ "no Metadata header", .headers = HOST, .status = 400, .error = "invalid_request" },
	{ "Metadata: True", .headers = HOST "Metadata: True\r\n", .status = 400, .error = "invalid_request" },
	{ "Metadata: 1", .headers = HOST "Metadata: 1\r\n", .status = 400, .error = "invalid_request" },
	{ "Metadata twice", .headers = HEADERS "Metadata: true\r\n", .status = 400, .error = "invalid_request" },
	{ "probe of a pod without identity", .prepare = unlabel, .headers = HOST, .status = 400, .error = "invalid_request" },
	{ "probe of a pod that is not known", .from = "10.0.0.77", .headers = HOST, .status = 400, .error = "invalid_request" },
	{ "probe before the first sync", UNSYNCED, .headers = HOST, .status = 400, .error = "invalid_request" },
	{ "probe, bare path (JavaScript, Go)", .target = T, .headers = HOST, .status = 400, .error = "invalid_request" },
	{ "probe, api-version only (adal)", .target = T "?api-version=2018-02-01", .headers = HOST, .status = 400, .error = "invalid_request" },
	{ "probe, msi-res-id (.NET)", .target = T "?" QUERY "&msi-res-id=%2fid%2fx", .headers = HOST, .status = 400, .error = "invalid_request" },

	/* missing or duplicate parameter, more than one selector, bad api-version → 400 invalid_request */
	{ "no query", .target = T, .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "api-version was not specified" },
	{ "no resource", .target = T "?api-version=2018-02-01", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "parameter resource cannot be empty" },
	{ "an empty resource", .target = T "?api-version=2018-02-01&resource=", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "parameter resource cannot be empty" },
	{ "resource twice", .target = T "?" QUERY "&resource=b", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "parameter resource is given more than once" },
	{ "an unknown parameter twice", .target = T "?" QUERY "&a=1&a=1", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "parameter a is given more than once" },
	{ "a parameter twice, once escaped", .target = T "?" QUERY "&client_id=a&client%5fid=a", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "parameter client_id is given more than once" },
	{ "no api-version", .target = T "?resource=a", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "api-version was not specified" },
	{ "api-version before 2018-02-01", .target = T "?api-version=2017-12-01&resource=a", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "older than the token endpoint" },
	{ "api-version is no date", .target = T "?api-version=latest&resource=a", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "not a date" },
	{ "api-version twice", .target = T "?" QUERY "&api-version=2019-08-01", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "api-version is given more than once" },
	{ "client_id and object_id", .target = T "?" QUERY "&client_id=a&object_id=b", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "client_id and object_id are both given" },
	{ "client_id and msi_res_id", .target = T "?" QUERY "&msi_res_id=a&client_id=b", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "client_id and msi_res_id are both given" },
	{ "msi_res_id and mi_res_id", .target = T "?" QUERY "&msi_res_id=a&mi_res_id=a", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "msi_res_id and mi_res_id are both given" },
	{ "bypass_cache=yes", .target = T "?" QUERY "&bypass_cache=yes", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "bypass_cache can only be true" },
	{ "a bad escape", .target = T "?" QUERY "%zz", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "cannot be decoded" },
	{ "X-Forwarded-For", .headers = HEADERS "X-Forwarded-For: 10.0.0.2\r\n", .status = 400, .error = "invalid_request", .reason = "bad_request", .says = "X-Forwarded-For" },

	/* no binding, unknown id → 400 invalid_request, "Identity not found" and what is missing */
	{ "no label", .prepare = unlabel, .status = 400, .error = "invalid_request", .reason = "no_label", .says = "Identity not found: pod shop/pod-p1 has" },
	{ "no binding", .prepare = unbind, .status = 400, .error = "invalid_request", .reason = "no_binding", .says = "Identity not found: no AzureIdentityBinding in namespace shop" },
	{ "no identity", .prepare = remove_identity, .status = 400, .error = "invalid_request", .reason = "identity_not_found", .says = "Identity not found: AzureIdentityBinding web-binding selects pod shop/pod-p1" },
	{ "unknown client_id", .target = T "?" QUERY "&client_id=c-none", .status = 400, .error = "invalid_request", .reason = "identity_unknown", .says = "Identity not found: no AzureIdentity with client_id" },
	{ "unknown msi_res_id", .target = T "?" QUERY "&msi_res_id=/id/none", .status = 400, .error = "invalid_request", .reason = "identity_unknown", .says = "Identity not found: no AzureIdentity with" },
	{ "unknown mi_res_id", .target = T "?" QUERY "&mi_res_id=/id/none", .status = 400, .error = "invalid_request", .reason = "identity_unknown", .says = "Identity not found: no AzureIdentity with" },
	{ "object_id", .target = T "?" QUERY "&object_id=c-web", .status = 400, .error = "invalid_request", .reason = "selector_unsupported", .says = "Identity not found: pod shop/pod-p1 asks by object_id" },
	{ "identity without a client id", .prepare = no_client_id, .status = 400, .error = "invalid_request", .reason = "identity_invalid", .says = "AzureIdentity shop/web" },

	/* known, but denied to this pod → 403 access_denied */
	{ "another pod's client_id", .prepare = other_identity, .target = T "?" QUERY "&client_id=c-other", .status = 403, .error = "access_denied", .reason = "identity_not_bound", .says = "shop/pod-p1" },
	{ "another pod's msi_res_id", .prepare = other_identity, .target = T "?" QUERY "&msi_res_id=/id/c-other", .status = 403, .error = "access_denied", .reason = "identity_not_bound", .says = "shop/pod-p1" },
	{ "not among those assigned", STANDARD, standard_assigned, .target = T "?" QUERY "&client_id=c-other", .status = 403, .error = "access_denied", .reason = "identity_not_bound", .says = "shop/pod-p1" },

	/* not known yet, in progress → held, then 503 service_unavailable with a small Retry-After */
	{ "pod not known", .from = "10.0.0.77", .wait_msec = WORLD_POD_WAIT_MSEC, .asks_api_server = true, .status = 503, .error = "service_unavailable", .reason = "pod_unknown", .says = "10.0.0.77", .retry_after = "2" },
	{ "two pods, one address", .prepare = same_address, .wait_msec = WORLD_POD_WAIT_MSEC, .status = 503, .error = "service_unavailable", .reason = "ambiguous_ip", .says = "10.0.0.1", .retry_after = "5" },
	{ "identities not read yet", UNSYNCED, standard_pod, .wait_msec = WORLD_SYNC_WAIT_MSEC, .status = 503, .error = "service_unavailable", .reason = "not_synced", .says = "shop/pod-p1", .retry_after = "2" },
	{ "the controller has named nothing", STANDARD, standard_pod, .wait_msec = WORLD_NAMED_WAIT_MSEC, .status = 503, .error = "service_unavailable", .reason = "not_assigned_yet", .says = "shop/pod-p1", .retry_after = "5" },
	{ "created, not assigned", STANDARD, standard_created, .wait_msec = WORLD_ASSIGNED_WAIT_MSEC, .status = 503, .error = "service_unavailable", .reason = "not_assigned_yet", .says = "shop/pod-p1", .retry_after = "5" },

	/* IMDS is being updated: 410 passes (IMDS says it with 404 too), its Retry-After with it */
	{ "IMDS 410", .imds = { 410, "{}" }, .status = 410, .error = "service_unavailable", .reason = "upstream_updating", .says = "70 s" },
	{ "IMDS 410 with Retry-After", .imds = { 410, "", "30" }, .status = 410, .error = "service_unavailable", .reason = "upstream_updating", .retry_after = "30" },
	{ "IMDS 404", .imds = { 404, "{\"error\":\"not_found\"}" }, .status = 410, .error = "service_unavailable", .reason = "upstream_updating" },

	/* throttled → 429 too_many_requests, always with Retry-After */
	{ "IMDS 429", .imds = { 429, "{\"error\":\"TooManyRequests\"}" }, .status = 429, .error = "too_many_requests", .reason = "upstream_throttled", .retry_after = "5" },
	{ "IMDS 429 with Retry-After", .imds = { 429, "", "17" }, .status = 429, .error = "too_many_requests", .reason = "upstream_throttled", .retry_after = "17" },

	/* 5xx, timeout, no connection → 503, never 502 or 504 */
	{ "IMDS 500", .imds = { 500, "{\"error\":\"unknown\"}" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .says = "IMDS answered 500", .retry_after = "2" },
	{ "IMDS 502", .imds = { 502, "<html>" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .retry_after = "2" },
	{ "IMDS 503 with Retry-After", .imds = { 503, "", "9" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .retry_after = "9" },
	{ "IMDS 504", .imds = { 504, "" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .retry_after = "2" },
	{ "IMDS 408", .imds = { 408, "" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .retry_after = "2" },
	{ "no connection", .imds = { FAILS, "Network is unreachable" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .says = "Network is unavailable", .retry_after = "2" },
	{ "no answer in time", .wait_msec = WORLD_TOKEN_WAIT_MSEC, .imds = { LATE }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .retry_after = "2" },
	{ "200 that is no JSON", .imds = { 200, "<html>" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .retry_after = "2" },
	{ "200 without a token", .imds = { 200, "{\"expires_in\":\"1\"}" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .retry_after = "2" },
	{ "200 for another identity", .imds = { 200, "{\"access_token\":\"eyJ.x.y\",\"expires_in\":\"60\",\"client_id\":\"c-node\"}" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .says = "another client_id", .retry_after = "2" },
	{ "a redirect", .imds = { 302, "" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .retry_after = "2" },

	/*
	 * 4xx → 400 with the upstream's own error and words; Retry-After never. Its trace_id and timestamp are
	 * copied; correlation_id stays ours, which log and Event have, and its own is
	 * upstream_correlation_id. No error_codes: the number is in the sentence.
	 */
	{ "the VM has not this identity", .imds = { 400, IDENTITY_NOT_FOUND }, .status = 400, .error = "invalid_request", .reason = "upstream_refused", .says = "Identity not found; the managed identity is not assigned to this node's VM" },
	{ "a bad resource", .imds = { 400, AADSTS }, .status = 400, .error = "invalid_resource", .reason = "upstream_refused", .says = "AADSTS500011: The resource principal named https://x was not found" },
	{ "401", .imds = { 401, "{\"error\":\"unauthorized_client\",\"error_description\":\"no\"}" }, .status = 400, .error = "unauthorized_client", .reason = "upstream_refused" },
	{ "403", .imds = { 403, "{\"error\":\"forbidden\"}" }, .status = 400, .error = "forbidden", .reason = "upstream_refused" },
	{ "400 with Retry-After", .imds = { 400, IDENTITY_NOT_FOUND, "5" }, .status = 400, .error = "invalid_request", .reason = "upstream_refused" },
	{ "400 with a sentence as error", .imds = { 400, "{\"error\":\"Bad request. Invalid resource\"}" }, .status = 400, .error = "invalid_request", .reason = "upstream_refused", .says = "Bad request. Invalid resource" },
	{ "400 with an object as error", .imds = { 400, "{\"error\":{\"code\":\"x\"}}" }, .status = 400, .error = "invalid_request", .reason = "upstream_refused" },
	{ "400 that is no JSON", .imds = { 400, "nonsense" }, .status = 400, .error = "invalid_request", .reason = "upstream_refused" },

	/* IMDSv2 and every other path below identity → 404 not_found */
	{ "getplatformmetadata", .target = "/metadata/identity/getplatformmetadata?cred-api-version=2.0", .status = 404, .error = "not_found", .reason = "not_found" },
	{ "getplatformmetadata, as probed", .target = "/metadata/identity/getplatformmetadata?cred-api-version=2.0", .headers = HOST, .status = 404, .error = "not_found", .reason = "not_found" },
	{ "issuecredential", .method = "POST", .target = "/metadata/identity/issuecredential?cred-api-version=2.0", .status = 404, .error = "not_found", .reason = "not_found" },
	{ "info", .target = "/metadata/identity/info?api-version=2018-02-01", .status = 404, .error = "not_found", .reason = "not_found" },
	{ "any method there", .method = "DELETE", .target = "/metadata/identity/info", .status = 404, .error = "not_found", .reason = "not_found" },
	{ "a method nobody knows there", .method = "PURGE", .target = "/metadata/identity", .status = 404, .error = "not_found", .reason = "not_found" },

	/* another verb → 405 method_not_allowed, Allow: GET */
	{ "POST", .method = "POST", .status = 405, .error = "method_not_allowed", .reason = "method_not_allowed", .allow = "GET" },
	{ "PUT", .method = "PUT", .status = 405, .error = "method_not_allowed", .reason = "method_not_allowed", .allow = "GET" },
	{ "DELETE", .method = "DELETE", .status = 405, .error = "method_not_allowed", .reason = "method_not_allowed", .allow = "GET" },
	{ "OPTIONS", .method = "OPTIONS", .status = 405, .error = "method_not_allowed", .reason = "method_not_allowed", .allow = "GET" },
	{ "PATCH", .method = "PATCH", .headers = HOST, .status = 405, .error = "method_not_allowed", .reason = "method_not_allowed", .allow = "GET" },

	/* what is not about identity: ours, and only where IMDS cannot be heard */
	{ "forwarded, no connection", .target = INSTANCE, .imds = { FAILS, "Connection refused" }, .status = 503, .error = "service_unavailable", .reason = "upstream_unavailable", .retry_after = "2" },
};
/* clang-format on */

/* refusals: what holds for all of them */

static const char *string(const struct jval *doc, const char *name)
{
	const struct jval *v = jval_get(doc, name);

	return v ? jval_as_str(v) : NULL;
}

static void assert_header(const struct answer *got, const char *name, const char *want,
			  const char *row)
{
	const char *value = answer_header(got, name);

	ck_assert_msg(want ? value && strcmp(value, want) == 0 : !value, "%s: %s is %s, not %s",
		      row, name, value ? value : "absent", want ? want : "absent");
}

static void assert_body(const struct row *r, const struct answer *got)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse(got->body, got->body_len, 65536, NULL);
	const char *text, *id;

	ck_assert_msg(doc != NULL, "%s: %s", r->row, got->body);
	ck_assert_str_eq(string(doc, "error"), r->error);
	ck_assert_str_eq(string(doc, "reason"), r->reason);
	/* the two that every SDK reads come first, whatever it makes of the rest */
	ck_assert_int_eq(strncmp(got->body, "{\"error\":\"", 10), 0);
	ck_assert_ptr_nonnull(strstr(got->body, "\",\"error_description\":\""));
	text = string(doc, "error_description");
	ck_assert_msg(text && *text, "%s", got->body);
	ck_assert_msg(!r->says || strstr(text, r->says), "%s: %s", r->row, text);
	/* msal-node prints the first, MSAL for .NET and Java the second */
	id = string(doc, "correlation_id");
	ck_assert_ptr_nonnull(id);
	ck_assert_uint_eq(strlen(id), 36);
	ck_assert_str_eq(string(doc, "correlationId"), id);
	assert_header(got, "x-ms-request-id", id, r->row);
}

static void assert_refusal(const struct row *r, const struct answer *got)
{
	ck_assert_msg(got->status == r->status, "%s: %d %s", r->row, got->status, got->body);
	assert_header(got, "Content-Type", JSON, r->row);
	assert_header(got, "Retry-After", r->retry_after, r->row);
	assert_header(got, "Allow", r->allow, r->row);
	assert_header(got, "Connection", NULL, r->row);
	ck_assert_uint_gt(got->body_len, 0);
	/* Python, JavaScript and Go take it for "there is no endpoint" */
	ck_assert_ptr_null(strcasestr(got->body, "unreachable"));
	ck_assert_ptr_null(strstr(got->body, "eyJ"));
	if (r->reason)
		assert_body(r, got);
	else
		ck_assert_str_eq(got->body, BARE);
}

static void say_once(struct whole_agent *a, const struct upstream *u)
{
	struct err err = { .kind = ERR_UNAVAILABLE };

	if (u->status > 0) {
		whole_agent_imds_says(a, u->status, u->body, u->retry_after);
		return;
	}
	ck_assert_ptr_nonnull(a->http.calls);
	snprintf(err.msg, sizeof(err.msg), "%s", u->body);
	fake_http_fail(&a->http, &err);
}

/*
 * As the reference has it; a wait that is named is longer than what is waited out here. What is only
 * forwarded is never asked for twice.
 */
static bool is_tried_again(const struct row *r)
{
	long status = r->imds.status;

	if (r->imds.retry_after || (r->target && strncmp(r->target, T, strlen(T)) != 0))
		return false;
	return status == FAILS || status == 404 || status == 408 || status == 410 ||
	       status == 429 || status >= 500;
}

/* The same to each try, for as long as a caller waits; the pod hears of none but the last. */
static void upstream(struct whole_agent *a, const struct row *r)
{
	const struct upstream *u = &r->imds;

	if (u->status == 0 || u->status == LATE) {
		ck_assert_uint_eq(a->http.sent, u->status == LATE);
		return;
	}
	say_once(a, u);
	for (unsigned msec = 0; msec < WORLD_TOKEN_WAIT_MSEC; msec += 500) {
		world_pass(&a->w, 500);
		if (a->http.calls)
			say_once(a, u);
	}
	if (is_tried_again(r))
		ck_assert_uint_gt(a->http.sent, 1);
	else
		ck_assert_uint_eq(a->http.sent, 1);
}

static void (*const inits[])(struct world *w) = {
	[MANAGED] = world_init, [STANDARD] = world_init_standard, [UNSYNCED] = world_init_unsynced
};

START_TEST(each_situation_is_answered_as_the_contract_says)
{
	const struct row *r = &rows[_i];
	struct whole_agent a;
	struct answer got;
	struct client *c;
	char request[1024];

	whole_agent_init(&a, inits[r->kind]);
	if (r->kind == MANAGED)
		world_furnish(&a.w);
	(r->prepare ? r->prepare : nothing)(&a.w);
	snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\n%s\r\n",
		 r->method ? r->method : "GET", r->target ? r->target : T "?" QUERY,
		 r->headers ? r->headers : HEADERS);
	c = whole_agent_pod(&a, r->from ? r->from : "10.0.0.1");
	client_send(c, request);
	client_settle(a.w.loop);
	if (r->wait_msec) {
		world_pass(&a.w, r->wait_msec - 1);
		client_settle(a.w.loop);
		ck_assert_msg(!client_next(c, &got), "%s: too early: %s", r->row, got.body);
		world_pass(&a.w, 1);
	}
	if (r->asks_api_server)
		ck_assert(world_answer_get(&a.w, NULL));
	upstream(&a, r);
	ck_assert_msg(client_next(c, &got), "%s: no answer", r->row);
	assert_refusal(r, &got);
	client_free(c);
	whole_agent_deinit(&a);
}
END_TEST

START_TEST(what_support_asks_for_is_passed_on)
{
	_cleanup_(jval_freep) struct jval *doc = NULL;
	struct whole_agent a;
	struct answer got;
	struct client *c;

	whole_agent_init(&a, world_init);
	world_furnish(&a.w);
	c = whole_agent_pod(&a, "10.0.0.1");
	client_send(c, TOKEN_REQUEST);
	client_settle(a.w.loop);
	whole_agent_imds_says(&a, 400, AADSTS, NULL);
	ck_assert(client_next(c, &got));
	doc = jval_parse(got.body, got.body_len, 65536, NULL);
	ck_assert_str_eq(string(doc, "trace_id"), TRACE);
	ck_assert_str_eq(string(doc, "upstream_correlation_id"), CORRELATION);
	ck_assert_str_eq(string(doc, "timestamp"), "2026-01-02 03:04:05Z");
	ck_assert_str_ne(string(doc, "correlation_id"), CORRELATION);
	/* and of a refusal of our own there are none */
	world_remove_binding(&a.w, "web-binding");
	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &got));
	ck_assert_ptr_nonnull(strstr(got.body, "no_binding"));
	ck_assert_ptr_null(strstr(got.body, "trace_id"));
	ck_assert_ptr_null(strstr(got.body, "timestamp"));
	ck_assert_ptr_null(strstr(got.body, "upstream_correlation_id"));
	client_free(c);
	whole_agent_deinit(&a);
}
END_TEST

START_TEST(head_of_the_token_path_is_a_405_without_a_body)
{
	struct whole_agent a;
	struct answer got;
	struct client *c;

	whole_agent_init(&a, world_init);
	world_furnish(&a.w);
	c = whole_agent_pod(&a, "10.0.0.1");
	client_send(c, "HEAD " T "?" QUERY " HTTP/1.1\r\n" HEADERS "\r\n");
	ck_assert(client_next_headless(c, &got));
	ck_assert_int_eq(got.status, 405);
	assert_header(&got, "Allow", "GET", "HEAD");
	client_settle(a.w.loop);
	ck_assert_uint_eq(c->n, 0);
	client_free(c);
	whole_agent_deinit(&a);
}
END_TEST

START_TEST(a_connection_that_says_nothing_is_nobodys_business)
{
	struct whole_agent a;
	size_t n = 0;

	whole_agent_init(&a, world_init);
	world_furnish(&a.w);
	for (int i = 0; i < 3; i++) {
		client_free(whole_agent_pod(&a, "10.0.0.1"));
		client_settle(a.w.loop);
	}
	ck_assert_uint_eq(front_connections(a.front), 0);
	_cleanup_free_ char *page = metrics_print(a.metrics, &n);

	/* neither refused nor counted as an operation */
	ck_assert_ptr_null(strstr(page, "nmi_refusals_total{"));
	ck_assert_ptr_null(strstr(page, "operations_duration_seconds_count"));
	whole_agent_deinit(&a);
}
END_TEST

START_TEST(while_a_token_is_good_it_is_given_whatever_imds_says)
{
	static const long troubles[] = { 410, 429, 500, 400 };
	struct whole_agent a;
	struct answer got;
	struct client *c;

	whole_agent_init(&a, world_init);
	world_furnish(&a.w);
	_cleanup_free_ char *imds = with_times(
		"{\"access_token\":\"eyJ.x.y\",\"expires_on\":\"@+86400\"}", loop_wall(a.w.loop).s);

	c = whole_agent_pod(&a, "10.0.0.1");
	client_send(c, TOKEN_REQUEST);
	client_settle(a.w.loop);
	whole_agent_imds_says(&a, 200, imds, NULL);
	ck_assert(client_next(c, &got));
	for (unsigned i = 0; i < ARRAY_SIZE(troubles); i++) {
		world_pass(&a.w, UINT64_C(5) * 3600 * 1000);
		client_free(c); /* idle for too long */
		c = whole_agent_pod(&a, "10.0.0.1");
		client_send(c, TOKEN_REQUEST);
		ck_assert(client_next(c, &got));
		ck_assert_int_eq(got.status, 200);
		ck_assert_ptr_nonnull(strstr(got.body, "eyJ.x.y"));
		if (a.http.calls) /* it is being renewed */
			whole_agent_imds_says(&a, troubles[i], "{}", NULL);
	}
	ck_assert_uint_gt(a.http.sent, 1);
	client_free(c);
	whole_agent_deinit(&a);
}
END_TEST

/* Has this token in memory from now on. */
static void have_token(struct whole_agent *a, const char *ip, const char *token)
{
	_cleanup_free_ char *says =
		xasprintf("{\"access_token\":\"%s\",\"expires_on\":\"@+86400\"}", token);
	_cleanup_free_ char *imds = with_times(says, loop_wall(a->w.loop).s);
	struct client *c = whole_agent_pod(a, ip);
	struct answer got;

	client_send(c, TOKEN_REQUEST);
	client_settle(a->w.loop);
	whole_agent_imds_says(a, 200, imds, NULL);
	ck_assert(client_next(c, &got));
	ck_assert_int_eq(got.status, 200);
	client_free(c);
}

/* It asks on so many connections that most wait for a turn, and ends; its address is the next one's at once. */
START_TEST(what_a_pod_has_asked_is_not_answered_as_the_next_one_with_its_address)
{
	enum { N = 60 };
	struct client *asks[N], *other;
	struct whole_agent a;
	unsigned n_answered = 0;
	struct answer got;

	whole_agent_init(&a, world_init);
	world_furnish(&a.w);
	world_put_identity(&a.w, "two", "c-two");
	world_put_binding(&a.w, "two-binding", "two", "two");
	world_put_pod(&a.w, .uid = "p3", .ip = "10.0.0.3", .label = "two");
	have_token(&a, "10.0.0.1", "of-one");
	have_token(&a, "10.0.0.3", "of-two");
	for (unsigned i = 0; i < N; i++)
		asks[i] = whole_agent_pod(&a, "10.0.0.1");
	other = whole_agent_pod(&a, "10.0.0.3"); /* where there is one alone, nobody waits */
	client_settle(a.w.loop);
	for (unsigned i = 0; i < N; i++)
		client_send(asks[i], TOKEN_REQUEST);
	ck_assert_int_eq(loop_turn(a.w.loop, 1, NULL), 0);
	world_remove_pod(&a.w, "p1");
	world_put_pod(&a.w, .uid = "p2", .ip = "10.0.0.1", .label = "two");
	for (unsigned i = 0; i < N; i++) {
		if (client_next(asks[i], &got)) {
			ck_assert_msg(strstr(got.body, "of-one") != NULL, "%u: %s", i, got.body);
			n_answered++;
		} else {
			ck_assert(client_is_closed(asks[i]));
		}
		client_free(asks[i]);
	}
	ck_assert_uint_ge(n_answered, 1); /* before it ended */
	ck_assert_uint_le(n_answered, (uintmax_t)2 * LIMIT_TURNS);
	client_send(other, TOKEN_REQUEST);
	ck_assert(client_next(other, &got));
	ck_assert_int_eq(got.status, 200);
	client_free(other);
	whole_agent_deinit(&a);
}
END_TEST

UNIT_MAIN("answers",
	  UNIT_LOOP(a_token_is_nine_string_fields_in_this_order_whatever_imds_sends, granted),
	  UNIT_LOOP(what_clients_send_in_their_own_way_is_served, tolerated),
	  UNIT_LOOP(each_situation_is_answered_as_the_contract_says, rows),
	  UNIT(what_support_asks_for_is_passed_on),
	  UNIT(head_of_the_token_path_is_a_405_without_a_body),
	  UNIT(a_connection_that_says_nothing_is_nobodys_business),
	  UNIT(while_a_token_is_good_it_is_given_whatever_imds_says),
	  UNIT(what_a_pod_has_asked_is_not_answered_as_the_next_one_with_its_address))
