/* SPDX-License-Identifier: MIT */

/*
 * Every table of ours: see nft_tables.h.
 *
 * Which of them there are is asked first, since a transaction that deletes a table that is not there fails
 * as a whole. One that appears meanwhile belongs to an agent that has just started: its owner keeps it, or
 * puts it back.
 */

#include "iptables/nft_tables.h"

#include "iptables/generation.h"
#include "iptables/nftctx.h"
#include "iptables/ruleset.h"
#include "iptables/spoof_rules.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>

/* deploy/boot-guard: not written by us, but nothing of ours may stay. */
#define BOOT_TABLE "nmi-boot"

/* In the order in which they are shown. */
static const char *const names[] = {
	"ip nmi",
	"ip nmi-live",
	"ip " RULESET_WAITS,
	"ip " SPOOF_TABLE,
	"bridge " SPOOF_TABLE,
	"bridge " SPOOF_TABLE "-next",
	/* deploy/boot-guard */
	"ip " BOOT_TABLE,
	"inet " BOOT_TABLE,
};

/* Lines of "table ip nmi". */
static bool has_line(const char *tables, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = tables; (at = strstr(at, name)); at += n)
		if ((at == tables || at[-1] == ' ') && (at[n] == '\n' || at[n] == '\0'))
			return true;
	return false;
}

/* A context, and what tables there are, borrowed from it until its next run. */
static struct nft_ctx *look(const char **tables, struct err *err)
{
	_cleanup_(nftctx_freep) struct nft_ctx *ctx = NULL;
	uint32_t generation;

	/* libnftables ends the process where it may not ask */
	if (generation_read(&generation, err) < 0)
		return NULL;
	ctx = nftctx_new(err);
	if (!ctx || nftctx_run(ctx, "list tables", tables, err) < 0)
		return NULL;
	return steal_ptr(ctx);
}

/* Whose: the kernel tells the owner's port, libnftables finds its program by that. */
static void name_owner(struct nft_ctx *ctx, const char *name, char *out, size_t size)
{
	static const char mark[] = " # progname ";
	char command[64];
	const char *text = NULL, *at;

	(void)snprintf(command, sizeof(command), "list table %s", name);
	at = nftctx_run(ctx, command, &text, NULL) == 0 ? strstr(text, mark) : NULL;
	if (!at || at > strchr(text, '\n'))
		return;
	at += strlen(mark);
	(void)snprintf(out, size, "table %s belongs to a running %.*s", name,
		       (int)strcspn(at, "\n"), at);
}

int nft_tables_remove(struct err *err)
{
	_cleanup_(nftctx_freep) struct nft_ctx *ctx = NULL;
	_cleanup_(buf_deinit) struct buf commands = { 0 }, left = { 0 };
	const char *tables = NULL;
	char owner[120] = "";
	struct err why = { 0 };

	ctx = look(&tables, err);
	if (!ctx)
		return err_wrap(err, "removing the packet rules");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!has_line(tables, names[i]))
			continue;
		buf_put(&commands, "delete table ", strlen("delete table "));
		buf_put(&commands, names[i], strlen(names[i]));
		buf_put(&commands, "\n", 1);
		buf_put(&left, left.n ? ", " : "", left.n ? 2 : 0);
		buf_put(&left, names[i], strlen(names[i]));
	}
	if (!commands.n || nftctx_run(ctx, commands.p, NULL, &why) == 0) {
		if (left.n && strstr(left.p, BOOT_TABLE))
			log_info("table " BOOT_TABLE " removed too: nmi-boot-guard.service loads "
				 "it again at the next boot, unless it is disabled");
		return 0;
	}
	if (!nftctx_failed_with(&why, EPERM))
		return err_set(err, ERR_REFUSED, "left in nftables: %s: %.100s", left.p, why.msg);
	for (size_t i = 0; i < ARRAY_SIZE(names) && !*owner; i++)
		name_owner(ctx, names[i], owner, sizeof(owner));
	return err_set(err, ERR_REFUSED, "%s: stop nmi first; left as it was: %s",
		       *owner ? owner : "a table belongs to an nmi that runs", left.p);
}

int nft_tables_list(char **out, struct err *err)
{
	_cleanup_(nftctx_freep) struct nft_ctx *ctx = NULL;
	_cleanup_free_ char *tables = NULL;
	const char *text = NULL;
	struct buf all = { 0 };

	ctx = look(&text, err);
	if (!ctx)
		return err_wrap(err, "reading the packet rules");
	tables = xstrdup(text);
	nftctx_show_counters(ctx);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char command[64];

		(void)snprintf(command, sizeof(command), "list table %s", names[i]);
		/* one that is gone by now is not there */
		if (has_line(tables, names[i]) && nftctx_run(ctx, command, &text, NULL) == 0)
			buf_put(&all, text, strlen(text));
	}
	*out = buf_steal(&all, NULL);
	return 0;
}
