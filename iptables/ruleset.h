/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"

/*
 * The packet rules as nftables text: pure functions, nothing here talks to the kernel.
 */
enum ruleset_table {
	RULESET_KEPT, /* outlives the redirector; written without an owner, see nft.c for what follows */
	RULESET_LIVE, /* owned by the redirector's socket: nobody else can remove it, ends with it */
	RULESET_TABLES,
};

/* One without rules, of an nmi that stands by; see nft.c. */
#define RULESET_WAITS "nmi-waits"

const char *ruleset_table_name(enum ruleset_table t);
bool ruleset_is_ours(const char *table_name);
/* Can rules be made of it at all? */
int ruleset_check(const struct redirect_spec *spec, struct err *err);
/* Text that puts the table in place of whatever has its name; on the heap. */
char *ruleset_print(const struct redirect_spec *spec, enum ruleset_table t);
/* The same for table nmi with nothing in it but a guard that any kernel with nftables takes. */
char *ruleset_print_guard(const struct redirect_spec *spec);

/* Does a listing of a table of ours lead pods elsewhere than `spec` does? Then `where` is ADDRESS:PORT. */
#define RULESET_WHERE_MAX (INET_IP_TEXT_MAX + 8)
bool ruleset_leads_elsewhere(const struct redirect_spec *spec, const char *listing,
			     char where[static RULESET_WHERE_MAX]);
/* Has the table an owner, by its listing? */
bool ruleset_is_owned(const char *listing);

/*
 * Take out of a listing what differs between two listings of the same rules: blank lines, and who owns
 * the table. In place.
 */
void ruleset_normalise(char *listing);
#define RULESET_WHY_MAX 160
/* Both normalised; `actual` may be NULL: no such table. If they differ, `why` says where. */
bool ruleset_same(enum ruleset_table t, const char *expected, const char *actual,
		  char why[static RULESET_WHY_MAX]);
