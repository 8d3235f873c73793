/* SPDX-License-Identifier: MIT */

/* Listeners that go to another agent, come back, or come from one. */

#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PODS 1U /* role 0, as a bit */

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

static bool is_answered(struct client *c, bool closes)
{
	struct answer a;

	client_send(c, TOKEN_REQUEST);
	return client_next(c, &a) && a.status == 200 && !answer_header(&a, "Connection") == !closes;
}

/* Connects, asks, and hears nothing: nobody has accepted. */
static struct client *unheard(void)
{
	struct client *c = client_open(&rig, rig.spec.port);

	ck_assert_ptr_nonnull(c);
	client_send(c, TOKEN_REQUEST);
	rig_settle(&rig);
	ck_assert_uint_eq(c->n, 0);
	ck_assert(!c->eof);
	return c;
}

START_TEST(what_there_is_to_give_is_told)
{
	struct handover_listener all[HANDOVER_LISTENERS_MAX];
	size_t n;

	rig = (struct rig){ 0 };
	rig.spec.probe_port = rig_free_port();
	rig_start(&rig);
	n = front_listeners(rig.front, all);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(all[0].role, 0);
	ck_assert_uint_eq(all[0].port, rig.spec.port);
	ck_assert(inet_ip_eq(&all[0].ip, &rig.spec.address));
	ck_assert_uint_eq(all[1].port, rig.spec.probe_port);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_ge(all[i].fd, 0);
	front_hand_over(rig.front, PODS);
	ck_assert_uint_eq(front_listeners(rig.front, all), 1);
	stop();
}
END_TEST

START_TEST(given_away_it_accepts_nothing_and_finishes_what_it_has)
{
	struct client *idle, *asking, *late;
	struct answer a;

	start();
	idle = client_open(&rig, rig.spec.port);
	asking = client_open(&rig, rig.spec.port);
	ck_assert(is_answered(idle, false));
	rig.issuer.hold = true;
	client_send(asking, TOKEN_REQUEST);
	rig_settle(&rig);
	front_hand_over(rig.front, PODS);
	late = unheard();
	ck_assert_uint_eq(front_connections(rig.front), 2);

	fake_issue_finish(&rig.issuer);
	ck_assert(client_next(asking, &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(answer_header(&a, "Connection"), "close");
	ck_assert(client_is_closed(asking));

	rig.issuer.hold = false;
	loop_fake_advance(rig.loop,
			  UINT64_C(10) * LIMIT_DRAIN_IDLE_MSEC); /* idle ones are not cut */
	ck_assert(is_answered(idle, true));
	ck_assert(client_is_closed(idle));
	ck_assert_uint_eq(front_connections(rig.front), 0);
	client_free(idle);
	client_free(asking);
	client_free(late);
	stop();
}
END_TEST

START_TEST(taken_back_what_waited_is_served)
{
	struct client *old, *late, *next;

	start();
	for (int i = 0; i < 9; i++) { /* more often than older ones are kept */
		struct answer a;

		old = client_open(&rig, rig.spec.port);
		ck_assert(is_answered(old, false));
		front_hand_over(rig.front, PODS);
		late = unheard();
		front_take_back(rig.front);
		ck_assert(client_next(late, &a));
		ck_assert_int_eq(a.status, 200);
		ck_assert(is_answered(old, false)); /* and no connection has to end any more */
		next = client_open(&rig, rig.spec.port);
		ck_assert(is_answered(next, false));
		ck_assert_uint_eq(front_connections(rig.front), 3);
		client_free(old);
		client_free(late);
		client_free(next);
		rig_settle(&rig);
	}
	ck_assert_uint_eq(front_connections(rig.front), 0);
	stop();
}
END_TEST

START_TEST(settled_the_port_is_free)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int yes = 1;
	int fd;

	start(); /* which makes the network of this process */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	front_hand_over(rig.front, PODS);
	in.sin_port = htons(rig.spec.port);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	ck_assert_int_lt(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	front_settle(rig.front);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	front_take_back(rig.front); /* there is nothing to take */
	ck_assert_ptr_null(client_open(&rig, rig.spec.port));
	close(fd);
	stop();
}
END_TEST

START_TEST(a_pod_that_lost_its_address_is_cut_off_there_too)
{
	struct client *c;

	start();
	rig.issuer.answer.pod_uid = "uid-1";
	c = client_open(&rig, rig.spec.port);
	ck_assert(is_answered(c, false));
	front_hand_over(rig.front, PODS);
	front_close_peer(rig.front, &rig.spec.address, "uid-1");
	ck_assert(client_is_closed(c));
	client_free(c);
	stop();
}
END_TEST

/* what comes from another */

static int given;
static struct handover_listener asked;

static int adopt(void *ctx, const struct handover_listener *want)
{
	if (want->role != 0)
		return -EBADF;
	asked = *want;
	return steal_fd(&given);
}

START_TEST(adopted_it_accepts_from_its_start_on)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(in);
	struct client *c;
	struct answer a;

	rig = (struct rig){ .spec = { .adopt = adopt, .probe_port = 0 } };
	client_own_network();
	given = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(given, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(given, 8), 0);
	ck_assert_int_eq(getsockname(given, (struct sockaddr *)&in, &n), 0);
	rig.spec.port = ntohs(in.sin_port);
	rig.spec.probe_port = rig_free_port();
	rig_start(&rig);
	ck_assert_uint_eq(asked.port, rig.spec.port);
	ck_assert(inet_ip_eq(&asked.ip, &rig.spec.address));
	c = unheard();
	/* its own are open at once */
	ck_assert_int_eq(ask_port(&rig, rig.spec.probe_port,
				  "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
				 .status,
			 200);
	front_start(rig.front);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
	client_free(c);
	stop();
}
END_TEST

START_TEST(adopted_and_never_started_it_closes_nothing_but_its_copy)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(in);
	struct client *c;
	int mine, fd;

	rig = (struct rig){ .spec = { .adopt = adopt } };
	client_own_network();
	mine = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(mine, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(mine, 8), 0);
	ck_assert_int_eq(getsockname(mine, (struct sockaddr *)&in, &n), 0);
	rig.spec.port = ntohs(in.sin_port);
	given = dup(mine);
	rig_start(&rig);
	c = unheard();
	front_drain(rig.front, true);
	rig_settle(&rig);
	stop();
	fd = accept(mine, NULL, NULL); /* it waits for the other one still */
	ck_assert_int_ge(fd, 0);
	close(fd);
	close(mine);
	client_free(c);
}
END_TEST

UNIT_MAIN("front-handover", UNIT(what_there_is_to_give_is_told),
	  UNIT(given_away_it_accepts_nothing_and_finishes_what_it_has),
	  UNIT(taken_back_what_waited_is_served), UNIT(settled_the_port_is_free),
	  UNIT(a_pod_that_lost_its_address_is_cut_off_there_too),
	  UNIT(adopted_it_accepts_from_its_start_on),
	  UNIT(adopted_and_never_started_it_closes_nothing_but_its_copy))
