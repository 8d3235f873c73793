/* SPDX-License-Identifier: MIT */

/*
 * Routes and links as the kernel has them: see link.h.
 *
 * Theory of operation
 *
 * A pod's network is made by a plugin that puts a pair of links between host and pod, and a route to
 * the pod's IP onto the host's end. The pair dies with the pod's network; the next pod with the same
 * IP has another pair. So the link that an IP leads to tells pods apart, as the IP does not.
 *
 * Which link is the kernel's own answer to RTM_GETROUTE: rules, tables and metrics count as they do for
 * a packet. Only a link that nobody else shares is a pod's place:
 *
 *	- a route to this one address (/32, /128) onto a veth, a netkit or a tap: Azure CNI, Calico, ptp;
 *	- a bridge, where the port that the address is behind is known, as for the next packet to it:
 *	  address → MAC (neighbour table) → port (forwarding table): kubenet, the bridge plugin.
 *
 * All else is shared: the uplink's subnet above all, into which the IP of a pod falls back when its own
 * route has gone, where pods have addresses of the node's network.
 *
 * Numbers. An ifindex is not good enough as a name: a link that is moved into this namespace keeps the
 * one that it has, so that a dead link's may come again. The table of links below gives each life of
 * a link a number of ours. It is fed by the kernel's notifications in their order; so it is right only
 * when all of them have been read, and hence
 *
 *	- every question reads them first, and again after it: if they have changed the table, the
 *	  answer may belong to either time, and is asked for again;
 *	- notifications are only noted while they are read, and told once nothing is left to read.
 *
 * Reading costs a system call (0.6 us) when there is nothing, so the store can afford to catch up before
 * it decides (binding.c), instead of waiting for the loop to come to it.
 *
 * When the queue overflows (ENOBUFS) the links are listed anew; one that looks the same in every respect
 * keeps its number, since to take it for another would end the claims of every pod of the node.
 *
 * Neighbours have a socket of their own. They do not change the table, they are only hints where to ask
 * anew; and a pod on a bridge can make them come by the hundred thousand, by sending from one MAC after
 * the other. So of them only some are read in a turn of the loop, and what a bridge has learned is told
 * no more often than every STIR_MSEC, as is that hints were lost: each time all addresses of bridges are
 * asked for. Meanwhile who decides is told that what it knows may be old, and asks for the one address
 * that it is about.
 */

#include "nmi/pods/link.h"

#include "lib/base/hmap.h"
#include "lib/base/inet.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/pods/rtnl.h"
#include "nmi/pods/unclaimed.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* A node that starts 250 pods at once makes some thousand notifications; it is only a ceiling. */
#define RECEIVE_BYTES (1024 * 1024)
/*
 * Notifications that are read at once: of links and routes, more than a queue can hold (the kernel counts
 * 768 bytes for each, and allows twice the size), so that all from before are read; of neighbours, what
 * takes a fraction of a millisecond.
 */
#define NEWS_READ_MAX  4096
#define HINTS_READ_MAX 128
/* Where ports learn addresses all the time, all addresses of bridges are looked at no more often. */
#define STIR_MSEC 100
/* News of routes that are noted one by one before they are told; with more, everything is looked at. */
#define NEWS_MAX 1024
/* A question whose answer is overtaken by news every time is given up. */
#define TRIES_MAX 5

struct link {
	struct hmap_node node; /* by ifindex */
	struct hmap_node by_number;
	uint32_t number;
	struct rtnl_link is;
	bool seen; /* by the listing under way */
};

struct news {
	enum { NEWS_GONE, NEWS_CHANGED, NEWS_MOVED } what;
	uint32_t link;
	unsigned bits;
	struct inet_ip prefix;
	char name[IFNAMSIZ]; /* of what is gone */
};

