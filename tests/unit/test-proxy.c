/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/proxy.h"
#include "tests/unit/fake-http.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static struct loop *loop; /* of all tests */
static struct http_client http;
static unsigned done_calls;
static enum reason done_reason;
static long done_status;
static char done_text[512];

/* Also of what an earlier test left, when all run in one process. */
static struct proxy *fresh(const char *base_url)
{
	http = (struct http_client){ 0 };
	done_calls = 0;
	done_text[0] = '\0';
	if (!loop)
		loop = loop_new_fake(NULL);
	return proxy_new(loop, &http, base_url);
}

static void on_done(void *ctx, const struct proxy_answer *a)
{
	(void)ctx;
	done_calls++;
	done_reason = a->reason;
	done_status = a->status;
	if (a->reason == REASON_NONE)
		snprintf(done_text, sizeof(done_text), "%s|%s|%s|%.*s",
			 a->content_type ? a->content_type : "-",
			 a->retry_after ? a->retry_after : "-", a->server ? a->server : "-",
			 (int)a->body_len, a->body);
	else
		snprintf(done_text, sizeof(done_text), "%s", a->err.msg);
}

static struct proxy_call *forward(struct proxy *p, struct proxy_request req, struct err *err)
{
	if (!req.method)
		req.method = "GET";
	if (!req.target)
		req.target = "/metadata/instance?api-version=2021-02-01";
	return proxy_forward(p, &req, on_done, NULL, err);
}

static struct proxy_request of_pod(unsigned n)
{
	return (struct proxy_request){ .peer = { { [10] = 0xff, 0xff, 10, 0, 0, (uint8_t)n } } };
}

static const struct {
	const char *name;
	bool passes;
} names[] = {
	{ "Metadata", true },
	{ "User-Agent", true },
	{ "Accept", true },
	{ "Content-Type", true },
	{ "x-ms-client-request-id", true },
	{ "Connection", false },
	{ "connection", false },
	{ "Keep-Alive", false },
	{ "Proxy-Connection", false },
	{ "Proxy-Authorization", false },
	{ "TE", false },
	{ "Trailer", false },
	{ "Transfer-Encoding", false },
	{ "Upgrade", false },
	{ "Host", false },
	{ "Content-Length", false },
	{ "Expect", false },
	{ "Accept-Encoding", false },
	{ "X-Forwarded-For", false },
	{ "X-FORWARDED-HOST", false },
	{ "X_Forwarded_For", false },
	{ "Forwarded", false },
	{ "Via", false },
	{ "x-ms-azure-host-authorization", false },
	{ "X-MS-Azure-Host-Date", false },
	{ "x-ms-azure-hos", true },
	{ "Hosts", true },
};

START_TEST(headers_that_speak_for_another_hop_do_not_pass)
{
	ck_assert_int_eq(proxy_header_passes(names[_i].name), names[_i].passes);
}
END_TEST

START_TEST(a_request_goes_to_imds_as_it_came_but_for_those_headers)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://169.254.169.254:80/");
	const struct proxy_header headers[] = {
		{ "Host", "169.254.169.254" },	  { "Metadata", "true" }, { "X-Own", "1" },
		{ "Connection", "close, X-Own" }, { "X-Empty", "" },	  { "Accept", "*/*" },
	};
	struct proxy_request req = { .method = "POST",
				     .target = "/metadata/scheduledevents?api-version=2020-07-01",
				     .headers = headers,
				     .n_headers = ARRAY_SIZE(headers),
				     .body = "{\"StartRequests\":[]}",
				     .body_len = 20 };

	ck_assert_ptr_nonnull(forward(p, req, NULL));
	ck_assert_str_eq(http.method, "POST");
	ck_assert_str_eq(http.url, "http://169.254.169.254:80/metadata/scheduledevents?api-version="
				   "2020-07-01");
	ck_assert_str_eq(http.headers, "Metadata: true\nAccept: */*\n");
	ck_assert_str_eq(http.body, "{\"StartRequests\":[]}");
	ck_assert_uint_eq(http.body_max, LIMIT_FORWARD_ANSWER_BYTES);
	ck_assert_uint_eq(http.timeout_msec, LIMIT_FORWARD_MSEC);
}
END_TEST

