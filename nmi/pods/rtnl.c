/* SPDX-License-Identifier: MIT */

/* Messages of rtnetlink: see rtnl.h. */

#include "nmi/pods/rtnl.h"

#include "lib/base/inet.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel's own bound of an errno (include/linux/err.h). */
#define ERRNO_MAX 4095

struct nl_sock *rtnl_open(struct err *err)
{
	struct nl_sock *sk = nl_socket_alloc();

	if (!sk)
		out_of_memory();
	if (nl_connect(sk, NETLINK_ROUTE) < 0) {
		(void)err_set_errno(err, errno, "netlink socket for routes");
		nl_socket_free(sk);
		return NULL;
	}
	nl_socket_disable_auto_ack(sk); /* an answer is acknowledgement enough */
	return sk;
}

int rtnl_receive(struct nl_sock *sk, void *buf)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { buf, RTNL_BYTES };
	struct msghdr msg = { &from, sizeof(from), &iov, 1, NULL, 0, 0 };
	ssize_t n;

	do {
		n = recvmsg(nl_socket_get_fd(sk), &msg, MSG_DONTWAIT);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return msg.msg_flags & MSG_TRUNC ? -ENOBUFS : (int)n;
}

struct nl_msg *rtnl_new(int type, int flags, const void *header, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	if (!msg || nlmsg_append(msg, (void *)(uintptr_t)header, size, NLMSG_ALIGNTO) < 0)
		out_of_memory();
	return msg;
}

void rtnl_put(struct nl_msg *msg, int attr, const void *data, size_t n)
{
	if (nla_put(msg, attr, (int)n, data) < 0)
		out_of_memory(); /* a page is there, and less than a hundred bytes are put */
}

void rtnl_put_ip(struct nl_msg *msg, int attr, const struct inet_ip *ip)
{
	if (inet_ip_is_v4(ip))
		rtnl_put(msg, attr, ip->b + 12, 4);
	else
		rtnl_put(msg, attr, ip->b, 16);
}

bool rtnl_get_ip(const struct nlattr *a, struct inet_ip *out)
{
	return a && inet_ip_from_bytes(nla_data(a), (size_t)nla_len(a), out);
}

int rtnl_send_take(struct nl_sock *sk, void *buf, struct nl_msg *msg)
{
	int r;

	/* what an earlier question was given up with must not be taken for an answer */
	while (rtnl_receive(sk, buf) > 0)
		;
	nl_complete_msg(sk, msg);
	r = nl_send(sk, msg) < 0 ? -EIO : 0;
	nlmsg_free(msg);
	return r;
}

/* What the kernel refuses for a reason that is about us, not about what was asked. */
static bool is_about_us(int no)
{
	return no == ENOMEM || no == ENOBUFS || no == EPERM || no == EOPNOTSUPP;
}

int rtnl_ask_take(struct nl_sock *sk, void *buf, struct nl_msg *msg, struct nlattr **a, int max,
		  size_t size)
{
	struct nlmsghdr *h = buf;
	int n = rtnl_send_take(sk, buf, msg);

	if (n == 0)
		n = rtnl_receive(sk, buf);
	if (n <= 0 || !nlmsg_ok(h, n))
		return n < 0 ? n : -EIO;
	if (h->nlmsg_type != NLMSG_ERROR)
		return nlmsg_parse(h, (int)size, a, max, NULL) < 0 ? -EIO : 1;
	if (!nlmsg_valid_hdr(h, sizeof(struct nlmsgerr)))
		return -EIO;
	n = ((const struct nlmsgerr *)nlmsg_data(h))->error;
	if (n >= 0)
		return -EIO; /* an acknowledgement, which nobody asked for */
	return n > -ERRNO_MAX && is_about_us(-n) ? n : 0;
}

static enum link_kind kind_of(struct nlattr *info)
{
	static const struct {
		const char *name;
		enum link_kind kind;
	} kinds[] = {
		{ "veth", LINK_OWN },
		{ "netkit", LINK_OWN },
		{ "tun", LINK_OWN }, /* and tap: sandboxes that are machines */
		{ "bridge", LINK_BRIDGE },
	};
	const struct nlattr *kind = info ? nla_find(nla_data(info), nla_len(info), IFLA_INFO_KIND)
					 : NULL;

	for (size_t i = 0; kind && i < ARRAY_SIZE(kinds); i++) {
		if (nla_strcmp(kind, kinds[i].name) == 0)
			return kinds[i].kind;
	}
	return LINK_OTHER;
}

bool rtnl_read_link(struct nlmsghdr *h, struct rtnl_link *out)
{
	const struct ifinfomsg *m = nlmsg_data(h);
	struct nlattr *a[IFLA_MAX + 1];

	/* those of the bridge family tell of a port */
	if (nlmsg_parse(h, sizeof(*m), a, IFLA_MAX, NULL) < 0 || m->ifi_family != AF_UNSPEC)
		return false;
	*out = (struct rtnl_link){ .ifindex = m->ifi_index,
				   .up = m->ifi_flags & IFF_UP,
				   .kind = kind_of(a[IFLA_LINKINFO]) };
	out->master = a[IFLA_MASTER] ? (int)nla_get_u32(a[IFLA_MASTER]) : 0;
	out->peer = a[IFLA_LINK] ? (int)nla_get_u32(a[IFLA_LINK]) : 0;
	if (a[IFLA_ADDRESS] && nla_len(a[IFLA_ADDRESS]) == RTNL_MAC_BYTES)
		memcpy(out->mac, nla_data(a[IFLA_ADDRESS]), RTNL_MAC_BYTES);
	if (a[IFLA_IFNAME])
		(void)nla_strlcpy(out->name, a[IFLA_IFNAME], sizeof(out->name));
	return true;
}
