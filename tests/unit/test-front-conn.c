/* SPDX-License-Identifier: MIT */

/* Connections of the HTTP surface: keep-alive, waiting, hanging up, slowness, bad HTTP, the end. */

#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

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

START_TEST(a_connection_is_kept_for_many_requests)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 20; i++) {
		client_send(c, TOKEN_REQUEST);
		ck_assert(client_next(c, &a));
		ck_assert_int_eq(a.status, 200);
		ck_assert_ptr_null(answer_header(&a, "Connection"));
	}
	ck_assert(!client_is_closed(c));
	ck_assert_uint_eq(front_connections(rig.front), 1);
	client_free(c);
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	stop();
}
END_TEST

START_TEST(a_connection_is_admitted_once_and_before_it_asks)
{
	struct inet_ip loopback;
	struct client *c;
	struct answer a;

	start();
	ck_assert_int_eq(inet_ip_parse("127.0.0.1", &loopback, NULL), 0);
	c = client_open(&rig, rig.spec.port);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.admitted, 1);
	ck_assert(inet_ip_eq(&rig.issuer.admitted_peer, &loopback));
	for (int i = 0; i < 3; i++) {
		client_send(c, TOKEN_REQUEST);
		ck_assert(client_next(c, &a));
	}
	ck_assert_uint_eq(rig.issuer.admitted, 1);
	client_free(c);
	c = client_open(&rig, rig.spec.probe_port); /* no pod asks there */
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.admitted, 1);
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_refusal_keeps_the_connection)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	client_send(c, "GET " TOKEN_PATH " HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 400);
	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
	client_free(c);
	stop();
}
END_TEST

START_TEST(http_1_0_is_answered_and_closed)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	client_send(c, "GET " TOKEN_PATH "?" QUERY " HTTP/1.0\r\nMetadata: true\r\n\r\n");
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert(client_is_closed(c));
	client_free(c);
	stop();
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
	struct client *c;
	char request[1024] = "";
	struct answer a;
	size_t n = 0;

	start();
	rig.issuer.hold = true;
	c = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 3; i++)
		n += (size_t)snprintf(request + n, sizeof(request) - n,
				      "GET " TOKEN_PATH "?api-version=2018-02-01&resource=r%d "
				      "HTTP/1.1\r\n" HEADERS "\r\n",
				      i);
	client_send(c, request);
	for (int i = 0; i < 3; i++) {
		char want[8];

		rig_settle(&rig);
		ck_assert_uint_eq(rig.issuer.n_waiting, 1);
		snprintf(want, sizeof(want), "r%d", i);
		ck_assert_str_eq(rig.issuer.resource, want);
		fake_issue_finish(&rig.issuer);
		ck_assert(client_next(c, &a));
		ck_assert_int_eq(a.status, 200);
	}
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_request_that_comes_byte_by_byte_is_one_request)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	for (const char *p = TOKEN_REQUEST; *p; p++) {
		client_send_bytes(c, p, 1);
		ck_assert_int_eq(loop_turn(rig.loop, 1, NULL), 0);
	}
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_eq(rig.issuer.started, 1);
	client_free(c);
	stop();
}
END_TEST

/* waiting */

START_TEST(a_waiting_request_is_answered_when_the_issuer_is_done)
{
	struct client *c;
	struct answer a;

	start();
	rig.issuer.hold = true;
	c = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 3; i++) {
		client_send(c, TOKEN_REQUEST);
		rig_settle(&rig);
		ck_assert_uint_eq(rig.issuer.n_waiting, 1);
		/* long past every limit of ours: the issuer has a deadline of its own */
		loop_fake_advance(rig.loop, 600000);
		ck_assert(!client_is_closed(c));
		fake_issue_finish(&rig.issuer);
		ck_assert(client_next(c, &a));
		ck_assert_int_eq(a.status, 200);
		ck_assert_str_eq(a.body, BODY);
	}
	rig.issuer.hold = false;
	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &a));
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_waiting_request_can_be_refused)
{
	struct client *c;
	struct answer a;

	start();
	rig.issuer.hold = true;
	rig.issuer.answer.reason = REASON_POD_UNKNOWN;
	c = client_open(&rig, rig.spec.port);
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	fake_issue_finish(&rig.issuer);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 503);
	ck_assert_str_eq(answer_header(&a, "Retry-After"), "2");
	client_free(c);
	stop();
}
END_TEST

