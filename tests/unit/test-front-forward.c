/* SPDX-License-Identifier: MIT */

/*
 * What reaches IMDS of a pod's request, and what never does: limits, shares, and the shapes that two
 * servers read in two ways. Which paths are forwarded at all: test-front.c.
 */

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define INSTANCE "GET /metadata/instance HTTP/1.1\r\n" HEADERS "\r\n"
#define POST	 "POST /metadata/scheduledevents HTTP/1.1\r\n" HEADERS
#define CHUNKED	 "Transfer-Encoding: chunked\r\n"
/* Where a body's end is in dispute, this is a request to one reader and a body to the other. */
#define HIDDEN "0\r\n\r\n" TOKEN_REQUEST

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

static void assert_overloaded(const struct answer *a, const char *says)
{
	ck_assert_int_eq(a->status, 503);
	ck_assert_str_eq(answer_header(a, "Content-Type"), "application/json; charset=utf-8");
	ck_assert_str_eq(answer_header(a, "Retry-After"), "2");
	ck_assert_ptr_nonnull(strstr(a->body, "\"error\":\"service_unavailable\""));
	ck_assert_ptr_nonnull(strstr(a->body, "\"reason\":\"overloaded\""));
	ck_assert_msg(strstr(a->body, says) != NULL, "%s", a->body);
}

static struct client *pod(unsigned n)
{
	struct client *c;
	char ip[32];

	snprintf(ip, sizeof(ip), "127.0.1.%u", n);
	c = client_open_at(&rig, ip, "127.0.0.1");
	ck_assert_ptr_nonnull(c);
	return c;
}

START_TEST(one_pod_cannot_take_all_the_places)
{
	struct client *greedy[LIMIT_FORWARDS_PER_PEER + 1], *other;
	struct answer a;

	start();
	for (size_t i = 0; i < ARRAY_SIZE(greedy); i++) {
		greedy[i] = pod(1);
		client_send(greedy[i], INSTANCE);
	}
	rig_settle(&rig);
	ck_assert_uint_eq(rig.http.sent, LIMIT_FORWARDS_PER_PEER);
	ck_assert(client_next(greedy[LIMIT_FORWARDS_PER_PEER], &a));
	assert_overloaded(&a, "16 requests of this pod wait");
	/* tokens have nothing to do with it, and others have places */
	client_send(greedy[LIMIT_FORWARDS_PER_PEER], TOKEN_REQUEST);
	ck_assert(client_next(greedy[LIMIT_FORWARDS_PER_PEER], &a));
	ck_assert_int_eq(a.status, 200);
	other = pod(2);
	client_send(other, INSTANCE);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.http.sent, LIMIT_FORWARDS_PER_PEER + 1);
	/* a client that leaves makes room */
	client_free(greedy[0]);
	rig_settle(&rig);
	client_send(greedy[LIMIT_FORWARDS_PER_PEER], INSTANCE);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.http.sent, LIMIT_FORWARDS_PER_PEER + 2);
	for (size_t i = 1; i < ARRAY_SIZE(greedy); i++)
		client_free(greedy[i]);
	client_free(other);
	stop();
}
END_TEST

START_TEST(who_asks_too_often_is_told_so_and_has_tokens_all_the_same)
{
	struct client *c;
	struct answer a;

	start();
	c = pod(1);
	for (unsigned i = 0; i < LIMIT_POD_FORWARD_BURST; i++) {
		client_send(c, INSTANCE);
		while (rig.http.sent == i) /* as long as it takes, and no longer */
			ck_assert_int_eq(loop_turn(rig.loop, 1, NULL), 0);
		fake_http_reply(&rig.http, 200, "{}");
		ck_assert(client_next(c, &a));
		ck_assert_int_eq(a.status, 200);
	}
	client_send(c, INSTANCE);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 429);
	ck_assert_str_eq(answer_header(&a, "Retry-After"), "1");
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"pod_limit\""));
	ck_assert_ptr_nonnull(strstr(a.body, "ask less often"));
	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
	client_free(c);
	stop();
}
END_TEST

START_TEST(too_many_of_all_pods_are_refused_for_now)
{
	struct client *clients[LIMIT_FORWARDS + 1];
	struct answer a;

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = pod(1 + i / LIMIT_FORWARDS_PER_PEER);
		client_send(clients[i], INSTANCE);
	}
	rig_settle(&rig);
	ck_assert_uint_eq(rig.http.sent, LIMIT_FORWARDS);
	ck_assert(client_next(clients[LIMIT_FORWARDS], &a));
	assert_overloaded(&a, "64 requests wait");
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		client_free(clients[i]);
	stop();
}
END_TEST

START_TEST(an_answer_over_the_limit_is_said_to_be_one_and_no_fault_of_ours)
{
	struct err err = { .kind = ERR_LIMIT, .msg = "too long" };
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	client_send(c, INSTANCE);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.http.body_max, LIMIT_FORWARD_ANSWER_BYTES);
	fake_http_fail(&rig.http, &err);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 502);
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"upstream_too_large\""));
	ck_assert_ptr_nonnull(strstr(a.body, "longer than 1048576 bytes"));
	/* it will be as long the next time */
	ck_assert_ptr_null(answer_header(&a, "Retry-After"));
	client_free(c);
	stop();
}
END_TEST

