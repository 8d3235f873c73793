/* SPDX-License-Identifier: MIT */

/*
 * A table with the flags owner and persist (Linux 6.9), which snapshot.c calls held: nobody else can remove
 * or change it, it outlives its owner's socket as an orphan, and an orphan can be replaced by anybody. In a
 * network namespace of its own. Where the kernel is older: it refuses, and nothing has changed.
 */

#include "iptables/snapshot.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define RULES                                                                                      \
	"table ip nmi {\n"                                                                         \
	"	comment \"c\"\n"                                                                         \
	"	chain guard {\n"                                                                         \
	"		type filter hook forward priority -300; policy accept;\n"                               \
	"		ip daddr 192.0.2.1 counter drop\n"                                                      \
	"	}\n"                                                                                     \
	"}\n"

static struct nft_ctx *nft; /* a socket of somebody else's */
static int tests, failed;

static void ok(bool good, const char *sentence)
{
	(void)printf("%sok %d - %s\n", good ? "" : "not ", ++tests, sentence);
	failed += !good;
}

/* "", or why the kernel refused */
static const char *run(const char *commands)
{
	int r = nft_run_cmd_from_buffer(nft, commands);
	const char *said = nft_ctx_get_error_buffer(nft);

	return r ? said : "";
}

static const char *listing(void)
{
	return nft_run_cmd_from_buffer(nft, "list table ip nmi") ? ""
								 : nft_ctx_get_output_buffer(nft);
}

static bool has_rule(void)
{
	return strstr(listing(), "ip daddr 192.0.2.1 counter drop") != NULL;
}

static bool refused(const char *commands)
{
	return strstr(run(commands), "Operation not permitted") != NULL;
}

static void nobody_else_can_touch_it(void)
{
	static const char *const others[] = {
		"delete table ip nmi",		"flush table ip nmi",
		"add rule ip nmi guard accept", "insert rule ip nmi guard accept",
		"flush chain ip nmi guard",	"delete chain ip nmi guard",
		"add chain ip nmi more",	"add table ip nmi { flags dormant; }",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		char sentence[80];

		(void)snprintf(sentence, sizeof(sentence), "refused to others: %s", others[i]);
		ok(refused(others[i]) && has_rule(), sentence);
	}
	run("add table ip other");
	ok(!*run("flush ruleset") && has_rule() && *run("list table ip other"),
	   "flush ruleset takes another table, and passes this one by");
}

static void an_orphan_can_be_had_by_anybody(struct snapshot *s, struct snapshot *other)
{
	struct err err = { 0 };

	ok(snapshot_restore(other, SNAPSHOT_HELD, &err) < 0 && err.os_errno == EPERM && has_rule(),
	   "while it has an owner, another cannot hold it");
	(void)snapshot_free(s);
	ok(has_rule() && !strstr(listing(), "owner"), "it stays when its owner's socket closes");
	ok(strstr(run(RULES), "not supported") != NULL,
	   "declared without the flag persist it is refused, which is how nft.c knows an orphan");
	ok(snapshot_restore(other, SNAPSHOT_HELD, &err) == 0 && has_rule() &&
		   refused("delete table ip nmi"),
	   "another takes it over in one transaction");
	ok(snapshot_restore(other, SNAPSHOT_HELD, &err) == 0 && has_rule() &&
		   refused("delete table ip nmi"),
	   "and may replace what is its own");
	ok(snapshot_restore(other, SNAPSHOT_PLAIN, &err) == 0 && has_rule() &&
		   !*run("add rule ip nmi guard accept"),
	   "and give it up");
	ok(snapshot_restore(other, SNAPSHOT_HELD, &err) == 0, "and hold it again");
	(void)snapshot_free(other);
	ok(!*run("delete table ip nmi\n" RULES) && has_rule(),
	   "an orphan is replaced as text too, when it is deleted first");
	ok(!*run("add rule ip nmi guard accept"), "and is then a plain one");
}

static bool kernel_is_new(void)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	/* NOLINTNEXTLINE(cert-err34-c): a version that cannot be read is an old one */
	return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 9));
}

int main(void)
{
	_cleanup_(snapshot_freep) struct snapshot *s = NULL, *other = NULL;
	struct err err = { 0 };
	int r;

	if (unshare(CLONE_NEWNET) < 0) {
		(void)printf("Bail out! this test makes a network namespace: run it as root\n");
		return 1;
	}
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft || nft_ctx_buffer_output(nft) || nft_ctx_buffer_error(nft))
		return 1;
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_STATELESS);
	ok(!*run(RULES), "a table is written");
	s = snapshot_take("nmi", &err);
	other = snapshot_take("nmi", &err);
	if (!s || !other) {
		(void)printf("Bail out! %s\n", err.msg);
		return 1;
	}
	r = snapshot_restore(s, SNAPSHOT_HELD, &err);
	if (r < 0 && !kernel_is_new()) {
		ok(err.os_errno == EOPNOTSUPP || err.os_errno == EINVAL,
		   "an older kernel refuses to have it held");
		ok(has_rule(), "with the table as it was");
		ok(snapshot_restore(s, SNAPSHOT_PLAIN, &err) == 0 && has_rule(),
		   "a plain one can be put in its place");
	} else {
		ok(r == 0 && has_rule(), "it is held, from one moment to the next");
		nobody_else_can_touch_it();
		an_orphan_can_be_had_by_anybody(steal_ptr(s), steal_ptr(other));
	}
	nft_ctx_free(nft);
	(void)printf("1..%d\n", tests);
	return failed != 0;
}
