/* SPDX-License-Identifier: MIT */

/* /host/token: who may ask, for whom, and what is answered. Who asks is the test's own word here. */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "nmi/metrics.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define HOST_PATH    "/host/token/?resource=https://vault.azure.net"
#define POD_HEADERS  "podname: web-0\r\npodns: shop\r\n"
#define HOST_REQUEST "GET " HOST_PATH " HTTP/1.1\r\nHost: localhost:2579\r\n" POD_HEADERS "\r\n"

static struct rig rig;

/* what the kernel says */
static struct {
	uid_t uid;
	enum err_kind fails;
	unsigned asked;
	struct tcp_ends ends;
} kernel;

static int peer_uid(const struct tcp_ends *ends, uid_t *out, struct err *err)
{
	kernel.asked++;
	kernel.ends = *ends;
	if (kernel.fails)
		return err_set(err, kernel.fails, "nobody is there");
	*out = kernel.uid;
	return 0;
}

static void start_on(const char *pods_address, enum front_host host_token)
{
	rig = (struct rig){ .spec = { .metadata_header_required = true,
				      .host_token = host_token,
				      .peer_uid = peer_uid } };
	kernel = (typeof(kernel)){ 0 };
	(void)inet_ip_parse(pods_address, &rig.spec.address, NULL);
	rig.any_address = true;
	rig_start(&rig);
	rig.issuer.answer.client_id = "client-\"1\"";
}

/* As on a node: pods are redirected to an address that is not 127.0.0.1. */
static void start(void)
{
	start_on("127.0.0.77", FRONT_HOST_ROOT);
}

static void stop(void)
{
	rig_stop(&rig);
}

static struct answer ask_at(const char *to, const char *request)
{
	struct client *c = client_open_at(&rig, NULL, to);
	struct answer a = { 0 };

	if (!c)
		return a;
	client_send(c, request);
	if (!client_next(c, &a))
		a.status = 0;
	client_free(c);
	rig_settle(&rig);
	return a;
}

static struct answer ask_headers(const char *target, const char *headers)
{
	_cleanup_free_ char *request =
		xasprintf("GET %s HTTP/1.1\r\nHost: localhost:2579\r\n%s\r\n", target, headers);

	return ask_at("127.0.0.1", request);
}

static void assert_refused(const struct answer *a, int status, const char *reason, const char *says)
{
	ck_assert_msg(a->status == status, "%d %s", a->status, a->body);
	ck_assert_msg(strstr(a->body, reason) != NULL, "%s", a->body);
	ck_assert_msg(strstr(a->body, says) != NULL, "%s", a->body);
	ck_assert_str_eq(answer_header(a, "Content-Type"), "application/json; charset=utf-8");
	ck_assert_uint_eq(rig.issuer.started, 0);
}

static const char *const loopbacks[] = { "127.0.0.1", "::1" };

START_TEST(root_is_given_a_token_in_a_pods_name)
{
	struct jval *doc;
	struct answer a;

	start();
	a = ask_at(loopbacks[_i], HOST_REQUEST);
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(a.body, "{\"token\":" BODY ",\"clientid\":\"client-\\\"1\\\"\"}");
	doc = jval_parse(a.body, a.body_len, 65536, NULL);
	ck_assert_ptr_nonnull(doc);
	(void)jval_free(doc);
	ck_assert_str_eq(answer_header(&a, "Content-Type"), "application/json; charset=utf-8");
	ck_assert_str_eq(rig.issuer.pod, "shop/web-0");
	ck_assert_str_eq(rig.issuer.resource, "https://vault.azure.net");
	ck_assert_uint_eq(kernel.asked, 1);
	ck_assert_uint_eq(kernel.ends.server_port, rig.spec.port);
	ck_assert(inet_ip_is_loopback(&kernel.ends.client));
	ck_assert(inet_ip_is_loopback(&kernel.ends.server));
	ck_assert_uint_ne(kernel.ends.client_port, 0);
	stop();
}
END_TEST

