/* SPDX-License-Identifier: MIT */

/*
 * The backend that speaks nftables through libnftables.
 *
 * Theory of operation
 *
 * Table nmi has to stay when we end, and nobody should be able to remove it before. From Linux 6.9 on
 * a table can be both: it is written as text, then made anew by a snapshot of that, held by the
 * snapshot's socket (snapshot.c). Where nmi cannot be held, table nmi-live stands beside it, owned by the
 * writer's socket, and ends with it. So there is a table of ours that nobody else can remove
 *
 *   in nmi        where the kernel can hold it, and no other redirector does
 *   in nmi-live   on an older kernel, where nmi is put back when someone removes it; and while another
 *                 redirector, which this one is going to replace, holds nmi
 *   nowhere       before Linux 5.12, or while another redirector on an older kernel owns nmi-live
 *
 * First both are written in one transaction. If that is refused, nmi goes in alone, and nmi-live is tried
 * on its own. Whatever is not the best that this kernel has is tried again at each verify(), since
 * another owner can end, and nobody is told. Once nmi is held and was compared, nmi-live is dropped: the
 * next redirector needs the name.
 *
 * There are two contexts, since each is one netlink socket. The writer's owns nmi-live and stays open;
 * the reader is another because libnftables may close and reopen a socket when a listing is disturbed.
 * (Should that happen to the writer, nmi-live is missing when the news of the writer's own commit are
 * compared, and is made again.)
 *
 * Two of ours that lead pods to different places (two installations on one node) would both be asked, or on
 * an older kernel replace each other's nmi for ever. So whoever finds an owner whose table leads elsewhere
 * stands by: it writes no rules, looks four times a second, and takes over when that one ends. Meanwhile it
 * owns table nmi-waits, which has no rules, so that the other one knows and says so.
 *
 * A nat chain of another program at our priority that comes later is asked first. News of it make us write
 * our tables anew, which puts them first again (outranked()). What came through in between met the chains
 * detour_*, see ruleset.c.
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
#include "iptables/nft_tables.h"
#include "iptables/nftctx.h"
#include "iptables/ruleset.h"
#include "iptables/snapshot.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>

/* A node whose rules never stand still for a millisecond: give up and try again later. */
#define STANDARD_TRIES 10

/* How soon a table that another redirector owned is taken over: its end is not told to anybody. */
#define OWNER_MSEC 500
#define WAIT_MSEC  250 /* pods meet a closed port until then */

/* Where aad-pod-identity keeps its rules, when its iptables is the nftables one. */
#define OLD_CHAIN "list chain ip nat aad-metadata"
/* The iptables backend has it too, and this one; what it left is about to be removed (ipt_left.h). */
#define OUR_CHAIN "list chain ip filter nmi-guard"

#define WAITS_TABLE                                                                                \
	"table ip " RULESET_WAITS                                                                  \
	" { flags owner; comment \"nmi: another nmi of this node serves "                          \
	"the pods; this one waits for its end\"; }"

struct nft {
	struct redirect_spec spec;
	struct nft_ctx *writer, *reader;
	char *standard[RULESET_TABLES]; /* NULL until taken */
	struct snapshot *kept;		/* table nmi, to be put in place fast; NULL until taken */
	bool no_snapshot;		/* cannot be: not tried again */
	bool restored;			/* from it, and not compared since */
	unsigned altered; /* what the last verify() found so; all that the next apply() writes */
	bool held;	  /* nmi is, by `kept` */
	bool foreign;	  /* nmi belongs to another redirector */
	bool live;	  /* nmi-live is ours */
	bool no_persist, no_ownership; /* the kernel cannot: not asked again */
	bool old_chain;
	char rival[96];			   /* came before us; "": none */
	char waits_for[RULESET_WHERE_MAX]; /* another nmi leads pods there; "": we lead them */
	bool waiter;			   /* another nmi waits for our end */
	char no_live_why[80];		   /* while !live */
};

/*
 * After an answer that was lost or not understood, what is left of it waits in the context's socket, and every
 * later one is taken for a wrong one. libnftables has no way to empty it; nothing hangs on this context. A socket
 * must be there to be had, see above.
 */