/* RFC 9110, 7.6.1: what Connection names is for this hop, whatever its name is. */
static const struct {
	const char *connection[2], *passed;
} nominations[] = {
	{ { "close" }, "Metadata: true\nX-A: 1\nX-B: 2\n" },
	{ { "x-a" }, "Metadata: true\nX-B: 2\n" },
	{ { "X-A, x-b" }, "Metadata: true\n" },
	{ { "X-A,X-B" }, "Metadata: true\n" },
	{ { ",, X-A\t ,,", "keep-alive" }, "Metadata: true\nX-B: 2\n" },
	{ { "keep-alive", "x-B" }, "Metadata: true\nX-A: 1\n" },
	{ { "X-AB, X" }, "Metadata: true\nX-A: 1\nX-B: 2\n" },
	{ { "Metadata" }, "X-A: 1\nX-B: 2\n" },
};

START_TEST(what_connection_names_does_not_pass)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://imds");
	const char *second = nominations[_i].connection[1];
	const struct proxy_header headers[] = {
		{ "Metadata", "true" },
		{ "X-A", "1" },
		{ "Connection", nominations[_i].connection[0] },
		{ "X-B", "2" },
		{ "connection", second ? second : "" },
	};
	struct proxy_request req = { .headers = headers, .n_headers = ARRAY_SIZE(headers) };

	ck_assert_ptr_nonnull(forward(p, req, NULL));
	ck_assert_str_eq(http.headers, nominations[_i].passed);
}
END_TEST

START_TEST(head_is_asked_as_get)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://imds");

	ck_assert_ptr_nonnull(forward(p, (struct proxy_request){ .method = "HEAD" }, NULL));
	ck_assert_str_eq(http.method, "GET");
}
END_TEST

START_TEST(what_imds_says_is_passed_on)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://imds");

	http.reply_headers[0] = "Content-Type: application/json";
	http.reply_headers[1] = "Server: IMDS/1";
	http.reply_headers[2] = "Retry-After: 3";
	ck_assert_ptr_nonnull(forward(p, (struct proxy_request){ 0 }, NULL));
	fake_http_reply(&http, 429, "{}");
	ck_assert_uint_eq(done_calls, 1);
	ck_assert_int_eq(done_reason, REASON_NONE);
	ck_assert_int_eq(done_status, 429);
	ck_assert_str_eq(done_text, "application/json|3|IMDS/1|{}");
}
END_TEST

static const struct {
	enum err_kind kind;
	enum reason reason;
	const char *says;
} failures[] = {
	{ ERR_UNAVAILABLE, REASON_UPSTREAM_DOWN, "did not answer: why" },
	{ ERR_TIMEOUT, REASON_UPSTREAM_DOWN, "did not answer: why" },
	{ ERR_INPUT, REASON_UPSTREAM_DOWN, "did not answer: why" },
	{ ERR_LIMIT, REASON_UPSTREAM_TOO_LARGE, "longer than 1048576 bytes" },
};

START_TEST(a_failure_becomes_a_reason_and_a_sentence)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://imds");
	struct err err = { .kind = failures[_i].kind, .msg = "why" };

	ck_assert_ptr_nonnull(forward(p, (struct proxy_request){ 0 }, NULL));
	fake_http_fail(&http, &err);
	ck_assert_int_eq(done_reason, failures[_i].reason);
	ck_assert_msg(strstr(done_text, failures[_i].says) != NULL, "%s", done_text);
}
END_TEST

static const long odd_statuses[] = { 0, 100, 101, 199, 600, 999 };

START_TEST(an_odd_status_is_not_passed_on)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://imds");

	ck_assert_ptr_nonnull(forward(p, (struct proxy_request){ 0 }, NULL));
	fake_http_reply(&http, odd_statuses[_i], "");
	ck_assert_int_eq(done_reason, REASON_UPSTREAM_DOWN);
}
END_TEST

START_TEST(no_more_than_the_limit_are_under_way)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://imds");
	struct err err = { 0 };

	for (unsigned i = 0; i < LIMIT_FORWARDS; i++)
		ck_assert_ptr_nonnull(forward(p, of_pod(i), NULL));
	ck_assert_ptr_null(forward(p, of_pod(200), &err));
	ck_assert_int_eq(err.kind, ERR_LIMIT);
	ck_assert_msg(strstr(err.msg, "64 requests wait") != NULL, "%s", err.msg);
	fake_http_reply(&http, 200, "");
	ck_assert_uint_eq(done_calls, LIMIT_FORWARDS);
	ck_assert_ptr_nonnull(forward(p, of_pod(200), &err));
}
END_TEST

