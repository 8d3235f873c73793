/* SPDX-License-Identifier: MIT */

/*
 * The backend that runs iptables.
 *
 * Theory of operation
 *
 * The rules of ipt_rules.c go in through iptables-restore, and what iptables-save lists is compared with
 * them. Which of the two iptables it is is found out with the first apply() and stays so (ipt_flavour.c).
 *
 * Anybody can remove these rules, and between that and their repair the redirect is gone, or the guard, or
 * both. So where the kernel has nftables as well, table nmi stands beside them with the guard and the
 * agent's port alone, put there and held by nft.c: what iptables can do does not open the node. Where
 * there is no nftables the node is open from `iptables -F` on until the next look, and the status says so.
 *
 * The nft flavour tells of changes through nftables' own news (monitor.h), the legacy one of none, so it is
 * looked at again and again. A look costs a process and its reading of all rules of the node, hence a budget:
 * one hundredth of a CPU over time, a quarter of a second of it at once. Between looks verify() says what
 * the last one saw.
 *
 * Rules of an earlier run with another backend or flavour are removed once ours stand. The table nmi of an nft
 * backend is replaced by the one with the guard alone, likewise after.
 */

#include "iptables/backend.h"
#include "iptables/confine.h"
#include "iptables/ipt_flavour.h"
#include "iptables/ipt_rules.h"
#include "iptables/nftctx.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Of a CPU, for looking. */
#define LOOK_SHARE	100
#define LOOK_BURST_USEC 250000
#define LOOK_MIN_MSEC	1000
#define LOOK_MAX_MSEC	60000 /* where there is no sweep */

struct ipt {
	struct redirect_spec spec;
	bool chosen;
	struct ipt_tool tool;
	void *beside; /* state of nft_backend; NULL: no nftables, or not yet */
	bool beside_ok;
	enum redirect_protection beside_protection;
	unsigned beside_again_msec;
	char beside_note[100];

	struct ipt_look look; /* the last one */
	bool is_right;	      /* all was as it should be */
	bool is_fresh;	      /* nothing was done or awaited since */
	unsigned altered;     /* by it: tables */
	bool others_gone;     /* what other backends left was looked for */

	uint64_t cost_usec;    /* of the last look */
	uint64_t free_at_usec; /* when what was spent on looks is paid back */
};

