/* SPDX-License-Identifier: MIT */
#pragma once

#include "mic-client/match.h"

#include <stdbool.h>
#include <stddef.h>

struct identity_store;

/*
 * May this pod have a token, and of which identity? One decider a mode of operation; the answer is
 * synchronous. (Standard mode, which may have to wait for the controller, comes with its own file.)
 */
struct decider {
	const char *name;
	void *ctx;
	bool (*is_ready)(void *ctx); /* false: the objects have not been seen yet, do not decide */
	void (*decide)(void *ctx, const struct match_pod *pod, const struct selector *sel,
		       struct match_answer *out);
};

struct decider decider_managed(struct identity_store *store);