START_TEST(one_connection_may_ask_for_many_pods)
{
	struct client *c;
	struct answer a;

	start();
	rig.issuer.answer.pod_uid = "uid-1";
	c = client_open_at(&rig, NULL, "127.0.0.1");
	for (int i = 0; i < 3; i++) {
		client_send(c, HOST_REQUEST);
		ck_assert(client_next(c, &a));
		ck_assert_int_eq(a.status, 200);
		ck_assert_str_eq(rig.issuer.pod_uid, "");
		rig.issuer.answer.pod_uid = "uid-2";
	}
	ck_assert_uint_eq(kernel.asked, 3); /* for each request anew */
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_token_that_has_to_be_waited_for)
{
	struct client *c, *gone;
	struct answer a;

	start();
	rig.issuer.hold = true;
	c = client_open_at(&rig, NULL, "127.0.0.1");
	gone = client_open_at(&rig, NULL, "127.0.0.1");
	client_send(c, HOST_REQUEST);
	client_send(gone, HOST_REQUEST);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 2);
	client_free(gone);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 1);
	ck_assert_uint_eq(rig.issuer.cancelled, 1);
	fake_issue_finish(&rig.issuer);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_refusal_of_the_issuer_is_passed_on)
{
	struct answer a;

	start();
	rig.issuer.answer = (struct issue_answer){ .reason = REASON_POD_UNKNOWN,
						   .text = "no such" };
	a = ask_at("127.0.0.1", HOST_REQUEST);
	ck_assert_int_eq(a.status, 503);
	ck_assert_ptr_nonnull(answer_header(&a, "Retry-After"));
	ck_assert_ptr_nonnull(strstr(a.body, "pod_unknown"));
	stop();
}
END_TEST

/* who */

START_TEST(another_uid_is_refused_by_name)
{
	struct answer a;

	start();
	kernel.uid = 65534;
	a = ask_at("127.0.0.1", HOST_REQUEST);
	assert_refused(&a, 403, "host_caller", "uid 65534");
	ck_assert_ptr_nonnull(strstr(a.body, "--host-token=root"));
	ck_assert_ptr_nonnull(strstr(a.body, "access_denied"));
	stop();
}
END_TEST

START_TEST(what_cannot_be_proven_is_refused)
{
	struct answer a;

	start();
	kernel.fails = ERR_UNAVAILABLE;
	a = ask_at("127.0.0.1", HOST_REQUEST);
	assert_refused(&a, 403, "host_caller", "nobody is there");
	stop();
}
END_TEST

START_TEST(who_may_not_ask_learns_nothing_of_what_is_wrong_with_the_question)
{
	struct answer a;

	start();
	kernel.uid = 1000;
	a = ask_headers("/host/token", "");
	assert_refused(&a, 403, "host_caller", "uid 1000");
	a = ask_headers("/host/tokens", "");
	assert_refused(&a, 403, "host_caller", "uid 1000");
	stop();
}
END_TEST

START_TEST(any_process_may_ask_where_the_operator_says_so)
{
	start_on("127.0.0.77", FRONT_HOST_ANY);
	kernel.uid = 65534;
	ck_assert_int_eq(ask_at("127.0.0.1", HOST_REQUEST).status, 200);
	ck_assert_uint_eq(kernel.asked, 0);
	stop();
}
END_TEST

START_TEST(switched_off_nothing_listens_and_the_path_is_not_there)
{
	struct answer a;

	start_on("127.0.0.77", FRONT_HOST_OFF);
	for (size_t i = 0; i < ARRAY_SIZE(loopbacks); i++)
		ck_assert_ptr_null(client_open_at(&rig, NULL, loopbacks[i]));
	a = ask_at("127.0.0.77", HOST_REQUEST);
	assert_refused(&a, 404, "not_found", "--host-token=off");
	stop();
}
END_TEST

/* Where pods are redirected to loopback or to every address, that listener is the host's too. */
static const struct {
	const char *pods, *to;
} shared[] = {
	{ "127.0.0.1", "127.0.0.1" }, { "127.0.0.1", "::1" }, { "0.0.0.0", "127.0.0.1" },
	{ "0.0.0.0", "::1" },	      { "::1", "127.0.0.1" }, { "::1", "::1" },
	{ "::", "127.0.0.1" },	      { "::", "::1" },
};

