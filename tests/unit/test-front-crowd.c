/* SPDX-License-Identifier: MIT */

/* The HTTP surface when some have taken all the connections. */

#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Where room is short: see server_new(). */
#define FULL  (LIMIT_OPERATOR_CONNECTIONS - LIMIT_OPERATOR_CONNECTIONS / 4)
#define PROBE "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

static struct rig rig;

static void start(void)
{
	rig = (struct rig){ .spec.metadata_header_required = true };
	rig.spec.probe_port = rig_free_port();
	rig.spec.metrics_port = rig_free_port();
	rig_start(&rig);
}

static struct client *pod(unsigned n, uint16_t port)
{
	struct client *c;
	char ip[32];

	snprintf(ip, sizeof(ip), "127.0.1.%u", n);
	c = client_connect(rig.loop, ip, "127.0.0.1", port);
	ck_assert_ptr_nonnull(c);
	return c;
}

START_TEST(who_holds_all_connections_of_a_probe_port_makes_room_for_the_kubelet)
{
	struct client *held[2 * FULL], *kubelet[4];
	struct answer a;

	start();
	for (unsigned i = 0; i < 2 * FULL; i++) {
		held[i] = pod(1 + i % 2, rig.spec.probe_port);
	}
	rig_settle(&rig);
	for (unsigned i = 0; i < 4; i++) {
		kubelet[i] = pod(9, rig.spec.probe_port);
		client_send(kubelet[i], PROBE);
		ck_assert(client_next(kubelet[i], &a));
		ck_assert_int_eq(a.status, 200);
	}
	/* and keeps what it has, whatever they do */
	for (unsigned i = 0; i < 2 * FULL; i++) {
		client_free(held[i]);
		held[i] = pod(1 + i % 2, rig.spec.probe_port);
	}
	rig_settle(&rig);
	for (unsigned i = 0; i < 4; i++) {
		client_send(kubelet[i], PROBE);
		ck_assert(client_next(kubelet[i], &a));
		client_free(kubelet[i]);
	}
	for (unsigned i = 0; i < 2 * FULL; i++) {
		client_free(held[i]);
	}
	rig_stop(&rig);
}
END_TEST

START_TEST(the_one_that_is_cut_is_the_longest_unused_one_and_it_is_counted)
{
	struct client *held[FULL], *other;
	char page[64 * 1024];
	struct answer a;

	start();
	for (unsigned i = 0; i < FULL; i++) {
		held[i] = pod(1, rig.spec.probe_port);
	}
	rig_settle(&rig);
	client_send(held[0], PROBE);
	ck_assert(client_next(held[0], &a));
	other = pod(2, rig.spec.probe_port);
	client_send(other, PROBE);
	ck_assert(client_next(other, &a));
	ck_assert(!client_is_closed(held[0]));
	ck_assert(client_is_closed(held[1]));
	ck_assert(!client_is_closed(held[2]));
	/* the one that has most is not let in any more */
	client_free(held[1]);
	held[1] = pod(1, rig.spec.probe_port);
	ck_assert(client_is_closed(held[1]));
	a = ask_port(&rig, rig.spec.metrics_port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	snprintf(page, sizeof(page), "%s", a.body);
	ck_assert_ptr_nonnull(strstr(page, "nmi_connections_crowded_total{how=\"cut\"} 1"));
	ck_assert_ptr_nonnull(strstr(page, "nmi_connections_crowded_total{how=\"refused\"} 1"));
	for (unsigned i = 0; i < FULL; i++)
		client_free(held[i]);
	client_free(other);
	rig_stop(&rig);
}
END_TEST

START_TEST(where_few_files_may_be_open_those_are_shared_out)
{
	enum {
		FEW = 1000,
		MOST = FEW - (LIMIT_FILES - LIMIT_CONNECTIONS),
		FULL_OF_FEW = MOST - MOST / 4
	};
	static struct client *silent[FULL_OF_FEW + 20];
	struct rlimit was, few;
	struct client *kept;
	struct answer a;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = (struct rlimit){ FEW, was.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	start();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0); /* the clients' are not counted */
	kept = pod(9, rig.spec.port);
	client_send(kept, TOKEN_REQUEST);
	ck_assert(client_next(kept, &a));
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		silent[i] = pod(1, rig.spec.port);
		ck_assert_int_eq(loop_turn(rig.loop, 1, NULL), 0);
	}
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), FULL_OF_FEW);
	client_send(kept, TOKEN_REQUEST);
	ck_assert(client_next(kept, &a));
	ck_assert_int_eq(a.status, 200);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		client_free(silent[i]);
	client_free(kept);
	rig_stop(&rig);
}
END_TEST

