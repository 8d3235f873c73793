/* SPDX-License-Identifier: MIT */

/*
 * The backend that speaks nftables through libnftables.
 *
 * Theory of operation
 *
 * There are two contexts, since each is one netlink socket. The writer's socket owns the table
 * nmi-live, which ends with it, so it stays open; the reader is another because libnftables may close
 * and reopen a socket when a listing is disturbed. (Should that happen to the writer, nmi-live is
 * missing when the news of the writer's own commit are compared, and is made again.)
 *
 * Both tables are written in one transaction. If that is refused (no ownership in this kernel,
 * another redirector owns nmi-live), the un-owned one goes in alone, and nmi-live is tried on its own
 * then and at each verify(), since an owner can end.
 *
 * Where that one is refused too because the kernel lacks something (nat, fib and reject are modules of
 * their own), table nmi is made of a guard alone: no pod is served, but none reaches the metadata
 * service either. That is still a failure, so the whole is tried again and again.
 *
 * What "as it should be" means: rules are listed differently by different versions, so the standard
 * is the listing that follows our own commit. That it holds nothing but our commit is proved by the
 * kernel's generation number, which went up by exactly one from before the commit to after the
 * listing. The standard depends on the spec alone, so it is taken once for each table; later commits
 * are compared with it like anybody's.
 *
 * libnftables ends the process when a socket cannot be had at all, so probe() asks by libnl first.
 */

#include "iptables/backend.h"
#include "iptables/generation.h"
#include "iptables/ruleset.h"
#include "iptables/snapshot.h"
#include "lib/base/mem.h"

#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>

/* A node whose rules never stand still for a millisecond: give up and try again later. */
#define STANDARD_TRIES 10

/* How soon a table that another redirector owned is taken over: its end is not told to anybody. */
#define OWNER_MSEC 500

/* Where aad-pod-identity keeps its rules, when its iptables is the nftables one. */
#define OLD_CHAIN "list chain ip nat aad-metadata"

static struct nft_ctx *ctx_free(struct nft_ctx *ctx)
{
	if (ctx)
		nft_ctx_free(ctx);
	return NULL;
}
DEFINE_CLEANUP(struct nft_ctx, ctx_free);

struct nft {
	struct redirect_spec spec;
	struct nft_ctx *writer, *reader;
	char *standard[RULESET_TABLES]; /* NULL until taken */
	struct snapshot *kept;		/* table nmi, to be put back fast; NULL until taken */
	bool restored;			/* from it, and not compared since */
	unsigned altered; /* what the last verify() found so; all that the next apply() writes */
	bool owned;
	bool no_ownership; /* the kernel cannot: not asked again */
	bool old_chain;
	char unowned_why[80]; /* while !owned */
};

static struct nft_ctx *ctx_new(struct err *err)
{
	_cleanup_(ctx_freep) struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);

	if (!ctx || nft_ctx_buffer_output(ctx) || nft_ctx_buffer_error(ctx)) {
		(void)err_set(err, ERR_OS, "libnftables: no context");
		return NULL;
	}
	nft_ctx_output_set_flags(ctx, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_PROTO |
					      NFT_CTX_OUTPUT_NUMERIC_PRIO);
	return steal_ptr(ctx);
}

/* libnftables reports as text only: "Error: Could not process rule: Operation not permitted\n…" */
static bool failed_with(const struct err *err, int os_errno)
{
	return strstr(err->msg, strerror(os_errno)) != NULL;
}

/* Runs commands; `out`, if given, borrows what was printed until the next run. */
static int run(struct nft_ctx *ctx, const char *commands, const char **out, struct err *err)
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

/* The table's listing on the heap, or NULL in `out` if there is no such table. */
static int list(struct nft *n, enum ruleset_table t, char **out, struct err *err)
{
	char command[64];
	const char *text;
	struct err why;

	(void)snprintf(command, sizeof(command), "list table ip %s", ruleset_table_name(t));
	if (run(n->reader, command, &text, &why) == 0) {
		*out = xstrdup(text);
		ruleset_normalise(*out);
		return 0;
	}
	if (failed_with(&why, ENOENT)) {
		*out = NULL;
		return 0;
	}
	if (err)
		*err = why;
	return err_wrap(err, "reading table %s", ruleset_table_name(t));
}

/* Sets of tables, as bits. */
enum { KEPT = 1 << RULESET_KEPT, LIVE = 1 << RULESET_LIVE };

static bool standards_known(const struct nft *n, unsigned set)
{
	for (unsigned t = 0; t < RULESET_TABLES; t++)
		if (set & 1U << t && !n->standard[t])
			return false;
	return true;
}

/* What is learned about the tables of `set` from their own commit, and is not yet known. */
struct learned {
	char *standard[RULESET_TABLES];
	struct snapshot *kept;
};

static void learned_deinit(struct learned *l)
{
	for (unsigned t = 0; t < RULESET_TABLES; t++)
		free(l->standard[t]);
	(void)snapshot_free(l->kept);
}

