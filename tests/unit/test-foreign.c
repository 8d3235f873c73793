/* SPDX-License-Identifier: MIT */

/* Over listings that were recorded of Linux 6.18, iptables 1.8.9 and nft 1.0.6; they are the fuzzers' corpus. */

#include "iptables/foreign.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static uint8_t *recording(const char *name, size_t *out_n)
{
	const char *dir = getenv("TEST_CORPUS");
	_cleanup_free_ char *path = xasprintf("%s/foreign/%s", dir ? dir : "tests/fuzz/corpus",
					      name);
	uint8_t *p = xcalloc(1, 8192);
	FILE *f = fopen(path, "re");

	ck_assert_msg(f != NULL, "no %s: set TEST_CORPUS", path);
	*out_n = fread(p, 1, 8192, f);
	(void)fclose(f); /* read only */
	return p;
}

/* Behind its first two bytes, which are for the fuzzer. */
static void take(struct foreign *f, const char *name)
{
	size_t n;
	_cleanup_free_ uint8_t *p = recording(name, &n);
	const char *table = name + strlen("legacy-");

	memmove(p, p + 2, n -= 2);
	if (strncmp(name, "chain-", 6) == 0)
		foreign_add_chain(f,
				  strstr(name, "-inet-")  ? 1
				  : strstr(name, "-ip6-") ? 10
							  : 2,
				  p, n);
	else
		foreign_add_legacy(f, table, p, n);
}

static const struct {
	const char *name;
	struct foreign want;
} listings[] = {
	{ "chain-ip-nat-KUBE-SERVICES", { .kube_services = FOREIGN_NFT } },
	{ "chain-ip-nat-aad-metadata", { .aad_metadata = FOREIGN_NFT } },
	{ "chain-ip-nat-PREROUTING", { 0 } },
	{ "chain-ip-filter-CILIUM_FORWARD", { .cilium = FOREIGN_NFT } },
	{ "chain-ip-mangle-FORWARD", { .forward = FOREIGN_NFT } },
	{ "chain-ip6-kube-proxy-services", { .kube_proxy_table = true } },
	{ "chain-inet-nmi-live-a", { 0 } },
	{ "chain-ip-t-pre", { .nat = { .n = 1, .chain = { { "ip", "t", "pre", -199 } } } } },
	{ "chain-ip-t-raw", { .raw = { .n = 1, .chain = { { "ip", "t", "raw", -300 } } } } },
	{ "legacy-nat", { .kube_services = FOREIGN_LEGACY, .aad_metadata = FOREIGN_LEGACY } },
	{ "legacy-mangle", { .imds_restriction = FOREIGN_LEGACY } },
	{ "legacy-filter", { .cilium = FOREIGN_LEGACY } },
	{ "legacy-raw",
	  { .notrack = { .n = 1,
			 .chain = { { "iptables-legacy", "raw", "PREROUTING", -300 } } } } },
};

static void same_chains(const struct foreign_chains *a, const struct foreign_chains *b)
{
	ck_assert_uint_eq(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		ck_assert_str_eq(a->chain[i].family, b->chain[i].family);
		ck_assert_str_eq(a->chain[i].table, b->chain[i].table);
		ck_assert_str_eq(a->chain[i].name, b->chain[i].name);
		ck_assert_int_eq(a->chain[i].priority, b->chain[i].priority);
	}
}

START_TEST(a_listing_tells_what_is_in_it)
{
	const struct foreign *want = &listings[_i].want;
	struct foreign f = { 0 };

	take(&f, listings[_i].name);
	ck_assert_uint_eq(f.kube_services, want->kube_services);
	ck_assert_uint_eq(f.cilium, want->cilium);
	ck_assert_uint_eq(f.aad_metadata, want->aad_metadata);
	ck_assert_uint_eq(f.imds_restriction, want->imds_restriction);
	ck_assert_uint_eq(f.forward, want->forward);
	ck_assert_int_eq(f.kube_proxy_table, want->kube_proxy_table);
	same_chains(&f.nat, &want->nat);
	same_chains(&f.raw, &want->raw);
	same_chains(&f.notrack, &want->notrack);
}
END_TEST

static const struct {
	const char *name;
	bool untracks, restricts;
} rules[] = {
	{ "rule-raw", true, false },
	{ "rule-mangle", false, true },
	{ "rule-nat", false, false },
	{ "rule-t", false, false },
};

START_TEST(a_rule_is_known_by_what_it_does)
{
	size_t n;
	_cleanup_free_ uint8_t *p = recording(rules[_i].name, &n);

	memmove(p, p + 2, n -= 2);
	ck_assert_int_eq(foreign_rule_untracks(p, n), rules[_i].untracks);
	ck_assert_int_eq(foreign_has_restriction(p, n), rules[_i].restricts);
	ck_assert(!foreign_is_ours(p, n));
}
END_TEST

/* More than anybody has: the first are kept, and nothing is written behind them. */
START_TEST(there_may_be_many)
{
	struct foreign f = { 0 };

	for (int i = 0; i < 2 * FOREIGN_CHAINS_MAX; i++)
		take(&f, "chain-ip-t-pre");
	ck_assert_uint_eq(f.nat.n, FOREIGN_CHAINS_MAX);
	ck_assert_uint_eq(f.raw.n, 0);
}
END_TEST

UNIT_MAIN("foreign", UNIT_LOOP(a_listing_tells_what_is_in_it, listings),
	  UNIT_LOOP(a_rule_is_known_by_what_it_does, rules), UNIT(there_may_be_many))