START_TEST(what_waits_for_an_answer_is_told_when_it_is_cut_and_others_are_served)
{
	enum { N = LIMIT_CONNECTIONS - LIMIT_CONNECTIONS / 4 };
	static struct client *held[N];
	struct client *other;
	struct answer a;

	start();
	rig.issuer.hold = true;
	for (unsigned i = 0; i < N; i++) {
		held[i] = pod(1 + i % 2, rig.spec.port);
		if (i == 0) {
			client_send(held[i], TOKEN_REQUEST);
			rig_settle(&rig);
		}
		if (i % 8 == 0) /* some are accepted in a turn */
			ck_assert_int_eq(loop_turn(rig.loop, 1, NULL), 0);
	}
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 1);
	other = pod(9, rig.spec.port);
	rig_settle(&rig);
	/* the longest unused is the one that waits */
	ck_assert_uint_eq(rig.issuer.n_waiting, 0);
	ck_assert(client_is_closed(held[0]));
	rig.issuer.hold = false;
	client_send(other, TOKEN_REQUEST);
	ck_assert(client_next(other, &a));
	ck_assert_int_eq(a.status, 200);
	for (unsigned i = 0; i < N; i++)
		client_free(held[i]);
	client_free(other);
	rig_stop(&rig);
}
END_TEST

static const struct {
	unsigned others; /* connections of another address that ask too */
	bool has_turns;
} rounds[] = { { 0, false }, { 1, true }, { 5, true } };

START_TEST(one_address_begins_so_many_requests_a_round_and_the_rest_follow)
{
	struct client *clients[105];
	const unsigned n = 100 + rounds[_i].others;
	char byte;
	struct answer a;

	start();
	for (unsigned i = 0; i < n; i++)
		clients[i] = pod(i < 100 ? 1 : 2, rig.spec.port);
	rig_settle(&rig);
	for (unsigned i = 0; i < n; i++)
		client_send(clients[i], TOKEN_REQUEST);
	/* in which the server may have two rounds */
	ck_assert_int_eq(loop_turn(rig.loop, 1, NULL), 0);
	if (rounds[_i].has_turns)
		ck_assert_uint_le(rig.issuer.started, rounds[_i].others + 2 * LIMIT_TURNS);
	else
		ck_assert_uint_eq(rig.issuer.started, n);
	/* nobody else had to wait */
	for (unsigned i = 100; i < n; i++)
		ck_assert_int_eq(recv(clients[i]->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT), 1);
	for (unsigned i = 0; i < n; i++) {
		ck_assert(client_next(clients[i], &a));
		ck_assert_int_eq(a.status, 200);
		client_free(clients[i]);
	}
	ck_assert_uint_eq(rig.issuer.started, n);
	rig_stop(&rig);
}
END_TEST

START_TEST(what_waits_for_its_turn_can_hang_up_be_reset_or_see_the_end)
{
	struct inet_ip ip;
	struct client *clients[60];
	struct answer a;

	start();
	rig.issuer.answer.pod_uid = "uid-1"; /* from their first request on they are its */
	ck_assert_int_eq(inet_ip_parse("127.0.1.1", &ip, NULL), 0);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 60; i++) {
			clients[i] = pod(i < 59 ? 1 : 2, rig.spec.port);
			client_send(clients[i], TOKEN_REQUEST);
			ck_assert(client_next(clients[i], &a));
		}
		rig.issuer.started = 0;
		for (unsigned i = 0; i < 60; i++)
			client_send(clients[i], TOKEN_REQUEST);
		ck_assert_int_eq(loop_turn(rig.loop, 1, NULL), 0);
		if (round == 1)
			front_close_peer(rig.front, &ip, "uid-1");
		if (round == 2)
			break;
		for (unsigned i = 0; i < 59; i++) {
			ck_assert(round != 1 || client_is_closed(clients[i]));
			client_free(clients[i]);
		}
		ck_assert(client_next(clients[59], &a));
		client_free(clients[59]);
		rig_settle(&rig);
		ck_assert_uint_eq(front_connections(rig.front), 0);
		/* those that were reset have not been asked for, but for two rounds of them at most */
		ck_assert(round != 1 || rig.issuer.started <= 1 + 2 * LIMIT_TURNS);
	}
	rig_stop(&rig);
	for (unsigned i = 0; i < 60; i++)
		client_free(clients[i]);
}
END_TEST

static const bool closes[] = { false, true };

/* What a pod has asked is not asked as the one that has its address by then. */
START_TEST(what_waits_for_its_turn_is_of_who_had_the_address_when_it_was_read)
{
	struct client *clients[60];
	struct inet_ip ip;
	unsigned began;

	start();
	ck_assert_int_eq(inet_ip_parse("127.0.1.1", &ip, NULL), 0);
	for (unsigned i = 0; i < 60; i++)
		clients[i] = pod(i < 59 ? 1 : 2, rig.spec.port);
	rig_settle(&rig);
	rig.issuer.owner = "uid-1";
	for (unsigned i = 0; i < 60; i++)
		client_send(clients[i], TOKEN_REQUEST);
	ck_assert_int_eq(loop_turn(rig.loop, 1, NULL), 0);
	began = rig.issuer.started;
	ck_assert_uint_lt(began, 60);
	rig.issuer.owner = "uid-2";
	if (closes[_i])
		front_close_peer(rig.front, &ip, "uid-1");
	/* as the issuer answers who comes as uid-1 now */
	rig.issuer.answer = (struct issue_answer){ .reason = REASON_STALE_CONNECTION };
	for (unsigned i = 0; i < 60; i++)
		rig_settle(&rig);
	if (closes[_i]) {
		ck_assert_uint_eq(rig.issuer.started, began);
	} else {
		ck_assert_uint_eq(rig.issuer.started, 60);
		ck_assert_str_eq(rig.issuer.pod_uid, "uid-1");
	}
	ck_assert_uint_le(front_connections(rig.front), began);
	for (unsigned i = 0; i < 60; i++)
		client_free(clients[i]);
	rig_stop(&rig);
}
END_TEST

