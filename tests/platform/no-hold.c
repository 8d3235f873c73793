/* SPDX-License-Identifier: MIT */

/*
 * Linked into a driver, or loaded before it, it makes the kernel one before 6.9: where a table is to be had with the flag persist,
 * it gets one as well that no kernel knows. It is the kernel that refuses then, in its own words. With NMI_NO_OWNER
 * in its environment it is one before 5.12, and the flag owner is refused too. With NMI_NO_CONNTRACK it has no table of
 * connections that can be asked: the question goes to a part of netfilter that does not exist.
 */

#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OWNER	0x2U
#define PERSIST 0x4U
#define UNKNOWN 0x80000000U
#define NOBODY	0x7fU

static void spoil(char *batch, size_t n)
{
	uint32_t refused = getenv("NMI_NO_OWNER") ? OWNER | PERSIST : PERSIST;
	int rest = (int)n;

	for (struct nlmsghdr *h = (void *)batch; nlmsg_ok(h, rest); h = nlmsg_next(h, &rest)) {
		struct nlattr *a;
		uint32_t flags;

		if (getenv("NMI_NO_CONNTRACK") && h->nlmsg_type >> 8 == NFNL_SUBSYS_CTNETLINK)
			h->nlmsg_type = (uint16_t)(NOBODY << 8 | (h->nlmsg_type & 0xffU));
		if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE))
			continue;
		a = nlmsg_find_attr(h, sizeof(struct nfgenmsg), NFTA_TABLE_FLAGS);
		if (!a)
			continue;
		flags = ntohl(nla_get_u32(a));
		flags = htonl(flags & refused ? flags | UNKNOWN : flags);
		memcpy(nla_data(a), &flags, sizeof(flags));
	}
}

__attribute__((visibility("default"))) ssize_t sendto(int fd, const void *p, size_t n, int flags,
						      __CONST_SOCKADDR_ARG to, socklen_t to_n)
{
	__typeof__(&sendto) real;
	char *copy = malloc(n);
	ssize_t r;

	*(void **)&real = dlsym(RTLD_NEXT, "sendto");
	if (!real || !copy)
		abort();
	memcpy(copy, p, n);
	spoil(copy, n);
	r = real(fd, copy, n, flags, to, to_n);
	free(copy);
	return r;
}

/* As libnftables sends its batches: whose bytes they are does not matter, since they are sent once. */
__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	__typeof__(&sendmsg) real;

	*(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
	if (!real)
		abort();
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		spoil(msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
	return real(fd, msg, flags);
}
