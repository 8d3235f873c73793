/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"
#include "iptables/spoof_rules.h"

/*
 * What the kernel has counted in the tables of spoof_rules.h, read by libnl: some 20 us, where
 * libnftables would list the tables of everybody first.
 */
enum spoof_family { SPOOF_ROUTED, SPOOF_BRIDGED, SPOOF_FAMILIES };

struct spoof_source {
	struct redirect_port from;
	uint64_t packets;
};

struct spoof_tally {
	bool is_there[SPOOF_FAMILIES]; /* the table */
	uint64_t packets[SPOOF_FAMILIES];
};

/* Blocks briefly. */
int spoof_tally_read(struct spoof_tally *out, struct err *err);
/* Who it was, of one of the tables; `out_n` of them, in no order. */
int spoof_tally_read_sources(enum spoof_family family,
			     struct spoof_source out[static SPOOF_SEEN_MAX], size_t *out_n,
			     struct err *err);
