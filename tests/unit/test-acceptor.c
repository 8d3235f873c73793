/* SPDX-License-Identifier: MIT */

/* Accepting: a few in a turn, with or without room, files and memory. */

#include "lib/base/inet.h"
#include "lib/base/mem.h"
#include "nmi/front/acceptor.h"
#include "nmi/limits.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/raw-client.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MOST 400

static struct loop *loop;
static struct acceptor acceptor;
static int listening;
static uint16_t port;
static int clients[MOST], taken[MOST];
static size_t n_clients, n_taken, n_spared, room;
static bool spares;	/* the callback says that it has closed one */
static bool is_helpful; /* and has */

/* What accept4() fails with, so many times; the queue is not looked at. */
static int failure;
static unsigned n_failures, n_calls;

int __real_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags);
int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags);
int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	n_calls++;
	if (!n_failures)
		return __real_accept4(fd, a, n, flags);
	n_failures--;
	errno = failure;
	return -1;
}

static bool has_room(void *ctx)
{
	ck_assert_ptr_eq(ctx, &acceptor);
	return n_taken < room;
}

static void take(void *ctx, int fd, const struct sockaddr *peer, socklen_t n)
{
	struct inet_ip ip, expected;

	(void)ctx;
	ck_assert_uint_eq(n, sizeof(struct sockaddr_in));
	ck_assert(inet_ip_from_sockaddr(peer, &ip));
	ck_assert_int_eq(inet_ip_parse("127.0.0.1", &expected, NULL), 0);
	ck_assert(inet_ip_eq(&ip, &expected));
	taken[n_taken++] = fd;
}

static bool spare(void *ctx)
{
	(void)ctx;
	n_spared++;
	if (spares && is_helpful)
		n_failures = 0;
	return spares;
}

static const struct acceptor_use use = { has_room, take, spare };

static void start(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct rlimit files = { 4UL * MOST, 4UL * MOST };
	socklen_t n = sizeof(in);

	(void)setrlimit(RLIMIT_NOFILE, &files);
	client_own_network();
	log_set_level(LOG_LEVEL_ERR); /* shortages are what is tested here */
	n_clients = n_taken = n_spared = n_failures = n_calls = 0;
	room = MOST;
	spares = is_helpful = false;
	loop = loop_new_fake(NULL);
	ck_assert_ptr_nonnull(loop);
	listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listening, (struct sockaddr *)&in, n), 0);
	ck_assert_int_eq(listen(listening, MOST), 0);
	ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&in, &n), 0);
	port = in.sin_port;
	ck_assert_int_eq(acceptor_start(&acceptor, loop, listening, &use, &acceptor, NULL), 0);
}

static void stop(void)
{
	acceptor_stop(&acceptor);
	acceptor_stop(&acceptor);
	close(listening);
	while (n_clients)
		close(clients[--n_clients]);
	while (n_taken)
		close(taken[--n_taken]);
	loop = loop_free(loop);
}

