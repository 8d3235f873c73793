/* SPDX-License-Identifier: MIT */

/*
 * Borrowed addresses: see spoof.h.
 *
 * Theory of operation
 *
 * A pod that takes another's address must not get the other's token. On a link of its own the kernel
 * knows better by its routes, and the tables nmi drop what does not fit (ruleset.c). Behind a bridge
 * all pods share a link, and routes say nothing (CVE-2021-1677). There only the port tells them apart,
 * and which address belongs to which port is known to the agent: from what it has seen in the kernel at
 * a time when nobody else could be at that address (nmi/pods/claim.c). It tells us, and we keep
 *
 *   table bridge nmi-spoof	while any pod is behind a bridge
 *	arrives   A request to the metadata service passes if its port and address are a pair that we
 *		  know. If one of the two is known and not the pair, it is a spoof. If neither is, it is
 *		  a pod so new that the agent has yet to see where it is, and the agent decides: to drop
 *		  it would cost each new pod a second (a lost SYN) and win nothing.
 *		  ARP for a known address passes from its own port only, lest the bridge and the host
 *		  learn a wrong place. About other addresses nothing is said: nodes, gateways, machines.
 *	leaves	  Answers of the metadata service go out by the port of their address only. Otherwise a pod
 *		  that sends with another's MAC, which teaches the bridge a wrong port, would be handed
 *		  the other's token; so would all pods be, when the bridge knows no port and floods.
 *   table ip nmi-spoof		always
 *	arrives   Counts what the tables nmi are about to drop, and notes whose it was and where it came
 *		  from: what opens a connection, since the route back is looked up a second time for it,
 *		  which for each packet would be 2 % of all that a request costs. It decides nothing.
 *		  Those tables are compared as text and put back from a snapshot, so that nothing may
 *		  change in them.
 *
 * Both belong to the socket that owns nmi-live: nobody else can change or remove them, so nothing has to
 * be compared, and they end when we do. That is as it should be: when we do, the agent does, and nobody
 * gets a token; while an address that is still tied to a dead pod's port would cut the next pod there
 * off the network.
 * For the same reason there is no bridge table on a kernel without owned tables (before 5.12).
 *
 * While another redirector runs, which this one is going to replace, that one has both names. The ports then
 * go into table bridge nmi-spoof-next, lest there be a moment without them when it ends; some 500 ms later
 * they are in table nmi-spoof.
 *
 * A change of the ports is one transaction of three sets, flushed and filled: no state in between, and no
 * difference to be worked out.
 */

#include "iptables/spoof.h"

#include "iptables/generation.h"
#include "iptables/nftctx.h"
#include "iptables/spoof_rules.h"
#include "iptables/spoof_tally.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <string.h>

struct seen {
	struct spoof_source sources[SPOOF_SEEN_MAX];
	size_t n;
};

struct spoof {
	struct redirect_spec spec;
	struct nft_ctx *writer; /* that of the other rules: one more would cost a megabyte */
	struct redirect_port *ports;
	size_t n_ports;
	bool is_there[SPOOF_FAMILIES];
	bool are_ports_new; /* since they were written */
	bool has_stand_in;  /* there is the bridge's table under another name */
	bool stands_in;	    /* and it has these ports */
	uint64_t packets[SPOOF_FAMILIES];
	struct seen *seen[SPOOF_FAMILIES]; /* when culprits were asked for last; NULL: never */
};

struct spoof *spoof_new(const struct redirect_spec *spec, struct nft_ctx *writer)
{
	struct spoof *s = xnew(struct spoof);

	s->spec = *spec;
	s->writer = writer;
	return s;
}

struct spoof *spoof_free(struct spoof *s)
{
	if (!s)
		return NULL;
	for (size_t f = 0; f < SPOOF_FAMILIES; f++)
		free(s->seen[f]);
	free(s->ports);
	free(s);
	return NULL;
}

/* ports */

void spoof_set_ports(struct spoof *s, const struct redirect_port *ports, size_t n)
{
	free(s->ports);
	s->ports = n ? xmemdup(ports, n * sizeof(*ports)) : NULL;
	s->n_ports = n;
	s->are_ports_new = true;
	s->stands_in = false;
}

