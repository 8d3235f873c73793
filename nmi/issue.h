/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/inet.h"
#include "mic-client/match.h"
#include "nmi/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct by_name;
struct decider;
struct loop;
struct pod;
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
	/*
	 * Asked by the host in the name of a pod, not from its address. Exceptions do not apply then: the
	 * host needs nobody to get at the node's own identity.
	 */
	bool by_name;
	const char *pod_namespace, *pod_name;
	/* Whom earlier requests of this connection were decided for: no other is answered. NULL: none. */
	const char *pod_uid;
	const char *resource; /* decoded */
	struct selector selector;
	bool bypass_cache;
	const char *id; /* request id, for the log and the answer */
};

/*
 * A sentence with two names of 253 bytes and an ARM id, or with what Entra said and what a federated
 * credential has to say, still says at its end what to do.
 */
#define ISSUE_TEXT_MAX 1536

/* How long a request waited, and for what. */
struct issue_waits {
	uint64_t pod_ns, identity_ns, token_ns;
};

struct issue_answer {
	enum reason reason;	     /* REASON_NONE: token is set */
	const struct token *token;   /* borrowed for the call */
	uint64_t body_id;	     /* equal ids and equal seconds give equal bodies */
	unsigned retry_after_sec;    /* overrides the reason's own when not 0 */
	char error[64];		     /* upstream's error code, overrides the reason's when not "" */
	struct upstream_trace trace; /* with REASON_UPSTREAM_REFUSED; all "" otherwise */
	char text[ISSUE_TEXT_MAX];   /* for a person */
	char pod_namespace[256];     /* "" when the pod is not known: metrics label */
	bool is_reported;      /* somebody was given the request's id: it must be in the log */
	const char *pod_uid;   /* borrowed for the call; NULL when the pod is not known */
	const char *began_as;  /* the UID of who had the address when the request began; as above */
	const char *client_id; /* of the AzureIdentity; borrowed; NULL for the node's own */
	/* For the log; pointers borrowed for the call. */
	const char *pod_name; /* NULL when the pod is not known */
	const struct azure_identity
		*identity;		  /* what it was to be a token of; NULL: none was chosen, */
	bool is_node;			  /* or the node's own */
	const char *source;		  /* of the token, "cache" from memory; or that was asked */
	const char *token_client_id;	  /* as the source names it */
	struct wall expires_on, renew_at; /* of the token; 0: not known */
	struct issue_waits waits;
};

typedef void issue_done_fn(void *ctx, const struct issue_answer *answer);

/*
 * A request of a known pod is refused for good; with REASON_AMBIGUOUS_IP called for each pod that has
 * the address. Called before the answer is given, so it must be quick; all is borrowed for the call.
 * True: the request's id is told to somebody (issue_answer.is_reported).
 */
typedef bool issue_refused_fn(void *ctx, const struct pod *pod, enum reason reason,
			      const char *text, const char *request_id);

struct issuer_spec {
	struct resolver *resolver;
	struct by_name *names; /* NULL: nobody asks by name */
	const struct decider *decider;
	struct token_cache *tokens;
	issue_refused_fn *refused; /* or NULL */
	void *refused_ctx;
	unsigned sync_wait_msec;  /* how long a request waits for the first sync of identities */
	unsigned token_wait_msec; /* how long for a token */
	/* standard mode: for the controller to name an identity, and to have assigned it; both from the
	   moment when the request was first undecided */
	unsigned named_wait_msec, assigned_wait_msec;
};

struct issuer *issuer_new(struct loop *l, const struct issuer_spec *spec);
/* For requests that come from now on; the waits for the controller hold for those under way as well. */
void issuer_set_waits(struct issuer *i, unsigned token_msec, unsigned named_msec,
		      unsigned assigned_msec);
struct issuer *issuer_free(struct issuer *i);
DEFINE_CLEANUP(struct issuer, issuer_free);
/* Identities or pods became known or changed: requests that no one could decide are looked at again. */
void issuer_identities_changed(struct issuer *i);
size_t issuer_waiting(const struct issuer *i); /* how many such requests there are */
/* A connection from that address was accepted. To be called before its first request. */
void issuer_admit(struct issuer *i, const struct inet_ip *peer);
/* The UID of the one pod that has the address now; NULL: it is not known. Borrowed until the loop runs again. */
const char *issuer_owner(const struct issuer *i, const struct inet_ip *peer);

/* NULL: `out` was filled, `done` will not be called. Strings of `req` are copied if needed. */
struct issue *issue_start(struct issuer *i, const struct issue_request *req,
			  struct issue_answer *out, issue_done_fn *done, void *ctx);
/* Whose it is; NULL as long as that is not known. Borrowed. */
const char *issue_pod_uid(const struct issue *q);
void issue_cancel(struct issue *q);

/* The body of a granted answer, on the heap; free with issue_body_free(), which wipes it. */
char *issue_body(struct issuer *i, const struct token *token, size_t *out_len);
/* The same, but of several tenants' tokens the first alone. */
char *issue_body_first(struct issuer *i, const struct token *token, size_t *out_len);
void issue_body_free(char *body, size_t len);
