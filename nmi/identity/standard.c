/* SPDX-License-Identifier: MIT */

/* Standard mode: the rules of match.c over what the controller has assigned. See decide.h. */

#include "mic-client/store.h"
#include "nmi/identity/decide.h"

static bool is_ready(void *ctx)
{
	const struct standard_mode *m = ctx;

	return identity_store_has_synced(m->store);
}

static void decide(void *ctx, const struct match_pod *pod, const struct selector *sel,
		   struct match_answer *out)
{
	const struct standard_mode *m = ctx;

	match_standard(identity_store_index(m->store), &m->rules, pod, sel, out);
}

struct decider decider_standard(struct standard_mode *mode)
{
	return (struct decider){
		.name = "standard",
		.ctx = mode,
		.is_ready = is_ready,
		.decide = decide,
	};
}