START_TEST(hanging_up_cancels_the_issue)
{
	struct client *c;

	start();
	rig.issuer.hold = true;
	c = client_open(&rig, rig.spec.port);
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 1);
	client_free(c);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.cancelled, 1);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	stop();
	ck_assert_uint_eq(rig.issuer.cancelled, 1);
}
END_TEST

START_TEST(a_reset_cancels_the_issue)
{
	const struct linger hard = { .l_onoff = 1 };
	struct client *c;

	start();
	rig.issuer.hold = true;
	c = client_open(&rig, rig.spec.port);
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	ck_assert_int_eq(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	client_free(c);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.cancelled, 1);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	stop();
}
END_TEST

START_TEST(hanging_up_and_the_answer_in_one_turn_do_no_harm)
{
	struct client *c;

	start();
	rig.issuer.hold = true;
	c = client_open(&rig, rig.spec.port);
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	client_free(c);
	fake_issue_finish(&rig.issuer);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.cancelled, 0);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	stop();
}
END_TEST

START_TEST(a_thousand_waiting_requests_end_with_the_front)
{
	enum { N = 1000 };
	struct client **clients = xcalloc(N, sizeof(struct client *));
	struct rlimit files = { 0 };

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	start();
	rig.issuer.hold = true;
	for (int i = 0; i < N; i++) {
		clients[i] = client_open(&rig, rig.spec.port);
		ck_assert_ptr_nonnull(clients[i]);
		client_send(clients[i], TOKEN_REQUEST);
		ck_assert_int_eq(loop_turn(rig.loop, 0, NULL), 0);
	}
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, N);
	ck_assert_uint_eq(front_connections(rig.front), N);
	stop();
	ck_assert_uint_eq(rig.issuer.cancelled, N);
	for (int i = 0; i < N; i++)
		client_free(clients[i]);
	free(clients);
}
END_TEST

START_TEST(the_front_can_end_in_every_state_of_a_connection)
{
	struct client *fresh, *half, *body, *idle, *waits, *forwards, *resumed;
	struct answer a;

	start();
	fresh = client_open(&rig, rig.spec.port);
	half = client_open(&rig, rig.spec.port);
	client_send(half, "GET " TOKEN_PATH " HTTP/1.1\r\nHo");
	body = client_open(&rig, rig.spec.port);
	client_send(body, "POST /x HTTP/1.1\r\n" HEADERS "Content-Length: 9\r\n\r\nabc");
	idle = client_open(&rig, rig.spec.port);
	client_send(idle, TOKEN_REQUEST);
	ck_assert(client_next(idle, &a));
	rig.issuer.hold = true;
	resumed = client_open(&rig, rig.spec.port);
	client_send(resumed, TOKEN_REQUEST);
	rig_settle(&rig);
	fake_issue_finish(&rig.issuer); /* answered, but the loop has not turned since */
	waits = client_open(&rig, rig.spec.port);
	client_send(waits, TOKEN_REQUEST TOKEN_REQUEST);
	forwards = client_open(&rig, rig.spec.port);
	client_send(forwards, "GET /metadata/versions HTTP/1.1\r\n" HEADERS "\r\n");
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 7);
	client_send(idle, TOKEN_REQUEST); /* not read yet */
	stop();
	ck_assert_uint_eq(rig.issuer.cancelled, 1);
	ck_assert_uint_eq(rig.http.cancelled, 1);
	client_free(fresh);
	client_free(half);
	client_free(body);
	client_free(idle);
	client_free(waits);
	client_free(forwards);
	client_free(resumed);
}
END_TEST

/* slowness */

START_TEST(a_sender_of_one_byte_a_second_is_cut)
{
	struct client *c;
	int seconds = 0;

	start();
	c = client_open(&rig, rig.spec.port);
	for (const char *p = TOKEN_REQUEST; *p && !client_is_closed(c); p++) {
		client_send_bytes(c, p, 1);
		rig_settle(&rig);
		loop_fake_advance(rig.loop, 1000);
		seconds++;
	}
	ck_assert(client_is_closed(c));
	ck_assert_int_ge(seconds, LIMIT_REQUEST_MSEC / 1000);
	ck_assert_int_le(seconds, LIMIT_REQUEST_MSEC / 1000 + 1);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	client_free(c);
	stop();
}
END_TEST