size_t spoof_ports(const struct spoof *s)
{
	bool written = s->is_there[SPOOF_BRIDGED] && !s->are_ports_new;

	return written || s->stands_in ? s->n_ports : 0;
}

/* In words that name what is missing, where it is known. */
static int refused(const struct err *why, struct err *err)
{
	if (nftctx_failed_with(why, EPERM))
		return err_set(err, ERR_REFUSED, "another running nmi owns table " SPOOF_TABLE);
	if (nftctx_failed_with(why, EOPNOTSUPP))
		return err_set(err, ERR_UNAVAILABLE,
			       "this kernel has no owned tables (Linux 5.12 has)");
	return err_set(err, ERR_REFUSED, "table " SPOOF_TABLE ": %.120s", why->msg);
}

static int create(struct spoof *s, enum spoof_family f, const char *rules, const char *drop,
		  struct err *err)
{
	struct err why = { 0 };

	if (nftctx_run(s->writer, rules, NULL, &why) < 0) {
		/* an un-owned table of that name is nobody's, and cannot be replaced by an owned one */
		(void)nftctx_run(s->writer, drop, NULL, NULL);
		if (nftctx_run(s->writer, rules, NULL, &why) < 0)
			return refused(&why, err);
	}
	s->is_there[f] = true;
	s->packets[f] = 0;
	return 0;
}

static void remove_stand_in(struct spoof *s)
{
	if (s->has_stand_in) /* what cannot be removed says the same, and ends with us */
		(void)nftctx_run(s->writer, "delete table bridge " SPOOF_STAND_IN, NULL, NULL);
	s->has_stand_in = s->stands_in = false;
}

static void put_stand_in(struct spoof *s)
{
	_cleanup_free_ char *rules = NULL;

	if (s->stands_in)
		return;
	rules = spoof_rules_print_stand_in(&s->spec, s->ports, s->n_ports);
	s->stands_in = nftctx_run(s->writer, rules, NULL, NULL) == 0;
	s->has_stand_in = s->has_stand_in || s->stands_in;
}

static int create_bridged(struct spoof *s, const char *drop, struct err *err)
{
	_cleanup_free_ char *rules = spoof_rules_print_bridged(&s->spec, s->ports, s->n_ports);
	int r = create(s, SPOOF_BRIDGED, rules, drop, err);

	if (r == -(int)ERR_REFUSED)
		put_stand_in(s);
	if (r < 0 && s->stands_in)
		return err_set(err, ERR_REFUSED,
			       "another running nmi owns table " SPOOF_TABLE
			       "; until it ends, ours is " SPOOF_STAND_IN);
	if (r < 0)
		return r;
	remove_stand_in(s);
	s->are_ports_new = false;
	return 0;
}

static int apply_routed(struct spoof *s, struct err *err)
{
	_cleanup_free_ char *rules = NULL;

	if (s->is_there[SPOOF_ROUTED])
		return 0;
	rules = spoof_rules_print_routed(&s->spec);
	return create(s, SPOOF_ROUTED, rules, "delete table ip " SPOOF_TABLE, err);
}

static int apply_bridged(struct spoof *s, struct err *err)
{
	static const char drop[] = "delete table bridge " SPOOF_TABLE;
	_cleanup_free_ char *rules = NULL;
	struct err why = { 0 };
	int r = 0;

	if (!s->n_ports && s->is_there[SPOOF_BRIDGED])
		r = nftctx_run(s->writer, drop, NULL, &why);
	if (r == 0 && !s->n_ports) {
		remove_stand_in(s);
		s->is_there[SPOOF_BRIDGED] = s->are_ports_new = false;
		return 0;
	}
	if (r == 0 && s->is_there[SPOOF_BRIDGED] && s->are_ports_new) {
		rules = spoof_rules_print_change(s->ports, s->n_ports);
		r = nftctx_run(s->writer, rules, NULL, &why);
	} else if (r == 0 && !s->is_there[SPOOF_BRIDGED]) {
		return create_bridged(s, drop, err);
	}
	if (r < 0) {
		s->is_there[SPOOF_BRIDGED] = false; /* whatever it is, it is made anew */
		return refused(&why, err);
	}
	s->are_ports_new = false;
	return 0;
}