START_TEST(no_address_is_bound_twice)
{
	start_on(shared[_i].pods, FRONT_HOST_ROOT);
	ck_assert_int_eq(ask_at(shared[_i].to, HOST_REQUEST).status, 200);
	kernel.uid = 1;
	ck_assert_int_eq(ask_at(shared[_i].to, HOST_REQUEST).status, 403);
	stop();
}
END_TEST

/* for whom */

static const struct {
	const char *headers;
	const char *says;
} subjects[] = {
	{ "", "missing 'podname' and 'podns'" },
	{ "podname: web-0\r\n", "missing 'podname' and 'podns'" },
	{ "podns: shop\r\n", "missing 'podname' and 'podns'" },
	{ "podname: \r\npodns: shop\r\n", "missing 'podname' and 'podns'" },
	{ "podname: web-0\r\npodns:\r\n", "missing 'podname' and 'podns'" },
	{ POD_HEADERS "podns: other\r\n", "more than once" },
	{ POD_HEADERS "PodName: web-1\r\n", "more than once" },
	{ "podname: web-0/x\r\npodns: shop\r\n", "not the names" },
	{ "podname: web-0\r\npodns: Shop\r\n", "not the names" },
	{ "podname: web-0\r\npodns: sh op\r\n", "not the names" },
	{ "podname: web-0\r\npodns: "
	  "a123456789012345678901234567890123456789012345678901234567890123\r\n",
	  "not the names" },
	{ POD_HEADERS "X-Forwarded-For: 10.0.0.1\r\n", "X-Forwarded-For" },
};

START_TEST(a_question_for_nobody_in_particular_is_malformed)
{
	struct answer a;

	start();
	a = ask_headers(HOST_PATH, subjects[_i].headers);
	assert_refused(&a, 400, "bad_request", subjects[_i].says);
	stop();
}
END_TEST

START_TEST(header_names_have_no_case)
{
	start();
	ck_assert_int_eq(ask_headers(HOST_PATH, "PODNAME: a.b-0\r\nPodNs: s\r\n").status, 200);
	ck_assert_str_eq(rig.issuer.pod, "s/a.b-0");
	stop();
}
END_TEST

static const struct {
	const char *target;
	int status;
	const char *reason;
} targets[] = {
	{ "/host/token", 400, "resource cannot be empty" },
	{ "/host/token/?resource=", 400, "resource cannot be empty" },
	{ "/host/token?resource=a&resource=b", 400, "more than once" },
	{ "/host/token?resource=a&client_id=b&object_id=c", 400, "both given" },
	{ "/host/token/x?resource=a", 404, "not_found" },
	{ "/host/tokens?resource=a", 404, "not_found" },
	{ "/Host/token?resource=a", 404, "not_found" },
	{ "/host//token?resource=a", 400, "bad_request" },
	{ TOKEN_PATH "?" QUERY, 404, "not_found" },
	{ "/metadata/instance?api-version=2021-02-01", 404, "not_found" },
	{ "/", 404, "not_found" },
};

START_TEST(other_paths_and_bad_questions_are_refused)
{
	struct answer a;

	start();
	a = ask_headers(targets[_i].target, POD_HEADERS "Metadata: true\r\n");
	assert_refused(&a, targets[_i].status, targets[_i].reason, "error_description");
	ck_assert_uint_eq(rig.http.sent, 0);
	stop();
}
END_TEST

static const struct {
	const char *query;
	enum selector_kind kind;
	const char *resource, *selector;
} queries[] = {
	{ "resource=https://vault.azure.net", SELECTOR_NONE, "https://vault.azure.net", "" },
	{ "resource=https%3A%2F%2Fvault.azure.net", SELECTOR_NONE, "https://vault.azure.net", "" },
	{ "resource=r&client_id=abc", SELECTOR_CLIENT_ID, "r", "abc" },
	{ "resource=r&msi_res_id=/x/y", SELECTOR_RESOURCE_ID, "r", "/x/y" },
	{ "resource=r&api-version=2018-02-01", SELECTOR_NONE, "r", "" },
	{ "resource=r&api-version=nonsense", SELECTOR_NONE, "r", "" },
};