static const char *const slow_starts[] = {
	"",
	"G",
	"GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\n",
	"GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\nHost: x\r\n",
	"POST /x HTTP/1.1\r\n" HEADERS "Content-Length: 100\r\n\r\n",
	"POST /x HTTP/1.1\r\n" HEADERS "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
};

START_TEST(whatever_part_is_late_the_connection_is_cut)
{
	struct client *c;

	start();
	c = client_open(&rig, rig.spec.port);
	client_send(c, slow_starts[_i]);
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 1);
	loop_fake_advance(rig.loop, LIMIT_REQUEST_MSEC - 1);
	ck_assert(!client_is_closed(c));
	loop_fake_advance(rig.loop, 1);
	ck_assert(client_is_closed(c));
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	client_free(c);
	stop();
}
END_TEST

START_TEST(an_idle_connection_is_closed_after_its_time)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 3; i++) {
		client_send(c, TOKEN_REQUEST);
		ck_assert(client_next(c, &a));
		loop_fake_advance(rig.loop, LIMIT_IDLE_SEC * 1000 - 1);
		ck_assert(!client_is_closed(c));
	}
	loop_fake_advance(rig.loop, 1);
	ck_assert(client_is_closed(c));
	client_free(c);
	stop();
}
END_TEST

START_TEST(each_connection_has_a_deadline_of_its_own)
{
	struct client *first, *second, *idle;
	struct answer a;

	start();
	idle = client_open(&rig, rig.spec.port);
	client_send(idle, TOKEN_REQUEST);
	ck_assert(client_next(idle, &a));
	first = client_open(&rig, rig.spec.port);
	rig_settle(&rig);
	loop_fake_advance(rig.loop, 4000);
	second = client_open(&rig, rig.spec.port);
	rig_settle(&rig);
	loop_fake_advance(rig.loop, LIMIT_REQUEST_MSEC - 4000);
	ck_assert(client_is_closed(first));
	ck_assert(!client_is_closed(second));
	loop_fake_advance(rig.loop, 4000);
	ck_assert(client_is_closed(second));
	ck_assert(!client_is_closed(idle));
	client_free(first);
	client_free(second);
	client_free(idle);
	stop();
}
END_TEST

/* bad HTTP: ours is JSON and 400, the library's own refusals are its own pages, or silence */

