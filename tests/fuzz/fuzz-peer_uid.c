/* SPDX-License-Identifier: MIT */

/*
 * What the kernel answers to whose process holds a connection: the sockets are this file's, the input is the
 * answer. A uid comes only of an answer about that very connection, whose process there still is. The first byte
 * says of which family it is, and whether it is the kernel who answers.
 */

#include "nmi/peer_uid.h"
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <assert.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static const uint8_t *input;
static size_t left;
static uint32_t answerer;

/* The linker is to find these in place of the C library's. */
#pragma GCC visibility push(default)
int socket(int family, int type, int protocol)
{
	return eventfd(0, EFD_CLOEXEC);
}

ssize_t sendto(int fd, const void *p, size_t n, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_n)
{
	const struct nlmsghdr *h = p;

	assert(h->nlmsg_len == n && h->nlmsg_type == SOCK_DIAG_BY_FAMILY);
	return (ssize_t)n;
}

ssize_t recvfrom(int fd, void *p, size_t n, int flags, __SOCKADDR_ARG from, socklen_t *from_n)
{
	const struct sockaddr_nl who = { .nl_family = AF_NETLINK, .nl_pid = answerer };

	n = left < n ? left : n;
	memcpy(p, input, n);
	memcpy(from.__sockaddr__, &who, sizeof(who));
	*from_n = sizeof(who);
	return (ssize_t)n;
}
#pragma GCC visibility pop

/* May this be taken? */
static bool is_it(const struct tcp_ends *ends)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_msg diag;
	} r = { 0 };
	bool v4 = inet_ip_is_v4(&ends->client);
	size_t n = v4 ? 4 : 16, skip = v4 ? 12 : 0;

	if (left < sizeof(r) || answerer)
		return false;
	memcpy(&r, input, sizeof(r));
	return r.head.nlmsg_type == SOCK_DIAG_BY_FAMILY && r.diag.idiag_inode != 0 &&
	       ntohs(r.diag.id.idiag_sport) == ends->client_port &&
	       ntohs(r.diag.id.idiag_dport) == ends->server_port &&
	       memcmp(r.diag.id.idiag_src, ends->client.b + skip, n) == 0 &&
	       memcmp(r.diag.id.idiag_dst, ends->server.b + skip, n) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_ends ends = { .client_port = 40000, .server_port = 2579 };
	struct err err = { 0 };
	uid_t uid = 77;
	bool v4;

	if (size == 0)
		return 0;
	v4 = data[0] & 1;
	if (inet_ip_parse(v4 ? "127.0.0.1" : "::1", &ends.client, NULL) < 0)
		abort();
	ends.server = ends.client;
	answerer = data[0] >> 1 & 1;
	input = data + 1;
	left = size - 1;
	if (peer_uid_find(&ends, &uid, &err) == 0)
		assert(is_it(&ends));
	else
		assert(err.kind && err.msg[0] && uid == 77);
	return 0;
}