START_TEST(the_query_is_that_of_the_token_path_without_its_version)
{
	_cleanup_free_ char *target = xasprintf("/host/token/?%s", queries[_i].query);

	start();
	ck_assert_int_eq(ask_headers(target, POD_HEADERS).status, 200);
	ck_assert_str_eq(rig.issuer.resource, queries[_i].resource);
	ck_assert_str_eq(rig.issuer.selector, queries[_i].selector);
	ck_assert_int_eq(rig.issuer.selector_kind, queries[_i].kind);
	stop();
}
END_TEST

START_TEST(another_method_is_refused)
{
	struct answer a;

	start();
	a = ask_at("127.0.0.1", "POST " HOST_PATH " HTTP/1.1\r\nHost: x\r\n" POD_HEADERS
				"Content-Length: 0\r\n\r\n");
	assert_refused(&a, 405, "method_not_allowed", "GET");
	stop();
}
END_TEST

/* counting, ending */

START_TEST(it_is_counted_under_its_path_and_the_pods_namespace)
{
	_cleanup_free_ char *page = NULL;
	size_t n;

	start();
	ck_assert_int_eq(ask_at("127.0.0.1", HOST_REQUEST).status, 200);
	kernel.uid = 7;
	ck_assert_int_eq(ask_at("127.0.0.1", HOST_REQUEST).status, 403);
	page = metrics_print(rig.metrics, &n);
	ck_assert_ptr_nonnull(strstr(page,
				     "_count{namespace=\"shop\",operation_type=\"/host/token\","
				     "resource=\"https://vault.azure.net\","
				     "status_code=\"200\"} 1"));
	ck_assert_ptr_nonnull(strstr(page, "nmi_refusals_total{reason=\"host_caller\"} 1"));
	stop();
}
END_TEST

START_TEST(its_connections_drain_with_the_others)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open_at(&rig, NULL, "127.0.0.1");
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 1);
	front_drain(rig.front, true);
	ck_assert_ptr_null(client_open_at(&rig, NULL, "127.0.0.1"));
	client_send(c, HOST_REQUEST);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(answer_header(&a, "Connection"), "close");
	ck_assert(client_is_closed(c));
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_refusal_whose_id_was_told_elsewhere_is_logged_whatever_was_logged_lately)
{
	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	rig.issuer.answer.reason = REASON_NO_LABEL;
	rig.issuer.answer.is_reported = true;
	for (unsigned n = 1; n <= 3; n++) {
		ck_assert_int_eq(ask_at("127.0.0.1", HOST_REQUEST).status, 400);
		ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), n);
		ck_assert_ptr_nonnull(strstr(log_lines(), rig.issuer.id));
	}
	(void)log_lines_end();
	stop();
}
END_TEST

UNIT_MAIN("front-host", UNIT_LOOP(root_is_given_a_token_in_a_pods_name, loopbacks),
	  UNIT(one_connection_may_ask_for_many_pods), UNIT(a_token_that_has_to_be_waited_for),
	  UNIT(a_refusal_of_the_issuer_is_passed_on),
	  UNIT(a_refusal_whose_id_was_told_elsewhere_is_logged_whatever_was_logged_lately),
	  UNIT(another_uid_is_refused_by_name), UNIT(what_cannot_be_proven_is_refused),
	  UNIT(who_may_not_ask_learns_nothing_of_what_is_wrong_with_the_question),
	  UNIT(any_process_may_ask_where_the_operator_says_so),
	  UNIT(switched_off_nothing_listens_and_the_path_is_not_there),
	  UNIT_LOOP(no_address_is_bound_twice, shared),
	  UNIT_LOOP(a_question_for_nobody_in_particular_is_malformed, subjects),
	  UNIT(header_names_have_no_case),
	  UNIT_LOOP(other_paths_and_bad_questions_are_refused, targets),
	  UNIT_LOOP(the_query_is_that_of_the_token_path_without_its_version, queries),
	  UNIT(another_method_is_refused),
	  UNIT(it_is_counted_under_its_path_and_the_pods_namespace),
	  UNIT(its_connections_drain_with_the_others))
