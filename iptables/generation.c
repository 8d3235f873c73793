/* SPDX-License-Identifier: MIT */

/* NFT_MSG_GETGEN by libnl: see generation.h. */

#include "iptables/generation.h"

#include "iptables/nlsock.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>

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

int generation_read(uint32_t *out, struct err *err)
{
	_cleanup_(nlsock_freep) struct nl_sock *sk = nlsock_new(err);
	struct nfgenmsg head = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
	struct answer a = { 0 };
	int r;

	if (!sk)
		return -(int)ERR_OS;
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_answer, &a);
	r = nl_send_simple(sk, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, 0, &head,
			   sizeof(head));
	if (r >= 0)
		r = nl_recvmsgs_default(sk); /* the answer */
	if (r >= 0)
		r = nl_recvmsgs_default(sk); /* the acknowledgement */
	if (r < 0)
		return nlsock_error(err, r, "asking the kernel for nftables");
	if (!a.found)
		return err_set(err, ERR_OS, "the kernel's answer has no nftables generation");
	*out = a.id;
	return 0;
}
