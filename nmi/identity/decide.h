/* SPDX-License-Identifier: MIT */
#pragma once

#include "mic-client/match.h"

#include <stdbool.h>
#include <stddef.h>

struct identity_store;

/*
 * May this pod have a token, and of which identity? One decider a mode of operation. The answer is
 * synchronous; one that match_is_wait() may be another after the next change of objects or pods.
 */
struct decider {
	const char *name;
	void *ctx;
	bool (*is_ready)(void *ctx); /* false: the objects have not been seen yet, do not decide */
	void (*decide)(void *ctx, const struct match_pod *pod, const struct selector *sel,
		       struct match_answer *out);
};

struct decider decider_managed(struct identity_store *store);

/* Must outlive the decider. The store is one of standard mode. */
struct standard_mode {
	struct identity_store *store;
	struct match_standard_rules rules;
};
struct decider decider_standard(struct standard_mode *mode);