static uint64_t now_usec(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* looking, and what it costs */

static unsigned most_msec(const struct ipt *i)
{
	return i->spec.sweep_msec ? i->spec.sweep_msec : LOOK_MAX_MSEC;
}

static void pay(struct ipt *i, uint64_t usec)
{
	uint64_t now = now_usec(CLOCK_MONOTONIC), most;

	i->cost_usec = usec;
	if (i->free_at_usec < now)
		i->free_at_usec = now;
	i->free_at_usec += usec * LOOK_SHARE;
	/* however dear it was, there is a look in each sweep */
	most = now + (uint64_t)LOOK_BURST_USEC * LOOK_SHARE + (uint64_t)most_msec(i) * 1000;
	if (i->free_at_usec > most)
		i->free_at_usec = most;
}

/* 0: at once */
static unsigned msec_to_next_look(const struct ipt *i)
{
	uint64_t now = now_usec(CLOCK_MONOTONIC) + (uint64_t)LOOK_BURST_USEC * LOOK_SHARE;

	return i->free_at_usec <= now ? 0 : (unsigned)((i->free_at_usec - now) / 1000 + 1);
}

static int look(struct ipt *i, struct err *err)
{
	uint64_t own = now_usec(CLOCK_PROCESS_CPUTIME_ID), theirs = 0;
	int r;

	ipt_look_deinit(&i->look);
	i->is_fresh = i->is_right = false;
	r = ipt_tool_look(&i->tool, IPT_PLAIN, &i->look, &theirs, err);
	if (r < 0)
		return r; /* how often that is tried is the caller's affair */
	pay(i, theirs + now_usec(CLOCK_PROCESS_CPUTIME_ID) - own);
	i->is_fresh = true;
	return 0;
}

/* How long a change of the legacy flavour may go unseen. */
static unsigned poll_msec(const struct ipt *i)
{
	uint64_t most = most_msec(i);
	uint64_t msec = i->cost_usec * LOOK_SHARE / 1000;

	if (msec < LOOK_MIN_MSEC)
		msec = LOOK_MIN_MSEC;
	return (unsigned)(msec < most ? msec : most);
}

/* the guard beside */

static void guard_beside(struct ipt *i)
{
	struct backend_report report = { 0 };
	struct err err = { 0 };

	if (!i->beside && nft_backend.probe(&err) == 0)
		i->beside = nft_backend.open(&i->spec, &err);
	i->beside_ok = i->beside && nft_backend.apply(i->beside, &report, &err) == 0;
	i->beside_protection = report.protection;
	i->beside_again_msec = report.again_msec;
	if (i->beside_ok)
		(void)snprintf(i->beside_note, sizeof(i->beside_note), "%.99s", report.text);
	else
		(void)snprintf(i->beside_note, sizeof(i->beside_note),
			       "whoever flushes iptables opens the node until the repair: %.40s",
			       err.msg);
}

static void verify_beside(struct ipt *i, bool deleted)
{
	struct backend_report report = { 0 };
	enum backend_verdict verdict;

	if (!i->beside_ok || nft_backend.verify(i->beside, deleted, &verdict, &report, NULL) < 0 ||
	    verdict != BACKEND_SAME) {
		guard_beside(i);
		return;
	}
	i->beside_protection = report.protection;
	i->beside_again_msec = report.again_msec;
	(void)snprintf(i->beside_note, sizeof(i->beside_note), "%.99s", report.text);
}

/* what others left */

static int remove_from(const struct ipt_tool *t, bool *out_any, struct err *err)
{
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	_cleanup_free_ char *text = NULL;
	int r = ipt_tool_look(t, IPT_PLAIN, &l, NULL, err);

	if (r < 0)
		return r;
	text = ipt_rules_print_removal(&l);
	*out_any = text;
	return text ? ipt_tool_restore(t, text, NULL, err) : 0;
}

static void remove_other_flavour(struct ipt *i)
{
	enum ipt_flavour other = i->tool.flavour == IPT_NFT ? IPT_LEGACY : IPT_NFT;
	struct ipt_tool tool;
	struct err err = { 0 };
	bool any = false;
	int r;

	if (i->others_gone || (other == IPT_LEGACY && !ipt_legacy_is_used()))
		return;
	r = ipt_tool_find(other, &tool, &err);
	if (r == 0)
		r = remove_from(&tool, &any, &err);
	i->others_gone = true;
	if (r < 0 && r != -(int)ERR_UNAVAILABLE)
		log_warn("rules of an earlier run with %s may still be there: %s",
			 ipt_flavour_name(other), err.msg);
	else if (any)
		log_info("removed the rules of an earlier run with %s", ipt_flavour_name(other));
}

/* the vtable */

static int ipt_probe(struct err *err)
{
	return 0; /* what is missing shows in apply(), which leaves a guard all the same */
}

static void *ipt_open(const struct redirect_spec *spec, struct err *err)
{
	struct ipt *i = xnew(struct ipt);

	i->spec = *spec;
	i->spec.backend = REDIRECT_IPTABLES; /* which has nft.c write no redirect */
	return i;
}

static void ipt_close(void *state)
{
	struct ipt *i = state;

	if (i->beside)
		nft_backend.close(i->beside);
	ipt_look_deinit(&i->look);
	free(i);
}

static int choose(struct ipt *i, struct err *err)
{
	char why[IPT_CHOICE_MAX];
	int r = i->chosen ? 0 : ipt_flavour_choose(&i->tool, why, err);

	if (r < 0 || i->chosen)
		return r;
	i->chosen = true;
	log_info("iptables of this node: %s (%s), by %s", ipt_flavour_name(i->tool.flavour), why,
		 i->tool.restore);
	return 0;
}

/*
 * The legacy one needs CAP_NET_RAW always; the other where somebody's rule has an ipset, of which it asks the name
 * over a raw socket.
 */
static int check_privilege(const struct ipt *i, struct err *err)
{
	if (i->tool.flavour == IPT_NFT || confine_has_raw())
		return 0;
	return err_set(err, ERR_REFUSED,
		       "this node uses iptables-legacy, which needs CAP_NET_RAW beside "
		       "CAP_NET_ADMIN: give it to the container");
}

static int write_rules(struct ipt *i, struct err *err)
{
	unsigned tables = i->is_fresh && i->altered ? i->altered : IPT_ALL_TABLES;
	_cleanup_free_ char *text = NULL;
	char why[IPT_WHY_MAX];
	uint64_t cost = 0;
	int r = i->is_fresh ? 0 : look(i, err);

	if (r < 0)
		return r;
	text = ipt_rules_print(&i->spec, &i->look, tables);
	i->is_fresh = false;
	r = ipt_tool_restore(&i->tool, text, &cost, err);
	if (r == 0)
		r = look(i, err);
	if (r < 0)
		return r;
	i->altered = ipt_look_judge(&i->look, &i->spec, why);
	i->is_right = i->is_fresh = !i->altered;
	if (i->is_right)
		return 0;
	return err_set(err, ERR_REFUSED, "%s took the rules, but afterwards %.140s",
		       i->tool.restore, why);
}

static void report_on(const struct ipt *i, struct backend_report *report)
{
	bool legacy = i->tool.flavour == IPT_LEGACY;
	unsigned again = legacy ? poll_msec(i) : 0;

	*report = (struct backend_report){
		.protection = i->beside_ok && i->beside_protection != REDIRECT_REPAIRED
				      ? REDIRECT_GUARDED
				      : REDIRECT_REPAIRED,
		.again_msec = again,
	};
	if (i->beside_again_msec && (!again || i->beside_again_msec < again))
		report->again_msec = i->beside_again_msec;
	(void)snprintf(report->text, sizeof(report->text), "%s%s%s",
		       legacy ? "iptables-legacy tells of no change: it takes a look, each second "
				"or less often, to notice one"
			      : "",
		       legacy && *i->beside_note ? "; " : "", i->beside_note);
}

static int ipt_apply(void *state, struct backend_report *report, struct err *err)
{
	struct ipt *i = state;
	struct err why = { 0 };
	int r = choose(i, &why);

	if (r == 0)
		r = check_privilege(i, &why);
	if (r == 0)
		r = write_rules(i, &why);
	/* Whatever came of it. After ours, since it takes away the redirect of an nft backend. */
	if (r < 0 || !i->beside_ok)
		guard_beside(i);
	if (r < 0)
		return err_set(err, why.kind, "%s: %.180s",
			       i->beside_ok ? "pods get no token, a guard keeps them from IMDS"
					    : "writing the packet rules",
			       why.msg);
	remove_other_flavour(i);
	report_on(i, report);
	return 0;
}

static int ipt_verify(void *state, bool deleted, enum backend_verdict *out,
		      struct backend_report *report, struct err *err)
{
	struct ipt *i = state;
	char why[IPT_WHY_MAX];
	unsigned wait;

	verify_beside(i, deleted);
	/* only if they were right the last time can it wait */
	wait = i->is_right ? msec_to_next_look(i) : 0;
	if (!wait) {
		int r = look(i, err);

		if (r < 0)
			return r;
		i->altered = ipt_look_judge(&i->look, &i->spec, why);
		i->is_right = !i->altered;
	}
	report_on(i, report);
	if (wait && (!report->again_msec || wait > report->again_msec))
		report->again_msec = wait;
	*out = i->is_right ? BACKEND_SAME : BACKEND_ALTERED;
	if (*out == BACKEND_ALTERED)
		(void)snprintf(report->text, sizeof(report->text), "%s", why);
	return 0;
}

/* For each flavour whose programs are there: false, with `err` set, if it fails. */
static int each_flavour(int (*fn)(const struct ipt_tool *t, void *ctx, struct err *err), void *ctx,
			struct err *err)
{
	for (unsigned f = 0; f < IPT_FLAVOURS; f++) {
		struct ipt_tool tool;
		struct err why = { 0 };
		int r;

		if (f == IPT_LEGACY && !ipt_legacy_is_used())
			continue;
		/* Without nftables the nft flavour has no rules; without its programs none of ours. */
		if (f == IPT_NFT && nft_backend.probe(NULL) < 0)
			continue;
		r = ipt_tool_find((enum ipt_flavour)f, &tool, &why);
		if (r == -(int)ERR_UNAVAILABLE)
			continue;
		if (r == 0)
			r = fn(&tool, ctx, &why);
		if (r < 0)
			return err_set(err, why.kind, "%s: %.200s",
				       ipt_flavour_name((enum ipt_flavour)f), why.msg);
	}
	return 0;
}

static int remove_one(const struct ipt_tool *t, void *ctx, struct err *err)
{
	unsigned *removed = ctx;
	bool any = false;
	int r = remove_from(t, &any, err);

	*removed += r == 0 && any;
	return r;
}

int ipt_backend_remove(unsigned *out_removed, struct err *err)
{
	int r;

	*out_removed = 0;
	r = each_flavour(remove_one, out_removed, err);
	return r < 0 ? err_wrap(err, "removing the rules of iptables") : 0;
}

static int ipt_remove(struct err *err)
{
	unsigned removed;

	return ipt_backend_remove(&removed, err);
}

static int list_one(const struct ipt_tool *t, void *ctx, struct err *err)
{
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	struct buf *out = ctx;
	int r = ipt_tool_look(t, IPT_COUNTED, &l, NULL, err);
	_cleanup_free_ char *head = NULL;

	if (r < 0 || !ipt_look_has_ours(&l))
		return r;
	head = xasprintf("# %s\n", ipt_flavour_name(t->flavour));
	buf_put(out, head, strlen(head));
	ipt_look_print(&l, out);
	return 0;
}

static int ipt_list(char **out, struct err *err)
{
	_cleanup_(buf_deinit) struct buf text = { 0 };
	int r = each_flavour(list_one, &text, err);

	if (r < 0)
		return r;
	*out = text.n ? buf_steal(&text, NULL) : xstrdup("");
	return 0;
}

static void ipt_rest(void *state)
{
	const struct ipt *i = state;

	if (i->beside)
		nft_backend.rest(i->beside);
}

struct nft_ctx *ipt_backend_writer(void *state)
{
	const struct ipt *i = state;

	return i->beside ? nft_backend_writer(i->beside) : NULL;
}

bool ipt_backend_can_be(void)
{
	struct ipt_tool tool;

	for (unsigned f = 0; f < IPT_FLAVOURS; f++)
		if (ipt_tool_find((enum ipt_flavour)f, &tool, NULL) == 0)
			return true;
	return false;
}

const struct backend ipt_backend = {
	.name = "iptables",
	.id = REDIRECT_IPTABLES,
	.events = true,
	.probe = ipt_probe,
	.open = ipt_open,
	.close = ipt_close,
	.rest = ipt_rest,
	.verify = ipt_verify,
	.apply = ipt_apply,
	.remove = ipt_remove,
	.list = ipt_list,
	.concerns = ipt_rules_concern,
};