struct link_watch {
	const struct link_ops *ops;
	void *ctx;
	struct loop *loop;
	struct nl_sock *news_sk;  /* of links and routes: subscribed, and read from only */
	struct nl_sock *hints_sk; /* likewise, of neighbours and ports */
	struct nl_sock *ask_sk;	  /* one question at a time */
	struct loop_fd news_source, hints_source;
	struct loop_defer later;
	struct hmap links;
	struct hmap by_number;	     /* the same links */
	struct unclaimed *unclaimed; /* of them; fed while news are read, not when they are told */
	unsigned n_bridges;	     /* of them */
	uint32_t newest;
	struct news *news;
	size_t n_news, max_news;
	bool all;     /* anything may lead elsewhere: news of it were too many, or were lost */
	bool is_lost; /* news were, and the links have not been listed since */
	bool has_more_hints;
	bool has_lost_hints; /* and loses more, untold, until the queue is empty */
	bool is_stirred;     /* any address of a bridge may be behind another port */
	bool is_overtaken;   /* a question was: no news need come of its address */
	struct mono stir_at;
	struct loop_timer stir;
	bool is_telling;
	const struct news *telling;
	unsigned changes; /* of the table of links */
	unsigned losses;
	char buf[RTNL_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
};

/* the table of links */

static struct str ifindex_key(const struct hmap_node *n)
{
	const struct link *l = container_of(n, struct link, node);

	return HMAP_BYTES(l->is.ifindex);
}

static struct str number_key(const struct hmap_node *n)
{
	const struct link *l = container_of(n, struct link, by_number);

	return HMAP_BYTES(l->number);
}

static struct link *link_find(const struct link_watch *w, int ifindex)
{
	struct hmap_node *n = hmap_find(&w->links, &ifindex, sizeof(ifindex));

