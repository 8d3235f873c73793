/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"
#include "iptables/spoof_tally.h"
#include "lib/base/cleanup.h"

/*
 * Borrowed addresses: keeps pods behind bridges to their own, counts who tried, there and on routed
 * links. Only the redirector calls these, from its own process, so they may block. What they do not
 * get done is done by a later call.
 */
struct nft_ctx;
struct spoof;

/* `writer` is borrowed until spoof_free(); the rules end with its socket, not before. */
struct spoof *spoof_new(const struct redirect_spec *spec, struct nft_ctx *writer);
struct spoof *spoof_free(struct spoof *s);
DEFINE_CLEANUP(struct spoof, spoof_free);

/* From now on these are the addresses behind bridges, and the ports that they may speak from. */
void spoof_set_ports(struct spoof *s, const struct redirect_port *ports, size_t n);
/* Put in place what is not, if anything. */
int spoof_apply(struct spoof *s, struct err *err);
/* How many of the ports are in place: all, or none. */
size_t spoof_ports(const struct spoof *s);

/*
 * How many packets were dropped since the last look. Also finds out whether tables are gone, which
 * spoof_apply() then puts back.
 */
int spoof_look(struct spoof *s, uint64_t *out_packets, struct err *err);

/* Whose they were, since this was asked the last time. */
#define SPOOF_WORST 3
struct spoof_culprits {
	struct spoof_source worst[SPOOF_WORST]; /* most packets first */
	size_t n_worst;
	size_t n_more;
};
int spoof_culprits(struct spoof *s, struct spoof_culprits *out, struct err *err);

/* Can this kernel, with the privileges that we have, tie addresses to ports? Changes nothing. */
int spoof_probe(struct err *err);
