/* SPDX-License-Identifier: MIT */

/*
 * Routes, answers and counting of the HTTP surface; its connections: test-front-conn.c, its log:
 * test-front-log.c.
 */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define PROBE_BODY                                                                                 \
	"{\"error\":\"invalid_request\",\"error_description\":"                                    \
	"\"Required metadata header not specified\"}"

static struct rig rig;

static void start(void)
{
	rig = (struct rig){ .spec.metadata_header_required = true };
	rig_start(&rig);
}

static void stop(void)
{
	rig_stop(&rig);
}

/* A field of an answer's JSON body, copied; "" when it is absent. */
static const char *body_field(const struct answer *a, const char *name)
{
	static char value[1024];
	struct err err = { 0 };
	struct jval *doc = jval_parse(a->body, a->body_len, 65536, &err);
	const struct jval *v;

	ck_assert_msg(doc != NULL, "%s: %s", err.msg, a->body);
	v = jval_get(doc, name);
	snprintf(value, sizeof(value), "%s", v ? jval_as_str(v) : "");
	jval_free(doc);
	return value;
}

static void assert_refused(const struct answer *a, int status, const char *reason)
{
	ck_assert_int_eq(a->status, status);
	ck_assert_str_eq(body_field(a, "reason"), reason);
	ck_assert_str_eq(answer_header(a, "Content-Type"), "application/json; charset=utf-8");
}

/* tokens */

START_TEST(a_token_request_is_granted)
{
	struct answer a;

	start();
	a = ask(&rig, TOKEN_REQUEST);
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(a.body, BODY);
	ck_assert_str_eq(answer_header(&a, "Content-Type"), "application/json; charset=utf-8");
	ck_assert_ptr_nonnull(answer_header(&a, "Date"));
	ck_assert_ptr_null(answer_header(&a, "Server"));
	ck_assert_str_eq(rig.issuer.resource, "https://vault.azure.net");
	ck_assert_int_eq(rig.issuer.selector_kind, SELECTOR_NONE);
	ck_assert(inet_ip_is_loopback(&rig.issuer.peer));
	ck_assert_uint_eq(strlen(rig.issuer.id), 36);
	stop();
}
END_TEST

static const char *const spellings[] = {
	TOKEN_PATH "/?" QUERY,
	"/" TOKEN_PATH "?" QUERY,
	"/METADATA/identity/oauth2/token?" QUERY,
	"/%6detadata/identity/oauth2/token?" QUERY,
	TOKEN_PATH "?resource=https%3A%2F%2Fvault.azure.net&api-version=2019-08-01",
};

START_TEST(each_spelling_that_sdks_use_is_granted)
{
	start();
	ck_assert_int_eq(ask_target(&rig, spellings[_i]).status, 200);
	ck_assert_str_eq(rig.issuer.resource, "https://vault.azure.net");
	stop();
}
END_TEST

START_TEST(selector_and_bypass_reach_the_issuer)
{
	start();
	ck_assert_int_eq(
		ask_target(&rig, TOKEN_PATH "?" QUERY "&client_id=abc&bypass_cache=true").status,
		200);
	ck_assert_int_eq(rig.issuer.selector_kind, SELECTOR_CLIENT_ID);
	ck_assert_str_eq(rig.issuer.selector, "abc");
	ck_assert(rig.issuer.bypass_cache);
	stop();
}
END_TEST

START_TEST(a_get_with_a_body_and_a_content_type_is_tolerated)
{
	start();
	ck_assert_int_eq(ask(&rig, "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\n" HEADERS
				   "Content-Type: application/x-www-form-urlencoded\r\n"
				   "Content-Length: 4\r\n\r\na=b\n")
				 .status,
			 200);
	stop();
}
END_TEST

START_TEST(equal_ids_within_a_second_share_one_body)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 3; i++) {
		client_send(c, TOKEN_REQUEST);
		ck_assert(client_next(c, &a));
		ck_assert_str_eq(a.body, BODY);
	}
	ck_assert_uint_eq(rig.issuer.bodies, 1);
	rig.issuer.answer.body_id = 257; /* another token, in the same place of the table */
	rig.token.body = "{\"other\":1}";
	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &a));
	ck_assert_str_eq(a.body, "{\"other\":1}");
	loop_fake_advance(rig.loop, 1000);
	rig.token.body = "{\"other\":2}";
	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &a));
	ck_assert_str_eq(a.body, "{\"other\":2}");
	ck_assert_uint_eq(rig.issuer.bodies, 3);
	client_free(c);
	stop();
}
END_TEST

