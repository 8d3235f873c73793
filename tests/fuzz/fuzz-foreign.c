/* SPDX-License-Identifier: MIT */

/*
 * Listings of packet filters: c FAMILY chain, r FAMILY rule, l TABLE entries of iptables-legacy. Names are text
 * that ends within its array, at most the promised number is kept, and nothing of ours is somebody's.
 */

#include "iptables/foreign.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void check_chains(const struct foreign_chains *c)
{
	assert(c->n <= FOREIGN_CHAINS_MAX);
	for (size_t i = 0; i < c->n; i++) {
		assert(memchr(c->chain[i].table, '\0', FOREIGN_NAME_MAX));
		assert(memchr(c->chain[i].name, '\0', FOREIGN_NAME_MAX));
		assert(c->chain[i].family && strcmp(c->chain[i].table, "nmi") != 0);
	}
}

static void check(const struct foreign *f)
{
	assert((f->kube_services | f->cilium | f->aad_metadata | f->imds_restriction) <=
	       (FOREIGN_NFT | FOREIGN_LEGACY));
	check_chains(&f->nat);
	check_chains(&f->raw);
	check_chains(&f->notrack);
	for (size_t i = 0; i < f->nat.n; i++)
		assert(f->nat.chain[i].priority <= -199);
	for (size_t i = 0; i < f->raw.n; i++)
		assert(f->raw.chain[i].priority < -200);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *table = "";
	struct foreign f = { 0 };
	void *copy;

	if (size < 2)
		return 0;
	copy = malloc(size - 2 ? size - 2 : 1); /* aligned, as netlink's are; its end is guarded */
	memcpy(copy, data + 2, size - 2);
	switch (data[0]) {
	case 'c':
		for (int i = 0; i <= FOREIGN_CHAINS_MAX; i++)
			foreign_add_chain(&f, data[1], copy, size - 2);
		break;
	case 'r':
		(void)foreign_rule_untracks(copy, size - 2);
		(void)foreign_has_restriction(copy, size - 2);
		break;
	default:
		table = data[1] == 'n'	 ? "nat"
			: data[1] == 'r' ? "raw"
			: data[1] == 'm' ? "mangle"
					 : "filter";
		foreign_add_legacy(&f, table, copy, size - 2);
		assert(f.nat.n == 0 && f.raw.n == 0);
		assert(!f.notrack.n || strcmp(table, "raw") == 0);
		assert(!f.kube_services || strcmp(table, "nat") == 0);
		break;
	}
	check(&f);
	free(copy);
	return 0;
}
