/* SPDX-License-Identifier: MIT */

/*
 * The packet rules as text: see ruleset.h.
 *
 * Theory of operation
 *
 * Four chains, each closing one way to a token that is not the pod's own:
 *
 *   spoof_check  A source address is a claim. What arrives from a link to which that address is not
 *                routed is dropped, before connection tracking. That covers addresses of this host
 *                too: the host's own requests never come in from a link.
 *   to_agent     DNAT to the agent on an address of the node. Not to 127.0.0.1, which needs
 *                route_localnet; not `redirect`, which needs an IPv4 address on the pod's link.
 *                -199 is the lowest priority that the kernel takes for nat in prerouting.
 *   agent_port   Nobody speaks to the agent's port directly: a connection must have been made by the
 *                DNAT above. On every address of the node, since the agent may listen on all. What
 *                the host sends to itself passes; the agent judges that on its own.
 *   guard        Redirected packets go to the input hook and never meet it. What does meet it was not
 *                redirected (the chain is gone, a foreign NOTRACK kept DNAT from happening) and must
 *                not reach the metadata service. A reset, since a pod that hears nothing waits.
 *                Nor does anything with options of IP to that port, wherever it goes: on a node that
 *                accepts source routes, a packet to the node goes on to the address in its option, which
 *                takes the place of the destination after this hook only (ip_forward_options()). Looking
 *                for the option itself needs Linux 5.3; nobody else has any (RFC 7126).
 *
 * Two more close the ways around these that a neighbour's rules can make (tests/platform/detour.sh):
 *
 *   detour_out   A foreign DNAT that came first sent the packet to another machine. Connection tracking
 *                still knows where the pod wanted to go.
 *   detour_in    The same to another agent on this node: pods are refused, so that they get no token of
 *                its. A source that was rewritten on its way in would have the agent take one pod for
 *                another; it shows from the second packet on, before there is a request. And a
 *                connection that was not translated, where the metadata address is one of the node's.
 *
 * None of them is in the output path: the host's own agents reach the metadata service as ever.
 * The loopback link is matched by its name: for its number libnftables would list all links each
 * time. It is left out where the metadata address is a local one
 * and the host's own requests come round through prerouting.
 *
 * Both tables say the same. Of two DNAT chains the first decides, the second then finds the
 * connection translated and is not asked (tests/platform/two-tables.sh); a drop in either is a drop.
 *
 * The text that is compared is not made here: how a rule is listed depends on the version of
 * libnftables. The listing that followed our own commit is the standard; see nft.c.
 */

#include "iptables/ruleset.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct {
	const char *name;
	const char *flags;
	const char *comment; /* 128 bytes at most, an nftables limit */
} tables[] = {
	[RULESET_KEPT] = { "nmi", "",
		"nmi: pods to the agent, never to the metadata service; outlives the agent, ends with: nmi uninstall" },
	[RULESET_LIVE] = { "nmi-live", "flags owner;",
		"nmi-redirector: the same as table nmi, safe from a flush while the agent runs" },
};
/* clang-format on */
static_assert(sizeof(tables) / sizeof(tables[0]) == RULESET_TABLES, "a row for each table");

/*
 * What a person reads who lists the rules: what each is for, and where to ask. At most 128 bytes each, as
 * above. FOR_ is a chain's, SAYS_ a rule's.
 */
#define FOR_SPOOF    "nmi: a pod may not ask with the address of another"
#define FOR_REDIRECT "nmi: what pods ask the metadata service is answered by the agent of this node"
#define FOR_PORT     "nmi: the agent's port takes nothing but what was redirected to it"
#define FOR_GUARD                                                                                  \
	"nmi: no pod reaches the metadata service itself, and with it the node's own identity"

#define SAYS_SPOOF                                                                                 \
	"nmi: a source address that is not routed to the link it came from; see: nmi status"
#define SAYS_REDIRECT                                                                              \
	"nmi: to the agent, which answers with the pod's own identity; see: nmi status"
