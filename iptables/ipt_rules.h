/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"
#include "lib/base/buf.h"
#include "lib/base/str.h"

/*
 * The packet rules as iptables has them: what iptables-restore is told, and what is made of the listing
 * that iptables-save gives. Pure: nothing here runs a program. A listing may hold anything that others
 * wrote; of theirs only a count is kept.
 */

/* In the order in which they are written: what closes comes first. Removed in the opposite order. */
enum ipt_table { IPT_FILTER, IPT_RAW, IPT_NAT, IPT_TABLES };
#define IPT_ALL_TABLES ((1U << IPT_TABLES) - 1)
#define IPT_CHAINS     4

/* What was seen of one chain of ours. */
struct ipt_seen {
	bool exists;
	bool marked;	     /* a rule in it says that it is nmi's */
	bool too_much;	     /* more than is kept */
	unsigned hook_rules; /* in the chain of the kernel's that jumps to it, all of them */
	unsigned hook_jumps;
	unsigned first_jump; /* its place there, from 1; 0: none */
	struct buf rules;    /* as listed, a line each */
	struct buf jumps;    /* from wherever */
};

/* One listing; all-zero is the beginning of it. */
struct ipt_look {
	unsigned foreign; /* rules that are not ours */
	bool kubelet; /* it has the chains by which a kubelet of 1.17 or later marks its flavour */
	struct ipt_seen chains[IPT_CHAINS];

	bool in_table;
	int table;	  /* enum ipt_table, or -1: another one */
	bool mangle;	  /* that one is it */
	char strange[64]; /* the first line that no listing has; "": none */
};

void ipt_look_line(struct ipt_look *l, struct str line);
/* No more lines. ERR_INPUT: that was no listing. */
int ipt_look_end(const struct ipt_look *l, struct err *err);
void ipt_look_deinit(struct ipt_look *l);

#define IPT_WHY_MAX 160
/* The tables that are not as they should be, as bits; `why` then has the first thing that is wrong. */
unsigned ipt_look_judge(const struct ipt_look *l, const struct redirect_spec *spec,
			char why[static IPT_WHY_MAX]);
/* Is anything there that an nmi left, and not aad-pod-identity? */
bool ipt_look_has_ours(const struct ipt_look *l);
/* Does aad-pod-identity have its chain there? */
bool ipt_look_has_old(const struct ipt_look *l);

/*
 * For iptables-restore --noflush: puts the tables of `tables` (bits) right, given what was seen. On the heap.
 */
char *ipt_rules_print(const struct redirect_spec *spec, const struct ipt_look *l, unsigned tables);
/* The same to leave nothing of ours; NULL: there is nothing. */
char *ipt_rules_print_removal(const struct ipt_look *l);
/* The rules of ours in it, each with its table's name, appended to `out`. */
void ipt_look_print(const struct ipt_look *l, struct buf *out);

/* Does news of this chain in this table of family ip concern us? NULL: of the table as a whole. */
bool ipt_rules_concern(const char *table, const char *chain);
