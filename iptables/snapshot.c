/* SPDX-License-Identifier: MIT */

/*
 * Putting a table back fast: see snapshot.h.
 *
 * Theory of operation
 *
 * When a program that changed rules closes its netlink socket, the kernel takes the lock that every
 * nftables commit of the namespace needs, and may hold it for a whole RCU grace period (10 to 30 ms
 * measured; nft_rcv_nl_event() since Linux 5.12). A foreign `nft flush ruleset` ends with such a close
 * some 0.2 ms after its commit. Whoever commits before it is through at once, whoever comes later
 * waits. libnftables needs 0.5 ms to parse text, read the kernel's objects and build messages; sending
 * messages that were built beforehand takes a fifth of that.
 *
 * They are made out of what the kernel itself lists: the attributes of tables, chains and rules are
 * the same in a listing and in a request to make them, but for those that the kernel hands out
 * (handles, use counts). So no rule is described twice; that what comes back is what there was is
 * checked by comparing listings afterwards, as after any change, and a restore that fails leaves the
 * work to libnftables.
 *
 * This is also how a table comes to be held, since libnftables 1.0.6 does not know the flag. A table with
 * owner and persist belongs to the socket that made it; when that socket closes, the kernel takes the
 * owner away and leaves the table, an orphan that anybody may replace or remove. Linux 6.9: commits
 * 31bf508be656 and da5141bbe0c2.
 */

#include "iptables/snapshot.h"

#include "iptables/nlsock.h"
#include "lib/base/buf.h"
#include "lib/base/mem.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

/* NFT_TABLE_F_PERSIST of newer headers. */
#define TABLE_PERSIST 0x4U
#define TABLE_HELD    ((uint32_t)NFT_TABLE_F_OWNER | TABLE_PERSIST)

/* Our tables come to about 4 KiB. */
#define SNAPSHOT_MAX ((size_t)64 * 1024)

/* nf_tables_api.c takes these; the others it hands out. */
#define TABLE_ATTRS (1U << NFTA_TABLE_NAME | 1U << NFTA_TABLE_FLAGS | 1U << NFTA_TABLE_USERDATA)
#define CHAIN_ATTRS                                                                                \
	(1U << NFTA_CHAIN_TABLE | 1U << NFTA_CHAIN_NAME | 1U << NFTA_CHAIN_HOOK |                  \
	 1U << NFTA_CHAIN_POLICY | 1U << NFTA_CHAIN_TYPE | 1U << NFTA_CHAIN_USERDATA)
#define RULE_ATTRS                                                                                 \
	(1U << NFTA_RULE_TABLE | 1U << NFTA_RULE_CHAIN | 1U << NFTA_RULE_EXPRESSIONS |             \
	 1U << NFTA_RULE_USERDATA)

/* The kernel's own bound of an errno (include/linux/err.h). */
#define ERRNO_MAX 4095

struct snapshot {
	struct nl_sock *sk;
	const char *table; /* while it is taken */
	struct buf batch;
	size_t last;  /* where the last message starts */
	size_t flags; /* where the table's flags are, in network order */
	int error;    /* while it is taken */
};

/* A message with those attributes of `from` that are in the set `attrs`. */
static void add(struct snapshot *s, int type, int flags, int family, int res_id,
		struct nlmsghdr *from, unsigned attrs)
{
	struct nfgenmsg g = { .nfgen_family = (uint8_t)family,
			      .version = NFNETLINK_V0,
			      .res_id = htons((uint16_t)res_id) };
	struct nlmsghdr h = { .nlmsg_type = (uint16_t)type,
			      .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) };
	struct nlattr *a;
	int rest, r;

	s->last = s->batch.n;
	r = buf_append(&s->batch, &h, sizeof(h), SNAPSHOT_MAX, NULL);
	r |= buf_append(&s->batch, &g, sizeof(g), SNAPSHOT_MAX, NULL);
	if (from)
		nlmsg_for_each_attr(a, from, sizeof(g),
				    rest) if (nla_type(a) < 32 && attrs & 1U << nla_type(a)) r |=
			buf_append(&s->batch, a, (size_t)NLA_ALIGN(a->nla_len), SNAPSHOT_MAX, NULL);
	if (r) {
		s->error = 1;
		return;
	}
	h.nlmsg_len = (uint32_t)(s->batch.n - s->last);
	memcpy(s->batch.p + s->last, &h, sizeof(h));
}

static void add_object(struct snapshot *s, int type, int flags, struct nlmsghdr *from,
		       unsigned attrs)
{
	add(s, NFNL_SUBSYS_NFTABLES << 8 | type, flags, AF_INET, 0, from, attrs);
}

/* In the message that was added last. */
static void find_flags(struct snapshot *s)
{
	struct nlattr *flags;

	if (s->error)
		return;
	flags = nlmsg_find_attr((void *)(s->batch.p + s->last), sizeof(struct nfgenmsg),
				NFTA_TABLE_FLAGS);
	if (flags && nla_len(flags) == sizeof(uint32_t))
		s->flags = (size_t)((char *)nla_data(flags) - s->batch.p);
	else
		s->error = 1;
}

