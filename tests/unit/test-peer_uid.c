/* SPDX-License-Identifier: MIT */

/* On real sockets of loopback: it is the kernel that is asked. */

#include "lib/base/cleanup.h"
#include "nmi/peer_uid.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* A listener, a client that a process of some uid holds, and the server's end of it. */
struct line {
	int listener, client, server;
	struct tcp_ends ends;
	pid_t child; /* who holds the client; 0: this process */
	int stop;    /* closing it ends the child */
};

/* It is at the same place in both families. */
static uint16_t port_of(const struct sockaddr_storage *ss)
{
	struct sockaddr_in in;

	memcpy(&in, ss, sizeof(in));
	return ntohs(in.sin_port);
}

static void listen_at(struct line *l, const char *ip, struct sockaddr_storage *ss, socklen_t *n)
{
	struct inet_ip address;

	ck_assert_int_eq(inet_ip_parse(ip, &address, NULL), 0);
	*n = inet_ip_to_sockaddr(&address, 0, ss);
	l->listener = socket(ss->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(l->listener, 0);
	ck_assert_int_eq(bind(l->listener, (struct sockaddr *)ss, *n), 0);
	ck_assert_int_eq(listen(l->listener, 1), 0);
	ck_assert_int_eq(getsockname(l->listener, (struct sockaddr *)ss, n), 0);
}

/* A process of that uid that connects, and holds on until told. */
static void connect_as(struct line *l, uid_t uid, const struct sockaddr_storage *ss, socklen_t n)
{
	int stop[2];

	ck_assert_int_eq(pipe(stop), 0);
	l->child = fork();
	ck_assert_int_ge(l->child, 0);
	if (l->child == 0) {
		struct pollfd p = { .fd = stop[0], .events = POLLIN };
		int fd;

		close(stop[1]);
		if (setresuid(uid, uid, uid) < 0)
			_exit(2);
		fd = socket(ss->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (const struct sockaddr *)ss, n) < 0)
			_exit(3);
		(void)poll(&p, 1, 30000);
		_exit(0);
	}
	close(stop[0]);
	l->stop = stop[1];
}