#define SAYS_REDIRECTED "nmi: redirected by the chain to_agent"
#define SAYS_DIRECT	"nmi: nobody speaks to the agent directly; pods ask the metadata service"
#define SAYS_GUARD                                                                                 \
	"nmi: was not redirected, so it is refused; see: nmi status; ends with: nmi uninstall"
#define FOR_DETOUR "nmi: no way to the metadata service that a rule of another program makes"
#define SAYS_ELSEWHERE                                                                             \
	"nmi: a rule of another program led it elsewhere before ours did; see: nmi status"
#define SAYS_SOURCE  "nmi: a rule of another program gave it another source address; see: nmi status"
#define SAYS_OPTIONS "nmi: with IP options, of which a source route would lead past the rule before"

static const char beside_comment[] = "nmi: beside its rules in iptables, so that a flush of those "
				     "opens nothing; ends with: nmi uninstall";

#define FLAGS_LINE "\tflags " /* of the table; a set's has two tabs */

const char *ruleset_table_name(enum ruleset_table t)
{
	return tables[t].name;
}

bool ruleset_is_ours(const char *table_name)
{
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		if (strcmp(table_name, tables[t].name) == 0)
			return true;
	return strcmp(table_name, RULESET_WAITS) == 0;
}

bool ruleset_leads_elsewhere(const struct redirect_spec *spec, const char *listing,
			     char where[static RULESET_WHERE_MAX])
{
	static const char dnat[] = " dnat to ";
	const char *at = strstr(listing, dnat);
	char ip[INET_IP_TEXT_MAX], ours[RULESET_WHERE_MAX], theirs[RULESET_WHERE_MAX];

	if (!at)
		return false;
	at += strlen(dnat);
	(void)snprintf(theirs, sizeof(theirs), "%.*s", (int)strcspn(at, " \n"), at);
	(void)snprintf(ours, sizeof(ours), "%s:%u", inet_ip_print(&spec->agent_ip, ip),
		       (unsigned)spec->agent_port);
	if (strcmp(theirs, ours) == 0)
		return false;
	str_escape(where, RULESET_WHERE_MAX, str_of(theirs));
	return true;
}

bool ruleset_is_owned(const char *listing)
{
	const char *flags = strstr(listing, "\n" FLAGS_LINE);
	const char *owner = flags ? strstr(flags, "owner") : NULL;

	return owner && owner < flags + 1 + strcspn(flags + 1, "\n");
}

int ruleset_check(const struct redirect_spec *spec, struct err *err)
{
	char text[INET_IP_TEXT_MAX];

	if (spec->backend == REDIRECT_NONE)
		return 0;
	if (!inet_ip_is_v4(&spec->metadata_ip) || inet_ip_is_unspecified(&spec->metadata_ip) ||
	    inet_ip_is_loopback(&spec->metadata_ip))
		return err_set(
			err, ERR_INPUT,
			"metadata address %s cannot be redirected: it must be a plain IPv4 address",
			inet_ip_print(&spec->metadata_ip, text));
	if (!inet_ip_is_v4(&spec->agent_ip) || inet_ip_is_unspecified(&spec->agent_ip) ||
	    inet_ip_is_loopback(&spec->agent_ip))
		return err_set(err, ERR_INPUT,
			       "pods cannot be redirected to %s: give an IPv4 address of this node "
			       "that is "
			       "neither 0.0.0.0 nor loopback",
			       inet_ip_print(&spec->agent_ip, text));
	if (inet_ip_eq(&spec->agent_ip, &spec->metadata_ip))
		return err_set(err, ERR_INPUT, "pods cannot be redirected from %s to itself",
			       inet_ip_print(&spec->agent_ip, text));
	if (!spec->metadata_port || !spec->agent_port)
		return err_set(err, ERR_INPUT, "port 0 cannot be redirected from or to");
	return 0;
}

