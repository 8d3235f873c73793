/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "mic-client/crd.h"
#include "mic-client/match.h"
#include "nmi/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct token;

/*
 * Where tokens come from. A source fetches one token; caching, single flight, renewal and the budget
 * are the cache's. `done` exactly once, from the loop, never from inside fetch(), unless cancelled.
 */

/* The pod that asks, or for which the host does; strings borrowed for the call. */
struct token_pod {
	const char *namespace, *name, *uid, *service_account;
};

/* What a token is asked for; strings borrowed for the call, a source copies what it keeps. */
struct token_ask {
	/*
	 * Whose turn and whose allowance it is, or of a renewal, who used the token last; NULL: nobody's.
	 * Not part of the key by itself.
	 */
	const struct token_pod *pod;
	/* The identity, or NULL for the node's own (an excepted pod), which `selector` may narrow. */
	const struct azure_identity *identity;
	struct selector selector;
	const char *resource;
	bool bypass_cache;
	/*
	 * A token that is at hand and still good, or NULL. A source that has `check` gives it back instead of
	 * a new one, once it has seen that what it was made with is unchanged.
	 */
	struct token *known;
};

/* An upstream's refusal or failure, kept with what it said. err.http_status is the upstream's. */
enum token_fault {
	TOKEN_FAULT_REFUSED,	 /* permanent: 400, 401, 403: asking again will not help */
	TOKEN_FAULT_THROTTLED,	 /* 429 */
	TOKEN_FAULT_UPDATING,	 /* IMDS 410, 404: back within 70 s */
	TOKEN_FAULT_DOWN,	 /* unreachable, timeout, 5xx */
	TOKEN_FAULT_GARBLED,	 /* an answer that cannot be read */
	TOKEN_FAULT_UNSUPPORTED, /* no source for this type of identity */
	TOKEN_FAULT_OVERLOADED,	 /* too many are waiting */
	TOKEN_FAULT_INVALID,	 /* the AzureIdentity lacks what its type needs */
	TOKEN_FAULT_CREDENTIAL,	 /* its Secret is missing, not to be read, or not usable */
	TOKEN_FAULT_POD_LIMIT,	 /* this pod asks for too many new tokens */
	TOKEN_FAULT_POD, /* of the pod that asked alone: another's, of the same key, may be served */
};

struct token_failure {
	enum token_fault fault;
	unsigned retry_after_sec; /* 0: the upstream named none */
	/* The VM was not assigned this identity: an operator has to, and the caller says how. */
	bool not_assigned;
	char error[64]; /* the upstream's `error`, "" if it sent none */
	struct upstream_trace trace;
	struct err err; /* message for a person, no secrets */
	/* What Entra adds, each empty where it did not: printable ASCII, no secrets. */
	char description[512]; /* error_description */
	char hint[512];	       /* what to do, where that is known better than from `fault` */
	uint64_t origin;       /* as token.origin; of what it was tried with */
};

typedef void token_done_fn(void *ctx, struct token *tok, const struct token_failure *fail);

/* What a source knows of something it made earlier, without asking anybody. */
enum token_news {
	TOKEN_NEWS_NONE,    /* what it was made with is what there is now */
	TOKEN_NEWS_CHANGED, /* it is not, or is gone: not to be handed out */
	TOKEN_NEWS_UNSURE,  /* not looked at for a while: fetch() with `known` looks */
};

/* What the upstream bears, kept by the cache. 0: any number. */
struct token_budget {
	unsigned max_in_flight, per_second;
	/*
	 * One that is unanswered for so long gives its place to others, and waits on: what it asks hangs, which
	 * says nothing of what they ask. At most so many. 0: a place is kept until the answer.
	 */
	unsigned slow_msec, max_slow;
	/* A 429 is of what was asked for; else of all that is asked of this source, which then rests. */
	bool throttles_apart;
};

struct token_source {
	const char *name; /* metrics label */
	void *ctx;	  /* sources of one ctx share a budget, and a throttling */
	struct token_budget budget;
	/* A handle for cancel(); NULL only if out_fail was filled (nothing will be called). */
	void *(*fetch)(void *ctx, const struct token_ask *ask, token_done_fn *done, void *done_ctx,
		       struct token_failure *out_fail);
	void (*cancel)(void *ctx, void *handle);
	/* Has the token's answer begun to come? NULL: it cannot be told. */
	bool (*is_answering)(const void *handle);
	/*
	 * NULL: tokens of this source stand for themselves until they expire. `origin` is that of a token or
	 * failure that was given for such an ask. Asked for each request, so it must be quick.
	 */
	enum token_news (*check)(void *ctx, const struct token_ask *ask, uint64_t origin);
};
