/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/pods/by_name.h"
#include "nmi/pods/resolver.h"

/*
 * Stands in for nmi/pods at link time: one address, which belongs to whom the test says. Pods are the
 * test's own; their references are counted and nothing is freed.
 */
struct resolver {
	enum resolve_result result;
	const struct pod *pod;
	const struct pod *claimants[2]; /* of an ambiguous address; NULL past the last */
	const struct pod *vouched;	/* what a wait finds, whatever the result */
	struct resolver_wait *waits;
	size_t n_waits;
	unsigned link; /* that the address leads to */
	unsigned admitted;
	bool full; /* resolver_wait() gives NULL */
};

/* The same for names: whatever the name, it is `pod`'s, or nobody's with NULL. */
struct by_name {
	const struct pod *pod;
	struct by_name_wait *waits;
	size_t n_waits;
	bool full;
	char asked[128]; /* namespace/name, the last one */
};

void fake_by_name_tell(struct by_name *b);

/* All who wait are told what the resolver says now, or found by its own means. */
void fake_resolver_tell(struct resolver *r);
