/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/ipt_rules.h"
#include "iptables/ipt_run.h"

/*
 * There are two iptables, which do not see each other's rules: one keeps them in nftables, the legacy one in
 * tables of its own. This finds their programs, and which of the two a node uses.
 */
enum ipt_flavour { IPT_NFT, IPT_LEGACY, IPT_FLAVOURS };

struct ipt_tool {
	enum ipt_flavour flavour;
	char restore[IPT_PATH_MAX], save[IPT_PATH_MAX];
};

const char *ipt_flavour_name(enum ipt_flavour f);

/* ERR_UNAVAILABLE: not installed. Another error: its program could not be asked what it is. */
int ipt_tool_find(enum ipt_flavour f, struct ipt_tool *out, struct err *err);

/* Reads all rules; `out` is all-zero and is to be deinitialised, whatever comes of it. */
enum ipt_counters { IPT_PLAIN, IPT_COUNTED };
int ipt_tool_look(const struct ipt_tool *t, enum ipt_counters counters, struct ipt_look *out,
		  uint64_t *out_cpu_usec, struct err *err);
int ipt_tool_restore(const struct ipt_tool *t, const char *text, uint64_t *out_cpu_usec,
		     struct err *err);

/* Rules of the legacy flavour exist only once its tables do. Asked of the kernel, no program is run. */
bool ipt_legacy_is_used(void);

/*
 * The flavour that this node uses, decided as the images of Kubernetes' own components do; `why` says by what.
 * ERR_UNAVAILABLE: neither can be had here. Another error: it cannot be told yet.
 */
#define IPT_CHOICE_MAX 100
int ipt_flavour_choose(struct ipt_tool *out, char why[static IPT_CHOICE_MAX], struct err *err);
/* The pure part: what was seen of each flavour, NULL for one that cannot be had; one of them is there. */
enum ipt_flavour ipt_flavour_judge(const struct ipt_look *const looks[IPT_FLAVOURS],
				   char why[static IPT_CHOICE_MAX]);
