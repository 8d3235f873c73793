/* SPDX-License-Identifier: MIT */

/*
 * Reading what others have in the packet filters: see foreign_read.h.
 *
 * A node may have tens of thousands of rules and half as many chains (kube-proxy). nftables lists chains by
 * themselves, as a stream of which nothing is kept; rules are only listed of the chain or table that is
 * meant, up to a limit. iptables-legacy gives a table as a whole or not at all: into a mapping that is
 * given back at once. Only tables that are in use are asked for, since asking makes them.
 *
 * A listing that was disturbed by a change is read again, once.
 */

#include "iptables/foreign_read.h"

#include "iptables/nlsock.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RULES_MAX 2000 /* looked at in one listing */
/* A kernel that does not answer is not waited for. */
#define WAIT_MSEC 500
/* 100,000 rules of kube-proxy come to about 40 MiB. */
#define LEGACY_MAX   ((size_t)64 * 1024 * 1024)
#define LEGACY_TRIES 3
#define LEGACY_NAMES "/proc/self/net/ip_tables_names"

/* One listing. */
struct listing {
	struct foreign *f;
	int type;
	int family;
	const char *table, *chain; /* NULL: any */
	void (*on_rule)(struct listing *l, void *attrs, size_t n);
	size_t rules;
	bool found;
};

static int on_message(struct nl_msg *msg, void *arg)
{
	struct listing *l = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);
	const struct nfgenmsg *g = nlmsg_data(h);
	void *attrs;
	size_t n;

	if (!nlmsg_valid_hdr(h, sizeof(*g)))
		return NL_OK;
	attrs = nlmsg_attrdata(h, sizeof(*g));
	n = (size_t)nlmsg_attrlen(h, sizeof(*g));
	if (l->type == NFT_MSG_GETCHAIN)
		foreign_add_chain(l->f, g->nfgen_family, attrs, n);
	else if (l->rules++ < RULES_MAX)
		l->on_rule(l, attrs, n);
	else
		return NL_STOP;
	return NL_OK;
}

static int send_request(struct nl_sock *sk, const struct listing *l)
{
	struct nfgenmsg g = { .nfgen_family = (uint8_t)l->family, .version = NFNETLINK_V0 };
	struct nl_msg *msg = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | l->type, NLM_F_DUMP);
	int r;

	if (!msg)
		return -NLE_NOMEM;
	r = nlmsg_append(msg, &g, sizeof(g), NLMSG_ALIGNTO);
	if (r >= 0 && l->table)
		r = nla_put_string(msg, NFTA_RULE_TABLE, l->table);
	if (r >= 0 && l->chain)
		r = nla_put_string(msg, NFTA_RULE_CHAIN, l->chain);
	if (r >= 0)
		r = nl_send_auto(sk, msg);
	nlmsg_free(msg);
	return r;
}

