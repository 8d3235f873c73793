/* SPDX-License-Identifier: MIT */

/* Connections belong to a pod: when it loses its address, or that has become another pod's, they end. */

#include "lib/base/mem.h"
#include "nmi/front/reply.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define A   "127.0.0.11"
#define B   "127.0.0.12"
#define UID "uid-1"

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

static struct client *pod(const char *ip)
{
	struct client *c = client_open_at(&rig, ip, "127.0.0.1");

	ck_assert_ptr_nonnull(c);
	return c;
}

/* The pod UID has this address no longer. */
static void close_peer(const char *ip)
{
	struct inet_ip parsed;

	ck_assert_int_eq(inet_ip_parse(ip, &parsed, NULL), 0);
	front_close_peer(rig.front, &parsed, UID);
}

static void is_served(struct client *c)
{
	struct answer a;

	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
}

/* Is the connection at its end, and not by a FIN, which would let the kernel send what it holds? */
static bool is_reset(struct client *c)
{
	char byte;

	if (!client_is_closed(c))
		return false;
	return send(c->fd, "x", 1, MSG_NOSIGNAL) < 0 && recv(c->fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

START_TEST(idle_connections_of_the_pod_end_others_stay)
{
	struct client *idle, *partial, *other;

	start();
	rig.issuer.answer.pod_uid = UID;
	idle = pod(A);
	partial = pod(A);
	other = pod(B);
	is_served(idle);
	is_served(partial);
	is_served(other);
	client_send(partial, "GET /metadata/ident");
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 3);
	close_peer(A);
	ck_assert(is_reset(idle));
	ck_assert(is_reset(partial));
	ck_assert(!client_is_closed(other));
	is_served(other);
	ck_assert_uint_eq(front_connections(rig.front), 1);
	close_peer(A); /* nobody is left */
	close_peer("10.0.0.1");
	is_served(other);
	client_free(idle);
	client_free(partial);
	client_free(other);
	stop();
}
END_TEST

/* The next pod's may be there before the end of the last one's claim is known. */
START_TEST(connections_of_the_next_pod_and_undecided_ones_stay)
{
	struct client *fresh, *waits, *of_next;
	struct answer a;

	start();
	of_next = pod(A);
	rig.issuer.answer.pod_uid = "uid-2";
	is_served(of_next);
	fresh = pod(A);
	waits = pod(A);
	rig.issuer.hold = true;
	client_send(waits, TOKEN_REQUEST);
	rig_settle(&rig);
	close_peer(A);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 1);
	fake_issue_finish(&rig.issuer);
	ck_assert(client_next(waits, &a));
	ck_assert_int_eq(a.status, 200);
	rig.issuer.hold = false;
	is_served(fresh);
	is_served(of_next);
	client_free(fresh);
	client_free(waits);
	client_free(of_next);
	stop();
}
END_TEST

