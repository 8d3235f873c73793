/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which grants the log has told of, so that it tells the news alone: a pod's first token of an identity for a
 * resource, and each new one in its place. Bounded: of what it has forgotten it tells once more.
 */
struct grants;

struct grants *grants_new(void);
struct grants *grants_free(struct grants *g);
DEFINE_CLEANUP(struct grants, grants_free);

enum grant_news { GRANT_KNOWN, GRANT_FIRST, GRANT_RENEWED };

struct grant {
	const char *pod_uid;
	const char *identity_kind, *identity_namespace, *identity; /* NULL is "" */
	const char *resource;
	uint64_t token_id;
};
/* Notes it too. */
enum grant_news grants_note(struct grants *g, const struct grant *grant);
/*
 * A pod is given so many lines at once, and then one in a while (LIMIT_GRANT_LOG_…). True: this one is to be
 * written, and `out_held` of that pod's were held back since its last one.
 */
bool grants_may_tell(struct grants *g, const char *pod_uid, struct mono now,
		     unsigned long *out_held);