static void come(unsigned many)
{
	const struct sockaddr_in in = { .sin_family = AF_INET,
					.sin_port = port,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	while (many--) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(connect(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
		clients[n_clients++] = fd;
	}
}

static void come_and_turn(unsigned many)
{
	come(many);
	ck_assert_int_eq(loop_turn(loop, 100, NULL), 0);
}

static uint64_t now_msec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* How many turns it has in a while, in which it should have nothing to do: as many as it spins. */
static unsigned turns_in_50_msec(void)
{
	uint64_t until = now_msec() + 50;
	unsigned n = 0;

	for (; now_msec() < until; n++)
		ck_assert_int_eq(loop_turn(loop, 20, NULL), 0);
	return n;
}

START_TEST(who_comes_is_taken_and_does_not_block)
{
	start();
	come_and_turn(3);
	ck_assert_uint_eq(n_taken, 3);
	for (size_t i = 0; i < n_taken; i++) {
		ck_assert_int_ne(fcntl(taken[i], F_GETFL) & O_NONBLOCK, 0);
		ck_assert_int_ne(fcntl(taken[i], F_GETFD) & FD_CLOEXEC, 0);
	}
	ck_assert_uint_lt(turns_in_50_msec(), 10);
	come_and_turn(1);
	ck_assert_uint_eq(n_taken, 4);
	stop();
}
END_TEST

START_TEST(of_many_a_few_are_taken_in_a_turn)
{
	start();
	come(300);
	for (unsigned i = 0; n_taken < 300; i++) {
		size_t had = n_taken;

		ck_assert_uint_lt(i, 300 / LIMIT_ACCEPTS + 2);
		ck_assert_int_eq(loop_turn(loop, 100, NULL), 0);
		ck_assert_uint_le(n_taken - had, LIMIT_ACCEPTS);
	}
	stop();
}
END_TEST

START_TEST(all_are_taken_at_once_before_it_ends)
{
	start();
	come(300);
	acceptor_all(&acceptor);
	ck_assert_uint_eq(n_taken, 300);
	/* also while it rests, which is over then */
	failure = EMFILE;
	n_failures = 1;
	come(1);
	acceptor_all(&acceptor);
	ck_assert_uint_eq(n_taken, 300);
	acceptor_all(&acceptor);
	ck_assert_uint_eq(n_taken, 301);
	n_calls = 0;
	loop_fake_advance(loop, UINT64_C(10) * LIMIT_ACCEPT_REST_MSEC);
	ck_assert_uint_eq(n_calls, 0);
	acceptor_stop(&acceptor);
	come(1);
	acceptor_all(&acceptor);
	ck_assert_int_eq(loop_turn(loop, 10, NULL), 0);
	ck_assert_uint_eq(n_taken, 301);
	stop();
}
END_TEST

START_TEST(without_room_it_rests_until_it_is_woken)
{
	start();
	room = 2;
	come(4);
	ck_assert_uint_lt(turns_in_50_msec(), 10);
	ck_assert_uint_eq(n_taken, 2);
	loop_fake_advance(loop, UINT64_C(10) * LIMIT_ACCEPT_REST_MSEC);
	ck_assert_uint_eq(n_taken, 2);
	ck_assert_uint_eq(n_spared, 0);
	room = 3;
	acceptor_wake(&acceptor);
	ck_assert_uint_lt(turns_in_50_msec(), 10);
	ck_assert_uint_eq(n_taken, 3);
	room = MOST;
	acceptor_wake(&acceptor);
	ck_assert_int_eq(loop_turn(loop, 100, NULL), 0);
	ck_assert_uint_eq(n_taken, 4);
	come_and_turn(1);
	ck_assert_uint_eq(n_taken, 5);
	stop();
}
END_TEST

static const int shortages[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };

START_TEST(what_is_short_is_spared_once_and_told)
{
	const char *text;

	start();
	failure = shortages[_i];
	spares = is_helpful = true;
	n_failures = 10;
	log_set_level(LOG_LEVEL_WARN);
	log_lines_start();
	come_and_turn(2);
	ck_assert_uint_eq(n_taken, 2);
	ck_assert_uint_eq(n_spared, 1);
	/* again, but it is not told so soon */
	n_failures = 10;
	come_and_turn(1);
	ck_assert_uint_eq(n_taken, 3);
	ck_assert_uint_eq(n_spared, 2);
	text = log_lines_end();
	ck_assert_uint_eq(log_lines_count(text, "an idle one ends for it"), 1);
	stop();
}
END_TEST

START_TEST(nothing_ends_for_nobody)
{
	start();
	failure = shortages[_i];
	spares = true;
	come_and_turn(1);
	ck_assert_uint_eq(n_taken, 1);
	n_failures = 10;
	acceptor_all(&acceptor); /* finds nobody */
	ck_assert_uint_eq(n_failures, 9);
	ck_assert_uint_eq(n_spared, 0);
	/* and listens on */
	n_failures = 0;
	come_and_turn(1);
	ck_assert_uint_eq(n_taken, 2);
	stop();
}
END_TEST

START_TEST(with_nothing_to_spare_it_rests_and_tries_again)
{
	start();
	failure = shortages[_i];
	n_failures = 1000;
	come(1);
	ck_assert_uint_lt(turns_in_50_msec(), 10);
	ck_assert_uint_eq(n_calls, 1);
	ck_assert_uint_eq(n_spared, 1);
	loop_fake_advance(loop, LIMIT_ACCEPT_REST_MSEC);
	ck_assert_uint_eq(n_calls, 2);
	ck_assert_uint_eq(n_taken, 0);
	/* there is one again, and nobody says so */
	n_failures = 0;
	loop_fake_advance(loop, LIMIT_ACCEPT_REST_MSEC);
	ck_assert_uint_eq(n_taken, 1);
	/* somebody does */
	n_failures = 1;
	come_and_turn(1);
	ck_assert_uint_eq(n_taken, 1);
	acceptor_wake(&acceptor);
	ck_assert_int_eq(loop_turn(loop, 100, NULL), 0);
	ck_assert_uint_eq(n_taken, 2);
	/* and as ever: no timer is left over */
	n_calls = 0;
	loop_fake_advance(loop, UINT64_C(10) * LIMIT_ACCEPT_REST_MSEC);
	ck_assert_uint_eq(n_calls, 0);
	come_and_turn(1);
	ck_assert_uint_eq(n_taken, 3);
	stop();
}
END_TEST

START_TEST(where_sparing_one_does_not_help_no_more_are)
{
	start();
	failure = shortages[_i];
	spares = true;
	n_failures = 1000;
	come(1);
	ck_assert_uint_lt(turns_in_50_msec(), 10);
	ck_assert_uint_eq(n_spared, 1);
	for (unsigned i = 0; i < 10; i++)
		loop_fake_advance(loop, LIMIT_ACCEPT_REST_MSEC);
	ck_assert_uint_eq(n_spared, 11);
	n_failures = 0;
	loop_fake_advance(loop, LIMIT_ACCEPT_REST_MSEC);
	ck_assert_uint_eq(n_taken, 1);
	stop();
}
END_TEST

static const int skipped[] = { ECONNABORTED, EINTR,	  EPERM,       EPROTO,
			       ENETDOWN,     ENOPROTOOPT, EHOSTDOWN,   ENONET,
			       EHOSTUNREACH, EOPNOTSUPP,  ENETUNREACH, ETIMEDOUT };

START_TEST(one_that_was_gone_again_is_skipped)
{
	start();
	failure = skipped[_i];
	n_failures = 1;
	come_and_turn(2);
	ck_assert_uint_eq(n_taken, 2);
	ck_assert_uint_eq(n_spared, 0);
	/* one that the kernel does not take out of the queue: no spinning */
	n_failures = 2 * LIMIT_ACCEPTS;
	come(1);
	ck_assert_uint_lt(turns_in_50_msec(), 10);
	ck_assert_uint_eq(n_taken, 2);
	ck_assert_uint_eq(n_failures, LIMIT_ACCEPTS);
	loop_fake_advance(loop, LIMIT_ACCEPT_REST_MSEC);
	loop_fake_advance(loop, LIMIT_ACCEPT_REST_MSEC);
	ck_assert_uint_eq(n_taken, 3);
	stop();
}
END_TEST

/* The kernel itself: on Linux accept() gives it all the same. */
START_TEST(one_that_was_reset_in_the_queue_does_no_harm)
{
	const struct linger hard = { .l_onoff = 1 };

	start();
	come(3);
	ck_assert_int_eq(setsockopt(clients[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	close(clients[1]);
	clients[1] = clients[--n_clients];
	ck_assert_int_eq(loop_turn(loop, 100, NULL), 0);
	ck_assert_uint_ge(n_taken, 2);
	ck_assert_uint_lt(turns_in_50_msec(), 10);
	stop();
}
END_TEST

START_TEST(what_cannot_be_is_told_and_does_not_spin)
{
	const char *text;

	start();
	log_lines_start();
	ck_assert_int_eq(shutdown(listening, SHUT_RDWR), 0); /* which epoll tells for ever */
	ck_assert_uint_lt(turns_in_50_msec(), 10);
	ck_assert_uint_eq(n_calls, 1);
	loop_fake_advance(loop, LIMIT_ACCEPT_REST_MSEC);
	ck_assert_uint_eq(n_calls, 2);
	text = log_lines_end();
	ck_assert_uint_eq(log_lines_count(text, "a listener accepts nothing: Invalid argument"), 1);
	stop();
}
END_TEST

UNIT_MAIN("acceptor", UNIT(who_comes_is_taken_and_does_not_block),
	  UNIT(of_many_a_few_are_taken_in_a_turn), UNIT(all_are_taken_at_once_before_it_ends),
	  UNIT(without_room_it_rests_until_it_is_woken),
	  UNIT_LOOP(what_is_short_is_spared_once_and_told, shortages),
	  UNIT_LOOP(nothing_ends_for_nobody, shortages),
	  UNIT_LOOP(with_nothing_to_spare_it_rests_and_tries_again, shortages),
	  UNIT_LOOP(where_sparing_one_does_not_help_no_more_are, shortages),
	  UNIT_LOOP(one_that_was_gone_again_is_skipped, skipped),
	  UNIT(one_that_was_reset_in_the_queue_does_no_harm),
	  UNIT(what_cannot_be_is_told_and_does_not_spin))
