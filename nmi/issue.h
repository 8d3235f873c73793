/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/inet.h"
#include "mic-client/match.h"
#include "nmi/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct decider;
struct loop;
struct resolver;
struct token;
struct token_cache;

/*
 * The life of one token request: resolve the pod, decide, fetch, answer. What can be answered from
 * memory is answered inside issue_start(); else `done` is called exactly once, from the loop, unless
 * cancelled.
 */
struct issuer;
struct issue;

struct issue_request {
	struct inet_ip peer;
	const char *resource; /* decoded */
	struct selector selector;
	bool bypass_cache;
	const char *id; /* request id, for the log and the answer */
};

#define ISSUE_TEXT_MAX 512

struct issue_answer {
	enum reason reason;	   /* REASON_NONE: token is set */
	const struct token *token; /* borrowed for the call */
	uint64_t body_id;	   /* equal ids and equal seconds give equal bodies */
	unsigned retry_after_sec;  /* overrides the reason's own when not 0 */
	char error[64];		   /* upstream's error code, overrides the reason's when not "" */
	char text[ISSUE_TEXT_MAX]; /* for a person */
	char pod_namespace[256];   /* "" when the pod is not known: metrics label */
};

typedef void issue_done_fn(void *ctx, const struct issue_answer *answer);

struct issuer_spec {
	struct resolver *resolver;
	const struct decider *decider;
	struct token_cache *tokens;
	unsigned sync_wait_msec;  /* how long a request waits for the first sync of identities */
	unsigned token_wait_msec; /* how long for a token */
};

struct issuer *issuer_new(struct loop *l, const struct issuer_spec *spec);
struct issuer *issuer_free(struct issuer *i);
DEFINE_CLEANUP(struct issuer, issuer_free);
/* The identities became known or changed: requests that wait for a first sync go on. */
void issuer_identities_changed(struct issuer *i);
/* A connection from that address was accepted. To be called before its first request. */
void issuer_admit(struct issuer *i, const struct inet_ip *peer);

/* NULL: `out` was filled, `done` will not be called. Strings of `req` are copied if needed. */
struct issue *issue_start(struct issuer *i, const struct issue_request *req,
			  struct issue_answer *out, issue_done_fn *done, void *ctx);
void issue_cancel(struct issue *q);

/* The body of a granted answer, on the heap; free with issue_body_free(), which wipes it. */
char *issue_body(struct issuer *i, const struct token *token, size_t *out_len);
void issue_body_free(char *body, size_t len);