START_TEST(a_pod_has_no_more_than_its_share_of_them)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://imds");
	struct proxy_call *calls[LIMIT_FORWARDS_PER_PEER];
	struct err err = { 0 };

	for (int i = 0; i < LIMIT_FORWARDS_PER_PEER; i++)
		ck_assert_ptr_nonnull(calls[i] = forward(p, of_pod(1), NULL));
	ck_assert_ptr_null(forward(p, of_pod(1), &err));
	ck_assert_int_eq(err.kind, ERR_LIMIT);
	ck_assert_msg(strstr(err.msg, "16 requests of this pod") != NULL, "%s", err.msg);
	ck_assert_ptr_nonnull(forward(p, of_pod(2), NULL));
	/* what it gives up it has again */
	proxy_cancel(calls[3]);
	ck_assert_ptr_nonnull(forward(p, of_pod(1), NULL));
	ck_assert_ptr_null(forward(p, of_pod(1), NULL));
	fake_http_reply(&http, 200, "");
	ck_assert_ptr_nonnull(forward(p, of_pod(1), NULL));
}
END_TEST

START_TEST(a_pod_asks_no_more_often_than_it_may)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://imds");
	struct err err = { 0 };

	for (int i = 0; i < LIMIT_POD_FORWARD_BURST; i++) {
		ck_assert_ptr_nonnull(forward(p, of_pod(1), NULL));
		fake_http_reply(&http, 200, "");
	}
	ck_assert_ptr_null(forward(p, of_pod(1), &err));
	ck_assert_int_eq(err.kind, ERR_REFUSED);
	ck_assert_msg(strstr(err.msg, "100 times at once and then 2") != NULL, "%s", err.msg);
	ck_assert_ptr_nonnull(forward(p, of_pod(2), NULL));
	loop_fake_advance(loop, 1000);
	for (int i = 0; i < LIMIT_POD_FORWARD_PER_SECOND; i++)
		ck_assert_ptr_nonnull(forward(p, of_pod(1), NULL));
	ck_assert_ptr_null(forward(p, of_pod(1), NULL));
	fake_http_reply(&http, 200, "");
}
END_TEST

START_TEST(a_request_that_cannot_be_sent_is_an_error)
{
	_cleanup_(proxy_freep) struct proxy *p = fresh("http://imds");
	struct err err = { 0 };

	http.refuse = true;
	ck_assert_ptr_null(forward(p, (struct proxy_request){ 0 }, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
}
END_TEST

START_TEST(cancelled_and_abandoned_calls_are_never_done)
{
	struct proxy *p = fresh("http://imds");

	proxy_cancel(forward(p, (struct proxy_request){ 0 }, NULL));
	ck_assert_uint_eq(http.cancelled, 1);
	ck_assert_ptr_nonnull(forward(p, (struct proxy_request){ 0 }, NULL));
	(void)proxy_free(p);
	ck_assert_uint_eq(http.cancelled, 2);
	ck_assert_ptr_null(http.calls);
	ck_assert_uint_eq(done_calls, 0);
	proxy_cancel(NULL);
}
END_TEST

UNIT_MAIN("proxy", UNIT_LOOP(headers_that_speak_for_another_hop_do_not_pass, names),
	  UNIT(a_request_goes_to_imds_as_it_came_but_for_those_headers),
	  UNIT_LOOP(what_connection_names_does_not_pass, nominations), UNIT(head_is_asked_as_get),
	  UNIT(what_imds_says_is_passed_on),
	  UNIT_LOOP(a_failure_becomes_a_reason_and_a_sentence, failures),
	  UNIT_LOOP(an_odd_status_is_not_passed_on, odd_statuses),
	  UNIT(no_more_than_the_limit_are_under_way),
	  UNIT(a_pod_has_no_more_than_its_share_of_them),
	  UNIT(a_pod_asks_no_more_often_than_it_may),
	  UNIT(a_request_that_cannot_be_sent_is_an_error),
	  UNIT(cancelled_and_abandoned_calls_are_never_done))