static const struct {
	const char *request;
	int status;	  /* 0: closed without an answer */
	const char *says; /* NULL: the library's page */
} bad[] = {
	{ "GET / HTTP/1.1\r\nMetadata: true\r\n\r\n", 400, "Host is missing" },
	{ "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nMetadata: true\r\n\r\n", 400,
	  "Host is given more" },
	{ "GET / HTTP/1.1\r\nHost: a\r\n b\r\nMetadata: true\r\n\r\n", 400, "Host is missing" },
	{ "POST / HTTP/1.1\r\n" HEADERS
	  "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  400, "both given" },
	{ "POST / HTTP/1.1\r\n" HEADERS
	  "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
	  400, "both given" },
	{ "POST / HTTP/1.1\r\n" HEADERS "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400,
	  "Content-Length is given more" },
	{ "POST / HTTP/1.1\r\n" HEADERS "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400,
	  "Content-Length is given more" },
	{ "POST / HTTP/1.1\r\n" HEADERS "Content-Length: 3\r\n 0\r\n\r\nabc", 400, "folded" },
	{ "GET / HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n false\r\n\r\n", 400, "folded" },
	{ "POST / HTTP/1.1\r\n" HEADERS "Transfer-Encoding: gzip\r\n\r\n", 400, "not chunked" },
	{ "POST / HTTP/1.1\r\n" HEADERS
	  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "0\r\n\r\n",
	  400, "Transfer-Encoding is given more" },
	{ "POST / HTTP/1.0\r\n" HEADERS "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
	  "HTTP/1.0" },
	{ "GET / HTTP/1.9\r\n" HEADERS "\r\n", 400, "version" },
	{ "GET / HTTP/1.1\r\nHost: x\r\nMetadata : true\r\n\r\n", 400, "name" },
	{ "GET / HTTP/1.1\r\n Host: x\r\nMetadata: true\r\n\r\n", 400, "name" },
	{ "GET / HTTP/1.1\r\n" HEADERS "a(b): c\r\n\r\n", 400, "name" },
	{ "GET / HTTP/1.1\r\n" HEADERS "a\x01: c\r\n\r\n", 400, "name" },
	{ "GET / HTTP/1.1\r\n" HEADERS "a: c\x01\r\n\r\n", 400, "control" },
	{ "GET / HTTP/1.1\n" HEADERS "\r\n", 400, "CR LF" },
	{ "GET / HTTP/1.1\r\nHost: x\nMetadata: true\r\n\r\n", 400, "CR LF" },
	{ "GET / HTTP/1.1\r\nHost: x\rMetadata: true\r\n\r\n", 400, "control" },
	{ "GET / HTTP/1.1\r\n" HEADERS "A: b\n\r\n", 400, "CR LF" },
	{ "GET / HTTP/1.1\r\n" HEADERS "\n", 400, "CR LF" },
	{ "GET / HTTP/1.0\r\n\n", 400, "CR LF" },
	{ "GET http://x/ HTTP/1.1\r\n" HEADERS "\r\n", 400, "not a path" },
	{ "OPTIONS * HTTP/1.1\r\n" HEADERS "\r\n", 400, "not a path" },
	{ "CONNECT x:80 HTTP/1.1\r\n" HEADERS "\r\n", 400, "not a path" },
	{ "GET / HTTP/2.0\r\n" HEADERS "\r\n", 505, NULL },
	{ "GET /\r\n\r\n", 400, NULL },
	{ "GET / HTTP/1.1\r\n" HEADERS "no colon\r\n\r\n", 400, NULL },
	{ "POST / HTTP/1.1\r\n" HEADERS "Content-Length: x\r\n\r\n", 400, NULL },
	{ "POST / HTTP/1.1\r\n" HEADERS "Content-Length: 99999999999999999999999\r\n\r\n", 413,
	  NULL },
	{ "\x16\x03\x01\x02\x01\x01\xfc\x03\x03\r\n\r\n", 0, NULL },
};

START_TEST(bad_http_is_refused)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	client_send(c, bad[_i].request);
	if (!client_next(c, &a))
		a.status = 0;
	if (bad[_i].status || a.status)
		ck_assert_int_eq(a.status, bad[_i].status ? bad[_i].status : 400);
	if (bad[_i].says) {
		ck_assert_msg(strstr(a.body, bad[_i].says) != NULL, "%s", a.body);
		ck_assert_str_eq(answer_header(&a, "Content-Type"),
				 "application/json; charset=utf-8");
	}
	ck_assert_uint_eq(rig.http.sent, 0);
	ck_assert_uint_eq(rig.issuer.started, 0);
	client_free(c);
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	stop();
}
END_TEST

static char *big_request(const char *before, size_t n, const char *after)
{
	char *fill = xcalloc(1, n + 1), *all;

	memset(fill, 'a', n);
	all = xasprintf("%s%s%s", before, fill, after);
	free(fill);
	return all;
}

static const struct {
	const char *before;
	size_t n;
	const char *after;
	int status;
} big[] = {
	{ "GET /", LIMIT_TARGET_BYTES, " HTTP/1.1\r\n" HEADERS "\r\n", 413 },
	{ "GET /", 6000, " HTTP/1.1\r\n" HEADERS "\r\n", 413 },
	{ "GET /", 40000, " HTTP/1.1\r\n" HEADERS "\r\n", 414 },
	{ "GET / HTTP/1.1\r\n" HEADERS "A: ", 40000, "\r\n\r\n", 431 },
	{ "GET / HTTP/1.1\r\n" HEADERS, 40000, ": b\r\n\r\n", 431 },
};

START_TEST(a_request_that_is_too_big_is_refused)
{
	_cleanup_free_ char *request = big_request(big[_i].before, big[_i].n, big[_i].after);

	start();
	ck_assert_int_eq(ask(&rig, request).status, big[_i].status);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	stop();
}
END_TEST