/* After a commit of `set`, `before` being the generation before it. */
static int learn(struct nft *n, unsigned set, uint32_t before, struct err *err)
{
	_cleanup_(learned_deinit) struct learned l = { 0 };
	uint32_t after;

	for (unsigned t = 0; t < RULESET_TABLES; t++)
		if (set & 1U << t && !n->standard[t] &&
		    list(n, (enum ruleset_table)t, &l.standard[t], err) < 0)
			return -(int)ERR_REFUSED;
	/* Without a snapshot a repair is slower, no more. */
	if (set & KEPT && !n->kept)
		l.kept = snapshot_take(ruleset_table_name(RULESET_KEPT), NULL);
	if (generation_read(&after, NULL) < 0 || after != before + 1)
		return 0; /* others were at it too: what was read may be theirs */
	for (unsigned t = 0; t < RULESET_TABLES; t++)
		if (l.standard[t])
			n->standard[t] = steal_ptr(l.standard[t]);
	if (l.kept)
		n->kept = steal_ptr(l.kept);
	return 0;
}

/*
 * Puts the tables of `set` in place, in one transaction. ERR_REFUSED: the kernel would not.
 * ERR_UNAVAILABLE: they are in place, but not known to be so undisturbed.
 */
static int write_tables(struct nft *n, unsigned set, struct err *err)
{
	_cleanup_free_ char *kept = ruleset_print(&n->spec, RULESET_KEPT);
	_cleanup_free_ char *live = ruleset_print(&n->spec, RULESET_LIVE);
	_cleanup_free_ char *commands = xasprintf("%s%s", set & KEPT ? kept : "",
						  set & LIVE ? live : "");

	for (int i = 0; i < STANDARD_TRIES; i++) {
		uint32_t before = 0;
		bool known = standards_known(n, set) && (!(set & KEPT) || n->kept);
		int r = known ? 0 : generation_read(&before, err);

		if (r == 0)
			r = run(n->writer, commands, NULL, err);
		if (r == 0 && !known)
			r = learn(n, set, before, err);
		if (r < 0 || standards_known(n, set))
			return r;
	}
	return err_set(
		err, ERR_UNAVAILABLE,
		"the rules are in place, but others change rules so fast that ours cannot be "
		"read back undisturbed");
}

/* nmi-live on its own, after an un-owned table of that name is out of the way. */
static void try_live(struct nft *n)
{
	struct err err = { 0 };

	if (n->no_ownership)
		return;
	(void)run(n->writer, "delete table ip nmi-live", NULL, NULL); /* mostly there is none */
	n->owned = write_tables(n, LIVE, &err) != -(int)ERR_REFUSED;
	if (n->owned)
		return;
	n->no_ownership = failed_with(&err, EOPNOTSUPP);
	if (n->no_ownership)
		(void)snprintf(n->unowned_why, sizeof(n->unowned_why),
			       "this kernel has no owned tables (Linux 5.12 has)");
	else if (failed_with(&err, EPERM))
		(void)snprintf(n->unowned_why, sizeof(n->unowned_why),
			       "another running nmi owns table nmi-live");
	else
		(void)snprintf(n->unowned_why, sizeof(n->unowned_why), "table nmi-live: %.60s",
			       err.msg);
}

static void report_on(const struct nft *n, struct backend_report *report)
{
	*report = (struct backend_report){ .owned = n->owned };
	if (!n->owned && !n->no_ownership)
		report->again_msec = OWNER_MSEC;
	(void)snprintf(report->text, sizeof(report->text), "%s%s%s", n->owned ? "" : n->unowned_why,
		       !n->owned && n->old_chain ? "; " : "",
		       n->old_chain
			       ? "aad-pod-identity's chain aad-metadata is still in the nat table"
			       : "");
}

/* A module, or a part of one, that is not there. Anything else may pass, so what stands is left. */
static bool kernel_lacks_something(const struct err *err)
{
	return failed_with(err, ENOENT) || failed_with(err, EOPNOTSUPP) ||
	       failed_with(err, EAFNOSUPPORT) || failed_with(err, EPROTONOSUPPORT);
}

/* `err`: why the rules were refused. */
static int fall_back_to_guard(struct nft *n, struct err *err)
{
	_cleanup_free_ char *guard = ruleset_print_guard(&n->spec);
	struct err why = *err;

	if (!kernel_lacks_something(err) || run(n->writer, guard, NULL, NULL) < 0)
		return err_wrap(err, "writing the packet rules");
	return err_set(err, ERR_REFUSED,
		       "the kernel refuses the packet rules (%.60s): no pod gets a token, a guard "
		       "keeps all from IMDS; load nft_chain_nat, nft_fib_ipv4, nft_reject_ipv4",
		       why.msg);
}