/* What the iptables backend does by its own means. */
static char *print_redirect(const struct redirect_spec *spec, const char *wanted, const char *agent)
{
	return xasprintf(
		"	chain spoof_check {\n"
		"		comment \"" FOR_SPOOF "\"\n"
		"		type filter hook prerouting priority -310; policy accept;\n"
		"		iifname != \"lo\" %1$s fib saddr . iif oif missing counter drop "
		"comment \"" SAYS_SPOOF "\"\n"
		"	}\n"
		"	chain to_agent {\n"
		"		comment \"" FOR_REDIRECT "\"\n"
		"		type nat hook prerouting priority -199; policy accept;\n"
		"		iifname != \"lo\" %1$s counter dnat to %2$s:%3$u "
		"comment \"" SAYS_REDIRECT "\"\n"
		"	}\n",
		wanted, agent, (unsigned)spec->agent_port);
}

/* Against what a foreign rule did to a packet before it came to ours; see above. */
static char *print_detours(const struct redirect_spec *spec, const char *wanted,
			   const char *metadata)
{
	return xasprintf(
		"	chain detour_out {\n"
		"		comment \"" FOR_DETOUR "\"\n"
		"		type filter hook forward priority -300; policy accept;\n"
		"		meta l4proto tcp ct original ip daddr %1$s ct original proto-dst "
		"%2$u counter reject with tcp reset comment \"" SAYS_ELSEWHERE "\"\n"
		"	}\n"
		"	chain detour_in {\n"
		"		comment \"" FOR_DETOUR "\"\n"
		"		type filter hook input priority -299; policy accept;\n"
		"		iifname != \"lo\" tcp dport %3$u ct status snat counter reject "
		"with "
		"tcp reset comment \"" SAYS_SOURCE "\"\n"
		"		iifname != \"lo\" %4$s counter reject with tcp reset comment "
		"\"" SAYS_GUARD "\"\n"
		"		iifname != \"lo\" tcp dport != %3$u ct original ip daddr %1$s "
		"ct original proto-dst %2$u ct direction original counter reject with tcp reset "
		"comment \"" SAYS_ELSEWHERE "\"\n"
		"	}\n",
		metadata, (unsigned)spec->metadata_port, (unsigned)spec->agent_port, wanted);
}

/*
 * Declare, delete, declare: in one transaction that is "replace whatever is there, if anything".
 * The first declaration carries the flags, since the kernel refuses to take ownership off a table.
 */
char *ruleset_print(const struct redirect_spec *spec, enum ruleset_table t)
{
	char metadata[INET_IP_TEXT_MAX], agent[INET_IP_TEXT_MAX];
	_cleanup_free_ char *wanted = NULL, *redirect = NULL, *detours = NULL;

	(void)inet_ip_print(&spec->metadata_ip, metadata);
	(void)inet_ip_print(&spec->agent_ip, agent);
	wanted = xasprintf("ip daddr %s tcp dport %u", metadata, (unsigned)spec->metadata_port);
	/* Beside the rules of iptables: what those lose must not open the node. */
	if (spec->backend != REDIRECT_IPTABLES)
		redirect = print_redirect(spec, wanted, agent);
	detours = print_detours(spec, wanted, metadata);
	return xasprintf(
		"table ip %1$s { %2$s }\n"
		"delete table ip %1$s\n"
		"table ip %1$s {\n"
		"	%2$s\n"
		"	comment \"%3$s\"\n"
		"%5$s"
		"	chain agent_port {\n"
		"		comment \"" FOR_PORT "\"\n"
		"		type filter hook input priority -300; policy accept;\n"
		"		iifname != \"lo\" tcp dport %6$u ct status dnat ct original ip "
		"daddr "
		"%7$s ct original proto-dst %8$u accept comment \"" SAYS_REDIRECTED "\"\n"
		"		iifname != \"lo\" tcp dport %6$u counter drop "
		"comment \"" SAYS_DIRECT "\"\n"
		"	}\n"
		"	chain guard {\n"
		"		comment \"" FOR_GUARD "\"\n"
		"		type filter hook forward priority -300; policy accept;\n"
		"		%4$s counter reject with tcp reset comment \"" SAYS_GUARD "\"\n"
		"		ip hdrlength > 5 tcp dport %8$u counter drop comment "
		"\"" SAYS_OPTIONS "\"\n"
		"	}\n"
		"%9$s"
		"}\n",
		tables[t].name, tables[t].flags, redirect ? tables[t].comment : beside_comment,
		wanted, redirect ? redirect : "", (unsigned)spec->agent_port, metadata,
		(unsigned)spec->metadata_port, detours);
}

