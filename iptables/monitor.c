/* SPDX-License-Identifier: MIT */

/*
 * The nftables notification group: see monitor.h.
 *
 * On a node whose service proxy writes nftables most news are not about us: they are told apart by
 * the first attribute, which in every message of this group but NEWGEN is the table's name.
 */

#include "iptables/monitor.h"

#include "iptables/culprit.h"
#include "iptables/nlsock.h"
#include "iptables/ruleset.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"

#include <assert.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* A large commit by others (10,000 rules) must not make the kernel drop news; it is only a ceiling. */
#define RECEIVE_BYTES (1024 * 1024)
/* The kernel puts at most a page of news (NLMSG_GOODSIZE), or one large one, into a message. */
#define MESSAGE_BYTES ((size_t)64 * 1024)
/* Then the rules are looked at, if news were of ours: others must not put that off by never being silent. */
#define READS_MAX 1000

static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
		      NFTA_SET_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1 && NFTA_OBJ_TABLE == 1 &&
		      NFTA_FLOWTABLE_TABLE == 1,
	      "the table's name is the first attribute everywhere");

struct monitor {
	struct nl_sock *sk;
	struct loop_fd source;
	bool ours;
	bool deleted;
	struct culprits culprits;
	monitor_fn *fn;
	void *ctx;
	monitor_concerns_fn *concerns;
};

/* The string, or NULL where it has no end. */
static const char *string_of(struct nlattr *a)
{
	if (!a || nla_len(a) <= 0 || !memchr(nla_data(a), '\0', (size_t)nla_len(a)))
		return NULL;
	return nla_get_string(a);
}

/* News of a table, chain or rule that is not ours, and may hold ours all the same. */
static bool concerns(const struct monitor *m, struct nlmsghdr *h, int type, const char *table)
{
	const char *chain = NULL;
	int at = 0;

	if (type == NFT_MSG_NEWCHAIN || type == NFT_MSG_DELCHAIN)
		at = NFTA_CHAIN_NAME;
	else if (type == NFT_MSG_NEWRULE || type == NFT_MSG_DELRULE)
		at = NFTA_RULE_CHAIN;
	else if (type != NFT_MSG_NEWTABLE && type != NFT_MSG_DELTABLE)
		return false;
	if (at)
		chain = string_of(nlmsg_find_attr(h, sizeof(struct nfgenmsg), at));
	return (!at || chain) && m->concerns(table, chain);
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct monitor *m = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);
	const struct nfgenmsg *g = nlmsg_data(h);
	const char *name;
	int type = h->nlmsg_type & 0xff;

	culprits_read(&m->culprits, h);
	if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || type == NFT_MSG_NEWGEN ||
	    !nlmsg_valid_hdr(h, sizeof(*g)) || g->nfgen_family != AF_INET)
		return NL_OK;
	name = string_of(nlmsg_find_attr(h, sizeof(*g), NFTA_TABLE_NAME));
	if (!name)
		return NL_OK;
	m->ours = m->ours || ruleset_is_ours(name) || (m->concerns && concerns(m, h, type, name));
	/* Replacing it is news of a deletion as well, followed by those of a new one. */
	if ((type == NFT_MSG_NEWTABLE || type == NFT_MSG_DELTABLE) &&
	    strcmp(name, ruleset_table_name(RULESET_KEPT)) == 0)
		m->deleted = type == NFT_MSG_DELTABLE;
	return NL_OK;
}

static void on_readable(struct loop_fd *f, uint32_t events)
{
	struct monitor *m = container_of(f, struct monitor, source);
	struct mono since = loop_mono(f->loop);
	bool lost = false;
	int r, n = 0;

	m->ours = m->deleted = false;

	/*
	 * -NLE_NOMEM is ENOBUFS: news were dropped, so anything may have happened. That our table went is
	 * acted upon before the rest is read: microseconds decide who gets the commit lock next, see
	 * confine.c.
	 */
	do {
		r = nl_recvmsgs_default(m->sk);
		lost = lost || (r < 0 && r != -NLE_AGAIN);
	} while (!m->deleted && (r >= 0 || r == -NLE_NOMEM) && ++n < READS_MAX);
	if (m->ours || lost || *m->culprits.rival)
		m->fn(m->ctx, since, m->deleted && !lost);
}

struct monitor *monitor_new(struct loop *l, monitor_fn *fn, void *ctx, struct err *err)
{
	_cleanup_(monitor_freep) struct monitor *m = xnew(struct monitor);
	int r;

	m->fn = fn;
	m->ctx = ctx;
	m->sk = nlsock_new(err);
	if (!m->sk)
		return NULL;
	nl_socket_disable_seq_check(m->sk);
	/* one system call a message, where libnl would ask for the size first */
	nl_socket_disable_msg_peek(m->sk);
	(void)nl_socket_set_msg_buf_size(m->sk, MESSAGE_BYTES); /* fails only without memory */
	nl_socket_modify_cb(m->sk, NL_CB_VALID, NL_CB_CUSTOM, on_message, m);
	r = nl_socket_add_membership(m->sk, NFNLGRP_NFTABLES);
	if (r >= 0)
		r = nl_socket_set_nonblocking(m->sk);
	if (r < 0) {
		(void)nlsock_error(err, r, "subscribing to nftables changes");
		return NULL;
	}
	(void)nl_socket_set_buffer_size(m->sk, RECEIVE_BYTES, 0); /* the default works too */
	if (loop_fd_add(l, &m->source, nl_socket_get_fd(m->sk), EPOLLIN, on_readable, err) < 0)
		return NULL;
	return steal_ptr(m);
}

void monitor_set_concerns(struct monitor *m, monitor_concerns_fn *fn)
{
	m->concerns = fn;
}

struct monitor *monitor_free(struct monitor *m)
{
	if (!m)
		return NULL;
	loop_fd_del(&m->source);
	m->sk = nlsock_free(m->sk);
	free(m);
	return NULL;
}

const struct culprits *monitor_culprits(const struct monitor *m)
{
	return &m->culprits;
}

bool monitor_take_rival(struct monitor *m, char out[static MONITOR_RIVAL_MAX])
{
	static_assert(sizeof(m->culprits.rival) == MONITOR_RIVAL_MAX, "they fit");
	if (!*m->culprits.rival)
		return false;
	memcpy(out, m->culprits.rival, MONITOR_RIVAL_MAX);
	m->culprits.rival[0] = '\0';
	return true;
}
