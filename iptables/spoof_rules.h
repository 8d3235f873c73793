/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"

/*
 * The tables about borrowed addresses as nftables text: pure, like ruleset.h. Both are called
 * SPOOF_TABLE and belong to the socket that made them. What each is for: spoof.c.
 */
#define SPOOF_TABLE    "nmi-spoof"
#define SPOOF_STAND_IN "nmi-spoof-next" /* of the bridge's, while another redirector has that */
#define SPOOF_COUNTER  "spoofed"	/* packets, in both */
#define SPOOF_SEEN     "seen" /* a set in both: link and source address of what was counted */
#define SPOOF_SEEN_MAX 256    /* its size: the rest is counted, but not told apart */

/* Can they go into a table? Links may not have names that mean more than themselves in nftables. */
int spoof_rules_check(const struct redirect_port *ports, size_t n, struct err *err);

/* On the heap. The first three put a table in place of whatever has its name. */
char *spoof_rules_print_routed(const struct redirect_spec *spec);
char *spoof_rules_print_bridged(const struct redirect_spec *spec, const struct redirect_port *ports,
				size_t n);
char *spoof_rules_print_stand_in(const struct redirect_spec *spec,
				 const struct redirect_port *ports, size_t n);
/* Other ports, in a table that is there; its counters go on. */
char *spoof_rules_print_change(const struct redirect_port *ports, size_t n);
