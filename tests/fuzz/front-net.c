/* SPDX-License-Identifier: MIT */

/* A network of this process alone: see front-net.h. */

#include "tests/fuzz/front-net.h"

#include "lib/base/inet.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"

#include <assert.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENERS 8
#define QUEUE	  16
#define FDS	  1024

/* Turns in a row in which nothing happened; deferred calls and timers of this moment make none of themselves. */
#define QUIET_TURNS 3
#define TURNS_MAX   20000

struct waiting {
	int fd, client;
	struct inet_ip peer;
};

static struct {
	int fd; /* 0: none */
	struct waiting queue[QUEUE];
	size_t n;
} listeners[LISTENERS];

static struct inet_ip peers[FDS]; /* of accepted ones */
static int clients[FDS];	  /* the other end of an accepted one; 0: it has hung up */
static unsigned waits, events;	  /* of epoll_wait(), whoever called it */
static uint32_t dice;

/* The linker is to find these in place of the C library's. */
#pragma GCC visibility push(default)

int epoll_wait(int fd, struct epoll_event *out, int max, int msec)
{
	int n = epoll_pwait(fd, out, max, msec, NULL);

	waits++;
	events += n > 0 ? (unsigned)n : 0;
	return n;
}

static void tell_address(const struct inet_ip *ip, struct sockaddr *out, socklen_t *n)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t size = inet_ip_to_sockaddr(ip, 1234, &ss);

	memcpy(out, &ss, *n < size ? *n : size);
	*n = size;
}

int accept4(int fd, __SOCKADDR_ARG out, socklen_t *n, int flags)
{
	uint64_t one;

	for (size_t i = 0; i < LISTENERS; i++) {
		struct waiting w = listeners[i].queue[0];

		if (listeners[i].fd != fd || read(fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
			continue;
		memmove(&listeners[i].queue[0], &listeners[i].queue[1],
			--listeners[i].n * sizeof(w));
		peers[w.fd] = w.peer;
		clients[w.fd] = w.client;
		tell_address(&w.peer, out.__sockaddr__, n);
		return w.fd;
	}
	errno = EAGAIN;
	return -1;
}

int getpeername(int fd, __SOCKADDR_ARG out, socklen_t *n)
{
	tell_address(&peers[fd % FDS], out.__sockaddr__, n);
	return 0;
}

int getsockname(int fd, __SOCKADDR_ARG out, socklen_t *n)
{
	static const struct inet_ip us = { { [10] = 0xff, 0xff, 10, 0, 0, 254 } };

	tell_address(&us, out.__sockaddr__, n);
	return 0;
}

/* To nobody: a connection of TCP is aborted, and what was not read of it is lost. */
int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t n)
{
	char lost[4096];

	assert(to.__sockaddr__->sa_family == AF_UNSPEC && fd < FDS);
	while (clients[fd] && recv(clients[fd], lost, sizeof(lost), MSG_DONTWAIT) > 0)
		;
	return shutdown(fd, SHUT_RDWR);
}

/* As long as somebody may read it, a connection is one. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the C library's own */
int getsockopt(int fd, int level, int name, void *out, socklen_t *n)
{
	struct tcp_info info = { .tcpi_state = clients[fd % FDS] ? TCP_ESTABLISHED : TCP_CLOSE };

	if (level != IPPROTO_TCP || name != TCP_INFO) {
		errno = EOPNOTSUPP;
		return -1;
	}
	memcpy(out, &info, *n < sizeof(info) ? *n : sizeof(info));
	return 0;
}

uint32_t arc4random(void)
{
	dice = dice * 1664525 + 1013904223;
	return dice >> 8 | dice << 24;
}

uint32_t arc4random_uniform(uint32_t n)
{
	return n ? arc4random() % n : 0;
}

void arc4random_buf(void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)p)[i] = (uint8_t)arc4random();
}

/* The world's assertions; those of the library want a test around them. */
void _mark_point(const char *file, int line)
{
}

void _ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...)
{
	(void)fprintf(stderr, "%s:%d: %s\n", file, line, expr);
	abort();
}

ssize_t getrandom(void *p, size_t n, unsigned flags)
{
	arc4random_buf(p, n);
	return (ssize_t)n;
}
#pragma GCC visibility pop

void net_reset(void)
{
	for (size_t i = 0; i < LISTENERS; i++) {
		while (listeners[i].n)
			close(listeners[i].queue[--listeners[i].n].fd);
		listeners[i].fd = 0;
	}
	dice = 1;
}

int net_listen(void)
{
	size_t i = 0;

	while (listeners[i].fd)
		i++;
	assert(i < LISTENERS);
	listeners[i].fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK);
	assert(listeners[i].fd > 0);
	return listeners[i].fd;
}

int net_connect(int listener, const char *ip)
{
	const uint64_t one = 1;
	struct waiting *w;
	int ends[2];
	size_t i = 0;

	while (listeners[i].fd != listener)
		i++;
	assert(i < LISTENERS && listeners[i].n < QUEUE);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		abort();
	assert(ends[0] < FDS && ends[1] < FDS);
	w = &listeners[i].queue[listeners[i].n++];
	w->fd = ends[1];
	w->client = ends[0];
	if (inet_ip_parse(ip, &w->peer, NULL) < 0 || write(listener, &one, sizeof(one)) < 0)
		abort();
	return ends[0];
}

void net_hang_up(int client)
{
	for (size_t i = 0; i < FDS; i++) {
		if (clients[i] == client)
			clients[i] = 0;
	}
	for (size_t i = 0; i < LISTENERS; i++) {
		for (size_t k = 0; k < listeners[i].n; k++) {
			if (listeners[i].queue[k].client == client)
				listeners[i].queue[k].client = 0;
		}
	}
	close(client);
}

void net_settle(struct loop *l)
{
	unsigned quiet = 0;

	for (unsigned turn = 0; turn < TURNS_MAX; turn++) {
		waits = events = 0;
		if (loop_turn(l, 0, NULL) < 0)
			abort();
		/* the loop waits once a turn; libmicrohttpd too, if it was run */
		quiet = waits == 1 && events == 0 ? quiet + 1 : 0;
		if (quiet == QUIET_TURNS)
			return;
	}
	abort(); /* it spins */
}