static void renew_reader(struct nft *n)
{
	uint32_t generation;
	struct nft_ctx *fresh = generation_read(&generation, NULL) == 0 ? nftctx_new(NULL) : NULL;

	if (!fresh)
		return;
	(void)nftctx_free(n->reader);
	n->reader = fresh;
}

static void nft_rest(void *state)
{
	const struct nft *n = state;

	nftctx_rest(n->reader);
	nftctx_rest(n->writer);
}

/* The table's listing on the heap, or NULL in `out` if there is no such table. */
static int list(struct nft *n, enum ruleset_table t, char **out, struct err *err)
{
	char command[64];
	const char *text;
	struct err why;

	(void)snprintf(command, sizeof(command), "list table ip %s", ruleset_table_name(t));
	if (nftctx_run(n->reader, command, &text, &why) == 0) {
		*out = xstrdup(text);
		ruleset_normalise(*out);
		return 0;
	}
	if (nftctx_failed_with(&why, ENOENT)) {
		*out = NULL;
		return 0;
	}
	renew_reader(n);
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

static bool all_known(const struct nft *n, unsigned set)
{
	return standards_known(n, set) && (!(set & KEPT) || n->kept || n->no_snapshot);
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
	/* Without a snapshot a repair is slower, and nmi cannot be held; no more. */
	if (set & KEPT && !n->kept && !n->no_snapshot)
		l.kept = snapshot_take(ruleset_table_name(RULESET_KEPT), NULL);
	if (generation_read(&after, NULL) < 0 || after != before + 1)
		return 0; /* others were at it too: what was read may be theirs */
	for (unsigned t = 0; t < RULESET_TABLES; t++)
		if (l.standard[t])
			n->standard[t] = steal_ptr(l.standard[t]);
	if (l.kept)
		n->kept = steal_ptr(l.kept);
	if (set & KEPT)
		n->no_snapshot = !n->kept;
	return 0;
}

/*
 * One transaction, text that ruleset.h printed. What an earlier redirector held and left is "not supported"
 * to be declared anew without the flag; without that declaration, its first line, it begins with deleting
 * the table, which works. That it is there is what the refusal may mean.
 */
static int commit(struct nft *n, const char *commands, struct err *err)
{
	struct err why = { 0 }, over_orphan = { 0 };

	if (nftctx_run(n->writer, commands, NULL, &why) == 0)
		return 0;
	if (nftctx_failed_with(&why, EOPNOTSUPP)) {
		if (nftctx_run(n->writer, strchr(commands, '\n') + 1, NULL, &over_orphan) == 0)
			return 0;
		/* No such table: it meant something else. */
		if (!nftctx_failed_with(&over_orphan, ENOENT))
			why = over_orphan;
	}
	if (err)
		*err = why;
	return -(int)ERR_REFUSED;
}

/*
 * Puts the tables of `set` in place. ERR_REFUSED: the kernel would not.
 * ERR_UNAVAILABLE: they are in place, but not known to be so undisturbed.
 */
static int write_tables(struct nft *n, unsigned set, struct err *err)
{
	_cleanup_free_ char *kept = set & KEPT ? ruleset_print(&n->spec, RULESET_KEPT) : NULL;
	_cleanup_free_ char *live = set & LIVE ? ruleset_print(&n->spec, RULESET_LIVE) : NULL;
	_cleanup_free_ char *commands = xasprintf("%s%s", kept ? kept : "", live ? live : "");

	for (int i = 0; i < STANDARD_TRIES; i++) {
		uint32_t before = 0;
		bool known = all_known(n, set);
		int r = known ? 0 : generation_read(&before, err);

		if (r == 0)
			r = commit(n, commands, err);
		if (r == 0 && !known)
			r = learn(n, set, before, err);
		if (r < 0 || all_known(n, set))
			return r;
	}
	if (standards_known(n, set))
		return 0;
	return err_set(
		err, ERR_UNAVAILABLE,
		"the rules are in place, but others change rules so fast that ours cannot be "
		"read back undisturbed");
}

/* Table nmi, as yet without an owner. Never while it is held: the writer is a stranger to it then. */
static int write_kept(struct nft *n, struct err *err)
{
	struct err why = { 0 };
	int r = write_tables(n, KEPT, &why);

	n->foreign = r == -(int)ERR_REFUSED && nftctx_failed_with(&why, EPERM);
	if (r < 0 && err)
		*err = why;
	return r;
}

static void try_hold(struct nft *n)
{
	struct err err = { 0 };

	if (n->no_persist || n->foreign || !n->kept)
		return;
	n->held = n->restored = snapshot_restore(n->kept, SNAPSHOT_HELD, &err) == 0;
	if (n->held)
		return;
	n->no_persist = err.os_errno == EOPNOTSUPP || err.os_errno == EINVAL;
	n->foreign = err.os_errno == EPERM;
}

/* Nobody owns nmi any more. */
static void forget_kept(struct nft *n)
{
	n->kept = snapshot_free(n->kept);
	n->held = false;
}

static void drop_live(struct nft *n)
{
	if (n->live)
		(void)nftctx_run(n->writer, "delete table ip nmi-live", NULL, NULL);
	n->live = false;
}

/* nmi-live on its own, after an un-owned table of that name is out of the way. */
static void try_live(struct nft *n)
{
	struct err err = { 0 };

	if (n->no_ownership)
		return;
	(void)nftctx_run(n->writer, "delete table ip nmi-live", NULL,
			 NULL); /* mostly there is none */
	n->live = write_tables(n, LIVE, &err) != -(int)ERR_REFUSED;
	if (n->live)
		return;
	n->no_ownership = nftctx_failed_with(&err, EOPNOTSUPP) || nftctx_failed_with(&err, EINVAL);
	if (n->no_ownership)
		(void)snprintf(n->no_live_why, sizeof(n->no_live_why),
			       "this kernel has no owned tables (Linux 5.12 has)");
	else if (nftctx_failed_with(&err, EPERM))
		(void)snprintf(n->no_live_why, sizeof(n->no_live_why),
			       "another running nmi owns table nmi-live");
	else
		(void)snprintf(n->no_live_why, sizeof(n->no_live_why), "table nmi-live: %.60s",
			       err.msg);
}

/* With nmi and nmi-live as they should be: is there better? */
static void improve(struct nft *n)
{
	if (n->held) {
		drop_live(n);
		return;
	}
	if (n->foreign || (!n->kept && !n->no_persist)) {
		/* Written, and still no snapshot: our own news would have us write again and again. */
		if (write_kept(n, NULL) == 0 && !n->kept)
			n->no_persist = true;
	}
	try_hold(n);
	if (!n->held && !n->live)
		try_live(n);
}

/* Does another nmi own a table that leads elsewhere than ours would? */
static bool must_wait(struct nft *n)
{
	char command[64], where[RULESET_WHERE_MAX];
	const char *text;
	struct err why;

	for (unsigned t = 0; t < RULESET_TABLES; t++) {
		(void)snprintf(command, sizeof(command), "list table ip %s",
			       ruleset_table_name((enum ruleset_table)t));
		if (nftctx_run(n->reader, command, &text, &why) < 0) {
			if (!nftctx_failed_with(&why, ENOENT))
				renew_reader(n);
			continue;
		}
		if (ruleset_is_owned(text) && ruleset_leads_elsewhere(&n->spec, text, where)) {
			memcpy(n->waits_for, where, sizeof(where));
			return true;
		}
	}
	return false;
}

static void stand_by(struct nft *n)
{
	forget_kept(n);
	drop_live(n);
	(void)nftctx_run(n->writer, WAITS_TABLE, NULL, NULL); /* else the other one does not tell */
}

static void look_for_waiter(struct nft *n)
{
	n->waiter = nftctx_run(n->reader, "list table ip " RULESET_WAITS, NULL, NULL) == 0;
}

static void report_on(const struct nft *n, struct backend_report *report)
{
	bool wait_live = !n->live && !n->no_ownership;
	const char *note = "";

	if (*n->waits_for) {
		*report = (struct backend_report){ .protection = REDIRECT_REPAIRED,
						   .waits = true,
						   .again_msec = WAIT_MSEC };
		(void)snprintf(
			report->text, sizeof(report->text),
			"another nmi of this node leads pods to %s; this one has no rules and "
			"serves nobody until that one ends: is nmi installed twice, or its port "
			"changed?",
			n->waits_for);
		return;
	}
	*report = (struct backend_report){
		.protection = n->held	? REDIRECT_HELD
			      : n->live ? REDIRECT_DOUBLED
					: REDIRECT_REPAIRED,
	};
	if (!n->held && (n->foreign || !n->no_persist || wait_live))
		report->again_msec = OWNER_MSEC;
	if (n->foreign)
		note = "another running nmi owns table nmi; until it ends, ours is nmi-live";
	else if (!n->held && !n->live)
		note = n->no_live_why;
	else if (n->waiter)
		note = "another nmi with other settings waits on this node; this one serves the "
		       "pods: is nmi installed twice, or its port changed?";
	if (n->waiter && !report->again_msec)
		report->again_msec = OWNER_MSEC;
	(void)snprintf(report->text, sizeof(report->text), "%s%s%s", note,
		       *note && n->old_chain ? "; " : "",
		       n->old_chain
			       ? "aad-pod-identity's chain aad-metadata is still in the nat table"
			       : "");
}

/* A module, or a part of one, that is not there. Anything else may pass, so what stands is left. */
static bool kernel_lacks_something(const struct err *err)
{
	return nftctx_failed_with(err, ENOENT) || nftctx_failed_with(err, EOPNOTSUPP) ||
	       nftctx_failed_with(err, EAFNOSUPPORT) || nftctx_failed_with(err, EPROTONOSUPPORT);
}

/* `err`: why the rules were refused. */
static int fall_back_to_guard(struct nft *n, struct err *err)
{
	_cleanup_free_ char *guard = ruleset_print_guard(&n->spec);
	struct err why = *err;

	if (!kernel_lacks_something(err) || commit(n, guard, NULL) < 0)
		return err_wrap(err, "writing the packet rules");
	return err_set(err, ERR_REFUSED,
		       "the kernel refuses the packet rules (%.60s): no pod gets a token, a guard "
		       "keeps all from IMDS; load nft_chain_nat, nft_fib_ipv4, nft_reject_ipv4",
		       why.msg);
}

static int install(struct nft *n, struct err *err)
{
	int r = -(int)ERR_REFUSED;

	n->foreign = false;
	if (!n->no_ownership)
		r = write_tables(n, KEPT | LIVE, err);
	n->live = r == 0;
	if (r == -(int)ERR_REFUSED && must_wait(n)) {
		stand_by(n);
		return 0;
	}
	if (*n->waits_for)
		(void)nftctx_run(n->writer, "delete table ip " RULESET_WAITS, NULL, NULL);
	n->waits_for[0] = '\0';
	if (r == -(int)ERR_REFUSED) {
		r = write_kept(n, err);
		if (r == 0 || n->foreign)
			try_live(n);
		if (n->foreign)
			r = n->live ? 0
				    : err_set(err, ERR_REFUSED,
					      "another running nmi owns table nmi, and %s",
					      n->no_live_why);
	}
	if (r == 0)
		try_hold(n);
	return r;
}

/* The quick ways: what is right stays, its counters too. */
static bool repair(struct nft *n)
{
	enum snapshot_mode mode = n->held ? SNAPSHOT_HELD : SNAPSHOT_PLAIN;

	n->restored = n->altered == KEPT && n->kept && snapshot_restore(n->kept, mode, NULL) == 0;
	return n->restored || (n->altered && !n->held && write_tables(n, n->altered, NULL) == 0);
}

static int nft_apply(void *state, struct backend_report *report, struct err *err)
{
	struct nft *n = state;
	int r;

	if (repair(n)) {
		if (n->altered & KEPT)
			n->foreign = false;
		n->altered = 0;
		report_on(n, report);
		return 0;
	}
	if (n->held)
		forget_kept(n);
	n->old_chain = nftctx_run(n->reader, OLD_CHAIN, NULL, NULL) == 0 &&
		       nftctx_run(n->reader, OUR_CHAIN, NULL, NULL) != 0;
	r = install(n, err);
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

/* A snapshot that does not bring back what it should would be tried for ever. */
static void judge_snapshot(struct nft *n)
{
	bool bad = n->restored && n->altered & KEPT;

	n->restored = false;
	if (!bad)
		return;
	/* While it was held nobody else can have altered it. */
	n->no_persist = n->no_persist || n->held;
	forget_kept(n);
}

/* All that is ours is written anew. */
static void put_first(struct nft *n, char why[static RULESET_WHY_MAX])
{
	n->altered = (n->foreign ? 0 : KEPT) | (n->live && !n->held ? LIVE : 0);
	(void)snprintf(why, RULESET_WHY_MAX, "%s came before ours", n->rival);
	n->rival[0] = '\0';
}

static void nft_outranked(void *state, const char *rival)
{
	struct nft *n = state;

	(void)snprintf(n->rival, sizeof(n->rival), "%s", rival);
}

static int nft_verify(void *state, bool deleted, enum backend_verdict *out,
		      struct backend_report *report, struct err *err)
{
	struct nft *n = state;
	char why[RULESET_WHY_MAX];
	int r = 0;

	if (*n->waits_for) {
		if (!must_wait(n))
			r = install(n, err);
		report_on(n, report);
		*out = BACKEND_SAME;
		return r;
	}
	/* Held, it cannot be: half of the news of our own commit. Foreign, improve() looks after it. */
	deleted = deleted && !n->held && !n->foreign;
	n->altered = deleted ? KEPT : 0;
	if (deleted)
		(void)ruleset_same(RULESET_KEPT, "", NULL, why);
	else if (!n->foreign)
		r = verify_table(n, RULESET_KEPT, why, err);
	if (r == 0 && n->live && !n->held && !n->altered)
		r = verify_table(n, RULESET_LIVE, why, err);
	if (r < 0)
		return r;
	if (!deleted)
		judge_snapshot(n);
	if (!n->altered && *n->rival)
		put_first(n, why);
	if (!n->altered) {
		improve(n);
		look_for_waiter(n);
	}
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

int nft_backend_try(struct err *err)
{
	struct redirect_spec any = { .metadata_port = 80, .agent_port = 80 };
	_cleanup_(nftctx_freep) struct nft_ctx *ctx = NULL;
	_cleanup_free_ char *commands = NULL;
	struct nft n = { 0 };
	struct err why = { 0 };

	int r = nft_probe(err);

	if (r < 0)
		return r;
	ctx = nftctx_new(err);
	if (!ctx || inet_ip_parse("192.0.2.1", &any.metadata_ip, err) < 0 ||
	    inet_ip_parse("192.0.2.2", &any.agent_ip, err) < 0)
		return -(int)ERR_OS;
	nftctx_set_dry_run(ctx);
	n.writer = ctx;
	commands = ruleset_print(&any, RULESET_KEPT);
	if (commit(&n, commands, &why) == 0 || !kernel_lacks_something(&why))
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "%.200s", why.msg);
}

static void nft_close(void *state)
{
	struct nft *n = state;

	for (unsigned t = 0; t < RULESET_TABLES; t++)
		free(n->standard[t]);
	forget_kept(n);
	(void)nftctx_free(n->reader);
	(void)nftctx_free(n->writer); /* nmi-live ends here, if there is one */
	free(n);
}

static void *nft_open(const struct redirect_spec *spec, struct err *err)
{
	struct nft *n = xnew(struct nft);

	n->spec = *spec;
	n->writer = nftctx_new(err);
	n->reader = n->writer ? nftctx_new(err) : NULL;
	if (n->reader)
		return n;
	nft_close(n);
	return NULL;
}

struct nft_ctx *nft_backend_writer(void *state)
{
	const struct nft *n = state;

	return n->writer;
}

const struct backend nft_backend = {
	.name = "nft",
	.id = REDIRECT_NFT,
	.automatic = true,
	.events = true,
	.probe = nft_probe,
	.open = nft_open,
	.close = nft_close,
	.rest = nft_rest,
	.verify = nft_verify,
	.outranked = nft_outranked,
	.apply = nft_apply,
	.remove = nft_tables_remove,
	.list = nft_tables_list,
};