static int on_object(struct nl_msg *msg, void *arg)
{
	struct snapshot *s = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);
	/* The first attribute of each of the three is the table's name. */
	struct nlattr *table = nlmsg_find_attr(h, sizeof(struct nfgenmsg), NFTA_TABLE_NAME);

	if (!table || nla_strcmp(table, s->table) != 0)
		return NL_OK;
	switch (h->nlmsg_type & 0xff) {
	case NFT_MSG_NEWTABLE:
		/* declare, delete, declare: whatever is there is replaced */
		add_object(s, NFT_MSG_NEWTABLE, NLM_F_CREATE, h, 1U << NFTA_TABLE_NAME);
		add_object(s, NFT_MSG_DELTABLE, 0, h, 1U << NFTA_TABLE_NAME);
		add_object(s, NFT_MSG_NEWTABLE, NLM_F_CREATE, h, TABLE_ATTRS);
		find_flags(s);
		break;
	case NFT_MSG_NEWCHAIN:
		add_object(s, NFT_MSG_NEWCHAIN, NLM_F_CREATE, h, CHAIN_ATTRS);
		break;
	case NFT_MSG_NEWRULE:
		add_object(s, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, h, RULE_ATTRS);
		break;
	default:
		s->error = 1;
	}
	return NL_OK;
}

/* Everything of one kind; the kernel narrows rules to the table, of the rest there is less. */
static int read_objects(struct snapshot *s, int type, struct err *err)
{
	struct nfgenmsg g = { .nfgen_family = AF_INET, .version = NFNETLINK_V0 };
	struct nl_msg *msg = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | type, NLM_F_DUMP);
	int r;

	if (!msg)
		return err_set(err, ERR_OS, "netlink: out of memory");
	r = nlmsg_append(msg, &g, sizeof(g), NLMSG_ALIGNTO);
	if (r >= 0 && type == NFT_MSG_GETRULE)
		r = nla_put_string(msg, NFTA_RULE_TABLE, s->table);
	if (r >= 0)
		r = nl_send_auto(s->sk, msg);
	nlmsg_free(msg);
	if (r >= 0)
		r = nl_recvmsgs_default(s->sk);
	return r < 0 ? nlsock_error(err, r, "reading a table") : 0;
}

struct snapshot *snapshot_take(const char *table, struct err *err)
{
	static const int types[] = { NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE };
	_cleanup_(snapshot_freep) struct snapshot *s = xnew(struct snapshot);
	struct nlmsghdr h;

	s->sk = nlsock_new(err);
	if (!s->sk)
		return NULL;
	s->table = table;
	nl_socket_modify_cb(s->sk, NL_CB_VALID, NL_CB_CUSTOM, on_object, s);
	add(s, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (read_objects(s, types[i], err) < 0)
			return NULL;
	/* without the table there may be chains: it came after it was asked for */
	if (s->error || s->flags == 0) {
		(void)err_set(err, ERR_LIMIT, "table %s is missing or too large", table);
		return NULL;
	}
	/* Only errors are answered, but for the last message: success must be heard as well. */
	memcpy(&h, s->batch.p + s->last, sizeof(h));
	h.nlmsg_flags |= NLM_F_ACK;
	memcpy(s->batch.p + s->last, &h, sizeof(h));
	add(s, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, NULL, 0);
	s->table = NULL;
	return steal_ptr(s);
}

struct snapshot *snapshot_free(struct snapshot *s)
{
	if (!s)
		return NULL;
	s->sk = nlsock_free(s->sk);
	buf_deinit(&s->batch);
	free(s);
	return NULL;
}

/* The kernel has answered everything by the time that send() returns. */
static int read_answers(int fd, struct err *err)
{
	_Alignas(struct nlmsghdr) char answer[8192];
	bool done = false;
	int error = 0;
	ssize_t n;

	while ((n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT)) > 0) {
		int rest = (int)n;

		for (struct nlmsghdr *h = (void *)answer; nlmsg_ok(h, rest);
		     h = nlmsg_next(h, &rest)) {
			const struct nlmsgerr *e = nlmsg_data(h);

			if (h->nlmsg_type != NLMSG_ERROR || !nlmsg_valid_hdr(h, sizeof(*e)))
				continue;
			done = done || e->error == 0;
			if (!error && e->error)
				error = e->error < -ERRNO_MAX ? EPROTO : -e->error;
		}
	}
	if (error || !done)
		return err_set_errno(err, error ? error : EPROTO, "putting a table back");
	return 0;
}

int snapshot_restore(struct snapshot *s, enum snapshot_mode mode, struct err *err)
{
	int fd = nl_socket_get_fd(s->sk);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	uint32_t flags;

	memcpy(&flags, s->batch.p + s->flags, sizeof(flags));
	flags &= ~htonl(TABLE_HELD);
	flags |= mode == SNAPSHOT_HELD ? htonl(TABLE_HELD) : 0;
	memcpy(s->batch.p + s->flags, &flags, sizeof(flags));

	if (sendto(fd, s->batch.p, s->batch.n, 0, (const struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return err_set_errno(err, errno, "putting a table back");
	return read_answers(fd, err);
}
