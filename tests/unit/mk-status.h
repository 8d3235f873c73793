/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/status/fields.h"

/* A status in which every field is something else. */
static inline struct status_agent mk_status(void)
{
	static const char *const around[] = { "kube-proxy in mode nftables: nothing to do",
					      "another thing" };

	return (struct status_agent){
		.version = "1.2.3",
		.node = "node-1",
		.mode = "managed",
		.pid = 11,
		.since = 1700000000,
		.uptime = 12,
		.ready = true,
		.rules_state = "active",
		.backend = "nft",
		.backend_chosen = "because",
		.protection = "held",
		.metadata = "169.254.169.254:80",
		.agent = "10.240.0.4:2579",
		.repairs = 13,
		.last_repair = 14,
		.spoofed = 15,
		.bridge_ports = 16,
		.mismatches = 17,
		.pods = 18,
		.identities = 19,
		.bindings = 20,
		.exceptions = 21,
		.assigned = -1,
		.accounts = 22,
		.answered = 23,
		.refused = 24,
		.connections = 25,
		.waiting = 26,
		.events = 27,
		.log_dropped = 28,
		.audit_dropped = 98,
		.tokens = 29,
		.hits = 30,
		.misses = 31,
		.stale = 32,
		.flights = 33,
		.failures = 34,
		.retries = 35,
		.in_flight = 36,
		.queued = 37,
		.cache_waiting = 38,
		.pod_limited = 39,
		.checks = { { "redirect", NULL, true }, { "pods", NULL, true } },
		.n_checks = 2,
		.watches = { { "pods", "synced", NULL, 40, 41, true },
			     { "azurepodidentityexceptions", "starting", "refused", -1, 42,
			       false } },
		.n_watches = 2,
		.sources = { { "imds", 43, 44, 45, 46, 47, 48 },
			     { "entra", 49, -1, 50, -1, -1, -1 } },
		.n_sources = 2,
		.processes = { { "nmi", 51, 5200, 530, 54 } },
		.n_processes = 1,
		.surroundings = around,
		.n_surroundings = 2,
	};
}