START_TEST(a_waiting_request_of_the_pod_is_cancelled_and_its_connection_ends)
{
	struct client *waits, *other;
	struct answer a;

	start();
	rig.issuer.hold = true;
	rig.issuer.under_way = UID;
	waits = pod(A);
	other = pod(B);
	client_send(waits, TOKEN_REQUEST);
	client_send(other, TOKEN_REQUEST);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 2);
	close_peer(A);
	ck_assert_uint_eq(rig.issuer.n_waiting, 2); /* from the loop, not inside the call */
	close_peer(A);				    /* again before anybody has noticed */
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 1);
	ck_assert_uint_eq(rig.issuer.cancelled, 1);
	fake_issue_finish(&rig.issuer);
	ck_assert(client_next(other, &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert(is_reset(waits));
	ck_assert_uint_eq(waits->n, 0);
	client_free(waits);
	client_free(other);
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	stop();
}
END_TEST

static const enum reason reasons[] = { REASON_NONE, REASON_POD_UNKNOWN, REASON_STALE_CONNECTION };

START_TEST(an_answer_that_comes_before_the_cancellation_is_not_sent)
{
	struct client *c;

	start();
	rig.issuer.hold = true;
	rig.issuer.under_way = UID;
	rig.issuer.answer.reason = reasons[_i];
	c = pod(A);
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	close_peer(A);
	fake_issue_finish(&rig.issuer);
	ck_assert(is_reset(c));
	ck_assert_uint_eq(c->n, 0);
	ck_assert_uint_eq(rig.issuer.cancelled, 0);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	client_free(c);
	stop();
}
END_TEST

START_TEST(an_answer_that_is_ready_but_not_sent_is_not_sent)
{
	struct client *c;

	start();
	rig.issuer.hold = true;
	rig.issuer.answer.pod_uid = UID;
	c = pod(A);
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	fake_issue_finish(&rig.issuer); /* resumed; the library has not run yet */
	close_peer(A);
	ck_assert(is_reset(c));
	ck_assert_uint_eq(c->n, 0);
	client_free(c);
	stop();
}
END_TEST

/* The kernel keeps what was not taken, and would send it to whoever has the address next. */
START_TEST(an_answer_that_the_kernel_holds_is_taken_back)
{
	enum { BIG = 8 << 20 };
	_cleanup_free_ char *big = xcalloc(1, BIG + 1);
	static char sink[65536];
	struct client *c;
	int small = 4096;
	size_t got = 0;
	ssize_t n;

	memset(big, 'x', BIG);
	start();
	rig.issuer.answer.pod_uid = UID;
	rig.token.body = big;
	c = pod(A);
	ck_assert_int_eq(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	close_peer(A);
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	while ((n = recv(c->fd, sink, sizeof(sink), MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	/* what had arrived, not what waited to be sent: a FIN would have brought a megabyte or more */
	ck_assert_int_lt(n, 0);
	ck_assert_int_eq(errno, ECONNRESET);
	ck_assert_uint_lt(got, 1 << 19);
	client_free(c);
	stop();
}
END_TEST

/* As when the look at a pod's link, within a request, finds that the claim has ended. */
static const bool hold[] = { false, true };

START_TEST(a_request_whose_own_address_is_lost_under_way_is_not_answered)
{
	struct client *c;

	start();
	rig.issuer.answer.pod_uid = UID;
	c = pod(A);
	is_served(c);
	rig.issuer.hold = hold[_i];
	rig.issuer.on_start = close_peer;
	rig.issuer.on_start_arg = A;
	client_send(c, TOKEN_REQUEST);
	ck_assert(is_reset(c));
	ck_assert_uint_eq(c->n, 0);
	ck_assert_uint_eq(rig.issuer.started, 2);
	ck_assert_uint_eq(rig.issuer.n_waiting, 0);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	client_free(c);
	stop();
}
END_TEST

/* whose connection it is */

START_TEST(the_first_decided_request_says_whose_connection_it_is)
{
	struct client *c;
	struct answer a;

	start();
	c = pod(A);
	is_served(c); /* the pod was not known */
	is_served(c);
	ck_assert_str_eq(rig.issuer.pod_uid, "");
	rig.issuer.answer.pod_uid = "uid-1";
	is_served(c);
	ck_assert_str_eq(rig.issuer.pod_uid, "");
	rig.issuer.answer.pod_uid = "uid-2"; /* not how the issuer answers: the first counts */
	is_served(c);
	ck_assert_str_eq(rig.issuer.pod_uid, "uid-1");
	/* another path in between changes nothing */
	client_send(c, "GET /metadata/identity/info HTTP/1.1\r\n" HEADERS "\r\n");
	ck_assert(client_next(c, &a));
	is_served(c);
	ck_assert_str_eq(rig.issuer.pod_uid, "uid-1");
	client_free(c);
	c = pod(A);
	is_served(c);
	ck_assert_str_eq(rig.issuer.pod_uid, "");
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_refusal_decides_whose_connection_it_is_too)
{
	struct client *c;
	struct answer a;

	start();
	rig.issuer.answer = (struct issue_answer){ .reason = REASON_NO_LABEL, .pod_uid = "uid-1" };
	c = pod(A);
	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 400);
	client_send(c, TOKEN_REQUEST);
	ck_assert(client_next(c, &a));
	ck_assert_str_eq(rig.issuer.pod_uid, "uid-1");
	client_free(c);
	stop();
}
END_TEST

/* It waits for a token as the address becomes that of two, of which the other keeps it. */
START_TEST(what_was_sent_behind_a_request_is_of_who_made_that_whatever_became_of_the_address)
{
	struct client *c;
	struct answer a;

	start();
	rig.issuer.hold = true;
	c = pod(A);
	client_send(c, TOKEN_REQUEST TOKEN_REQUEST);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 1);
	rig.issuer.answer = (struct issue_answer){ .reason = REASON_AMBIGUOUS_IP,
						   .began_as = "uid-1" };
	fake_issue_finish(&rig.issuer);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, reply_status(REASON_AMBIGUOUS_IP));
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.started, 2);
	ck_assert_str_eq(rig.issuer.pod_uid, "uid-1");
	close_peer(A);
	ck_assert(is_reset(c));
	client_free(c);
	stop();
}
END_TEST

START_TEST(a_connection_that_has_become_another_pods_ends_without_an_answer)
{
	struct client *c, *other;

	start();
	rig.issuer.answer.pod_uid = "uid-1";
	c = pod(A);
	other = pod(B);
	is_served(c);
	is_served(other);
	rig.issuer.hold = hold[_i];
	rig.issuer.answer = (struct issue_answer){ .reason = REASON_STALE_CONNECTION,
						   .pod_uid = "uid-2",
						   .text = "of another pod" };
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	fake_issue_finish(&rig.issuer);
	ck_assert(is_reset(c));
	ck_assert_uint_eq(c->n, 0);
	ck_assert(!client_is_closed(other));
	client_free(c);
	client_free(other);
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	stop();
}
END_TEST

START_TEST(hundreds_of_connections_end_at_once)
{
	enum { N = 400 };
	static struct client *c[N];

	start();
	rig.issuer.answer.pod_uid = UID;
	rig.issuer.under_way = UID;
	for (size_t i = 0; i < N; i++) {
		if (i == N / 2) { /* those before were answered, and are idle */
			for (int k = 0; k < 20 && rig.issuer.started < N / 2; k++)
				rig_settle(&rig);
			rig.issuer.hold = true;
		}
		c[i] = pod(A);
		client_send(c[i], TOKEN_REQUEST);
	}
	for (int i = 0; i < 20 && rig.issuer.started < N; i++)
		rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), N);
	ck_assert_uint_eq(rig.issuer.n_waiting, N / 2);
	close_peer(A);
	for (int i = 0; i < 20 && front_connections(rig.front); i++)
		rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 0);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	for (size_t i = 0; i < N; i++)
		client_free(c[i]);
	stop();
}
END_TEST

