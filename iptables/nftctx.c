/* SPDX-License-Identifier: MIT */

/* libnftables, in our terms: see nftctx.h. */

#include "iptables/nftctx.h"

#include <nftables/libnftables.h>
#include <string.h>

struct nft_ctx *nftctx_free(struct nft_ctx *ctx)
{
	if (ctx)
		nft_ctx_free(ctx);
	return NULL;
}

struct nft_ctx *nftctx_new(struct err *err)
{
	_cleanup_(nftctx_freep) struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);

	if (!ctx || nft_ctx_buffer_output(ctx) || nft_ctx_buffer_error(ctx)) {
		(void)err_set(err, ERR_OS, "libnftables: no context");
		return NULL;
	}
	nft_ctx_output_set_flags(ctx, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_PROTO |
					      NFT_CTX_OUTPUT_NUMERIC_PRIO);
	return steal_ptr(ctx);
}

int nftctx_run(struct nft_ctx *ctx, const char *commands, const char **out, struct err *err)
{
	static const char before[] = "Error: ";
	const char *said, *cause;
	int r = nft_run_cmd_from_buffer(ctx, commands);

	/* Reading a buffer is also what empties it. */
	said = nft_ctx_get_output_buffer(ctx);
	if (out)
		*out = said ? said : "";
	said = nft_ctx_get_error_buffer(ctx);
	if (r == 0)
		return 0;
	cause = said ? strstr(said, before) : NULL;
	cause = cause ? cause + strlen(before) : said && *said ? said : "no reason given";
	return err_set(err, ERR_REFUSED, "%.*s", (int)strcspn(cause, "\n"), cause);
}

/*
 * There is no function for it. A run that fails leaves nothing behind, since what has become of the rules is unknown
 * then; this one fails as it is read, before the kernel is asked for anything.
 */
void nftctx_rest(struct nft_ctx *ctx)
{
	(void)nftctx_run(ctx, "forget", NULL, NULL);
}

void nftctx_set_dry_run(struct nft_ctx *ctx)
{
	nft_ctx_set_dry_run(ctx, true);
}

void nftctx_show_counters(struct nft_ctx *ctx)
{
	nft_ctx_output_set_flags(ctx, NFT_CTX_OUTPUT_NUMERIC_PROTO | NFT_CTX_OUTPUT_NUMERIC_PRIO);
}

/* libnftables reports as text only: "Error: Could not process rule: Operation not permitted\n…" */
bool nftctx_failed_with(const struct err *err, int os_errno)
{
	return strstr(err->msg, strerror(os_errno)) != NULL;
}