	return n ? container_of(n, struct link, node) : NULL;
}

static void note(struct link_watch *w, const struct news *news)
{
	if (news->what != NEWS_GONE) {
		if (w->n_news >= NEWS_MAX)
			w->all = true;
		if (w->all)
			return;
		/* a bridge learns many addresses in a row */
		if (w->n_news && memcmp(&w->news[w->n_news - 1], news, sizeof(*news)) == 0)
			return;
	}
	if (w->n_news == w->max_news) {
		w->max_news = w->max_news ? 2 * w->max_news : 16;
		w->news = xrealloc(w->news, w->max_news * sizeof(*w->news));
	}
	w->news[w->n_news++] = *news;
}

static void link_del(struct link_watch *w, struct link *l)
{
	struct news gone = { .what = NEWS_GONE, .link = l->number };

	memcpy(gone.name, l->is.name, sizeof(gone.name));
	note(w, &gone);
	w->changes++;
	w->n_bridges -= l->is.kind == LINK_BRIDGE;
	hmap_del(&w->links, &l->node);
	hmap_del(&w->by_number, &l->by_number);
	unclaimed_gone(w->unclaimed, l->number);
	free(l);
}

static bool is_same_life(const struct rtnl_link *a, const struct rtnl_link *b)
{
	return a->kind == b->kind && a->peer == b->peer && strcmp(a->name, b->name) == 0 &&
	       memcmp(a->mac, b->mac, RTNL_MAC_BYTES) == 0;
}

/* What may be a pod's is told of. */
static void link_tell(struct link_watch *w, const struct link *l)
{
	const struct link *bridge = link_find(w, l->is.master);

	if (l->is.kind == LINK_OWN)
		unclaimed_link(w->unclaimed, l->number,
			       bridge && bridge->is.kind == LINK_BRIDGE ? bridge->number : 0);
}

/* From a notification (they come in order, so it is the same life), or from a listing (it may not be). */
static void link_put(struct link_watch *w, struct link *l, const struct rtnl_link *now,
		     bool is_listed)
{
	if (l && is_listed && !is_same_life(&l->is, now)) {
		link_del(w, l);
		l = NULL;
	}
	w->n_bridges += now->kind == LINK_BRIDGE;
	if (!l) {
		l = xnew(struct link);
		l->is = *now;
		l->number = ++w->newest;
		hmap_add(&w->links, &l->node, ifindex_key);
		hmap_add(&w->by_number, &l->by_number, number_key);
		w->changes++;
	} else {
		w->n_bridges -= l->is.kind == LINK_BRIDGE;
		if (l->is.up != now->up || l->is.master != now->master || l->is.kind != now->kind ||
		    strcmp(l->is.name, now->name) != 0) {
			note(w, &(struct news){ .what = NEWS_CHANGED, .link = l->number });
			w->changes++;
		}
		l->is = *now;
	}
	l->seen = true;
	link_tell(w, l);
}

/* messages */

static void read_link(struct link_watch *w, struct nlmsghdr *h, bool is_listed)
{
	struct rtnl_link now;
	struct link *l;

	/* those of the bridge family tell of a port, not of the life of a link */
	if (!rtnl_read_link(h, &now))
		return;
	l = link_find(w, now.ifindex);
	if (h->nlmsg_type != RTM_DELLINK)
		link_put(w, l, &now, is_listed);
	else if (l)
		link_del(w, l);
}

static void read_route(struct link_watch *w, struct nlmsghdr *h)
{
	const struct rtmsg *m = nlmsg_data(h);
	struct nlattr *a[RTA_MAX + 1];
	const struct link *l;
	struct inet_ip prefix;
	unsigned bits;

	if (nlmsg_parse(h, sizeof(*m), a, RTA_MAX, NULL) < 0 || (m->rtm_flags & RTM_F_CLONED))
		return;
	bits = m->rtm_dst_len + (m->rtm_family == AF_INET ? 96u : 0u);
	if (!rtnl_get_ip(a[RTA_DST], &prefix) || bits > 128) {
		w->all =
			true; /* the default route, or one of which it is not known what it is of */
		return;
	}
	note(w, &(struct news){ .what = NEWS_MOVED, .prefix = prefix, .bits = bits });
	l = a[RTA_OIF] ? link_find(w, (int)nla_get_u32(a[RTA_OIF])) : NULL;
	if (h->nlmsg_type == RTM_NEWROUTE && m->rtm_type == RTN_UNICAST && bits == 128 && l &&
	    l->is.kind == LINK_OWN)
		unclaimed_led(w->unclaimed, &prefix, l->number);
}

/*
 * An address on a bridge has got another MAC, or a MAC another port. Entries that are only confirmed or
 * grow old are no news; which these are is not told, so each costs a question, for the addresses of pods
 * on bridges only. Which address a MAC is of is not told either, so all of them are asked for.
 */
static void read_neighbour(struct link_watch *w, struct nlmsghdr *h)
{
	const struct ndmsg *m = nlmsg_data(h);
	struct nlattr *a[NDA_MAX + 1];
	const struct link *l;
	struct inet_ip ip;

	if (nlmsg_parse(h, sizeof(*m), a, NDA_MAX, NULL) < 0)
		return;
	l = link_find(w, m->ndm_ifindex);
	if (m->ndm_family == AF_BRIDGE || !l) /* a link that has come since the links were read */
		w->is_stirred = true;
	else if (l->is.kind == LINK_BRIDGE && rtnl_get_ip(a[NDA_DST], &ip))
		note(w, &(struct news){ .what = NEWS_MOVED, .prefix = ip, .bits = 128 });
}

static void read_message(struct link_watch *w, struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (nlmsg_valid_hdr(h, sizeof(struct ifinfomsg)))
			read_link(w, h, false);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (nlmsg_valid_hdr(h, sizeof(struct rtmsg)))
			read_route(w, h);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (nlmsg_valid_hdr(h, sizeof(struct ndmsg)))
			read_neighbour(w, h);
		break;
	case RTM_NEWADDR:
		break; /* its routes are told */
	default:
		/* rules, nexthop objects, and addresses that go take routes along untold */
		w->all = true;
	}
}

/* listing */

