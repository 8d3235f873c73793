/* SPDX-License-Identifier: MIT */

/* This node's own address: see node_address.h. */

#include "nmi/node_address.h"

#include "lib/base/cleanup.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Link-local (RFC 3927) is out: that is where the metadata service lives. */
static bool is_usable(const struct inet_ip *ip)
{
	return inet_ip_is_v4(ip) && !inet_ip_is_loopback(ip) && !inet_ip_is_unspecified(ip) &&
	       !(ip->b[12] == 169 && ip->b[13] == 254);
}

/* Connecting a UDP socket sends nothing; it makes the kernel choose a route and a source address. */
static bool find_by_route(const struct inet_ip *peer, struct inet_ip *out)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss;
	socklen_t n = inet_ip_to_sockaddr(peer, 80, &ss);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&ss, n) < 0)
		return false;
	n = sizeof(ss);
	return getsockname(fd, (struct sockaddr *)&ss, &n) == 0 &&
	       inet_ip_from_sockaddr((const struct sockaddr *)&ss, out) && is_usable(out);
}

static bool find_by_interface(struct inet_ip *out)
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next)
		found = i->ifa_addr && (i->ifa_flags & IFF_UP) &&
			inet_ip_from_sockaddr(i->ifa_addr, out) && is_usable(out);
	freeifaddrs(all);
	return found;
}

int node_address_find(const struct inet_ip *peer, struct inet_ip *out, struct err *err)
{
	struct inet_ip ip;

	if (!find_by_route(peer, &ip) && !find_by_interface(&ip))
		return err_set(
			err, ERR_UNAVAILABLE,
			"this node has no IPv4 address besides loopback and link-local ones; "
			"set --nmi-listen-address to the address that pods can reach");
	*out = ip;
	return 0;
}
