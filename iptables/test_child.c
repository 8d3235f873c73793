/* SPDX-License-Identifier: MIT */

/*
 * One self-test, in a process of its own: see tester.c. It makes a user and a network namespace, which takes
 * no privilege, waits until the redirector has put a link into it, asks as a pod would, tells what came, and
 * ends; the kernel then removes the namespace, the link, and with it the node's end and the route.
 */

#include "iptables/test_link.h"
#include "iptables/tester.h"
#include "iptables/wire.h"
#include "lib/base/clock.h"

#include <cap-ng.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

/* A status line and the headers that matter. */
#define ANSWER_MAX 2048
/* For both ends to be up, which takes the kernel a millisecond or two, if it is not busy. */
#define LINK_MSEC 500

_Noreturn static void end(int fd, const struct redirect_test *t)
{
	uint8_t msg[WIRE_TESTED_BYTES];

	wire_put_tested(0, t, msg);
	(void)send(fd, msg, sizeof(msg), MSG_NOSIGNAL); /* nobody there: nobody to tell */
	_exit(0);
}

_Noreturn static void give_up(int fd, const struct err *err)
{
	struct redirect_test t = { .outcome = REDIRECT_TEST_IMPOSSIBLE };

	(void)snprintf(t.text, sizeof(t.text), "%.*s", (int)sizeof(t.text) - 1, err->msg);
	end(fd, &t);
}

static int left_msec(uint64_t until_msec)
{
	struct timespec now;
	uint64_t msec;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	msec = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NSEC_PER_MSEC;
	return until_msec > msec ? (int)(until_msec - msec) : 0;
}

static uint64_t deadline_msec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NSEC_PER_MSEC +
	       TESTER_ANSWER_MSEC;
}

static bool becomes(int fd, short events, uint64_t until_msec)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, left_msec(until_msec)) > 0;
}

static struct redirect_test broken(int os_errno)
{
	struct redirect_test t = { .outcome = REDIRECT_TEST_BROKEN };

	if (os_errno == ECONNREFUSED || os_errno == ECONNRESET)
		t.outcome = REDIRECT_TEST_REFUSED;
	else if (os_errno == ETIMEDOUT)
		t.outcome = REDIRECT_TEST_SILENT;
	else
		(void)snprintf(t.text, sizeof(t.text), "%s", strerrordesc_np(os_errno));
	return t;
}

static struct redirect_test converse(int s, const struct tester_job *job, uint64_t until_msec)
{
	char text[256], hex[2 * REDIRECT_NONCE_BYTES + 1] = "", ip[INET_IP_TEXT_MAX];
	char answer[ANSWER_MAX];
	struct redirect_test t;
	struct inet_ip to;
	size_t got = 0;
	ssize_t n = 1;
	int len;

	for (size_t i = 0; i < sizeof(job->nonce); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", job->nonce[i]);
	(void)inet_ip_from_bytes(job->metadata_ip, sizeof(job->metadata_ip), &to);
	len = snprintf(text, sizeof(text),
		       "GET " REDIRECT_TEST_PATH "%s HTTP/1.1\r\nHost: %s\r\nConnection: "
		       "close\r\n\r\n",
		       hex, inet_ip_print(&to, ip));
	if (send(s, text, (size_t)len, MSG_NOSIGNAL) != len)
		return broken(errno);
	/* to the end of the connection, so that the other side closes it first and has it off its hands */
	while (got < sizeof(answer) && n > 0 && becomes(s, POLLIN, until_msec)) {
		n = recv(s, answer + got, sizeof(answer) - got, 0);
		if (n < 0 && !got)
			return broken(errno);
		got += n > 0 ? (size_t)n : 0;
	}
	test_answer_parse(answer, got, &t);
	return t;
}

static struct redirect_test ask(int s, const struct tester_job *job)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(job->metadata_port) };
	struct redirect_test silent = { .outcome = REDIRECT_TEST_SILENT };
	uint64_t until_msec = deadline_msec();
	socklen_t size = sizeof(int);
	int code = 0;

	memcpy(&to.sin_addr, job->metadata_ip, sizeof(to.sin_addr));
	if (connect(s, (struct sockaddr *)&to, sizeof(to)) < 0) {
		if (errno != EINPROGRESS)
			return broken(errno);
		if (!becomes(s, POLLOUT, until_msec))
			return silent;
		if (getsockopt(s, SOL_SOCKET, SO_ERROR, &code, &size) < 0 || code)
			return broken(code ? code : errno);
	}
	return converse(s, job, until_msec);
}

/* Needs no socket of another kind, which the filter would refuse. */
static int raise_peer(int s, unsigned *out, struct err *err)
{
	struct ifreq index = { .ifr_name = TEST_PEER };
	struct ifreq flags = { .ifr_name = TEST_PEER, .ifr_flags = IFF_UP };

	if (ioctl(s, SIOCGIFINDEX, &index) < 0 || ioctl(s, SIOCSIFFLAGS, &flags) < 0)
		return err_set_errno(err, errno, "the test's end of the veth pair");
	*out = (unsigned)index.ifr_ifindex;
	return 0;
}

/* With the redirector, step by step; ends the process where it cannot be done. */
static void join(int fd, int s)
{
	const char ready = TESTER_READY, joined = TESTER_JOINED;
	struct test_net net;
	struct err err = { 0 };
	unsigned peer = 0;
	char go;

	if (send(fd, &ready, sizeof(ready), MSG_NOSIGNAL) < 0 ||
	    recv(fd, &net, sizeof(net), 0) != (ssize_t)sizeof(net))
		_exit(0); /* the redirector is gone, or has given up */
	if (raise_peer(s, &peer, &err) < 0 || test_net_join(&net, peer, &err) < 0)
		give_up(fd, &err);
	if (send(fd, &joined, sizeof(joined), MSG_NOSIGNAL) < 0 ||
	    recv(fd, &go, sizeof(go), 0) != (ssize_t)sizeof(go) || go != TESTER_GO)
		_exit(0);
	/* which drops what is sent before, and a packet that is lost would cost a second */
	test_net_await(peer, LINK_MSEC);
}

_Noreturn void test_child(int fd, const struct tester_job *job)
{
	struct redirect_test t;
	struct err err = { 0 };
	int s;

	(void)alarm(TESTER_CHILD_SEC);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		(void)err_set_errno(&err, errno, "making a namespace");
		give_up(fd, &err);
	}
	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0) {
		(void)err_set_errno(&err, errno, "socket in a namespace");
		give_up(fd, &err);
	}
	join(fd, s);
	/* what the new namespace gave is of no more use, and a stranger's bytes are read next */
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0) {
		(void)err_set_errno(&err, errno, "dropping capabilities");
		give_up(fd, &err);
	}
	t = ask(s, job);
	(void)close(s);
	end(fd, &t);
}
