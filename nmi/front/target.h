/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "nmi/limits.h"

#include <stdbool.h>

/*
 * The request target, from the bytes of the request line to the one path that everything is decided
 * on and that alone is forwarded. Pure. There is one decision for all spellings of a path: a target
 * that IMDS, libcurl and we could read differently is refused instead of guessed at.
 */
struct target {
	struct str path;  /* canonical, in `store`, NUL-terminated */
	struct str query; /* raw, after the '?', borrowed from the input; p is NULL without a '?' */
	char store[LIMIT_TARGET_BYTES + 1]; /* scratch: undefined after a refusal */
};

/* ERR_LIMIT: too long. ERR_INPUT: ambiguous or malformed. `path` and `query` are then left alone. */
int target_parse(struct str raw, struct target *out, struct err *err);
/* Anything that could be about identities, in any case: never forwarded. */
bool target_is_identity(struct str path);
/* Anything that could be /metadata/instance or below, in any case. */
bool target_is_instance(struct str path);
