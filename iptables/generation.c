/* SPDX-License-Identifier: MIT */

/* NFT_MSG_GETGEN by libnl: see generation.h. */

#include "iptables/generation.h"

#include "lib/base/cleanup.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/socket.h>

static struct nl_sock *socket_free(struct nl_sock *sk)
{
	nl_socket_free(sk);
	return NULL;
}
DEFINE_CLEANUP(struct nl_sock, socket_free);

struct answer {
	uint32_t id;
	int found;
};

static int on_answer(struct nl_msg *msg, void *arg)
{
	struct answer *a = arg;
	struct nlattr *id = nlmsg_find_attr(nlmsg_hdr(msg), sizeof(struct nfgenmsg), NFTA_GEN_ID);

	if (id && nla_len(id) == sizeof(uint32_t)) {
		a->id = ntohl(nla_get_u32(id));
		a->found = 1;
	}
	return NL_OK;
}

/* libnl folds errno into codes of its own; these two are the ones an operator can act on. */
static int explain(int code, struct err *err)
{
	if (code == -NLE_PERM)
		return err_set(err, ERR_REFUSED,
			       "the kernel refuses nftables to us: CAP_NET_ADMIN is missing");
	if (code == -NLE_INVAL || code == -NLE_OPNOTSUPP || code == -NLE_PROTO_MISMATCH)
		return err_set(err, ERR_UNAVAILABLE,
			       "this kernel has no nftables: load the module nf_tables");
	return err_set(err, ERR_OS, "asking the kernel about nftables: %s", nl_geterror(code));
}

int generation_read(uint32_t *out, struct err *err)
{
	_cleanup_(socket_freep) struct nl_sock *sk = nl_socket_alloc();
	struct nfgenmsg head = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
	struct answer a = { 0 };
	int r;

	if (!sk)
		return err_set(err, ERR_OS, "netlink: out of memory");
	r = nl_connect(sk, NETLINK_NETFILTER);
	if (r < 0)
		return explain(r, err);
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_answer, &a);
	r = nl_send_simple(sk, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, 0, &head,
			   sizeof(head));
	if (r < 0)
		return explain(r, err);
	r = nl_recvmsgs_default(sk); /* the answer */
	if (r >= 0)
		r = nl_recvmsgs_default(sk); /* the acknowledgement */
	if (r < 0)
		return explain(r, err);
	if (!a.found)
		return err_set(err, ERR_OS, "the kernel's answer has no nftables generation");
	*out = a.id;
	return 0;
}
