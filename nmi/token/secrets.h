/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "nmi/token/source.h"

#include <stddef.h>
#include <stdint.h>

struct jval;
struct kube_client;
struct loop;
struct metrics;

/*
 * Kubernetes Secrets, of which only the version is remembered: what one holds is read anew for each
 * token that is made with it, handed on, and wiped. The version, as a number here called `origin`, says
 * whether tokens made earlier may still be handed out. It is watched where the agent may watch that one
 * Secret, else looked at again when it was not for LIMIT_SECRET_FRESH_MSEC (docs/decisions).
 */
struct secrets;
struct secrets_wait;

struct secrets *secrets_new(struct loop *l, struct kube_client *kube, struct metrics *metrics);
struct secrets *secrets_free(struct secrets *s); /* silently cancels all */
DEFINE_CLEANUP(struct secrets, secrets_free);

struct secret_ref {
	const char *namespace, *name;
};

/* From memory: has the Secret changed since it was `origin`? For a failure, the origin it was given. */
enum token_news secrets_check(struct secrets *s, const struct secret_ref *ref, uint64_t origin);

/*
 * Exactly once, from the loop. `data`: of secrets_get(), borrowed for the call, the object's `data` or
 * NULL if it has none. `fail` is set if there is no such Secret, or no reading it.
 */
typedef void secrets_done_fn(void *ctx, uint64_t origin, const struct jval *data,
			     const struct token_failure *fail);
/* Which version is there? While the API server is away, the last one known. */
struct secrets_wait *secrets_look(struct secrets *s, const struct secret_ref *ref,
				  secrets_done_fn *done, void *ctx, struct token_failure *out_fail);
/* And what does it hold? NULL, of either, only if out_fail was filled. */
struct secrets_wait *secrets_get(struct secrets *s, const struct secret_ref *ref,
				 secrets_done_fn *done, void *ctx, struct token_failure *out_fail);
void secrets_cancel(struct secrets_wait *w);
size_t secrets_count(const struct secrets *s);
