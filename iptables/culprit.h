/* SPDX-License-Identifier: MIT */
#pragma once

#include <netlink/netlink.h>
#include <stdbool.h>

/*
 * Who changed our rules, as far as the kernel tells: a reader of the news that monitor.c gets. A commit's
 * messages name tables, and the one that ends it names the process. Pure; nothing here asks the kernel.
 */

/* "ip filter", "inet firewalld"; longer names are cut. */
#define CULPRIT_TABLE_MAX 48
#define CULPRIT_TEXT_MAX  128

struct culprits {
	/* of the commit whose end has not been read yet */
	bool ours, others;	       /* `ours`: or it put a chain before ours */
	char other[CULPRIT_TABLE_MAX]; /* the first table that is not ours */

	/* of the last commit to our rules that was not our own; the name is empty: none yet */
	char name[16];			/* TASK_COMM_LEN */
	unsigned pid;			/* as the node's own process list has it; 0: not told */
	char beside[CULPRIT_TABLE_MAX]; /* a table that was changed with ours; "": none */

	/* A nat chain that is asked before ours, since it came later: "table ip x, chain y". "": none */
	char rival[96];
};

/* One message of the group. The strings in it are quoted where they are kept. */
void culprits_read(struct culprits *c, struct nlmsghdr *h);
/* "nft (process 12), which changed table ip x too", or "somebody". Returns `buf`. */
const char *culprits_print(const struct culprits *c, char buf[static CULPRIT_TEXT_MAX]);
