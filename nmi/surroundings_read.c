/* SPDX-License-Identifier: MIT */

/* Looking around: see surroundings_read.h. */

#include "nmi/surroundings_read.h"

#include "iptables/foreign_read.h"
#include "lib/base/cleanup.h"
#include "nmi/listeners.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of aad-pod-identity's NMI, by its reference manifests. */
#define OLD_PORT 2579
/* Of the Azure Guest Proxy Agent; its eBPF program sends there what is for the metadata service. */
#define GUEST_PROXY_PORT 3080
/* A node has some 250 pods; settings of links after these are not looked at. */
#define LINKS_MAX 1024

static void unread(struct around *out, const char *what, const char *why)
{
	size_t n = strlen(out->unread);

	(void)snprintf(out->unread + n, sizeof(out->unread) - n, "%s%s%s", n ? "; " : "", what,
		       why);
}

struct search {
	const struct around_spec *spec;
	struct around *out;
};

/* At the address and port that this agent takes itself, one of its kind may be about to hand over. */
static bool is_other(const struct listener *l, const struct around_spec *spec)
{
	if (l->port == spec->port)
		return !inet_ip_eq(&l->ip, &spec->listen);
	return l->port == OLD_PORT;
}

static bool on_listener(void *ctx, const struct listener *l)
{
	struct search *s = ctx;

	if (!inet_ip_is_loopback(&l->ip))
		return true;
	if (l->port == GUEST_PROXY_PORT)
		s->out->guest_proxy = true;
	else if (is_other(l, s->spec))
		(void)inet_ip_print_port(&l->ip, l->port, s->out->other_listener);
	return true;
}

static bool is_set(const char *link)
{
	char path[sizeof("/proc/sys/net/ipv4/conf//route_localnet") + IF_NAMESIZE];
	_cleanup_close_ int fd = -EBADF;
	char value = '0';

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet", link);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &value, 1) == 1 && value != '0';
}

static void read_links(struct around *out)
{
	struct if_nameindex *links = if_nameindex();

	if (is_set("all"))
		(void)snprintf(out->route_localnet, sizeof(out->route_localnet), "all");
	if (!links) {
		unread(out, "links: ", strerror(errno));
		return;
	}
	for (size_t i = 0; i < LINKS_MAX && links[i].if_index; i++) {
		const char *name = links[i].if_name;

		if (strcmp(name, "cilium_host") == 0 ||
		    (strncmp(name, "cilium_", 7) == 0 && !*out->cilium_link))
			(void)snprintf(out->cilium_link, sizeof(out->cilium_link), "%s", name);
		out->ipvs_link = out->ipvs_link || strcmp(name, "kube-ipvs0") == 0;
		if (!*out->route_localnet && is_set(name))
			(void)snprintf(out->route_localnet, sizeof(out->route_localnet), "%s",
				       name);
	}
	if_freenameindex(links);
}

/* Link-local addresses are no other node's to reach; 169.254.0.0/16 is where the metadata service lives. */
static void read_addresses(struct around *out)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) < 0) {
		unread(out, "addresses: ", strerror(errno));
		out->has_ipv4 = true; /* not known to be missing */
		return;
	}
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		struct inet_ip ip;

		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) ||
		    !inet_ip_from_sockaddr(i->ifa_addr, &ip) || inet_ip_is_loopback(&ip) ||
		    inet_ip_is_unspecified(&ip))
			continue;
		if (!inet_ip_is_v4(&ip))
			out->has_ipv6 = out->has_ipv6 || !inet_ip_is_link_local6(&ip);
		else if (ip.b[12] != 169 || ip.b[13] != 254)
			out->has_ipv4 = true;
	}
	freeifaddrs(all);
}

void surroundings_read(const struct around_spec *spec, struct around *out)
{
	struct search search = { .spec = spec, .out = out };
	struct err err = { 0 };

	*out = (struct around){ .has_rules = spec->has_rules };
	read_links(out);
	read_addresses(out);
	if (!listeners_each(on_listener, &search))
		unread(out, "listeners: ", strerror(errno));
	/* in a network of its own, without rules, the agent needs no capability, and there is nothing to see */
	if (foreign_read(&out->foreign, &err) < 0 && (spec->has_rules || err.kind != ERR_REFUSED))
		unread(out, "packet rules: ", err.msg);
}