START_TEST(headers_reach_imds_but_for_those_of_this_hop_and_none_is_added)
{
	struct client *c;

	start();
	c = client_open(&rig, rig.spec.port);
	client_send(c, "GET /metadata/instance HTTP/1.1\r\n" HEADERS
		       "Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
		       "connection: x-other\r\nX-Other: 2\r\nTE: trailers\r\nX-End: 3\r\n"
		       "Upgrade: h2c\r\nProxy-Authorization: Basic eDp5\r\n"
		       "X-Forwarded-Host: a\r\nForwarded: for=1.2.3.4\r\nVia: 1.1 a\r\n"
		       "x-ms-azure-host-claims: c\r\nUser-Agent: sdk/1\r\n\r\n");
	rig_settle(&rig);
	ck_assert_uint_eq(rig.http.sent, 1);
	ck_assert_str_eq(rig.http.headers, "Metadata: true\nX-End: 3\nUser-Agent: sdk/1\n");
	client_free(c);
	stop();
}
END_TEST

static void add(struct buf *b, const char *text)
{
	ck_assert_int_eq(buf_append(b, text, strlen(text), SIZE_MAX, NULL), 0);
}

START_TEST(a_connection_header_past_what_is_kept_does_not_let_others_through)
{
	struct buf request = { 0 };
	struct answer a;

	start();
	add(&request, "GET /metadata/instance HTTP/1.1\r\n" HEADERS);
	for (int i = 0; i < 70; i++)
		add(&request, "A: b\r\n");
	add(&request, "X-Hop: 1\r\nConnection: X-Hop\r\n\r\n");
	a = ask(&rig, request.p);
	buf_deinit(&request);
	ck_assert_int_eq(a.status, 400);
	ck_assert_ptr_nonnull(strstr(a.body, "more than 64 headers"));
	ck_assert_uint_eq(rig.http.sent, 0);
	stop();
}
END_TEST

static const char *const smuggled[] = {
	POST "Content-Length: 5\r\n" CHUNKED "\r\n" HIDDEN,
	POST CHUNKED "Content-Length: 5\r\n\r\n" HIDDEN,
	POST "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" HIDDEN,
	POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n" HIDDEN,
	POST "Content-Length: 5\r\ncontent-length: 0\r\n\r\n" HIDDEN,
	POST "Content-Length: 0, 5\r\n\r\n" HIDDEN,
	POST "Content-Length: 5, 5\r\n\r\n" HIDDEN,
	POST "Content-Length: +5\r\n\r\n" HIDDEN,
	POST "Content-Length: -1\r\n\r\n" HIDDEN,
	POST "Content-Length: 0x5\r\n\r\n" HIDDEN,
	POST "Content-Length: 5 0\r\n\r\n" HIDDEN,
	POST "Content-Length:\r\n\r\n" HIDDEN,
	POST "Content-Length : 5\r\n\r\n" HIDDEN,
	POST "Content-Length: 0\r\n 5\r\n\r\n" HIDDEN,
	POST CHUNKED CHUNKED "\r\n" HIDDEN,
	POST CHUNKED "Transfer-Encoding: identity\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: gzip, chunked\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: chunked, identity\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: xchunked\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: identity\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding:\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: \x0b"
	     "chunked\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding : chunked\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding:\r\n chunked\r\n\r\n" HIDDEN,
	POST " " CHUNKED "\r\n" HIDDEN,
	"POST /metadata/scheduledevents HTTP/1.0\r\n" HEADERS CHUNKED "\r\n" HIDDEN,
};

static void is_refused_with_what_follows(const char *request, int status)
{
	struct client *c;
	struct answer a;

	start();
	c = client_open(&rig, rig.spec.port);
	client_send(c, request);
	ck_assert_msg(client_next(c, &a), "%s", request);
	ck_assert_msg(a.status == status, "%d: %s", a.status, request);
	ck_assert_str_eq(answer_header(&a, "Connection"), "close");
	ck_assert_msg(!client_next(c, &a), "a second answer: %s", request);
	ck_assert(client_is_closed(c));
	ck_assert_uint_eq(rig.http.sent, 0);
	ck_assert_uint_eq(rig.issuer.started, 0);
	client_free(c);
	stop();
}

START_TEST(a_body_with_two_ends_is_refused_and_nothing_behind_it_is_read)
{
	is_refused_with_what_follows(smuggled[_i], 400);
}
END_TEST

START_TEST(a_length_beyond_64_bits_is_refused_too_and_nothing_behind_it_is_read)
{
	/* the library's own answer, and in HTML */
	is_refused_with_what_follows(POST "Content-Length: 18446744073709551621\r\n\r\n" HIDDEN,
				     413);
}
END_TEST

UNIT_MAIN("front-forward", UNIT(one_pod_cannot_take_all_the_places),
	  UNIT(who_asks_too_often_is_told_so_and_has_tokens_all_the_same),
	  UNIT(too_many_of_all_pods_are_refused_for_now),
	  UNIT(an_answer_over_the_limit_is_said_to_be_one_and_no_fault_of_ours),
	  UNIT(headers_reach_imds_but_for_those_of_this_hop_and_none_is_added),
	  UNIT(a_connection_header_past_what_is_kept_does_not_let_others_through),
	  UNIT_LOOP(a_body_with_two_ends_is_refused_and_nothing_behind_it_is_read, smuggled),
	  UNIT(a_length_beyond_64_bits_is_refused_too_and_nothing_behind_it_is_read))