static void finish(struct line *l)
{
	struct sockaddr_storage a = { 0 }, b = { 0 };
	socklen_t n = sizeof(a), m = sizeof(b);
	struct pollfd p = { .fd = l->listener, .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	l->server = accept4(l->listener, (struct sockaddr *)&a, &n, SOCK_CLOEXEC);
	ck_assert_int_ge(l->server, 0);
	ck_assert_int_eq(getsockname(l->server, (struct sockaddr *)&b, &m), 0);
	ck_assert(inet_ip_from_sockaddr((struct sockaddr *)&a, &l->ends.client));
	ck_assert(inet_ip_from_sockaddr((struct sockaddr *)&b, &l->ends.server));
	l->ends.client_port = port_of(&a);
	l->ends.server_port = port_of(&b);
}

static struct line line_of_child(const char *ip, uid_t uid)
{
	struct line l = { .client = -EBADF };
	struct sockaddr_storage ss;
	socklen_t n;

	listen_at(&l, ip, &ss, &n);
	connect_as(&l, uid, &ss, n);
	finish(&l);
	return l;
}

static struct line line_here(const char *ip)
{
	struct line l = { .stop = -EBADF };
	struct sockaddr_storage ss;
	socklen_t n;

	listen_at(&l, ip, &ss, &n);
	l.client = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(l.client, 0);
	ck_assert_int_eq(connect(l.client, (struct sockaddr *)&ss, n), 0);
	finish(&l);
	return l;
}

static void end_child(struct line *l)
{
	int status;

	if (!l->child)
		return;
	close(l->stop);
	ck_assert_int_eq(waitpid(l->child, &status, 0), l->child);
	ck_assert_int_eq(status, 0);
	l->child = 0;
}

static void line_end(struct line *l)
{
	end_child(l);
	if (l->client >= 0)
		close(l->client);
	close(l->server);
	close(l->listener);
}

static const char *const loopbacks[] = { "127.0.0.1", "127.0.0.2", "::1" };

START_TEST(a_process_of_ours_is_told_by_its_uid)
{
	struct line l = line_here(loopbacks[_i]);
	struct err err = { 0 };
	uid_t uid = 4711;

	ck_assert_msg(peer_uid_find(&l.ends, &uid, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(uid, geteuid());
	line_end(&l);
}
END_TEST

START_TEST(another_users_process_is_told_by_its_uid)
{
	uid_t other = geteuid() == 0 ? NOBODY : geteuid(); /* only root can be two */
	struct line l = line_of_child(loopbacks[_i], other);
	struct err err = { 0 };
	uid_t uid = 4711;

	ck_assert_msg(peer_uid_find(&l.ends, &uid, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(uid, other);
	line_end(&l);
}
END_TEST

START_TEST(a_process_without_any_right_may_ask)
{
	struct line l = line_here("127.0.0.1");
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		uid_t uid = 4711;

		if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(2);
		_exit(peer_uid_find(&l.ends, &uid, NULL) == 0 && uid != 4711 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	line_end(&l);
}
END_TEST

/* An IPv6 socket that speaks IPv4, as many runtimes open them. */
START_TEST(an_ipv6_socket_with_an_ipv4_address_is_found)
{
	struct line l = { .stop = -EBADF };
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	struct sockaddr_storage ss;
	struct err err = { 0 };
	uid_t uid = 4711;
	socklen_t n;

	listen_at(&l, "127.0.0.1", &ss, &n);
	ck_assert_int_eq(inet_ip_is_v4(&(struct inet_ip){ { [10] = 0xff, 0xff, 127, 0, 0, 1 } }),
			 1);
	memcpy(&to.sin6_addr, &(struct inet_ip){ { [10] = 0xff, 0xff, 127, 0, 0, 1 } }, 16);
	to.sin6_port = ((struct sockaddr_in *)&ss)->sin_port;
	l.client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(l.client, 0);
	ck_assert_int_eq(connect(l.client, (struct sockaddr *)&to, sizeof(to)), 0);
	finish(&l);
	ck_assert_msg(peer_uid_find(&l.ends, &uid, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(uid, geteuid());
	line_end(&l);
}
END_TEST

static void assert_unknown(const struct tcp_ends *ends)
{
	struct err err = { 0 };
	uid_t uid = 4711;

	ck_assert_int_lt(peer_uid_find(ends, &uid, &err), 0);
	ck_assert_uint_eq(uid, 4711);
	ck_assert_str_ne(err.msg, "");
}

/* The kernel tells uid 0 of a socket that nobody holds: that must not pass for root's. */
START_TEST(a_client_that_has_hung_up_is_nobodys)
{
	struct line l = geteuid() == 0 ? line_of_child(loopbacks[_i], NOBODY)
				       : line_here(loopbacks[_i]);

	end_child(&l);
	if (l.client >= 0) {
		close(l.client);
		l.client = -EBADF;
	}
	assert_unknown(&l.ends);
	line_end(&l);
}
END_TEST

/* What it has sent is still ours to read, but the socket is no longer ESTABLISHED. */
START_TEST(a_client_that_has_sent_its_last_byte_is_not_trusted)
{
	struct line l = line_here("127.0.0.1");

	ck_assert_int_eq(shutdown(l.client, SHUT_WR), 0);
	assert_unknown(&l.ends);
	line_end(&l);
}
END_TEST

/* Asked for the port of a listener, the kernel answers with the listener. */
START_TEST(a_listener_does_not_pass_for_a_client)
{
	struct line l = line_here(loopbacks[_i]);
	struct tcp_ends ends = l.ends;

	ends.client = l.ends.server;
	ends.client_port = l.ends.server_port;
	ends.server_port = 1;
	assert_unknown(&ends);
	line_end(&l);
}
END_TEST

START_TEST(ends_that_do_not_exist_are_nobodys)
{
	struct line l = line_here(loopbacks[_i]);
	struct tcp_ends swapped = l.ends;

	swapped.server_port ^= 1;
	assert_unknown(&swapped);
	swapped = l.ends;
	(void)inet_ip_parse("192.0.2.1", &swapped.client, NULL);
	assert_unknown(&swapped);
	line_end(&l);
}
END_TEST

UNIT_MAIN("peer_uid", UNIT_LOOP(a_process_of_ours_is_told_by_its_uid, loopbacks),
	  UNIT_LOOP(another_users_process_is_told_by_its_uid, loopbacks),
	  UNIT(a_process_without_any_right_may_ask),
	  UNIT(an_ipv6_socket_with_an_ipv4_address_is_found),
	  UNIT_LOOP(a_client_that_has_hung_up_is_nobodys, loopbacks),
	  UNIT(a_client_that_has_sent_its_last_byte_is_not_trusted),
	  UNIT_LOOP(a_listener_does_not_pass_for_a_client, loopbacks),
	  UNIT_LOOP(ends_that_do_not_exist_are_nobodys, loopbacks))