#define BIGGEST "GET " TOKEN_PATH "?" QUERY "&x="

/* As docs/limits.md has it: the longest path and query, and 20 headers of 100 bytes. */
START_TEST(the_biggest_request_is_answered)
{
	const size_t fill = LIMIT_TARGET_BYTES - (strlen(BIGGEST) - strlen("GET "));
	_cleanup_free_ char *after = NULL, *request = NULL;
	char headers[20 * 100 + 1];

	for (size_t i = 0; i < 20; i++)
		(void)snprintf(headers + i * 100, 101, "X-%02zu: %092d\r\n", i, 0);
	after = xasprintf(" HTTP/1.1\r\n" HEADERS "%s\r\n", headers);
	request = big_request(BIGGEST, fill, after);
	start();
	ck_assert_int_eq(ask(&rig, request).status, 200);
	stop();
}
END_TEST

static const uint64_t mutation_seeds[] = { 88172645463325252, 2463534242, 362436069, 521288629 };

/* Bytes of a good request changed at random: whatever comes of it, the next client is served. */
START_TEST(mutated_requests_do_no_harm)
{
	static const char seed[] =
		"POST /metadata/scheduledevents?a=b HTTP/1.1\r\n" HEADERS
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" TOKEN_REQUEST;
	uint64_t x = mutation_seeds[_i];

	start();
	for (int round = 0; round < 100; round++) {
		struct client *c = client_open(&rig, rig.spec.port);
		char bytes[sizeof(seed)];

		memcpy(bytes, seed, sizeof(seed));
		for (int k = 0; k < 3; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			bytes[x % (sizeof(seed) - 1)] = (char)(x >> 32);
		}
		rig.issuer.hold = round % 2;
		client_send_bytes(c, bytes, sizeof(bytes) - 1 - x % 7);
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(loop_turn(rig.loop, 0, NULL), 0);
		client_free(c);
	}
	rig_settle(&rig);
	rig.issuer.hold = false;
	ck_assert_int_eq(ask(&rig, TOKEN_REQUEST).status, 200);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	ck_assert_uint_eq(rig.issuer.n_waiting, 0);
	stop();
}
END_TEST

/* the beginning and the end */

START_TEST(a_port_in_use_names_the_setting_and_the_next_step)
{
	struct front_spec second;
	struct err err = { 0 };
	char port[16];

	start();
	second = rig.spec;
	ck_assert_ptr_null(front_new(rig.loop, &second, &err));
	ck_assert_int_eq(err.kind, ERR_OS);
	ck_assert_int_eq(err.os_errno, EADDRINUSE);
	snprintf(port, sizeof(port), "%u", rig.spec.port);
	ck_assert_msg(strstr(err.msg, "--nmi-port") && strstr(err.msg, port) &&
			      strstr(err.msg, "ss -ltnp"),
		      "%s", err.msg);
	/* of a second listener too, and the first is given back */
	second.port = rig_free_port();
	second.probe_port = rig.spec.port;
	second.address = (struct inet_ip){ 0 };
	ck_assert_ptr_null(front_new(rig.loop, &second, &err));
	ck_assert_msg(strstr(err.msg, "--http-probe-port") != NULL, "%s", err.msg);
	second.probe_port = 0;
	{
		struct front *f = front_new(rig.loop, &second, &err);

		ck_assert_msg(f != NULL, "%s", err.msg);
		ck_assert_int_eq(ask_port(&rig, second.port, TOKEN_REQUEST).status, 200);
		front_free(f);
	}
	stop();
}
END_TEST

START_TEST(an_address_of_another_node_is_an_error)
{
	struct front_spec spec = { .port = 1025 };
	struct err err = { 0 };

	start();
	(void)inet_ip_parse("192.0.2.1", &spec.address, NULL);
	ck_assert_ptr_null(front_new(rig.loop, &spec, &err));
	ck_assert_msg(strstr(err.msg, "192.0.2.1") && strstr(err.msg, "no interface"), "%s",
		      err.msg);
	stop();
}
END_TEST

