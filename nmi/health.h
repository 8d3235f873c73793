/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * What must be true to be ready. The agent registers a check for each part; the probe handlers read.
 * `why` is a sentence for a person, filled when the check fails.
 */
typedef bool health_check_fn(void *ctx, char *why, size_t size);

struct health_check {
	const char *name;
	health_check_fn *fn;
	void *ctx;
	bool needs_traffic;
};

#define HEALTH_CHECKS_MAX 16
/* A line of the page; a longer reason is cut. */
#define HEALTH_LINE_MAX 256

struct health {
	struct health_check checks[HEALTH_CHECKS_MAX];
	size_t n;
	bool active; /* the rules have been in place at least once: the old agent's "Active" */
};

void health_add(struct health *h, const char *name, health_check_fn *fn, void *ctx);
/* One that passes only when pods' requests come to this agent, not to the one that it replaces. */
void health_add_traffic(struct health *h, const char *name, health_check_fn *fn, void *ctx);
/* Every check but those passes: this agent may take over. */
bool health_may_serve(const struct health *h);
/* True when every check passes; one line a check, "[+]name ok" or "[-]name: why", into buf. */
bool health_ready(const struct health *h, char *buf, size_t size);
