/* SPDX-License-Identifier: MIT */

/*
 * Which iptables: see ipt_flavour.h.
 *
 * A container brings its own programs, so their mere presence says nothing about the node. The rule is that
 * of kubernetes-sigs/iptables-wrappers, which the images of kube-proxy and of the network plugins follow, so
 * that all of a node agree: the flavour in whose table mangle a kubelet keeps its chain (KUBE-IPTABLES-HINT,
 * before 1.24 KUBE-KUBELET-CANARY); else the one with more rules; else nft. Our own rules do not count, or
 * the first choice would be for ever.
 */

#include "iptables/ipt_flavour.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* One line for each table of the legacy flavour in this network namespace; empty: none is in use. */
#define LEGACY_TABLES "/proc/self/net/ip_tables_names"

static const struct {
	const char *name, *restore, *save, *version;
} flavours[IPT_FLAVOURS] = {
	[IPT_NFT] = { "iptables-nft", "iptables-nft-restore", "iptables-nft-save", "(nf_tables)" },
	[IPT_LEGACY] = { "iptables-legacy", "iptables-legacy-restore", "iptables-legacy-save",
			 "(legacy)" },
};

const char *ipt_flavour_name(enum ipt_flavour f)
{
	return flavours[f].name;
}

static void keep_first_line(void *ctx, struct str line)
{
	char *version = ctx;

	if (!*version)
		(void)snprintf(version, 64, "%.*s", (int)line.n, line.p);
}

/* The name of a program without its directory: by it one binary knows which of its programs it is. */
static const char *own_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int ask_version(const char *restore, enum ipt_flavour *out, struct err *err)
{
	const char *const argv[] = { own_name(restore), "--version", NULL };
	char version[64] = "";
	const struct ipt_run run = {
		.path = restore, .argv = argv, .line = keep_first_line, .ctx = version
	};
	int r = ipt_run(&run, NULL, err);

	if (r < 0)
		return r;
	if (!strstr(version, " v"))
		return err_set(err, ERR_INPUT, "%s does not say its version", restore);
	/* before 1.8 there was one flavour, and no word for it */
	*out = strstr(version, flavours[IPT_NFT].version) ? IPT_NFT : IPT_LEGACY;
	return 0;
}

int ipt_tool_find(enum ipt_flavour f, struct ipt_tool *out, struct err *err)
{
	struct ipt_tool t = { .flavour = f };
	enum ipt_flavour is = IPT_FLAVOURS;
	int r;

	if (ipt_run_find(flavours[f].restore, t.restore, NULL) == 0 &&
	    ipt_run_find(flavours[f].save, t.save, NULL) == 0) {
		*out = t;
		return 0;
	}
	if (ipt_run_find("iptables-restore", t.restore, NULL) < 0 ||
	    ipt_run_find("iptables-save", t.save, NULL) < 0)
		return err_set(err, ERR_UNAVAILABLE, "%s is not installed", flavours[f].name);
	r = ask_version(t.restore, &is, err);
	if (r < 0)
		return r;
	if (is != f)
		return err_set(err, ERR_UNAVAILABLE, "%s is not installed", flavours[f].name);
	*out = t;
	return 0;
}

static void on_line(void *ctx, struct str line)
{
	ipt_look_line(ctx, line);
}

int ipt_tool_look(const struct ipt_tool *t, enum ipt_counters counters, struct ipt_look *out,
		  uint64_t *out_cpu_usec, struct err *err)
{
	const char *const argv[] = { own_name(t->save), counters == IPT_COUNTED ? "-c" : NULL,
				     NULL };
	const struct ipt_run run = { .path = t->save, .argv = argv, .line = on_line, .ctx = out };
	int r = ipt_run(&run, out_cpu_usec, err);

	return r < 0 ? r : ipt_look_end(out, err);
}

int ipt_tool_restore(const struct ipt_tool *t, const char *text, uint64_t *out_cpu_usec,
		     struct err *err)
{
	const char *const argv[] = { own_name(t->restore), "--noflush", "-w", "5", NULL };
	const struct ipt_run run = { .path = t->restore, .argv = argv, .in = text };

	return ipt_run(&run, out_cpu_usec, err);
}

bool ipt_legacy_is_used(void)
{
	_cleanup_close_ int fd = open(LEGACY_TABLES, O_RDONLY | O_CLOEXEC);
	char byte;

	/* Not to be read means that it cannot be told. */
	return fd >= 0 ? read(fd, &byte, 1) > 0 : errno != ENOENT;
}

enum ipt_flavour ipt_flavour_judge(const struct ipt_look *const looks[IPT_FLAVOURS],
				   char why[static IPT_CHOICE_MAX])
{
	const struct ipt_look *nft = looks[IPT_NFT], *legacy = looks[IPT_LEGACY];
	enum ipt_flavour f = IPT_NFT;

	if (!nft || !legacy) {
		f = nft ? IPT_NFT : IPT_LEGACY;
		(void)snprintf(why, IPT_CHOICE_MAX, "the other one cannot be had here");
	} else if (nft->kubelet || legacy->kubelet) {
		f = nft->kubelet ? IPT_NFT : IPT_LEGACY;
		(void)snprintf(why, IPT_CHOICE_MAX, "the kubelet's chains are there");
	} else if (nft->foreign || legacy->foreign) {
		f = legacy->foreign > nft->foreign ? IPT_LEGACY : IPT_NFT;
		(void)snprintf(why, IPT_CHOICE_MAX,
			       "%u rules of the node are there, in the other %u", looks[f]->foreign,
			       looks[IPT_FLAVOURS - 1 - f]->foreign);
	} else {
		(void)snprintf(why, IPT_CHOICE_MAX, "no rule of the node says which");
	}
	return f;
}

int ipt_flavour_choose(struct ipt_tool *out, char why[static IPT_CHOICE_MAX], struct err *err)
{
	struct ipt_tool tools[IPT_FLAVOURS];
	_cleanup_(ipt_look_deinit) struct ipt_look nft = { 0 };
	_cleanup_(ipt_look_deinit) struct ipt_look legacy = { 0 };
	struct ipt_look *seen[IPT_FLAVOURS] = { &nft, &legacy };
	const struct ipt_look *looks[IPT_FLAVOURS] = { 0 };
	struct err said = { 0 };

	for (unsigned f = 0; f < IPT_FLAVOURS; f++) {
		struct err e = { 0 };
		int r = ipt_tool_find((enum ipt_flavour)f, &tools[f], &e);

		if (r == 0 && (f != IPT_LEGACY || ipt_legacy_is_used()))
			r = ipt_tool_look(&tools[f], IPT_PLAIN, seen[f], NULL, &e);
		if (r == 0)
			looks[f] = seen[f];
		else if (!said.kind)
			said = e;
		/* That it is not there, or that this kernel does not have it, leaves the other one. */
		if (r < 0 && r != -(int)ERR_UNAVAILABLE && r != -(int)ERR_REFUSED)
			return err_set(err, e.kind,
				       "finding out which iptables this node uses: %.190s", e.msg);
	}
	if (!looks[IPT_NFT] && !looks[IPT_LEGACY])
		return err_set(err, ERR_UNAVAILABLE, "no iptables can be had here: %.180s",
			       said.msg);
	*out = tools[ipt_flavour_judge(looks, why)];
	return 0;
}