static int list_once(struct listing *l, struct err *err)
{
	_cleanup_(nlsock_freep) struct nl_sock *sk = nlsock_new(err);
	struct timeval wait = { .tv_usec = WAIT_MSEC * 1000L };
	int r;

	if (!sk)
		return -NLE_FAILURE;
	if (setsockopt(nl_socket_get_fd(sk), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return -NLE_FAILURE;
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_message, l);
	r = send_request(sk, l);
	if (r >= 0)
		r = nl_recvmsgs_default(sk);
	if (r < 0 && r != -NLE_DUMP_INTR && r != -NLE_OBJ_NOTFOUND)
		(void)nlsock_error(err, r, "listing nftables");
	return r;
}

static int list(struct listing *l, struct err *err)
{
	int r = list_once(l, err);

	if (r == -NLE_DUMP_INTR)
		r = list_once(l, err);
	/* Gone meanwhile, or disturbed again: what was seen was there. */
	return r >= 0 || r == -NLE_OBJ_NOTFOUND || r == -NLE_DUMP_INTR ? 0 : -ERR_OS;
}

static void on_raw_rule(struct listing *l, void *attrs, size_t n)
{
	l->found = l->found || foreign_rule_untracks(attrs, n);
}

static void on_forward_rule(struct listing *l, void *attrs, size_t n)
{
	l->found = l->found || foreign_has_restriction(attrs, n);
}

static void on_metadata_rule(struct listing *l, void *attrs, size_t n)
{
	l->found = l->found || foreign_is_ours(attrs, n);
}

static int read_raw(struct foreign *f, struct err *err)
{
	for (size_t i = 0; i < f->raw.n; i++) {
		const struct foreign_chain *c = &f->raw.chain[i];
		/* the whole table: a chain in use jumps to others of it */
		struct listing l = { .f = f,
				     .type = NFT_MSG_GETRULE,
				     .family = strcmp(c->family, "inet") == 0 ? NFPROTO_INET
									      : NFPROTO_IPV4,
				     .table = c->table,
				     .on_rule = on_raw_rule };

		if (list(&l, err) < 0)
			return -ERR_OS;
		if (l.found && f->notrack.n < FOREIGN_CHAINS_MAX)
			f->notrack.chain[f->notrack.n++] = *c;
	}
	return 0;
}

static int read_forward(struct foreign *f, struct err *err)
{
	static const char *const tables[] = { "filter", "mangle" };

	for (size_t i = 0; i < ARRAY_SIZE(tables) && f->forward; i++) {
		struct listing l = { .f = f,
				     .type = NFT_MSG_GETRULE,
				     .family = NFPROTO_IPV4,
				     .table = tables[i],
				     .chain = "FORWARD",
				     .on_rule = on_forward_rule };

		if (list(&l, err) < 0)
			return -ERR_OS;
		f->imds_restriction |= l.found ? FOREIGN_NFT : 0;
	}
	return 0;
}

static int read_metadata(struct foreign *f, struct err *err)
{
	struct listing l = { .f = f,
			     .type = NFT_MSG_GETRULE,
			     .family = NFPROTO_IPV4,
			     .table = "nat",
			     .chain = "aad-metadata",
			     .on_rule = on_metadata_rule };

	if (!(f->aad_metadata & FOREIGN_NFT))
		return 0;
	if (list(&l, err) < 0)
		return -ERR_OS;
	if (l.found)
		f->aad_metadata &= ~(unsigned)FOREIGN_NFT;
	return 0;
}

static int read_nft(struct foreign *f, struct err *err)
{
	struct listing chains = { .f = f, .type = NFT_MSG_GETCHAIN, .family = NFPROTO_UNSPEC };

	if (list(&chains, err) < 0 || read_raw(f, err) < 0 || read_forward(f, err) < 0)
		return -ERR_OS;
	return read_metadata(f, err);
}

/* iptables-legacy */

static int get_entries(int fd, const struct ipt_getinfo *info, struct foreign *f, struct err *err)
{
	size_t bytes = sizeof(struct ipt_get_entries) + info->size;
	socklen_t n = (socklen_t)bytes;
	struct ipt_get_entries *e;
	int r;

	if (bytes > LEGACY_MAX)
		return err_set(err, ERR_LIMIT,
			       "table %.32s of iptables-legacy has %u bytes of rules", info->name,
			       info->size);
	e = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e == MAP_FAILED)
		return err_set_errno(err, errno, "mapping rules of iptables-legacy");
	memcpy(e->name, info->name, sizeof(e->name));
	e->size = info->size;
	r = getsockopt(fd, IPPROTO_IP, IPT_SO_GET_ENTRIES, e, &n);
	if (r < 0)
		r = err_set_errno(err, errno, "reading table %.32s of iptables-legacy", info->name);
	else
		foreign_add_legacy(f, info->name, e->entrytable, info->size);
	(void)munmap(e, bytes);
	return r;
}

static int read_legacy_table(int fd, const char *name, struct foreign *f, struct err *err)
{
	int r = 0;

	for (int i = 0; i < LEGACY_TRIES; i++) {
		struct ipt_getinfo info = { 0 };
		socklen_t n = sizeof(info);

		(void)snprintf(info.name, sizeof(info.name), "%s", name); /* it is short */
		if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &n) < 0)
			return err_set_errno(err, errno, "asking for table %s of iptables-legacy",
					     name);
		r = get_entries(fd, &info, f, err);
		if (r == 0 || !err || err->os_errno != EAGAIN) /* changed in between */
			return r;
	}
	return r;
}

static int read_legacy(struct foreign *f, struct err *err)
{
	static const char *const wanted[] = { "nat\n", "raw\n", "filter\n", "mangle\n" };
	_cleanup_close_ int fd = -EBADF;
	FILE *names = fopen(LEGACY_NAMES, "re");
	char line[XT_TABLE_MAXNAMELEN + 2];
	int r = 0;

	if (!names)
		return errno == ENOENT ? 0 : err_set_errno(err, errno, "opening " LEGACY_NAMES);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	while (fd >= 0 && r == 0 && fgets(line, sizeof(line), names)) {
		for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
			if (strcmp(line, wanted[i]) != 0)
				continue;
			line[strlen(line) - 1] = '\0';
			r = read_legacy_table(fd, line, f, err);
			break;
		}
	}
	(void)fclose(names); /* read only */
	return fd < 0 ? err_set_errno(err, errno, "socket") : r;
}

int foreign_read(struct foreign *out, struct err *err)
{
	*out = (struct foreign){ 0 };
	if (read_nft(out, err) < 0)
		return -ERR_OS;
	return read_legacy(out, err) < 0 ? -ERR_OS : 0;
}
