/* SPDX-License-Identifier: MIT */

/* The HTTP surface when there are no more files to be had. */

#include "nmi/limits.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct rig rig;

/* As many files as there are and `more`. */
static void allow_files(unsigned more)
{
	struct rlimit files;
	int next;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	next = dup(STDOUT_FILENO);
	ck_assert_int_ge(next, 0);
	close(next);
	files.rlim_cur = (rlim_t)next + more;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
}

START_TEST(who_could_not_be_accepted_is_once_there_are_files_again)
{
	enum { N = 8 };
	struct client *clients[N];

	rig = (struct rig){ .spec.metadata_header_required = true };
	rig_start(&rig);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++)
			clients[i] = client_open(&rig, rig.spec.port);
		allow_files((unsigned)round + 1);
		rig_settle(&rig);
		ck_assert_uint_eq(front_connections(rig.front), round + 1);
		/* those that were accepted end, and nothing else happens */
		for (int i = 0; i < N; i++)
			client_free(clients[i]);
		rig_settle(&rig);
		allow_files(64);
		ck_assert_int_eq(ask(&rig, TOKEN_REQUEST).status, 200);
	}
	rig_stop(&rig);
}
END_TEST

#define PROBE "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

static bool is_served(struct client *c)
{
	struct answer a;

	client_send(c, TOKEN_REQUEST);
	return client_next(c, &a) && a.status == 200;
}

/* Waits to be accepted, and there are so many files for those who do. */
static struct client *come(unsigned files, unsigned n)
{
	struct client *c;
	char from[32];

	snprintf(from, sizeof(from), "127.0.0.%u", n);
	allow_files(64);
	c = client_open_at(&rig, from, "127.0.0.1");
	ck_assert_ptr_nonnull(c);
	allow_files(files);
	return c;
}

static struct client *keep(unsigned n)
{
	struct client *c = come(64, n);

	ck_assert(is_served(c));
	return c;
}

static void start(void)
{
	rig = (struct rig){ .spec.metadata_header_required = true };
	rig.spec.probe_port = rig_free_port();
	rig_start(&rig);
}

static void stop(struct client **clients, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		client_free(clients[i]);
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 0);
	rig_stop(&rig);
}

/* In which there is nothing to do: as many as it spins. */
static unsigned turns_in_100_msec(void)
{
	struct timespec t, start;
	unsigned n = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		ck_assert_int_eq(loop_turn(rig.loop, 50, NULL), 0);
		n++;
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while ((t.tv_sec - start.tv_sec) * 1000 + (t.tv_nsec - start.tv_nsec) / 1000000 < 100);
	return n;
}

START_TEST(the_longest_idle_one_of_who_has_the_most_ends_for_a_new_one)
{
	struct client *c[8];

	start();
	c[0] = keep(7);
	for (int i = 1; i < 4; i++)
		c[i] = keep(8);
	ck_assert(is_served(c[1])); /* which leaves the next one as the longest unused */
	c[4] = come(1, 9);
	ck_assert(is_served(c[4]));
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 5); /* there was a file, and nobody else */
	c[5] = come(0, 9);
	ck_assert(is_served(c[5]));
	ck_assert(client_is_closed(c[2]));
	c[6] = come(0, 10);
	ck_assert(is_served(c[6]));
	/* two have two each now, and of one of these it is */
	c[7] = come(0, 10);
	ck_assert(is_served(c[7]));
	ck_assert_uint_eq(front_connections(rig.front), 5);
	ck_assert(is_served(c[0]));
	stop(c, 8);
}
END_TEST

START_TEST(where_all_have_as_many_it_is_the_longest_idle_one_of_all)
{
	enum { N = 6 };
	struct client *c[2 * N];

	start();
	for (unsigned i = 0; i < N; i++) {
		c[i] = keep(10 + i);
		loop_fake_advance(rig.loop, 10);
	}
	for (unsigned i = N; i-- > 0;) { /* which turns the order round */
		ck_assert(is_served(c[i]));
		loop_fake_advance(rig.loop, 10);
	}
	for (unsigned i = N; i-- > 0;) {
		c[N + i] = come(0, 20 + i);
		ck_assert(is_served(c[N + i]));
		ck_assert(client_is_closed(c[i]));
		loop_fake_advance(rig.loop, 10);
	}
	stop(c, 2 * N);
}
END_TEST