/* One pass over all links: 1 when it was disturbed and must be made again. */
static int list_once(struct link_watch *w)
{
	const struct ifinfomsg all = { .ifi_family = AF_UNSPEC };
	int disturbed = 0;
	int n = rtnl_send_take(w->ask_sk, w->buf,
			       rtnl_new(RTM_GETLINK, NLM_F_DUMP, &all, sizeof(all)));

	if (n < 0)
		return n;
	while ((n = rtnl_receive(w->ask_sk, w->buf)) > 0) {
		struct nlmsghdr *h = (void *)w->buf;

		for (; nlmsg_ok(h, n); h = nlmsg_next(h, &n)) {
			if (h->nlmsg_flags & NLM_F_DUMP_INTR)
				disturbed = 1;
			if (h->nlmsg_type == NLMSG_DONE)
				return disturbed;
			if (h->nlmsg_type == RTM_NEWLINK &&
			    nlmsg_valid_hdr(h, sizeof(struct ifinfomsg)))
				read_link(w, h, true);
		}
	}
	return n < 0 ? n : -EIO;
}

static int list(struct link_watch *w)
{
	int r = 1;

	hmap_for_each_safe (n, next, &w->links)
		container_of(n, struct link, node)->seen = false;
	for (int i = 0; r == 1 && i < TRIES_MAX; i++)
		r = list_once(w);
	if (r < 0)
		return r;
	hmap_for_each_safe (n, next, &w->links) {
		struct link *l = container_of(n, struct link, node);

		if (!l->seen)
			link_del(w, l);
	}
	return 0;
}

/* reading and telling */

static void read_datagram(struct link_watch *w, int n)
{
	struct nlmsghdr *h = (void *)w->buf;

	for (; nlmsg_ok(h, n); h = nlmsg_next(h, &n))
		read_message(w, h);
}

/*
 * The queue has overflowed. What is left in it is older than the listing that is made now, so it must not
 * be read after it; and until it is empty the kernel loses more without a word. If it fills as fast as it
 * is emptied, the listing has to wait, and no question is answered meanwhile.
 */
static void start_over(struct link_watch *w)
{
	int r = 1;

	for (unsigned i = 0; (r > 0 || r == -ENOBUFS) && i < NEWS_READ_MAX; i++)
		r = rtnl_receive(w->news_sk, w->buf);
	if (r > 0 || r == -ENOBUFS)
		return;
	unclaimed_lost(w->unclaimed, 0); /* those that have gone meanwhile */
	r = list(w);
	unclaimed_lost(w->unclaimed, 0); /* those that have come */
	if (r < 0)
		log_debug("links cannot be listed: %s", strerrordesc_np(-r));
	w->is_lost = r < 0;
	w->changes++;
	w->all = true;
}

/*
 * Everything that the kernel had told about links and routes when this was called is in the table and among
 * the news; if not, is_lost. Starts over once at most.
 */
static void read_news(struct link_watch *w)
{
	int n = 0;

	for (unsigned i = 0; !w->is_lost && i < NEWS_READ_MAX; i++) {
		n = rtnl_receive(w->news_sk, w->buf);
		if (n == 0)
			return;
		w->is_lost = n < 0;
		if (n > 0)
			read_datagram(w, n);
		else
			w->losses++;
	}
	if (w->is_lost)
		start_over(w);
}

/* Some of what the kernel has told about neighbours; the loop comes again as long as there is more. */
static void read_hints(struct link_watch *w)
{
	w->has_more_hints = true;
	for (unsigned i = 0; i < HINTS_READ_MAX; i++) {
		int n = rtnl_receive(w->hints_sk, w->buf);

		if (n > 0) {
			read_datagram(w, n);
			continue;
		}
		w->is_stirred |= n < 0 || w->has_lost_hints;
		w->has_more_hints = w->has_lost_hints = n < 0;
		w->losses += n < 0;
		return;
	}
}

static void tell_one(struct link_watch *w, const struct news *news)
{
	w->telling = news;
	switch (news->what) {
	case NEWS_GONE:
		w->ops->gone(w->ctx, news->link);
		break;
	case NEWS_CHANGED:
		w->ops->changed(w->ctx, news->link);
		break;
	case NEWS_MOVED:
		w->ops->moved(w->ctx, &news->prefix, news->bits);
		break;
	}
	w->telling = NULL;
}

static void on_stir(struct loop_timer *t);

/*
 * The first hint is told at once, as it may be of a pod that is waiting to be seen; what follows, together
 * when its time has come.
 */
