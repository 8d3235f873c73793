/* SPDX-License-Identifier: MIT */

/* Counters and the sets of who was counted: see spoof_tally.h. */

#include "iptables/spoof_tally.h"

#include "iptables/nlsock.h"
#include "lib/base/mem.h"

#include <assert.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <string.h>

static const uint8_t families[] = {
	[SPOOF_ROUTED] = NFPROTO_IPV4, [SPOOF_BRIDGED] = NFPROTO_BRIDGE
};

/* A key of the set: a link's name, then an address. */
#define IPV4_BYTES 4
#define KEY_BYTES  (REDIRECT_LINK_MAX + IPV4_BYTES)

struct sources {
	struct spoof_source *out;
	size_t n;
};

static int dump(int type, uint8_t family, nl_recvmsg_msg_cb_t fn, void *ctx, struct err *err)
{
	_cleanup_(nlsock_freep) struct nl_sock *sk = nlsock_new(err);
	struct nfgenmsg g = { .nfgen_family = family, .version = NFNETLINK_V0 };
	struct nl_msg *msg;
	int r;

	if (!sk)
		return -(int)ERR_OS;
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, fn, ctx);
	msg = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | type, NLM_F_DUMP);
	if (!msg)
		out_of_memory();
	r = nlmsg_append(msg, &g, sizeof(g), NLMSG_ALIGNTO);
	/* an element's table is an attribute of the same number */
	static_assert((int)NFTA_OBJ_TABLE == (int)NFTA_SET_ELEM_LIST_TABLE,
		      "the table is the first");
	if (r >= 0)
		r = nla_put_string(msg, NFTA_OBJ_TABLE, SPOOF_TABLE);
	if (r >= 0 && type == NFT_MSG_GETSETELEM)
		r = nla_put_string(msg, NFTA_SET_ELEM_LIST_SET, SPOOF_SEEN);
	if (r >= 0)
		r = nl_send_auto(sk, msg);
	nlmsg_free(msg);
	if (r >= 0)
		r = nl_recvmsgs_default(sk);
	return r < 0 ? nlsock_error(err, r, "reading what was dropped as spoofed") : 0;
}

static uint64_t packets_of(struct nlattr *counter)
{
	const struct nlattr *packets = counter ? nla_find(nla_data(counter), nla_len(counter),
							  NFTA_COUNTER_PACKETS)
					       : NULL;

	return packets && nla_len(packets) == sizeof(uint64_t) ? be64toh(nla_get_u64(packets)) : 0;
}

static int on_object(struct nl_msg *msg, void *arg)
{
	struct spoof_tally *t = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);
	const struct nfgenmsg *g = nlmsg_data(h);
	struct nlattr *a[NFTA_OBJ_MAX + 1];

	if (nlmsg_parse(h, sizeof(*g), a, NFTA_OBJ_MAX, NULL) < 0 || !a[NFTA_OBJ_TABLE] ||
	    !a[NFTA_OBJ_NAME] || nla_strcmp(a[NFTA_OBJ_TABLE], SPOOF_TABLE) != 0 ||
	    nla_strcmp(a[NFTA_OBJ_NAME], SPOOF_COUNTER) != 0)
		return NL_OK;
	for (size_t f = 0; f < SPOOF_FAMILIES; f++) {
		if (g->nfgen_family != families[f])
			continue;
		t->is_there[f] = true;
		t->packets[f] = packets_of(a[NFTA_OBJ_DATA]);
	}
	return NL_OK;
}

int spoof_tally_read(struct spoof_tally *out, struct err *err)
{
	struct spoof_tally t = { 0 };
	int r = dump(NFT_MSG_GETOBJ, NFPROTO_UNSPEC, on_object, &t, err);

	if (r == 0)
		*out = t;
	return r;
}

/* The counter, alone or as the first of several expressions. */
static uint64_t count_of(struct nlattr **element)
{
	struct nlattr *e = element[NFTA_SET_ELEM_EXPR];
	struct nlattr *a[NFTA_EXPR_MAX + 1];

	if (!e || nla_parse_nested(a, NFTA_EXPR_MAX, e, NULL) < 0 || !a[NFTA_EXPR_NAME] ||
	    nla_strcmp(a[NFTA_EXPR_NAME], "counter") != 0)
		return 0;
	return packets_of(a[NFTA_EXPR_DATA]);
}

static void add_source(struct sources *s, struct nlattr *element)
{
	struct nlattr *a[NFTA_SET_ELEM_MAX + 1];
	struct spoof_source found = { 0 };
	const struct nlattr *key;
	const char *bytes;

	if (s->n == SPOOF_SEEN_MAX || nla_parse_nested(a, NFTA_SET_ELEM_MAX, element, NULL) < 0 ||
	    !a[NFTA_SET_ELEM_KEY])
		return;
	key = nla_find(nla_data(a[NFTA_SET_ELEM_KEY]), nla_len(a[NFTA_SET_ELEM_KEY]),
		       NFTA_DATA_VALUE);
	if (!key || nla_len(key) != KEY_BYTES)
		return;
	bytes = nla_data(key);
	memcpy(found.from.link, bytes, REDIRECT_LINK_MAX - 1);
	(void)inet_ip_from_bytes(bytes + REDIRECT_LINK_MAX, IPV4_BYTES, &found.from.ip);
	found.packets = count_of(a);
	s->out[s->n++] = found;
}

static int on_elements(struct nl_msg *msg, void *arg)
{
	struct nlattr *list, *element;
	int rest;

	list = nlmsg_find_attr(nlmsg_hdr(msg), sizeof(struct nfgenmsg),
			       NFTA_SET_ELEM_LIST_ELEMENTS);
	if (list)
		nla_for_each_nested(element, list, rest) add_source(arg, element);
	return NL_OK;
}

int spoof_tally_read_sources(enum spoof_family family,
			     struct spoof_source out[static SPOOF_SEEN_MAX], size_t *out_n,
			     struct err *err)
{
	struct sources s = { .out = out };
	int r = dump(NFT_MSG_GETSETELEM, families[family], on_elements, &s, err);

	if (r == 0)
		*out_n = s.n;
	return r;
}
