/* SPDX-License-Identifier: MIT */

/*
 * Deleting flows by libnl-nf: see conntrack.h.
 *
 * A flow keeps the translation that it got from its first packet, so rules alone do not reach a
 * connection that is older. The guard blocks those that have none; a flow that an earlier agent
 * translated would go on to its address. The host's own flows to the service may be among the deleted
 * ones: the kernel picks them up again with their next packet.
 *
 * A node can have hundreds of thousands of flows, so the listing is read as a stream and only what
 * matches is kept.
 */

#include "iptables/conntrack.h"

#include "iptables/nlsock.h"
#include "lib/base/mem.h"

#include <netinet/in.h>
#include <netlink/addr.h>
#include <netlink/errno.h>
#include <netlink/netfilter/ct.h>
#include <netlink/socket.h>
#include <string.h>

/* Deleted in one go; what is beyond it meets the guard. */
#define FLOWS_MAX 4096

/* Directions, as nfnl_ct_get_*() take them. */
enum { ORIGINAL = 0, REPLY = 1 };

struct sweep {
	const struct redirect_spec *spec;
	struct nfnl_ct *flows[FLOWS_MAX];
	size_t n;
};

static struct sweep *sweep_free(struct sweep *s)
{
	for (size_t i = 0; s && i < s->n; i++)
		nfnl_ct_put(s->flows[i]);
	free(s);
	return NULL;
}
DEFINE_CLEANUP(struct sweep, sweep_free);

static bool is_addr(struct nl_addr *addr, const struct inet_ip *ip)
{
	return addr && nl_addr_get_family(addr) == AF_INET && nl_addr_get_len(addr) == 4 &&
	       memcmp(nl_addr_get_binary_addr(addr), ip->b + 12, 4) == 0;
}

static bool is_stale(const struct nfnl_ct *ct, const struct redirect_spec *spec)
{
	if (nfnl_ct_get_proto(ct) != IPPROTO_TCP ||
	    nfnl_ct_get_dst_port(ct, ORIGINAL) != spec->metadata_port ||
	    !is_addr(nfnl_ct_get_dst(ct, ORIGINAL), &spec->metadata_ip))
		return false;
	/* The answers come from the agent: translated as it should be. */
	return nfnl_ct_get_src_port(ct, REPLY) != spec->agent_port ||
	       !is_addr(nfnl_ct_get_src(ct, REPLY), &spec->agent_ip);
}

static int on_flow(struct nl_msg *msg, void *arg)
{
	struct sweep *s = arg;
	struct nfnl_ct *ct = NULL;

	if (nfnlmsg_ct_parse(nlmsg_hdr(msg), &ct) < 0)
		return NL_OK; /* a kind of flow that libnl does not know is none of TCP over IPv4 */
	if (s->n < FLOWS_MAX && is_stale(ct, s->spec))
		s->flows[s->n++] = ct;
	else
		nfnl_ct_put(ct);
	return NL_OK;
}

int conntrack_delete_stale(const struct redirect_spec *spec, unsigned *out_deleted, struct err *err)
{
	_cleanup_(nlsock_freep) struct nl_sock *sk = nlsock_new(err);
	_cleanup_(sweep_freep) struct sweep *s = xnew(struct sweep);
	unsigned deleted = 0;
	int r;

	if (!sk)
		return -ERR_OS;
	s->spec = spec;
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_flow, s);
	r = nfnl_ct_dump_request(sk);
	if (r >= 0)
		r = nl_recvmsgs_default(sk);
	if (r < 0)
		return nlsock_error(err, r, "listing connections");
	for (size_t i = 0; i < s->n; i++) {
		r = nfnl_ct_del(sk, s->flows[i], 0);
		if (r >= 0)
			deleted++;
		else if (r != -NLE_OBJ_NOTFOUND) /* ended by itself meanwhile */
			return nlsock_error(err, r, "deleting a connection");
	}
	*out_deleted = deleted;
	return 0;
}