static void note_stirred(struct link_watch *w)
{
	w->is_stirred = w->is_stirred && w->n_bridges;
	if (!w->is_stirred || w->stir.loop)
		return;
	if (mono_before(loop_mono(w->loop), w->stir_at)) {
		loop_timer_set(w->loop, &w->stir, w->stir_at, on_stir);
		return;
	}
	w->is_stirred = false;
	w->stir_at = mono_add_msec(loop_mono(w->loop), STIR_MSEC);
	hmap_for_each_safe (n, next, &w->links) {
		const struct link *l = container_of(n, struct link, node);

		if (l->is.kind == LINK_BRIDGE)
			note(w, &(struct news){ .what = NEWS_CHANGED, .link = l->number });
	}
}

/* Whoever is told may ask, which may bring more. */
static void tell(struct link_watch *w)
{
	static const struct news everything = { .what = NEWS_MOVED };

	if (w->is_telling)
		return;
	w->is_telling = true;
	note_stirred(w);
	for (size_t i = 0; i < w->n_news; i++) {
		const struct news news = w->news[i]; /* the array may move */

		tell_one(w, &news);
	}
	w->n_news = 0;
	if (w->all) {
		w->all = false;
		tell_one(w, &everything);
	}
	w->is_telling = false;
}

static void tell_later(struct loop_defer *d)
{
	(void)link_watch_catch_up(container_of(d, struct link_watch, later));
}

static void on_news(struct loop_fd *f, uint32_t events)
{
	(void)events;
	(void)link_watch_catch_up(container_of(f, struct link_watch, news_source));
}

static void on_hints(struct loop_fd *f, uint32_t events)
{
	struct link_watch *w = container_of(f, struct link_watch, hints_source);

	(void)events;
	if (!w->n_bridges)
		read_hints(w); /* else that is done there */
	(void)link_watch_catch_up(w);
}

static void on_stir(struct loop_timer *t)
{
	struct link_watch *w = container_of(t, struct link_watch, stir);

	w->all |= w->is_overtaken;
	w->is_overtaken = false;
	(void)link_watch_catch_up(w);
}

static void on_lapse(void *ctx)
{
	struct link_watch *w = ctx;

	w->all = true;
	(void)link_watch_catch_up(w);
}

static void come_again(struct link_watch *w)
{
	if (!w->stir.loop)
		loop_timer_set_msec(w->loop, &w->stir, STIR_MSEC, on_stir);
}

static void tell_what_is_left_later(struct link_watch *w)
{
	if (w->n_news || w->all)
		loop_defer(w->loop, &w->later, tell_later);
}

bool link_watch_catch_up(struct link_watch *w)
{
	read_news(w);
	if (w->n_bridges)
		read_hints(w);
	tell(w);
	tell_what_is_left_later(w);
	if (w->is_lost)
		come_again(w);
	return !w->is_lost && !w->is_stirred && !w->has_more_hints;
}

/* where an address leads to */

static uint8_t family_of(const struct inet_ip *ip)
{
	return inet_ip_is_v4(ip) ? AF_INET : AF_INET6;
}

/* The port behind which a bridge has the address: 1 with `out`, 0 not known. */
static int find_port(struct link_watch *w, const struct link *bridge, const struct inet_ip *ip,
		     uint32_t *out)
{
	const struct ndmsg of_ip = { .ndm_family = family_of(ip),
				     .ndm_ifindex = bridge->is.ifindex };
	const struct ndmsg of_mac = { .ndm_family = AF_BRIDGE };
	const struct link *port;
	struct nlattr *a[NDA_MAX + 1];
	uint32_t master = (uint32_t)bridge->is.ifindex;
	uint8_t mac[RTNL_MAC_BYTES];
	struct nl_msg *msg = rtnl_new(RTM_GETNEIGH, 0, &of_ip, sizeof(of_ip));
	int r;

	rtnl_put_ip(msg, NDA_DST, ip);
	r = rtnl_ask_take(w->ask_sk, w->buf, msg, a, NDA_MAX, sizeof(of_ip));
	if (r <= 0)
		return r;
	if (!a[NDA_LLADDR] || nla_len(a[NDA_LLADDR]) != RTNL_MAC_BYTES)
		return 0;
	memcpy(mac, nla_data(a[NDA_LLADDR]), RTNL_MAC_BYTES);
	msg = rtnl_new(RTM_GETNEIGH, 0, &of_mac, sizeof(of_mac));
	rtnl_put(msg, NDA_LLADDR, mac, RTNL_MAC_BYTES);
	rtnl_put(msg, NDA_MASTER, &master, sizeof(master));
	r = rtnl_ask_take(w->ask_sk, w->buf, msg, a, NDA_MAX, sizeof(of_mac));
	if (r <= 0)
		return r;
	port = link_find(
		w,
		((const struct ndmsg *)nlmsg_data((struct nlmsghdr *)(void *)w->buf))->ndm_ifindex);
	if (!port || port->is.kind != LINK_OWN)
		return 0; /* the bridge itself, or its way out of the node */
	*out = port->number;
	return 1;
}