/* Once, and as much of it as the body: expires_in counts from there. */
START_TEST(a_token_comes_with_the_time_of_its_body)
{
	char date[WALL_HTTP_MAX];
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 3; i++) {
		const char *at;

		for (int again = 0; again < 2; again++) {
			client_send(c, TOKEN_REQUEST);
			ck_assert(client_next(c, &a));
		}
		ck_assert_str_eq(answer_header(&a, "Date"),
				 wall_print_http(loop_wall(rig.loop), date));
		at = strstr(a.head, "Date:");
		ck_assert_ptr_null(strstr(at + 1, "Date:"));
		loop_fake_advance(rig.loop, 1000);
	}
	client_free(c);
	stop();
}
END_TEST

static const char *const probes[] = {
	"GET " TOKEN_PATH " HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET " TOKEN_PATH "?%zz&&=&resource=1&resource=2 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\nHost: x\r\nMetadata: True\r\n\r\n",
	"GET " TOKEN_PATH "?" QUERY
	" HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nmetadata: true\r\n\r\n",
	"GET /metadata/instance?api-version=2021-02-01 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /latest/meta-data HTTP/1.1\r\nHost: x\r\n\r\n",
};

START_TEST(without_the_header_every_path_gets_imds_own_answer)
{
	struct answer a;

	start();
	a = ask(&rig, probes[_i]);
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(a.body, PROBE_BODY);
	ck_assert_str_eq(answer_header(&a, "Content-Type"), "application/json; charset=utf-8");
	ck_assert_ptr_null(answer_header(&a, "Retry-After"));
	ck_assert_uint_eq(rig.issuer.started, 0);
	ck_assert_uint_eq(rig.http.sent, 0);
	stop();
}
END_TEST

