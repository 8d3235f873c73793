/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/*
 * All tables in nftables that have ever been ours, whoever made them: nmi, nmi-live, nmi-spoof, and the boot
 * guard's nmi-boot. What stands of them is read, or removed, by a process that keeps none.
 */

/* All or none, in one transaction. ERR_REFUSED: one belongs to an nmi that runs, which the message names. */
int nft_tables_remove(struct err *err);
/* As backend.list(). */
int nft_tables_list(char **out, struct err *err);
