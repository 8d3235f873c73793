/* SPDX-License-Identifier: MIT */

/*
 * The network of a self-test: see test_link.h. Plain messages of rtnetlink(7), of which a handful of
 * attributes is all that is needed.
 */

#include "iptables/test_link.h"

#include "iptables/nlsock.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/route/link.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/*
 * Of 198.51.100.0/24, TEST-NET-2 (RFC 5737): never assigned to anybody (RFC 6890), so no pod, node or
 * service has one. The route is a /32 for some milliseconds, and is refused where there is one already.
 */
#define TEST_NET 198, 51, 100
/* What a pod of Azure CNI has for its gateway; it is known by its MAC alone. */
static const uint8_t gateway[4] = { 169, 254, 1, 1 };

static struct nl_msg *request(int type, int flags, const void *header, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_ACK | flags);

	if (!msg || nlmsg_append(msg, (void *)(uintptr_t)header, size, NLMSG_ALIGNTO) < 0)
		out_of_memory();
	return msg;
}

static void put(struct nl_msg *msg, int attr, const void *data, size_t n)
{
	if (nla_put(msg, attr, (int)n, data) < 0)
		out_of_memory(); /* a page is there, and some hundred bytes are put */
}

static void put_text(struct nl_msg *msg, int attr, const char *text)
{
	put(msg, attr, text, strlen(text) + 1);
}

static struct nlattr *nest(struct nl_msg *msg, int attr)
{
	struct nlattr *a = nla_nest_start(msg, attr);

	if (!a)
		out_of_memory();
	return a;
}

static int ask_take(struct nl_sock *sk, struct nl_msg *msg, const char *doing, struct err *err)
{
	int r = nl_send_sync(sk, msg);

	if (r >= 0)
		return 0;
	if (r == -NLE_EXIST)
		return err_set(err, ERR_LIMIT, "%s: it is taken", doing);
	return nlsock_error(err, r, doing);
}

static struct nl_sock *open_routes(struct err *err)
{
	struct nl_sock *sk = nl_socket_alloc();

	if (!sk)
		out_of_memory();
	if (nl_connect(sk, NETLINK_ROUTE) < 0) {
		(void)err_set_errno(err, errno, "netlink socket for routes");
		return nlsock_free(sk);
	}
	return sk;
}

/* both sides */

static int add_neighbour(struct nl_sock *sk, unsigned link, const uint8_t ip[static 4],
			 const uint8_t mac[static TEST_MAC], struct err *err)
{
	const struct ndmsg nd = { .ndm_family = AF_INET,
				  .ndm_ifindex = (int)link,
				  .ndm_state = NUD_PERMANENT };
	struct nl_msg *msg = request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &nd, sizeof(nd));

	put(msg, NDA_DST, ip, 4);
	put(msg, NDA_LLADDR, mac, TEST_MAC);
	return ask_take(sk, msg, "neighbour of the test", err);
}

/* `to` NULL: the default route; `via` NULL: on the link. */
static int add_route(struct nl_sock *sk, unsigned link, const uint8_t *to, const uint8_t *via,
		     struct err *err)
{
	const struct rtmsg rt = {
		.rtm_family = AF_INET,
		.rtm_dst_len = to ? 32 : 0,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
		.rtm_flags = via ? RTNH_F_ONLINK : 0,
	};
	struct nl_msg *msg = request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &rt, sizeof(rt));
	const uint32_t oif = link;

	if (to)
		put(msg, RTA_DST, to, 4);
	if (via)
		put(msg, RTA_GATEWAY, via, 4);
	put(msg, RTA_OIF, &oif, sizeof(oif));
	return ask_take(sk, msg, "route of the test", err);
}

/* the node's side */

int test_net_choose(struct test_net *out, struct err *err)
{
	struct {
		uint8_t name[3], ip, mac[2];
	} r;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return err_set_errno(err, errno, "getrandom");
	*out = (struct test_net){
		.ip = { TEST_NET, (uint8_t)(1 + r.ip % 254) },
		/* locally administered; chosen by us, so that udev leaves them alone (systemd.link(5)) */
		.mac = { 0xee, 0xee, 0xee, r.mac[0], r.mac[1], 1 },
		.peer_mac = { 0xee, 0xee, 0xee, r.mac[0], r.mac[1], 2 },
	};
	(void)snprintf(out->link, sizeof(out->link), "nmi-test%02x%02x%02x", r.name[0], r.name[1],
		       r.name[2]);
	return 0;
}