START_TEST(the_header_can_be_made_optional)
{
	rig = (struct rig){ 0 };
	rig_start(&rig);
	ck_assert_int_eq(
		ask(&rig, "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
	stop();
}
END_TEST

static const char *const forwarded_for[] = {
	"X-Forwarded-For: 10.0.0.1\r\n",   "x-forwarded-for:\r\n",
	"X-Forwarded-For: 1\r\n 2\r\n",	   "X-Forwarded-For:\r\n\t2\r\n",
	"X_Forwarded_For: 1\r\n",	   "X-Forwarded-For : 1\r\n",
	"A: b\r\n X-Forwarded-For: 1\r\n", "A: b\r\n\tX-Forwarded-For:1\r\n",
};

START_TEST(x_forwarded_for_is_refused_in_every_spelling)
{
	char request[1024];
	struct answer a;

	start();
	snprintf(request, sizeof(request),
		 "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\n" HEADERS "%s\r\n", forwarded_for[_i]);
	a = ask(&rig, request);
	assert_refused(&a, 400, "bad_request");
	snprintf(request, sizeof(request), "GET /metadata/versions HTTP/1.1\r\n" HEADERS "%s\r\n",
		 forwarded_for[_i]);
	a = ask(&rig, request);
	assert_refused(&a, 400, "bad_request");
	ck_assert_uint_eq(rig.issuer.started, 0);
	ck_assert_uint_eq(rig.http.sent, 0);
	stop();
}
END_TEST

START_TEST(a_refusal_of_the_issuer_becomes_its_answer)
{
	struct issue_answer *say = &rig.issuer.answer;
	struct answer a;

	start();
	say->reason = REASON_UPSTREAM_THROTTLED;
	say->retry_after_sec = 7;
	snprintf(say->text, sizeof(say->text), "Entra throttles: \"slow down\"");
	a = ask(&rig, "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\n" HEADERS
		      "x-ms-client-request-id: 0b1f3ee0-2f0c-4b1e-9d3e-7d1a0c3c0c11\r\n\r\n");
	assert_refused(&a, 429, "upstream_throttled");
	ck_assert_str_eq(answer_header(&a, "Retry-After"), "7");
	ck_assert_str_eq(body_field(&a, "error"), "too_many_requests");
	ck_assert_str_eq(body_field(&a, "error_description"), "Entra throttles: \"slow down\"");
	ck_assert_str_eq(body_field(&a, "correlation_id"), rig.issuer.id);
	ck_assert_str_eq(body_field(&a, "client_request_id"),
			 "0b1f3ee0-2f0c-4b1e-9d3e-7d1a0c3c0c11");
	ck_assert_str_eq(answer_header(&a, "x-ms-request-id"), rig.issuer.id);
	say->reason = REASON_UPSTREAM_REFUSED;
	snprintf(say->error, sizeof(say->error), "unauthorized_client");
	a = ask(&rig, TOKEN_REQUEST);
	assert_refused(&a, 400, "upstream_refused");
	ck_assert_ptr_null(answer_header(&a, "Retry-After"));
	ck_assert_str_eq(body_field(&a, "error"), "unauthorized_client");
	stop();
}
END_TEST

START_TEST(every_request_has_an_id_of_its_own)
{
	char first[64];

	start();
	(void)ask(&rig, TOKEN_REQUEST);
	snprintf(first, sizeof(first), "%s", rig.issuer.id);
	(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_str_ne(rig.issuer.id, first);
	ck_assert_int_eq(strncmp(rig.issuer.id, first, 20), 0);
	stop();
}
END_TEST

/* routes */

static const struct {
	const char *method, *target;
	int status;
	const char *reason; /* or NULL: forwarded as `url` */
	const char *url;
} table[] = {
	{ "POST", TOKEN_PATH "?" QUERY, 405, "method_not_allowed", NULL },
	{ "HEAD", TOKEN_PATH "?" QUERY, 405, NULL, NULL },
	{ "PUT", TOKEN_PATH "?" QUERY, 405, "method_not_allowed", NULL },
	{ "DELETE", TOKEN_PATH "?" QUERY, 405, "method_not_allowed", NULL },
	{ "get", TOKEN_PATH "?" QUERY, 405, "method_not_allowed", NULL },
	{ "GET", TOKEN_PATH, 400, "bad_request", NULL },
	{ "GET", TOKEN_PATH "?" QUERY "&client_id=a&client_id=b", 400, "bad_request", NULL },
	/* newer SDKs' ways to the node's identity, and everything else about identities */
	{ "GET", "/metadata/identity/getplatformmetadata?cred-api-version=2.0", 404, "not_found",
	  NULL },
	{ "POST", "/metadata/identity/issuecredential?cred-api-version=2.0", 404, "not_found",
	  NULL },
	{ "GET", "/metadata/identity/info?api-version=2018-02-01", 404, "not_found", NULL },
	{ "DELETE", "/metadata/identity/info?api-version=2018-02-01", 404, "not_found", NULL },
	{ "PURGE", "/metadata/identity/x", 404, "not_found", NULL },
	{ "GET", "/metadata/identity", 404, "not_found", NULL },
	{ "GET", "/metadata/identity/", 404, "not_found", NULL },
	{ "GET", "/metadata/Identity/oauth2/token?" QUERY, 404, "not_found", NULL },
	{ "GET", TOKEN_PATH "/x?" QUERY, 404, "not_found", NULL },
	{ "GET", TOKEN_PATH "x?" QUERY, 404, "not_found", NULL },
	{ "GET", "/metadata/identity/OAUTH2/token?" QUERY, 404, "not_found", NULL },
	{ "GET", "/metadata/identity,oauth2,token", 404, "not_found", NULL },
	{ "GET", "/x/metadata/identity/oauth2/token", 404, "not_found", NULL },
	{ "GET", "/host/token?" QUERY, 404, "not_found", NULL },
	/* forwarded, by the canonical path */
	{ "GET", "/metadata/instance?api-version=2021-02-01", 200, NULL,
	  "http://imds/metadata/instance?api-version=2021-02-01" },
	{ "GET", "//Metadata/inst%61nce/?a=%20", 200, NULL, "http://imds/metadata/instance?a=%20" },
	{ "GET", "/metadata/versions", 200, NULL, "http://imds/metadata/versions" },
	{ "GET", "/", 200, NULL, "http://imds/" },
	{ "GET", "/?", 200, NULL, "http://imds/?" },
	{ "POST", "/metadata/scheduledevents?api-version=2020-07-01", 200, NULL,
	  "http://imds/metadata/scheduledevents?api-version=2020-07-01" },
	{ "PUT", "/metadata/x", 200, NULL, "http://imds/metadata/x" },
	{ "POST", "/metadata/instance", 405, "method_not_allowed", NULL },
	{ "DELETE", "/metadata/versions", 405, "method_not_allowed", NULL },
	{ "CONNECT", "/metadata/versions", 405, "method_not_allowed", NULL },
	{ "TRACE", "/metadata/versions", 405, "method_not_allowed", NULL },
	{ "GET", "/metadata/versions?a\\b", 400, "bad_request", NULL },
};

START_TEST(each_route_is_answered_as_the_table_says)
{
	struct client *c;
	char request[1024];
	struct answer a;

	start();
	snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\n" HEADERS "\r\n", table[_i].method,
		 table[_i].target);
	c = client_open(&rig, rig.spec.port);
	client_send(c, request);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.http.sent, table[_i].url ? 1 : 0);
	if (table[_i].url) {
		ck_assert_str_eq(rig.http.url, table[_i].url);
		fake_http_reply(&rig.http, 200, "{}");
	}
	ck_assert((strcmp(table[_i].method, "HEAD") == 0 ? client_next_headless : client_next)(c,
											       &a));
	ck_assert_int_eq(a.status, table[_i].status);
	if (table[_i].reason)
		assert_refused(&a, table[_i].status, table[_i].reason);
	ck_assert_uint_eq(rig.issuer.started, 0);
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_405_names_the_methods_that_would_do)
{
	struct answer a;

	start();
	a = ask(&rig,
		"POST " TOKEN_PATH "?" QUERY " HTTP/1.1\r\n" HEADERS "Content-Length: 0\r\n\r\n");
	ck_assert_int_eq(a.status, 405);
	ck_assert_str_eq(answer_header(&a, "Allow"), "GET");
	a = ask(&rig, "DELETE /metadata/instance HTTP/1.1\r\n" HEADERS "\r\n");
	ck_assert_str_eq(answer_header(&a, "Allow"), "GET, HEAD");
	stop();
}
END_TEST

/* Spellings of the token path that somebody could read as it; none may be granted or forwarded. */
static const char *const confused[] = {
	"/metadata/identity\\oauth2\\token?" QUERY,
	"/metadata\\identity/oauth2/token?" QUERY,
	"/metadata%5cidentity%5coauth2%5ctoken?" QUERY,
	"/metadata%2fidentity%2foauth2%2ftoken?" QUERY,
	"/metadata%252fidentity/oauth2/token?" QUERY,
	"/metadata/identity/oauth2/token%00?" QUERY,
	"/metadata/identity%0a/oauth2/token?" QUERY,
	"/metadata/identity;a/oauth2/token?" QUERY,
	"/metadata/./identity/oauth2/token?" QUERY,
	"/metadata/x/%2e%2e/identity/oauth2/token?" QUERY,
	"/metadata/instance/../identity/oauth2/token?" QUERY,
	"/metadata//identity/oauth2/token?" QUERY,
	"///metadata/identity/oauth2/token?" QUERY,
	"/metadata/IDENTITY/oauth2/token?" QUERY,
	"/metadata/identity/oauth2/token/.?" QUERY,
	"/metadata/%69dentity/oauth2%2ftoken?" QUERY,
	"/metadata/%2569dentity/oauth2/token?" QUERY,
	"http://169.254.169.254/metadata/identity/oauth2/token?" QUERY,
	"//169.254.169.254/metadata/identity/oauth2/token?" QUERY,
	"/metadata/identity/oauth2/token#?" QUERY,
	"/metadata/identity%3f/oauth2/token?" QUERY,
	"/metadata/\xef\xbd\x89"
	"dentity/oauth2/token?" QUERY,
	"metadata/identity/oauth2/token?" QUERY,
	"/metadata /identity/oauth2/token?" QUERY,
};

START_TEST(a_confusing_path_is_neither_granted_nor_forwarded)
{
	struct answer a;

	start();
	a = ask_target(&rig, confused[_i]);
	ck_assert_msg(a.status == 400 || a.status == 404, "%s: %d", confused[_i], a.status);
	ck_assert_uint_eq(rig.issuer.started, 0);
	ck_assert_uint_eq(rig.http.sent, 0);
	stop();
}
END_TEST

static const char *const instance_spellings[] = {
	"/metadata/instance",	 "/metadata/instance/compute", "//METADATA/Instance",
	"/metadata/%69nstance/", "/metadata/INSTANCE?a",       "/metadata/instance.json",
};

START_TEST(blocked_instance_metadata_is_blocked_in_every_spelling)
{
	struct answer a;

	rig = (struct rig){ .spec = { .metadata_header_required = true,
				      .block_instance_metadata = true } };
	rig_start(&rig);
	a = ask_target(&rig, instance_spellings[_i]);
	assert_refused(&a, 403, "blocked");
	ck_assert_ptr_nonnull(strstr(a.body, "--block-instance-metadata"));
	ck_assert_uint_eq(rig.http.sent, 0);
	stop();
}
END_TEST

/* forwarding */

START_TEST(imds_answer_is_the_pods_answer)
{
	struct client *c;
	struct answer a;

	start();
	rig.http.reply_headers[0] = "Content-Type: application/json; charset=utf-8";
	rig.http.reply_headers[1] = "Server: IMDS/150.870.65.476";
	c = client_open(&rig, rig.spec.port);
	client_send(c, "POST /metadata/scheduledevents HTTP/1.1\r\n" HEADERS
		       "Content-Length: 3\r\nX-Forwarded-Proto: http\r\nAccept: */*\r\n\r\nabc");
	rig_settle(&rig);
	ck_assert_str_eq(rig.http.method, "POST");
	ck_assert_str_eq(rig.http.body, "abc");
	ck_assert_str_eq(rig.http.headers, "Metadata: true\nAccept: */*\n");
	fake_http_reply(&rig.http, 404, "{\"error\":\"Not found\"}");
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 404);
	ck_assert_str_eq(a.body, "{\"error\":\"Not found\"}");
	ck_assert_str_eq(answer_header(&a, "Server"), "IMDS/150.870.65.476");
	/* the connection goes on */
	client_send(c, "HEAD /metadata/instance HTTP/1.1\r\n" HEADERS "\r\n");
	rig_settle(&rig);
	fake_http_reply(&rig.http, 200, "12345");
	ck_assert(client_next_headless(c, &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(answer_header(&a, "Content-Length"), "5");
	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &a));
	ck_assert_str_eq(a.body, BODY);
	client_free(c);
	stop();
}
END_TEST