/* One may be possible where the other is not. */
int spoof_apply(struct spoof *s, struct err *err)
{
	int r = apply_bridged(s, err);
	int routed = apply_routed(s, r < 0 ? NULL : err);

	return r < 0 ? r : routed;
}

/* looking */

static bool is_same(const struct redirect_port *a, const struct redirect_port *b)
{
	return inet_ip_eq(&a->ip, &b->ip) && strcmp(a->link, b->link) == 0;
}

/* An entry that has grown old starts again, so a smaller number is all new. */
static uint64_t since(const struct seen *before, const struct spoof_source *now)
{
	for (size_t i = 0; before && i < before->n; i++)
		if (is_same(&before->sources[i].from, &now->from) &&
		    before->sources[i].packets <= now->packets)
			return now->packets - before->sources[i].packets;
	return now->packets;
}

static void rank(struct spoof_culprits *c, const struct spoof_source *source)
{
	size_t at = c->n_worst;

	while (at && c->worst[at - 1].packets < source->packets)
		at--;
	if (c->n_worst == SPOOF_WORST)
		c->n_more++;
	else
		c->n_worst++;
	if (at == SPOOF_WORST)
		return;
	memmove(&c->worst[at + 1], &c->worst[at], (c->n_worst - at - 1) * sizeof(*c->worst));
	c->worst[at] = *source;
}

static int find_culprits(struct spoof *s, enum spoof_family f, struct spoof_culprits *out,
			 struct err *err)
{
	_cleanup_free_ struct seen *now = xnew(struct seen);
	int r = spoof_tally_read_sources(f, now->sources, &now->n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < now->n; i++) {
		struct spoof_source source = now->sources[i];

		source.packets = since(s->seen[f], &source);
		if (source.packets)
			rank(out, &source);
	}
	free(s->seen[f]);
	s->seen[f] = steal_ptr(now);
	return 0;
}

int spoof_culprits(struct spoof *s, struct spoof_culprits *out, struct err *err)
{
	struct spoof_culprits found = { 0 };

	for (size_t f = 0; f < SPOOF_FAMILIES; f++) {
		int r = s->is_there[f] ? find_culprits(s, (enum spoof_family)f, &found, err) : 0;

		if (r < 0)
			return r;
	}
	*out = found;
	return 0;
}

int spoof_look(struct spoof *s, uint64_t *out_packets, struct err *err)
{
	struct spoof_tally t;
	int r = spoof_tally_read(&t, err);

	if (r < 0)
		return r;
	*out_packets = 0;
	for (size_t f = 0; f < SPOOF_FAMILIES; f++) {
		/* libnftables may have opened its socket anew */
		s->is_there[f] = s->is_there[f] && t.is_there[f];
		/* while another has a table of that name, it counts what that one drops and tells */
		if (s->is_there[f] && t.packets[f] > s->packets[f])
			*out_packets += t.packets[f] - s->packets[f];
		s->packets[f] = t.packets[f];
	}
	return 0;
}

int spoof_probe(struct err *err)
{
	static const struct redirect_port any = { "port",
						  { { [10] = 0xff, [11] = 0xff, 10, 0, 0, 1 } } };
	const struct redirect_spec spec = { .metadata_ip = any.ip, .metadata_port = 80 };
	_cleanup_(nftctx_freep) struct nft_ctx *ctx = NULL;
	_cleanup_free_ char *rules = spoof_rules_print_bridged(&spec, &any, 1);
	struct err why = { 0 };
	uint32_t generation;

	if (generation_read(&generation, err) < 0)
		return err_wrap(err, "tying addresses to the ports of a bridge");
	ctx = nftctx_new(err);
	if (!ctx)
		return -(int)ERR_OS;
	nftctx_set_dry_run(ctx);
	if (nftctx_run(ctx, rules, NULL, &why) < 0 && !nftctx_failed_with(&why, EPERM))
		return refused(&why, err);
	return 0;
}