static int nft_apply(void *state, struct backend_report *report, struct err *err)
{
	struct nft *n = state;
	int r = -(int)ERR_REFUSED;

	/* The quick ways of a repair: what is right stays, its counters too. */
	n->restored = n->altered == KEPT && n->kept && snapshot_restore(n->kept, NULL) == 0;
	if (n->restored || (n->altered && write_tables(n, n->altered, NULL) == 0)) {
		n->altered = 0;
		report_on(n, report);
		return 0;
	}
	n->old_chain = run(n->reader, OLD_CHAIN, NULL, NULL) == 0;
	if (!n->no_ownership)
		r = write_tables(n, KEPT | LIVE, err);
	n->owned = r == 0;
	if (r == -(int)ERR_REFUSED) {
		r = write_tables(n, KEPT, err);
		if (r == 0)
			try_live(n);
	}
	if (r == -(int)ERR_REFUSED)
		return fall_back_to_guard(n, err);
	if (r < 0)
		return err_wrap(err, "writing the packet rules");
	n->altered = 0;
	report_on(n, report);
	return 0;
}

/* Adds the table to n->altered if it is; `why` then says how. */
static int verify_table(struct nft *n, enum ruleset_table t, char why[static RULESET_WHY_MAX],
			struct err *err)
{
	_cleanup_free_ char *listing = NULL;
	int r = list(n, t, &listing, err);

	if (r < 0)
		return r;
	if (n->standard[t] && ruleset_same(t, n->standard[t], listing, why))
		return 0;
	n->altered |= 1U << t;
	if (!n->standard[t])
		(void)snprintf(why, RULESET_WHY_MAX, "table %s was never read back undisturbed",
			       ruleset_table_name(t));
	return 0;
}

static int nft_verify(void *state, bool deleted, enum backend_verdict *out,
		      struct backend_report *report, struct err *err)
{
	struct nft *n = state;
	char why[RULESET_WHY_MAX];
	int r = 0;

	n->altered = deleted ? KEPT : 0;
	if (deleted)
		(void)ruleset_same(RULESET_KEPT, "", NULL, why);
	else
		r = verify_table(n, RULESET_KEPT, why, err);
	if (r == 0 && n->owned && !n->altered)
		r = verify_table(n, RULESET_LIVE, why, err);
	if (r < 0)
		return r;
	/* A snapshot that does not bring back what it should would be tried for ever. */
	if (n->restored && n->altered & KEPT && !deleted)
		n->kept = snapshot_free(n->kept);
	n->restored = n->restored && deleted;
	if (!n->altered && !n->owned)
		try_live(n);
	report_on(n, report);
	if (n->altered)
		(void)snprintf(report->text, sizeof(report->text), "%s", why);
	*out = n->altered ? BACKEND_ALTERED : BACKEND_SAME;
	return 0;
}

static int nft_probe(struct err *err)
{
	uint32_t generation;

	return generation_read(&generation, err);
}

static void nft_close(void *state)
{
	struct nft *n = state;

	for (unsigned t = 0; t < RULESET_TABLES; t++)
		free(n->standard[t]);
	n->kept = snapshot_free(n->kept);
	(void)ctx_free(n->reader);
	(void)ctx_free(n->writer); /* nmi-live ends here */
	free(n);
}

static void *nft_open(const struct redirect_spec *spec, struct err *err)
{
	struct nft *n = xnew(struct nft);

	n->spec = *spec;
	n->writer = ctx_new(err);
	n->reader = n->writer ? ctx_new(err) : NULL;
	if (n->reader)
		return n;
	nft_close(n);
	return NULL;
}

/*
 * nmi-live goes first: while a redirector that runs owns it, that one would put nmi back, so this is
 * the moment to refuse.
 */
static int nft_remove(struct err *err)
{
	_cleanup_(ctx_freep) struct nft_ctx *ctx = NULL;
	static const enum ruleset_table order[] = { RULESET_LIVE, RULESET_KEPT };
	struct err why;

	if (nft_probe(err) < 0)
		return err_wrap(err, "removing the packet rules");
	ctx = ctx_new(err);
	if (!ctx)
		return -(int)ERR_OS;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		const char *name = ruleset_table_name(order[i]);
		char command[64];

		(void)snprintf(command, sizeof(command), "delete table ip %s", name);
		if (run(ctx, command, NULL, &why) == 0 || failed_with(&why, ENOENT))
			continue;
		if (order[i] == RULESET_LIVE && failed_with(&why, EPERM))
			return err_set(err, ERR_REFUSED,
				       "table %s belongs to an nmi that runs: stop it first", name);
		return err_set(err, ERR_REFUSED, "removing table %s: %.150s", name, why.msg);
	}
	return 0;
}

const struct backend nft_backend = {
	.name = "nft",
	.id = REDIRECT_NFT,
	.automatic = true,
	.events = true,
	.probe = nft_probe,
	.open = nft_open,
	.close = nft_close,
	.verify = nft_verify,
	.apply = nft_apply,
	.remove = nft_remove,
};
