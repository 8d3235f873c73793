/* SPDX-License-Identifier: MIT */

/*
 * Rules about borrowed addresses, as text: see spoof_rules.h.
 *
 * In a bridge a frame may carry a VLAN tag of its own making. One tag with the number 0 means "none"
 * to the host, which then takes the packet as any other; the kernel has taken that tag off by the time
 * that these chains run, and `meta protocol` tells what was inside. A second tag is still there, so
 * that the packet behind it cannot be seen, and the host would take that one off as well: hence the
 * first two rules. Nobody needs two tags of which the outer one says nothing.
 *
 * All addresses here are IPv4: so is the metadata service.
 */

#include "iptables/spoof_rules.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool is_plain(const char *link)
{
	for (const char *c = link; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-:", *c))
			return false;
	return *link != '\0';
}

int spoof_rules_check(const struct redirect_port *ports, size_t n, struct err *err)
{
	if (n > REDIRECT_PORTS_MAX)
		return err_set(err, ERR_LIMIT, "%zu addresses behind bridges: %d are watched", n,
			       REDIRECT_PORTS_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct redirect_port *p = &ports[i];
		char text[INET_IP_TEXT_MAX];

		if (!memchr(p->link, '\0', sizeof(p->link)) || !is_plain(p->link))
			return err_set(err, ERR_INPUT,
				       "a link's name cannot be put into packet rules: it may have "
				       "letters, digits and ._-: only");
		if (!inet_ip_is_v4(&p->ip) || inet_ip_is_unspecified(&p->ip) ||
		    inet_ip_is_loopback(&p->ip))
			return err_set(err, ERR_INPUT, "%s cannot be tied to %s",
				       inet_ip_print(&p->ip, text), p->link);
	}
	return 0;
}

/* clang-format off */

/* Declare, delete, declare: as in ruleset.c. */
#define REPLACE(family, table) \
	"table " family " " table " { flags owner; }\n" \
	"delete table " family " " table "\n" \
	"table " family " " table " {\n" \
	"	flags owner\n"

/* What was counted, and where it came from; an entry that nobody renews goes. */
#define SEEN \
	"	counter " SPOOF_COUNTER " { }\n" \
	"	set " SPOOF_SEEN " {\n" \
	"		type ifname . ipv4_addr\n" \
	"		size %1$d\n" \
	"		flags dynamic,timeout\n" \
	"		timeout 10m\n" \
	"	}\n"

#define COUNT(source) \
	"counter name " SPOOF_COUNTER " update @" SPOOF_SEEN " { iifname . " source " counter }"

#define SAYS_TAGS "comment \"nmi: a second VLAN tag hides an address from the rules below\"\n"

#define ROUTED REPLACE("ip", SPOOF_TABLE) \
	"	comment \"nmi-redirector: counts what the tables nmi drop as spoofed\"\n" \
	SEEN \
	"	chain arrives {\n" \
	"		comment \"nmi: counts what connects with an address that is not its link's; drops nothing\"\n" \
	"		type filter hook prerouting priority -311; policy accept;\n" \
	"		iifname != \"lo\" ip daddr %2$s tcp dport %3$u tcp flags syn " \
			"fib saddr . iif oif missing " \
			COUNT("ip saddr") " comment \"nmi: counted here, dropped by the tables nmi\"\n" \
	"	}\n" \
	"}\n"

/* After the sets of the ports. */
#define BRIDGED \
	"	comment \"nmi-redirector: ties the addresses of pods to their ports of a bridge\"\n" \
	SEEN \
	"	chain arrives {\n" \
	"		comment \"nmi: a pod behind the bridge may not use the address of another\"\n" \
	"		type filter hook prerouting priority -310; policy accept;\n" \
	"		meta protocol 0x8100 @ll,116,12 0 counter drop " SAYS_TAGS \
	"		meta protocol 0x88a8 @ll,116,12 0 counter drop " SAYS_TAGS \
	"		meta protocol arp arp saddr ip @addresses iifname . arp saddr ip != @pairs " \
			COUNT("arp saddr ip") " comment \"nmi: counted; dropped by the next\"\n" \
	"		meta protocol arp arp saddr ip @addresses iifname . arp saddr ip != @pairs drop " \
			"comment \"nmi: ARP for an address that belongs to another port\"\n" \
	"		meta protocol ip ip daddr %2$s tcp dport %3$u iifname . ip saddr != @pairs " \
			"jump stranger comment \"nmi: asks the metadata service by a port not known as its own\"\n" \
	"	}\n" \
	"	chain stranger {\n" \
	"		comment \"nmi: drops what uses a known address or port, and not as a pair\"\n" \
	"		iifname != @ports ip saddr != @addresses return " \
			"comment \"nmi: a new pod, of which the agent knows nothing yet: it decides\"\n" \
	"		" COUNT("ip saddr") " comment \"nmi: a borrowed address; see: nmi status\"\n" \
	"		drop comment \"nmi: a borrowed address; see: nmi status\"\n" \
	"	}\n" \
	"	chain leaves {\n" \
	"		comment \"nmi: answers of the metadata service go to the port of their pod only\"\n" \
	"		type filter hook output priority -310; policy accept;\n" \
	"		ip saddr %2$s tcp sport %3$u ip daddr @addresses oifname . ip daddr != @pairs " \
			"counter drop comment \"nmi: an answer on its way to another pod's port\"\n" \
	"	}\n" \
	"}\n"

/* clang-format on */

char *spoof_rules_print_routed(const struct redirect_spec *spec)
{
	char metadata[INET_IP_TEXT_MAX];

	return xasprintf(ROUTED, SPOOF_SEEN_MAX, inet_ip_print(&spec->metadata_ip, metadata),
			 (unsigned)spec->metadata_port);
}

static void add(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

/* The three views of the same thing: the pairs, and what occurs in any. */
static const struct {
	const char *set, *type;
	bool link, ip;
} views[] = {
	{ "pairs", "ifname . ipv4_addr", true, true },
	{ "ports", "ifname", true, false },
	{ "addresses", "ipv4_addr", false, true },
};

/* A link with two addresses occurs twice among the ports: nftables takes that as once. */
static void add_elements(struct buf *b, size_t view, const struct redirect_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char ip[INET_IP_TEXT_MAX], text[sizeof(ports->link) + INET_IP_TEXT_MAX + 16];

		(void)inet_ip_print(&ports[i].ip, ip);
		(void)snprintf(text, sizeof(text), "%s%s%s%s%s%s", i ? ", " : "",
			       views[view].link ? "\"" : "", views[view].link ? ports[i].link : "",
			       views[view].link ? "\"" : "",
			       views[view].link && views[view].ip ? " . " : "",
			       views[view].ip ? ip : "");
		add(b, text);
	}
}

char *spoof_rules_print_change(const struct redirect_port *ports, size_t n)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		add(&b, "flush set bridge " SPOOF_TABLE " ");
		add(&b, views[i].set);
		add(&b, "\nadd element bridge " SPOOF_TABLE " ");
		add(&b, views[i].set);
		add(&b, " { ");
		add_elements(&b, i, ports, n);
		add(&b, " }\n");
	}
	return buf_steal(&b, NULL);
}

static char *print_bridged(const char *head, const struct redirect_spec *spec,
			   const struct redirect_port *ports, size_t n)
{
	char metadata[INET_IP_TEXT_MAX];
	_cleanup_free_ char *rules = NULL;
	struct buf b = { 0 };

	add(&b, head);
	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		add(&b, "	set ");
		add(&b, views[i].set);
		add(&b, " {\n		type ");
		add(&b, views[i].type);
		add(&b, "\n		elements = { ");
		add_elements(&b, i, ports, n);
		add(&b, " }\n	}\n");
	}
	rules = xasprintf(BRIDGED, SPOOF_SEEN_MAX, inet_ip_print(&spec->metadata_ip, metadata),
			  (unsigned)spec->metadata_port);
	add(&b, rules);
	return buf_steal(&b, NULL);
}

char *spoof_rules_print_bridged(const struct redirect_spec *spec, const struct redirect_port *ports,
				size_t n)
{
	return print_bridged(REPLACE("bridge", SPOOF_TABLE), spec, ports, n);
}

char *spoof_rules_print_stand_in(const struct redirect_spec *spec,
				 const struct redirect_port *ports, size_t n)
{
	return print_bridged(REPLACE("bridge", SPOOF_STAND_IN), spec, ports, n);
}
