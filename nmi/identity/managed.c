/* SPDX-License-Identifier: MIT */

/* Managed mode: the rules of match.c over what the cluster holds now. See decide.h. */

#include "mic-client/store.h"
#include "nmi/identity/decide.h"

static bool is_ready(void *ctx)
{
	return identity_store_has_synced(ctx);
}

static void decide(void *ctx, const struct match_pod *pod, const struct selector *sel,
		   struct match_answer *out)
{
	match_managed(identity_store_index(ctx), pod, sel, out);
}

struct decider decider_managed(struct identity_store *store)
{
	return (struct decider){
		.name = "managed",
		.ctx = store,
		.is_ready = is_ready,
		.decide = decide,
	};
}