START_TEST(imds_being_down_is_a_503_with_retry_after)
{
	struct client *c;
	struct err err = { .kind = ERR_UNAVAILABLE, .msg = "Network is unreachable" };
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	client_send(c, "GET /metadata/instance HTTP/1.1\r\n" HEADERS "\r\n");
	rig_settle(&rig);
	fake_http_fail(&rig.http, &err);
	ck_assert(client_next(c, &a));
	assert_refused(&a, 503, "upstream_unavailable");
	ck_assert_str_eq(answer_header(&a, "Retry-After"), "2");
	ck_assert_ptr_null(strcasestr(a.body, "unreachable"));
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_body_that_is_too_long_is_refused)
{
	struct client *c;
	static char chunk[LIMIT_FORWARD_REQUEST_BYTES + 2];
	struct answer a;

	start();
	a = ask(&rig, "POST /metadata/scheduledevents HTTP/1.1\r\n" HEADERS
		      "Content-Length: 65537\r\n\r\n");
	assert_refused(&a, 413, "too_large");
	c = client_open(&rig, rig.spec.port);
	client_send(c, "POST /metadata/scheduledevents HTTP/1.1\r\n" HEADERS
		       "Transfer-Encoding: chunked\r\n\r\n10001\r\n");
	memset(chunk, 'a', sizeof(chunk));
	client_send_bytes(c, chunk, 0x10001);
	client_send(c, "\r\n0\r\n\r\n");
	ck_assert(client_next(c, &a));
	assert_refused(&a, 413, "too_large");
	ck_assert_uint_eq(rig.http.sent, 0);
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_chunked_body_is_forwarded_whole)
{
	struct client *c;

	start();
	c = client_open(&rig, rig.spec.port);
	client_send(c, "POST /metadata/scheduledevents HTTP/1.1\r\n" HEADERS
		       "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	rig_settle(&rig);
	ck_assert_str_eq(rig.http.body, "abcde");
	client_free(c);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.http.cancelled, 1);
	stop();
}
END_TEST