/* The other end is made where it is to be. */
int test_net_make(const struct test_net *net, pid_t pid, struct err *err)
{
	_cleanup_(nlsock_freep) struct nl_sock *sk = open_routes(err);
	const struct ifinfomsg link = { 0 };
	const uint32_t of_pid = (uint32_t)pid;
	struct nlattr *info, *data, *peer;
	struct nl_msg *msg;

	if (!sk)
		return -(int)ERR_OS;
	msg = request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
	put_text(msg, IFLA_IFNAME, net->link);
	put(msg, IFLA_ADDRESS, net->mac, sizeof(net->mac));
	info = nest(msg, IFLA_LINKINFO);
	put_text(msg, IFLA_INFO_KIND, "veth");
	data = nest(msg, IFLA_INFO_DATA);
	peer = nest(msg, VETH_INFO_PEER);
	if (nlmsg_append(msg, (void *)(uintptr_t)&link, sizeof(link), NLMSG_ALIGNTO) < 0)
		out_of_memory();
	put_text(msg, IFLA_IFNAME, TEST_PEER);
	put(msg, IFLA_ADDRESS, net->peer_mac, sizeof(net->peer_mac));
	put(msg, IFLA_NET_NS_PID, &of_pid, sizeof(of_pid));
	nla_nest_end(msg, peer);
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	return ask_take(sk, msg, "veth pair", err);
}

/* if_nametoindex() asks by ioctl(), which the redirector may not. */
static int find_link(struct nl_sock *sk, const char *name, unsigned *out, struct err *err)
{
	struct rtnl_link *link = NULL;
	int r = rtnl_link_get_kernel(sk, 0, name, &link);

	if (r < 0)
		return nlsock_error(err, r, "veth pair");
	*out = (unsigned)rtnl_link_get_ifindex(link);
	rtnl_link_put(link);
	return 0;
}

int test_net_open(const struct test_net *net, struct err *err)
{
	_cleanup_(nlsock_freep) struct nl_sock *sk = open_routes(err);
	struct ifinfomsg up = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	unsigned link = 0;
	int r;

	if (!sk)
		return -(int)ERR_OS;
	if (find_link(sk, net->link, &link, err) < 0)
		return -(int)err->kind;
	up.ifi_index = (int)link;
	r = ask_take(sk, request(RTM_NEWLINK, 0, &up, sizeof(up)), "veth pair", err);
	if (r == 0)
		r = add_route(sk, link, net->ip, NULL, err);
	return r < 0 ? r : add_neighbour(sk, link, net->ip, net->peer_mac, err);
}

/* the test's side */

static int add_address(struct nl_sock *sk, unsigned link, const uint8_t ip[static 4],
		       struct err *err)
{
	const struct ifaddrmsg ifa = { .ifa_family = AF_INET,
				       .ifa_prefixlen = 32,
				       .ifa_scope = RT_SCOPE_UNIVERSE,
				       .ifa_index = link };
	struct nl_msg *msg = request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &ifa, sizeof(ifa));

	put(msg, IFA_LOCAL, ip, 4);
	put(msg, IFA_ADDRESS, ip, 4);
	return ask_take(sk, msg, "address of the test", err);
}

int test_net_join(const struct test_net *net, unsigned ifindex, struct err *err)
{
	_cleanup_(nlsock_freep) struct nl_sock *sk = open_routes(err);
	int r;

	if (!sk)
		return -(int)ERR_OS;
	r = add_address(sk, ifindex, net->ip, err);
	if (r == 0)
		r = add_neighbour(sk, ifindex, gateway, net->mac, err);
	if (r == 0)
		r = add_route(sk, ifindex, NULL, gateway, err);
	return r;
}

static uint8_t operational_state(struct nl_sock *sk, unsigned ifindex)
{
	struct rtnl_link *link = NULL;
	uint8_t state = IF_OPER_UNKNOWN;

	if (rtnl_link_get_kernel(sk, (int)ifindex, NULL, &link) < 0)
		return state;
	state = rtnl_link_get_operstate(link);
	rtnl_link_put(link);
	return state;
}

/*
 * The kernel's work queue makes it IF_OPER_UP and lets packets pass in one go, under the lock that is needed to
 * be told of it here; since 6.9 to be asked is what makes the kernel do it (linkwatch_sync_dev()). IFF_RUNNING
 * says less: it is set, too, while the state is not known, as that of a new link is until the queue has come to it.
 */
void test_net_await(unsigned ifindex, unsigned msec)
{
	const struct timespec step = { .tv_nsec = NSEC_PER_MSEC };
	_cleanup_(nlsock_freep) struct nl_sock *sk = open_routes(NULL);

	for (unsigned i = 0; sk && i < msec && operational_state(sk, ifindex) != IF_OPER_UP; i++)
		(void)nanosleep(&step, NULL);
}