START_TEST(the_front_can_end_right_after)
{
	struct client *c, *idle;

	start();
	rig.issuer.answer.pod_uid = UID;
	rig.issuer.under_way = UID;
	idle = pod(A);
	is_served(idle);
	rig.issuer.hold = true;
	c = pod(A);
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	close_peer(A);
	stop();
	client_free(c);
	client_free(idle);
}
END_TEST

static const struct {
	const char *from, *to, *peer;
} both[] = {
	{ A, "127.0.0.1", A },
	{ "::1", "::1", "::1" },
};

START_TEST(a_listener_for_both_families_tells_the_address_as_pods_have_it)
{
	struct client *c;
	char text[INET_IP_TEXT_MAX];

	rig = (struct rig){ .spec.metadata_header_required = true, .any_address = true };
	rig.issuer.answer.pod_uid = UID;
	rig_start(&rig);
	c = client_open_at(&rig, both[_i].from, both[_i].to);
	ck_assert_ptr_nonnull(c);
	is_served(c);
	ck_assert_str_eq(inet_ip_print(&rig.issuer.peer, text), both[_i].peer);
	close_peer(both[_i].peer);
	ck_assert(is_reset(c));
	client_free(c);
	stop();
}
END_TEST

UNIT_MAIN("front-peer", UNIT(idle_connections_of_the_pod_end_others_stay),
	  UNIT(connections_of_the_next_pod_and_undecided_ones_stay),
	  UNIT(a_waiting_request_of_the_pod_is_cancelled_and_its_connection_ends),
	  UNIT_LOOP(an_answer_that_comes_before_the_cancellation_is_not_sent, reasons),
	  UNIT(an_answer_that_is_ready_but_not_sent_is_not_sent),
	  UNIT(an_answer_that_the_kernel_holds_is_taken_back),
	  UNIT_LOOP(a_request_whose_own_address_is_lost_under_way_is_not_answered, hold),
	  UNIT(the_first_decided_request_says_whose_connection_it_is),
	  UNIT(a_refusal_decides_whose_connection_it_is_too),
	  UNIT(what_was_sent_behind_a_request_is_of_who_made_that_whatever_became_of_the_address),
	  UNIT_LOOP(a_connection_that_has_become_another_pods_ends_without_an_answer, hold),
	  UNIT(hundreds_of_connections_end_at_once), UNIT(the_front_can_end_right_after),
	  UNIT_LOOP(a_listener_for_both_families_tells_the_address_as_pods_have_it, both))