START_TEST(a_trailer_is_judged_like_a_header)
{
	struct answer a;

	start();
	a = ask(&rig, "POST /metadata/scheduledevents HTTP/1.1\r\n" HEADERS
		      "Transfer-Encoding: chunked\r\n\r\n0\r\nX-Forwarded-For: 1\r\n\r\n");
	assert_refused(&a, 400, "bad_request");
	ck_assert_uint_eq(rig.http.sent, 0);
	stop();
}
END_TEST

/* operators */

static bool always(void *ctx, char *why, size_t size)
{
	if (!*(bool *)ctx)
		snprintf(why, size, "no rules");
	return *(bool *)ctx;
}

static void count(void *ctx)
{
	++*(int *)ctx;
}

START_TEST(probes_and_metrics_have_listeners_of_their_own)
{
	int refreshed = 0;
	bool ok = false;
	struct answer a;

	rig = (struct rig){ .spec = { .probe_port = rig_free_port(),
				      .before_metrics = count,
				      .before_metrics_ctx = &refreshed } };
	do
		rig.spec.metrics_port = rig_free_port();
	while (rig.spec.metrics_port == rig.spec.probe_port);
	rig_start(&rig);
	health_add(&rig.health, "redirect", always, &ok);
	a = ask_port(&rig, rig.spec.probe_port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(a.body, "Not Active");
	rig.health.active = true;
	a = ask_port(&rig, rig.spec.probe_port, "GET /healthz HTTP/1.0\r\n\r\n");
	ck_assert_str_eq(a.body, "Active");
	a = ask_port(&rig, rig.spec.probe_port, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 503);
	ck_assert_str_eq(a.body, "[-]redirect: no rules\n");
	ok = true;
	a = ask_port(&rig, rig.spec.probe_port, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 200);
	a = ask_port(&rig, rig.spec.probe_port, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 200);
	a = ask_port(&rig, rig.spec.probe_port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 404);
	a = ask_port(&rig, rig.spec.probe_port, "GET /debug/pprof/ HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 404);
	a = ask_port(&rig, rig.spec.probe_port, "POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 405);
	a = ask_port(&rig, rig.spec.probe_port, "GET /healthz HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(a.status, 400);
	a = ask_port(&rig, rig.spec.probe_port,
		     "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345");
	ck_assert_int_eq(a.status, 400);
	(void)ask(&rig, TOKEN_REQUEST);
	a = ask_port(&rig, rig.spec.metrics_port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(answer_header(&a, "Content-Type"),
			 "text/plain; version=0.0.4; charset=utf-8");
	ck_assert_ptr_nonnull(
		strstr(a.body, "aadpodidentity_nmi_operations_duration_seconds_count"));
	ck_assert_int_eq(refreshed, 1);
	a = ask_port(&rig, rig.spec.metrics_port,
		     "GET /metrics HTTP/1.1\r\nHost: x\r\n"
		     "accept: application/openmetrics-text;version=1.0.0\r\n\r\n");
	ck_assert_str_eq(answer_header(&a, "Content-Type"),
			 "application/openmetrics-text; version=1.0.0; charset=utf-8");
	ck_assert_ptr_nonnull(strstr(a.body, "# TYPE nmi_token_cache_hits counter\n"));
	ck_assert_str_eq(a.body + strlen(a.body) - 6, "# EOF\n");
	a = ask_port(&rig, rig.spec.metrics_port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 404);
	stop();
}
END_TEST

/* counting and logging */

static unsigned operations(const char *namespace, const char *route, const char *resource,
			   const char *status)
{
	const char *values[] = { namespace, route, resource, status };

	return (unsigned)metric_get(rig.metrics, NMI_METRIC_OPERATION, values);
}

static unsigned refusals(const char *reason)
{
	return (unsigned)metric_get(rig.metrics, NMI_METRIC_REFUSALS, &reason);
}

START_TEST(answers_are_counted_by_route_and_never_by_what_a_pod_sent)
{
	start();
	(void)ask(&rig, TOKEN_REQUEST);
	(void)ask(&rig, TOKEN_REQUEST);
	(void)ask(&rig, probes[0]);
	(void)ask_target(&rig, "/metadata/identity/abc");
	(void)ask_target(&rig, "/metadata/..");
	rig.issuer.answer.reason = REASON_NO_BINDING;
	(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_uint_eq(operations("shop", TOKEN_PATH, "https://vault.azure.net", "200"), 2);
	ck_assert_uint_eq(operations("", TOKEN_PATH, "", "400"), 1);
	ck_assert_uint_eq(operations("", "identity", "", "404"), 1);
	ck_assert_uint_eq(operations("", "none", "", "400"), 1);
	ck_assert_uint_eq(operations("shop", TOKEN_PATH, "", "400"), 1);
	ck_assert_uint_eq(refusals("metadata_header"), 1);
	ck_assert_uint_eq(refusals("not_found"), 1);
	ck_assert_uint_eq(refusals("bad_request"), 1);
	ck_assert_uint_eq(refusals("no_binding"), 1);
	stop();
}
END_TEST

START_TEST(no_metrics_are_no_hindrance)
{
	uint16_t port = rig_free_port();
	struct answer a;

	start();
	rig.front = front_free(rig.front);
	rig.spec.metrics = NULL;
	rig.spec.metrics_port = port;
	rig.front = front_new(rig.loop, &rig.spec, NULL);
	ck_assert_ptr_nonnull(rig.front);
	ck_assert_int_eq(ask(&rig, TOKEN_REQUEST).status, 200);
	ck_assert_int_eq(ask_target(&rig, "/metadata/identity").status, 404);
	a = ask_port(&rig, port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_eq(a.body_len, 0);
	stop();
}
END_TEST

START_TEST(the_route_table_can_be_printed)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	front_print_routes(out);
	(void)fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "pods\tGET\t" TOKEN_PATH "\t"));
	ck_assert_ptr_nonnull(strstr(text, "probes\tGET, HEAD\t/healthz\t"));
	ck_assert_ptr_nonnull(strstr(text, "metrics\tGET, HEAD\t/metrics\t"));
	free(text);
}
END_TEST

UNIT_MAIN("front", UNIT(a_token_request_is_granted),
	  UNIT_LOOP(each_spelling_that_sdks_use_is_granted, spellings),
	  UNIT(selector_and_bypass_reach_the_issuer),
	  UNIT(a_get_with_a_body_and_a_content_type_is_tolerated),
	  UNIT(equal_ids_within_a_second_share_one_body),
	  UNIT(a_token_comes_with_the_time_of_its_body),
	  UNIT_LOOP(without_the_header_every_path_gets_imds_own_answer, probes),
	  UNIT(the_header_can_be_made_optional),
	  UNIT_LOOP(x_forwarded_for_is_refused_in_every_spelling, forwarded_for),
	  UNIT(a_refusal_of_the_issuer_becomes_its_answer),
	  UNIT(every_request_has_an_id_of_its_own),
	  UNIT_LOOP(each_route_is_answered_as_the_table_says, table),
	  UNIT(a_405_names_the_methods_that_would_do),
	  UNIT_LOOP(a_confusing_path_is_neither_granted_nor_forwarded, confused),
	  UNIT_LOOP(blocked_instance_metadata_is_blocked_in_every_spelling, instance_spellings),
	  UNIT(imds_answer_is_the_pods_answer), UNIT(imds_being_down_is_a_503_with_retry_after),
	  UNIT(a_body_that_is_too_long_is_refused), UNIT(a_chunked_body_is_forwarded_whole),
	  UNIT(a_trailer_is_judged_like_a_header),
	  UNIT(probes_and_metrics_have_listeners_of_their_own),
	  UNIT(answers_are_counted_by_route_and_never_by_what_a_pod_sent),
	  UNIT(no_metrics_are_no_hindrance),

	  UNIT(the_route_table_can_be_printed))