static int find_once(struct link_watch *w, const struct inet_ip *ip, struct place *out)
{
	const unsigned bits = inet_ip_is_v4(ip) ? 32 : 128;
	const struct rtmsg to = { .rtm_family = family_of(ip),
				  .rtm_dst_len = (uint8_t)bits,
				  .rtm_flags = RTM_F_FIB_MATCH };
	struct nlattr *a[RTA_MAX + 1];
	struct nl_msg *msg = rtnl_new(RTM_GETROUTE, 0, &to, sizeof(to));
	const struct rtmsg *m;
	const struct link *l;
	int r;

	rtnl_put_ip(msg, RTA_DST, ip);
	r = rtnl_ask_take(w->ask_sk, w->buf, msg, a, RTA_MAX, sizeof(to));
	*out = (struct place){ .kind = PLACE_NOWHERE };
	if (r <= 0)
		return r;
	m = nlmsg_data((struct nlmsghdr *)(void *)w->buf);
	/* a kernel before 4.13 does not say which route it was */
	if (m->rtm_flags & RTM_F_CLONED)
		return -EOPNOTSUPP;
	if (m->rtm_type != RTN_UNICAST && m->rtm_type != RTN_LOCAL)
		return 0;
	l = a[RTA_OIF] ? link_find(w, (int)nla_get_u32(a[RTA_OIF])) : NULL;
	*out = (struct place){ .kind = PLACE_SHARED, .link = l ? l->number : 0 };
	if (!l || m->rtm_type != RTN_UNICAST || a[RTA_GATEWAY] || a[RTA_VIA] || a[RTA_MULTIPATH])
		return 0;
	if (l->is.kind == LINK_OWN && m->rtm_dst_len == bits)
		out->kind = PLACE_LINK;
	if (l->is.kind != LINK_BRIDGE)
		return 0;
	r = find_port(w, l, ip, &out->port);
	out->kind = r > 0 ? PLACE_LINK : PLACE_NOWHERE;
	return r < 0 ? r : 0;
}

void link_watch_find(struct link_watch *w, const struct inet_ip *ip, struct place *out)
{
	int r = 0;

	for (int i = 0; i < TRIES_MAX; i++) {
		unsigned before;

		read_news(w);
		before = w->changes;
		r = find_once(w, ip, out);
		read_news(w);
		if (r == 0 && w->changes == before && !w->is_lost)
			break;
		*out = (struct place){ .kind = PLACE_UNASKED };
		if (r < 0) {
			log_debug("the kernel cannot be asked for a route: %s",
				  strerrordesc_np(-r));
			break;
		}
	}
	if (r == 0 && out->kind == PLACE_UNASKED) {
		w->is_overtaken = true;
		come_again(w);
	}
	tell_what_is_left_later(w);
}

uint32_t link_watch_newest(struct link_watch *w)
{
	read_news(w);
	tell_what_is_left_later(w);
	return w->newest;
}

struct unclaimed *link_watch_unclaimed(struct link_watch *w)
{
	return w->unclaimed;
}

unsigned link_watch_losses(const struct link_watch *w)
{
	return w->losses;
}