/* Of the first turn two are answered; then there is somebody else for whom room is made, while the rest waits. */
START_TEST(what_waits_for_its_turn_is_cut_where_it_is_the_longest_unused)
{
	enum { OTHERS = 8 };
	struct client *held[FULL], *others[OTHERS];
	unsigned n_closed = 0;
	struct answer a;

	start();
	for (unsigned i = 0; i < FULL; i++)
		held[i] = pod(1, rig.spec.probe_port);
	rig_settle(&rig);
	for (unsigned i = 0; i < FULL; i++)
		client_send(held[i], PROBE);
	ck_assert_int_eq(loop_turn(rig.loop, 1, NULL), 0);
	for (unsigned i = 0; i < OTHERS; i++)
		others[i] = pod(2 + i, rig.spec.probe_port);
	for (unsigned i = 0; i < OTHERS; i++) {
		client_send(others[i], PROBE);
		ck_assert(client_next(others[i], &a));
		ck_assert_int_eq(a.status, 200);
	}
	rig_settle(&rig);
	for (unsigned i = 0; i < FULL; i++) {
		n_closed += client_is_closed(held[i]);
		client_free(held[i]);
	}
	ck_assert_uint_eq(n_closed, OTHERS);
	for (unsigned i = 0; i < OTHERS; i++)
		client_free(others[i]);
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	rig_stop(&rig);
}
END_TEST

static void count(void *ctx)
{
	++*(unsigned *)ctx;
}

static const char scrape[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
static const char scrape_open[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n"
				  "Accept: application/openmetrics-text\r\n\r\n";

START_TEST(a_metrics_page_is_made_only_so_often_and_given_to_everybody)
{
	unsigned made = 0;
	struct client *c;
	struct answer a;

	rig = (struct rig){ .spec.metrics_port = rig_free_port() };
	rig.spec.before_metrics = count;
	rig.spec.before_metrics_ctx = &made;
	rig_start(&rig);
	c = client_open(&rig, rig.spec.metrics_port);
	for (unsigned i = 0; i < 3 * LIMIT_SCRAPE_BURST; i++) {
		client_send(c, scrape);
		ck_assert(client_next(c, &a));
		ck_assert_int_eq(a.status, 200);
		ck_assert_ptr_nonnull(strstr(a.body, "# TYPE nmi_connections gauge"));
	}
	ck_assert_uint_eq(made, LIMIT_SCRAPE_BURST);
	/* one in another format is not there yet */
	client_send(c, scrape_open);
	ck_assert(client_next(c, &a));
	ck_assert_ptr_nonnull(strstr(a.body, "# EOF"));
	ck_assert_uint_eq(made, LIMIT_SCRAPE_BURST + 1);
	loop_fake_advance(rig.loop, LIMIT_SCRAPE_MSEC);
	for (int i = 0; i < 3; i++) {
		client_send(c, scrape);
		ck_assert(client_next(c, &a));
	}
	ck_assert_uint_eq(made, LIMIT_SCRAPE_BURST + 2);
	/* who takes all that are made in one format leaves the other its own */
	client_send(c, scrape_open);
	ck_assert(client_next(c, &a));
	ck_assert_uint_eq(made, LIMIT_SCRAPE_BURST + 3);
	client_free(c);
	rig_stop(&rig);
}
END_TEST

UNIT_MAIN("front-crowd", UNIT(who_holds_all_connections_of_a_probe_port_makes_room_for_the_kubelet),
	  UNIT(the_one_that_is_cut_is_the_longest_unused_one_and_it_is_counted),
	  UNIT(where_few_files_may_be_open_those_are_shared_out),
	  UNIT(what_waits_for_an_answer_is_told_when_it_is_cut_and_others_are_served),
	  UNIT_LOOP(one_address_begins_so_many_requests_a_round_and_the_rest_follow, rounds),
	  UNIT(what_waits_for_its_turn_can_hang_up_be_reset_or_see_the_end),
	  UNIT_LOOP(what_waits_for_its_turn_is_of_who_had_the_address_when_it_was_read, closes),
	  UNIT(what_waits_for_its_turn_is_cut_where_it_is_the_longest_unused),
	  UNIT(a_metrics_page_is_made_only_so_often_and_given_to_everybody))