START_TEST(a_draining_front_finishes_what_is_under_way_and_takes_no_more)
{
	struct client *waits, *idle, *busy;
	struct answer a;

	start();
	idle = client_open(&rig, rig.spec.port);
	client_send(idle, TOKEN_REQUEST);
	ck_assert(client_next(idle, &a));
	busy = client_open(&rig, rig.spec.port);
	client_send(busy, TOKEN_REQUEST);
	ck_assert(client_next(busy, &a));
	rig.issuer.hold = true;
	waits = client_open(&rig, rig.spec.port);
	client_send(waits, TOKEN_REQUEST);
	rig_settle(&rig);
	front_drain(rig.front, true);
	front_drain(rig.front, true); /* again is fine */
	ck_assert_ptr_null(client_open(&rig, rig.spec.port));

	/* a request that was on its way is answered, and told to go */
	rig.issuer.hold = false;
	client_send(busy, TOKEN_REQUEST);
	ck_assert(client_next(busy, &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(answer_header(&a, "Connection"), "close");
	ck_assert(client_is_closed(busy));
	/* an idle one has its moment */
	ck_assert(!client_is_closed(idle));
	loop_fake_advance(rig.loop, LIMIT_DRAIN_IDLE_MSEC);
	ck_assert(client_is_closed(idle));
	/* one that waits is waited for */
	loop_fake_advance(rig.loop, 5000);
	ck_assert_uint_eq(front_connections(rig.front), 1);
	fake_issue_finish(&rig.issuer);
	ck_assert(client_next(waits, &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(answer_header(&a, "Connection"), "close");
	ck_assert(client_is_closed(waits));
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	client_free(waits);
	client_free(idle);
	client_free(busy);
	stop();
}
END_TEST

static const char *const drained[] = {
	"GET " TOKEN_PATH " HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /metadata/identity/info HTTP/1.1\r\n" HEADERS "\r\n",
};

START_TEST(refusals_close_while_draining_too)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	rig_settle(&rig);
	front_drain(rig.front, true);
	client_send(c, drained[_i]);
	ck_assert(client_next(c, &a));
	ck_assert_str_eq(answer_header(&a, "Connection"), "close");
	ck_assert(client_is_closed(c));
	client_free(c);
	stop();
}
END_TEST

START_TEST(what_the_kernel_accepted_before_a_drain_is_served)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port); /* in the backlog: the loop has not turned */
	client_send(c, TOKEN_REQUEST);
	front_drain(rig.front, true);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
	client_free(c);
	stop();
}
END_TEST

UNIT_MAIN("front-conn", UNIT(a_connection_is_kept_for_many_requests),
	  UNIT(a_connection_is_admitted_once_and_before_it_asks),
	  UNIT(a_refusal_keeps_the_connection), UNIT(http_1_0_is_answered_and_closed),
	  UNIT(pipelined_requests_are_answered_in_order),
	  UNIT(a_request_that_comes_byte_by_byte_is_one_request),
	  UNIT(a_waiting_request_is_answered_when_the_issuer_is_done),
	  UNIT(a_waiting_request_can_be_refused), UNIT(hanging_up_cancels_the_issue),
	  UNIT(a_reset_cancels_the_issue), UNIT(hanging_up_and_the_answer_in_one_turn_do_no_harm),
	  UNIT(a_thousand_waiting_requests_end_with_the_front),
	  UNIT(the_front_can_end_in_every_state_of_a_connection),
	  UNIT(a_sender_of_one_byte_a_second_is_cut),
	  UNIT_LOOP(whatever_part_is_late_the_connection_is_cut, slow_starts),
	  UNIT(an_idle_connection_is_closed_after_its_time),
	  UNIT(each_connection_has_a_deadline_of_its_own), UNIT_LOOP(bad_http_is_refused, bad),
	  UNIT_LOOP(a_request_that_is_too_big_is_refused, big),
	  UNIT(the_biggest_request_is_answered),
	  UNIT_LOOP(mutated_requests_do_no_harm, mutation_seeds),
	  UNIT(a_port_in_use_names_the_setting_and_the_next_step),
	  UNIT(an_address_of_another_node_is_an_error),
	  UNIT(a_draining_front_finishes_what_is_under_way_and_takes_no_more),
	  UNIT_LOOP(refusals_close_while_draining_too, drained),
	  UNIT(what_the_kernel_accepted_before_a_drain_is_served))
