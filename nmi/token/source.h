/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "mic-client/crd.h"
#include "mic-client/match.h"
#include "nmi/reason.h"

#include <stdbool.h>
#include <stddef.h>

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
	TOKEN_FAULT_POD_LIMIT,	 /* this pod asks for too many new tokens */
};

struct token_failure {
	enum token_fault fault;
	unsigned retry_after_sec; /* 0: the upstream named none */
	/* The VM was not assigned this identity: an operator has to, and the caller says how. */
	bool not_assigned;
	char error[64]; /* the upstream's `error`, "" if it sent none */
	struct upstream_trace trace;
	struct err err; /* message for a person, no secrets */
};

typedef void token_done_fn(void *ctx, struct token *tok, const struct token_failure *fail);

/* What the upstream bears, kept by the cache. 0: any number. */
struct token_budget {
	unsigned max_in_flight, per_second;
};

struct token_source {
	const char *name; /* metrics label */
	void *ctx;	  /* sources of one ctx share a budget, and a throttling */
	struct token_budget budget;
	/* A handle for cancel(); NULL only if out_fail was filled (nothing will be called). */
	void *(*fetch)(void *ctx, const struct token_ask *ask, token_done_fn *done, void *done_ctx,
		       struct token_failure *out_fail);
	void (*cancel)(void *ctx, void *handle);
};
