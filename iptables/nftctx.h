/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>

/*
 * A context of libnftables, that is one netlink socket, with its output kept and its errors in words.
 * libnftables ends the process when a socket cannot be had at all: ask by generation.h first.
 */
struct nft_ctx;

struct nft_ctx *nftctx_new(struct err *err);
struct nft_ctx *nftctx_free(struct nft_ctx *ctx);
DEFINE_CLEANUP(struct nft_ctx, nftctx_free);

/* Runs commands; `out`, if given, borrows what was printed until the next run. */
int nftctx_run(struct nft_ctx *ctx, const char *commands, const char **out, struct err *err);
/* Forget what was listed: half a megabyte a table. The next run lists what it needs anew, as it does anyway. */
void nftctx_rest(struct nft_ctx *ctx);
/* Have the kernel check what is run, and not do it. */
void nftctx_set_dry_run(struct nft_ctx *ctx);
/* In listings; left out otherwise, so that two of the same rules are equal. */
void nftctx_show_counters(struct nft_ctx *ctx);
/* Was this the kernel's reason? */
bool nftctx_failed_with(const struct err *err, int os_errno);
