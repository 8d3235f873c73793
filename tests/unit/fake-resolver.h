/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/pods/resolver.h"

/*
 * Stands in for nmi/pods at link time: one address, which belongs to whom the test says. Pods are the
 * test's own; their references are counted and nothing is freed.
 */
struct resolver {
	enum resolve_result result;
	const struct pod *pod;
	const struct pod *vouched; /* what a wait finds, whatever the result */
	struct resolver_wait *waits;
	size_t n_waits;
	unsigned link; /* that the address leads to */
	unsigned admitted;
	bool full; /* resolver_wait() gives NULL */
};

/* All who wait are told what the resolver says now, or found by its own means. */
void fake_resolver_tell(struct resolver *r);
