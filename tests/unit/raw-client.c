/* SPDX-License-Identifier: MIT */

/* An HTTP client that speaks raw bytes: see raw-client.h. */

#include "tests/unit/raw-client.h"

#include "lib/base/inet.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Turns of the loop without an event before something counts as not coming. */
#define QUIET_TURNS 30
/* The library reads 128 bytes a turn when a connection's pool is nearly full. */
#define ANSWER_TURNS 500

/*
 * A port that is free is free until somebody else is given it. So each test has a loopback of its own;
 * who is not root shares the machine's, and may meet others there.
 */
void client_own_network(void)
{
	static bool done;
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd;

	if (done || unshare(CLONE_NEWNET) < 0)
		return;
	done = true;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	close(fd);
}

static int bind_somewhere(in_addr_t address, uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(in);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, n), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

/*
 * At all addresses: probes and metrics are listened for at all, and one that is free at 127.0.0.1 may be one where
 * connections of other addresses, which a test before had in thousands, are still waited out.
 */
uint16_t client_free_port(void)
{
	uint16_t port;

	client_own_network();
	close(bind_somewhere(INADDR_ANY, &port));
	return port;
}

void client_settle(struct loop *l)
{
	for (int i = 0; i < QUIET_TURNS; i++)
		ck_assert_int_eq(loop_turn(l, 1, NULL), 0);
}

static socklen_t address(const char *ip, uint16_t port, struct sockaddr_storage *ss)
{
	struct inet_ip parsed;

	ck_assert_int_eq(inet_ip_parse(ip, &parsed, NULL), 0);
	return inet_ip_to_sockaddr(&parsed, port, ss);
}

struct client *client_connect(struct loop *l, const char *from, const char *to, uint16_t port)
{
	struct client *c = xnew(struct client);
	struct sockaddr_storage ss;
	socklen_t n = address(to, port, &ss);
	int yes = 1;

	c->loop = l;
	c->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(c->fd, 0);
	if (from) {
		struct sockaddr_storage mine;
		socklen_t mine_n = address(from, 0, &mine);

		ck_assert_int_eq(bind(c->fd, (struct sockaddr *)&mine, mine_n), 0);
	}
	/* the kernel completes it: the listener need not have accepted */
	if (connect(c->fd, (struct sockaddr *)&ss, n) < 0)
		return client_free(c);
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return c;
}

struct client *client_free(struct client *c)
{
	if (c)
		close(c->fd);
	free(c);
	return NULL;
}

void client_send_bytes(struct client *c, const void *p, size_t n)
{
	/* a front that has closed already is not the sender's failure */
	ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);

	ck_assert_msg(sent == (ssize_t)n || errno == EPIPE || errno == ECONNRESET, "send: %zd",
		      sent);
}

void client_send(struct client *c, const char *text)
{
	client_send_bytes(c, text, strlen(text));
}

static bool receive(struct client *c)
{
	ssize_t got;

	ck_assert_int_eq(loop_turn(c->loop, 1, NULL), 0);
	got = recv(c->fd, c->buf + c->n, sizeof(c->buf) - c->n, MSG_DONTWAIT);
	if (got > 0)
		c->n += (size_t)got;
	else if (got == 0 || errno == ECONNRESET)
		c->eof = true;
	return got > 0;
}

/* A whole answer at the start of the buffer: 0 when there is none yet, else its length. */
static size_t whole_answer(const struct client *c, struct answer *out, bool headless)
{
	const char *end = memmem(c->buf, c->n, "\r\n\r\n", 4);
	const char *length;
	size_t head_n, body_n;

	if (!end)
		return 0;
	head_n = (size_t)(end - c->buf) + 4;
	ck_assert_uint_lt(head_n, sizeof(out->head));
	memcpy(out->head, c->buf, head_n);
	out->head[head_n] = '\0';
	ck_assert_int_eq(strncmp(out->head, "HTTP/1.", 7), 0);
	out->status = (int)strtol(out->head + strlen("HTTP/1.1 "), NULL, 10);
	length = answer_header(out, "Content-Length");
	body_n = headless || !length ? 0 : strtoul(length, NULL, 10);
	if (head_n + body_n > c->n)
		return 0;
	ck_assert_uint_lt(body_n, sizeof(out->body));
	memcpy(out->body, c->buf + head_n, body_n);
	out->body[body_n] = '\0';
	out->body_len = body_n;
	return head_n + body_n;
}

static bool next_answer(struct client *c, struct answer *out, bool headless)
{
	memset(out, 0, sizeof(*out));
	for (int quiet = 0; quiet < ANSWER_TURNS;) {
		size_t n = whole_answer(c, out, headless);

		if (n) {
			memmove(c->buf, c->buf + n, c->n - n);
			c->n -= n;
			return true;
		}
		if (c->eof)
			return false;
		quiet = receive(c) ? 0 : quiet + 1;
	}
	return false;
}

bool client_next(struct client *c, struct answer *out)
{
	return next_answer(c, out, false);
}

bool client_next_headless(struct client *c, struct answer *out)
{
	return next_answer(c, out, true);
}

bool client_is_closed(struct client *c)
{
	for (int i = 0; i < QUIET_TURNS && !c->eof; i++)
		(void)receive(c);
	return c->eof;
}

const char *answer_header(const struct answer *a, const char *name)
{
	static char value[512];
	size_t n = strlen(name);

	for (const char *p = strstr(a->head, "\r\n"); p && p[2]; p = strstr(p + 2, "\r\n")) {
		if (strncasecmp(p + 2, name, n) != 0 || p[2 + n] != ':')
			continue;
		p += 2 + n + 1;
		p += strspn(p, " ");
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, "\r"), p);
		return value;
	}
	return NULL;
}