/*
 * Matching and dropping are part of nf_tables itself; nat, fib and reject are modules of their own, and
 * one that is missing has the kernel refuse all rules.
 */
char *ruleset_print_guard(const struct redirect_spec *spec)
{
	char metadata[INET_IP_TEXT_MAX];

	return xasprintf(
		"table ip %1$s { }\n"
		"delete table ip %1$s\n"
		"table ip %1$s {\n"
		"	comment \"nmi: the kernel refuses the other rules, so pods get no "
		"token; ends with: nmi uninstall\"\n"
		"	chain guard {\n"
		"		comment \"" FOR_GUARD "\"\n"
		"		type filter hook forward priority -300; policy accept;\n"
		"		ip daddr %2$s tcp dport %3$u drop comment \"" SAYS_GUARD "\"\n"
		"		ip hdrlength > 5 tcp dport %3$u drop comment \"" SAYS_OPTIONS "\"\n"
		"	}\n"
		"}\n",
		tables[RULESET_KEPT].name, inet_ip_print(&spec->metadata_ip, metadata),
		(unsigned)spec->metadata_port);
}

/*
 * "\tflags dormant,owner" without who owns the table: some versions of nft name the flag persist, 1.0.6
 * leaves its place empty. Writes at most line.n bytes; 0: nothing is left to tell.
 */
static size_t put_flags(char *to, struct str line)
{
	const char *at = line.p + strlen(FLAGS_LINE), *end = line.p + line.n;
	char *start = to;

	while (at < end) {
		struct str word = { at, 0 };

		while (at < end && *at != ',' && *at != ' ')
			at++;
		word.n = (size_t)(at - word.p);
		at += at < end;
		if (!word.n || str_eq(word, STR("owner")) || str_eq(word, STR("persist")))
			continue;
		if (to == start)
			to = mempcpy(to, FLAGS_LINE, strlen(FLAGS_LINE));
		else
			*to++ = ',';
		memmove(to, word.p, word.n);
		to += word.n;
	}
	return (size_t)(to - start);
}

void ruleset_normalise(char *listing)
{
	static const char progname[] = " # progname ";
	char *to = listing;

	for (const char *from = listing, *next; *from; from = next) {
		struct str line = { from, strcspn(from, "\n") };
		const char *mark = memmem(line.p, line.n, progname, strlen(progname));
		size_t n;

		next = from + line.n + (from[line.n] == '\n');
		if (mark)
			line.n = (size_t)(mark - line.p);
		if (str_starts(line, STR(FLAGS_LINE)))
			n = put_flags(to, line);
		else
			memmove(to, line.p, n = line.n);
		to += n;
		if (n && next[-1] == '\n')
			*to++ = '\n';
	}
	*to = '\0';
}

static struct str next_line(const char **at)
{
	struct str line;

	*at += strspn(*at, " \t\n");
	line = (struct str){ *at, strcspn(*at, "\n") };
	*at += line.n;
	return line;
}

/* A line of a foreign rule may be long and may hold anything. */
static void quote(char *buf, size_t size, struct str line)
{
	str_escape(buf, size, line.n ? line : STR("(end)"));
}

bool ruleset_same(enum ruleset_table t, const char *expected, const char *actual,
		  char why[static RULESET_WHY_MAX])
{
	struct str want, have;
	char a[48], b[48];

	if (!actual) {
		(void)snprintf(why, RULESET_WHY_MAX, "table %s is missing", tables[t].name);
		return false;
	}
	if (strcmp(expected, actual) == 0)
		return true;
	do {
		want = next_line(&expected);
		have = next_line(&actual);
	} while (want.n && have.n && str_eq(want, have));
	quote(a, sizeof(a), have);
	quote(b, sizeof(b), want);
	(void)snprintf(why, RULESET_WHY_MAX, "table %s is altered: '%s' in place of '%s'",
		       tables[t].name, a, b);
	return false;
}
