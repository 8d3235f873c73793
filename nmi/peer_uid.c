/* SPDX-License-Identifier: MIT */

/*
 * Who is on the other end of a local connection: see peer_uid.h.
 *
 * Theory of operation. Both ends of a loopback connection are sockets of this network namespace, so the
 * kernel can be asked about the client's, by its exact addresses and ports (sock_diag(7)); what it tells
 * is the uid that the socket was made with. A process in another namespace has no end here, and neither
 * has a connection that was translated on its way: no such socket, no proof.
 *
 * A socket that no process holds any more is told with uid 0. So it must be connected, and must still
 * have an inode, which is what such a socket has lost.
 */

#include "nmi/peer_uid.h"

#include "lib/base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel's own bound of an errno (include/linux/err.h). */
#define ERRNO_MAX 4095

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 diag;
};

/* An answer is one message: its head, the fixed part, and attributes that were not asked for. */
struct reply {
	struct nlmsghdr head;
	union {
		struct inet_diag_msg diag;
		struct nlmsgerr error;
		char bytes[1024];
	};
};
static_assert(offsetof(struct reply, diag) == NLMSG_HDRLEN, "what follows a head of netlink");

static void put_ip(const struct inet_ip *ip, __be32 out[4])
{
	if (inet_ip_is_v4(ip))
		memcpy(out, ip->b + 12, 4);
	else
		memcpy(out, ip->b, 16);
}

static struct inet_ip get_ip(uint8_t family, const __be32 from[4])
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct inet_ip ip = { 0 };

	memcpy(&in.sin_addr, from, 4);
	memcpy(&in6.sin6_addr, from, 16);
	(void)inet_ip_from_sockaddr(family == AF_INET ? (struct sockaddr *)&in
						      : (struct sockaddr *)&in6,
				    &ip); /* one of the two it always is */
	return ip;
}

static int ask(int fd, const struct tcp_ends *ends, struct err *err)
{
	struct request req = {
		.head = { .nlmsg_len = sizeof(req),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST },
		.diag = { .sdiag_family = inet_ip_is_v4(&ends->client) ? AF_INET : AF_INET6,
			  .sdiag_protocol = IPPROTO_TCP,
			  .idiag_states = 1U << TCP_ESTABLISHED,
			  .id = { .idiag_sport = htons(ends->client_port),
				  .idiag_dport = htons(ends->server_port),
				  .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	put_ip(&ends->client, req.diag.id.idiag_src);
	put_ip(&ends->server, req.diag.id.idiag_dst);
	if (sendto(fd, &req, sizeof(req), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return err_set_errno(err, errno, "asking the kernel (sock_diag)");
	return 0;
}

/* Is it what was asked for? The kernel answers with a listener where it finds no connection. */
static bool is_client(const struct inet_diag_msg *m, const struct tcp_ends *ends)
{
	struct inet_ip src = get_ip(m->idiag_family, m->id.idiag_src);
	struct inet_ip dst = get_ip(m->idiag_family, m->id.idiag_dst);

	return m->id.idiag_sport == htons(ends->client_port) &&
	       m->id.idiag_dport == htons(ends->server_port) && inet_ip_eq(&src, &ends->client) &&
	       inet_ip_eq(&dst, &ends->server);
}

static int read_reply(const struct reply *r, size_t n, const struct tcp_ends *ends, uid_t *out,
		      struct err *err)
{
	const struct inet_diag_msg *m = &r->diag;

	if (n >= NLMSG_LENGTH(sizeof(struct nlmsgerr)) && r->head.nlmsg_type == NLMSG_ERROR &&
	    r->error.error < 0 && r->error.error >= -ERRNO_MAX) {
		if (r->error.error == -ENOENT)
			return err_set(err, ERR_UNAVAILABLE,
				       "the kernel knows no such connection (it needs tcp_diag)");
		return err_set_errno(err, -r->error.error, "the kernel's answer (sock_diag)");
	}
	if (n < NLMSG_LENGTH(sizeof(*m)) || r->head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return err_set(err, ERR_UNAVAILABLE, "the kernel's answer (sock_diag) is none");
	if (!is_client(m, ends))
		return err_set(err, ERR_UNAVAILABLE, "the kernel knows no such connection");
	if (m->idiag_state != TCP_ESTABLISHED || m->idiag_inode == 0)
		return err_set(err, ERR_UNAVAILABLE, "no process holds the connection any more");
	*out = m->idiag_uid;
	return 0;
}

int peer_uid_find(const struct tcp_ends *ends, uid_t *out, struct err *err)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct sockaddr_nl from = { 0 };
	socklen_t from_n = sizeof(from);
	struct reply reply;
	ssize_t n;
	int r;

	if (fd < 0)
		return err_set_errno(err, errno, "a socket of sock_diag");
	r = ask(fd, ends, err);
	if (r < 0)
		return r;
	/* the kernel answers inside sendto(), so there is nothing to wait for */
	n = recvfrom(fd, &reply, sizeof(reply), MSG_DONTWAIT, (struct sockaddr *)&from, &from_n);
	if (n < 0)
		return err_set_errno(err, errno, "the kernel's answer (sock_diag)");
	if (from.nl_pid != 0)
		return err_set(err, ERR_UNAVAILABLE, "another process answered for the kernel");
	return read_reply(&reply, (size_t)n, ends, out, err);
}