START_TEST(one_that_has_sent_a_request_is_not_ended_for_another)
{
	struct client *c[3];
	struct answer a;

	start();
	c[0] = keep(8);
	c[1] = keep(8);
	c[2] = come(0, 9);
	client_send(c[0], TOKEN_REQUEST); /* the longest unused, as far as anybody has looked */
	front_drain(rig.front, false);	  /* which accepts at once, before that is read */
	ck_assert(is_served(c[2]));
	ck_assert(client_next(c[0], &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert(client_is_closed(c[1]));
	stop(c, 3);
}
END_TEST

START_TEST(with_none_to_end_who_waits_is_served_when_there_is_a_file)
{
	struct client *c[3];
	struct answer a;

	start();
	rig.issuer.hold = true;
	c[0] = come(64, 8);
	client_send(c[0], TOKEN_REQUEST); /* waits for its token */
	c[1] = come(64, 8);
	client_send(c[1], "GET " TOKEN_PATH); /* takes its time */
	rig_settle(&rig);
	c[2] = come(0, 9);
	client_send(c[2], TOKEN_REQUEST);
	ck_assert_uint_lt(turns_in_100_msec(), 10);
	ck_assert_uint_eq(front_connections(rig.front), 2);
	ck_assert_uint_eq(rig.issuer.cancelled, 0);
	ck_assert_uint_eq(rig.issuer.n_waiting, 1);
	/* one ends: at once, no clock has moved */
	shutdown(c[1]->fd, SHUT_RDWR);
	rig_settle(&rig);
	ck_assert_uint_eq(rig.issuer.n_waiting, 2);
	fake_issue_finish(&rig.issuer);
	ck_assert(client_next(c[2], &a) && client_next(c[0], &a));
	ck_assert_int_eq(a.status, 200);
	stop(c, 3);
}
END_TEST

START_TEST(a_file_that_comes_from_elsewhere_is_found)
{
	struct client *c[2];

	start();
	c[0] = come(64, 8);
	client_send(c[0], "GET " TOKEN_PATH);
	rig_settle(&rig);
	c[1] = come(0, 9);
	ck_assert_uint_lt(turns_in_100_msec(), 10);
	ck_assert_uint_eq(front_connections(rig.front), 1);
	allow_files(1);
	loop_fake_advance(rig.loop, LIMIT_ACCEPT_REST_MSEC);
	ck_assert(is_served(c[1]));
	stop(c, 2);
}
END_TEST

/* One that is answered though there is no file for it, and stays. */
static struct client *probe(void)
{
	struct client *c;
	struct answer a;

	allow_files(64);
	c = client_open(&rig, rig.spec.probe_port);
	allow_files(0);
	client_send(c, PROBE);
	ck_assert(client_next(c, &a));
	ck_assert_int_eq(a.status, 200);
	return c;
}

START_TEST(what_one_listener_can_spare_is_for_all)
{
	struct client *c[6];

	start();
	c[0] = keep(8);
	front_hand_over(rig.front, 1); /* also one that listens no more */
	c[1] = probe();
	ck_assert(client_is_closed(c[0]));
	allow_files(64);
	front_take_back(rig.front);
	/* and the other way */
	c[2] = come(0, 8);
	ck_assert(is_served(c[2]));
	ck_assert(client_is_closed(c[1]));
	/* of who has the most, also if that is on another one */
	client_free(c[1]);
	c[3] = keep(8);
	c[4] = keep(8);
	c[1] = probe();
	c[5] = probe();
	ck_assert(client_is_closed(c[2]) && client_is_closed(c[3]));
	ck_assert(!client_is_closed(c[1]));
	stop(c, 6);
}
END_TEST

START_TEST(a_storm_leaves_those_who_are_served_alone)
{
	enum { N = 300 };
	struct client *c[N + 1];
	const struct linger hard = { .l_onoff = 1 };
	struct answer a;

	start();
	allow_files(4 * N);
	c[N] = client_open(&rig, rig.spec.port);
	ck_assert(is_served(c[N]));
	for (unsigned i = 0; i < N; i++)
		c[i] = client_open(&rig, rig.spec.port);
	client_send(c[N], TOKEN_REQUEST);
	/* some are gone again */
	for (unsigned i = 0; i < N; i += 50) {
		(void)setsockopt(c[i]->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(c[i]->fd);
		c[i]->fd = dup(STDOUT_FILENO);
	}
	ck_assert(client_next(c[N], &a));
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_le(front_connections(rig.front), 1 + 3 * LIMIT_ACCEPTS);
	for (unsigned i = 1; i < N; i += 50)
		ck_assert(is_served(c[i]));
	rig_settle(&rig);
	ck_assert_uint_eq(front_connections(rig.front), 1 + N - N / 50);
	stop(c, N + 1);
}
END_TEST

START_TEST(at_the_limit_of_connections_who_comes_waits_until_one_ends)
{
	enum { N = LIMIT_HOST_CONNECTIONS + 1 };
	struct client *c[N];
	struct answer a;

	rig = (struct rig){ .spec.host_token = FRONT_HOST_ANY };
	(void)inet_ip_parse("127.0.0.5", &rig.spec.address, NULL);
	rig_start(&rig);
	allow_files(3 * N);
	for (unsigned i = 0; i < N; i++)
		c[i] = client_open(&rig, rig.spec.port);
	client_send(c[N - 1], "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
	while (front_connections(rig.front) < N - 1)
		ck_assert_int_eq(loop_turn(rig.loop, 1, NULL), 0);
	ck_assert_uint_lt(turns_in_100_msec(), 10);
	ck_assert(!client_is_closed(c[N - 1]));
	ck_assert_uint_eq(c[N - 1]->n, 0);
	c[0] = client_free(c[0]);
	ck_assert(client_next(c[N - 1], &a));
	stop(c + 1, N - 1);
}
END_TEST

START_TEST(before_it_ends_all_that_wait_are_accepted)
{
	enum { N = 300 };
	struct client *c[N];

	start();
	allow_files(3 * N);
	for (unsigned i = 0; i < N; i++)
		c[i] = client_open(&rig, rig.spec.port);
	front_drain(rig.front, true);
	ck_assert_uint_eq(front_connections(rig.front), N);
	ck_assert(is_served(c[N - 1]));
	stop(c, N);
}
END_TEST

UNIT_MAIN("front-files", UNIT(who_could_not_be_accepted_is_once_there_are_files_again),
	  UNIT(the_longest_idle_one_of_who_has_the_most_ends_for_a_new_one),
	  UNIT(where_all_have_as_many_it_is_the_longest_idle_one_of_all),
	  UNIT(one_that_has_sent_a_request_is_not_ended_for_another),
	  UNIT(with_none_to_end_who_waits_is_served_when_there_is_a_file),
	  UNIT(a_file_that_comes_from_elsewhere_is_found),
	  UNIT(what_one_listener_can_spare_is_for_all),
	  UNIT(a_storm_leaves_those_who_are_served_alone),
	  UNIT(at_the_limit_of_connections_who_comes_waits_until_one_ends),
	  UNIT(before_it_ends_all_that_wait_are_accepted))
