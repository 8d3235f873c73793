/* SPDX-License-Identifier: MIT */

/* Netlink sockets to netfilter: see nlsock.h. */

#include "iptables/nlsock.h"

#include <linux/netlink.h>
#include <netlink/errno.h>
#include <netlink/socket.h>

/* libnl folds errno into codes of its own; the first two are what an operator can act on. */
int nlsock_error(struct err *err, int code, const char *doing)
{
	if (code == -NLE_PERM)
		return err_set(err, ERR_REFUSED, "%s: CAP_NET_ADMIN is missing", doing);
	if (code == -NLE_INVAL || code == -NLE_OPNOTSUPP || code == -NLE_PROTO_MISMATCH)
		return err_set(err, ERR_UNAVAILABLE, "%s: this kernel has no support for it",
			       doing);
	return err_set(err, ERR_OS, "%s: %s", doing, nl_geterror(code));
}

struct nl_sock *nlsock_new(struct err *err)
{
	_cleanup_(nlsock_freep) struct nl_sock *sk = nl_socket_alloc();
	int r;

	if (!sk) {
		(void)err_set(err, ERR_OS, "netlink: out of memory");
		return NULL;
	}
	r = nl_connect(sk, NETLINK_NETFILTER);
	if (r < 0) {
		(void)nlsock_error(err, r, "netlink socket for netfilter");
		return NULL;
	}
	return steal_ptr(sk);
}

struct nl_sock *nlsock_free(struct nl_sock *sk)
{
	if (sk)
		nl_socket_free(sk);
	return NULL;
}