const char *link_watch_name(const struct link_watch *w, uint32_t number)
{
	struct hmap_node *n = hmap_find(&w->by_number, &number, sizeof(number));

	return n ? container_of(n, struct link, by_number)->is.name : NULL;
}

static const char *name_of(const struct link_watch *w, uint32_t number)
{
	const char *name = NULL;

	if (w->telling && w->telling->what == NEWS_GONE && w->telling->link == number)
		return w->telling->name;
	name = link_watch_name(w, number);
	return name ? name : "a link that is gone";
}

void link_watch_print(const struct link_watch *w, const struct place *p, char buf[PLACE_NAME_MAX])
{
	if (!p->link)
		(void)snprintf(buf, PLACE_NAME_MAX, "no link");
	else if (p->port)
		(void)snprintf(buf, PLACE_NAME_MAX, "%s of %s", name_of(w, p->port),
			       name_of(w, p->link));
	else
		(void)snprintf(buf, PLACE_NAME_MAX, "%s", name_of(w, p->link));
}

/* start */

static struct nl_sock *subscribe(struct link_watch *w, const int *groups, size_t n,
				 struct loop_fd *source, loop_fd_fn *fn, struct err *err)
{
	struct nl_sock *sk = rtnl_open(err);
	int r = sk ? 0 : -1;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (nl_socket_add_membership(sk, groups[i]) < 0)
			r = err_set_errno(err, errno, "subscribing to routes and links");
	}
	if (r == 0) {
		/* the default works too */
		(void)nl_socket_set_buffer_size(sk, RECEIVE_BYTES, 0);
		r = loop_fd_add(w->loop, source, nl_socket_get_fd(sk), EPOLLIN, fn, err);
	}
	if (r == 0)
		return sk;
	nl_socket_free(sk);
	return NULL;
}

static int open_sockets(struct link_watch *w, struct err *err)
{
	static const int news[] = { RTNLGRP_LINK,	RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE,
				    RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE };
	static const int hints[] = { RTNLGRP_NEIGH };

	w->ask_sk = rtnl_open(err);
	if (!w->ask_sk)
		return -1;
	w->news_sk = subscribe(w, news, ARRAY_SIZE(news), &w->news_source, on_news, err);
	if (!w->news_sk)
		return -1;
	/* since Linux 5.3; before, there are no such objects */
	(void)nl_socket_add_membership(w->news_sk, RTNLGRP_NEXTHOP);
	w->hints_sk = subscribe(w, hints, ARRAY_SIZE(hints), &w->hints_source, on_hints, err);
	return w->hints_sk ? 0 : -1;
}

struct link_watch *link_watch_new(struct loop *l, const struct link_ops *ops, void *ctx,
				  struct err *err)
{
	_cleanup_(link_watch_freep) struct link_watch *w = xnew(struct link_watch);
	int r;

	w->loop = l;
	w->ops = ops;
	w->ctx = ctx;
	w->unclaimed = unclaimed_new(l, on_lapse, w);
	/* the listing comes after the subscription, so that nothing happens between them */
	if (open_sockets(w, err) < 0)
		return NULL;
	r = list(w);
	if (r < 0) {
		(void)err_set_errno(err, -r, "listing the links of this host");
		return NULL;
	}
	unclaimed_lost(w->unclaimed, w->newest);
	return steal_ptr(w);
}

struct link_watch *link_watch_free(struct link_watch *w)
{
	if (!w)
		return NULL;
	loop_fd_del(&w->news_source);
	loop_fd_del(&w->hints_source);
	loop_defer_del(&w->later);
	loop_timer_del(&w->stir);
	nl_socket_free(w->news_sk); /* NULL is fine */
	nl_socket_free(w->hints_sk);
	nl_socket_free(w->ask_sk);
	hmap_for_each_safe (n, next, &w->links) {
		struct link *l = container_of(n, struct link, node);

		hmap_del(&w->links, &l->node);
		hmap_del(&w->by_number, &l->by_number);
		free(l);
	}
	w->unclaimed = unclaimed_free(w->unclaimed);
	free(w->news);
	free(w);
	return NULL;
}
