/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a front may say to whom: a small cluster as the fuzzer made it, the requests that are known, and the check
 * of each answer against both. An answer that may not be aborts the process.
 */

/* Whose tokens there are, one bit each. */
enum {
	TOKEN_WEB = 1,	 /* client id c-web */
	TOKEN_WEB2 = 2,	 /* c-web2, by the same selector */
	TOKEN_WEB9 = 4,	 /* c-web9: what the identity "web" is after it was changed */
	TOKEN_DB = 8,	 /* c-db */
	TOKEN_NODE = 16, /* the node's own */
	TOKEN_EVIL = 32, /* what nobody asked for */
	TOKEN_ANY = 255,
};

struct model {
	bool p1, p5, p7, p8; /* pods that come and go */
	bool is_bound;	     /* the binding of "web" is there */
	bool is_changed;     /* the identity "web" has its second client id */
	bool metadata_needed;
	unsigned host;	/* enum front_host */
	bool asks_root; /* whose process the host's caller is */
	const char *mark;
};

/* Pods, the host by its own listener and by the pods', and who asks for probes and metrics. */
enum {
	CALLER_P1,
	CALLER_P2,
	CALLER_P3,
	CALLER_P4,
	CALLER_P5,
	CALLER_P6,
	CALLER_HOST,
	CALLER_POD_LO,
	CALLER_PROBE,
	CALLER_METRICS,
	CALLERS
};
extern const char *const caller_ips[CALLERS];

/* Whole requests that are known; a caller that sent only such is held to `tokens`. */
struct known {
	const char *text;
	unsigned tokens; /* whoever asks; 0: none, and no 2xx, but for what passes */
	bool is_head;
	bool is_host; /* the host's to ask, never a pod's */
	bool is_bare; /* without "Metadata: true" */
	bool passes;  /* to IMDS, or is the agent's own page */
};
extern const struct known knowns[];
extern const size_t n_knowns;

#define ASKED_MAX 256

struct caller {
	int fd; /* -EBADF: not connected */
	unsigned who;
	bool is_odd;   /* it sent bytes of the fuzzer's */
	bool is_deaf;  /* it does not read */
	bool is_over;  /* the end of the stream was read */
	bool is_stale; /* what it has not read may be of before a change */
	bool has_shut; /* it sends no more */
	struct buf to_send, sent, got;
	const struct known *asked[ASKED_MAX]; /* in order */
	size_t n_asked, n_answered, n_tokens;
	char owner[8]; /* whose it is, as its first request for a token showed; "" before */
};

void model_reset(struct model *m);
/* Who has the caller's address alone; "" nobody. */
const char *model_owner(const struct model *m, unsigned who);
/* Is that pod still there? */
bool model_has(const struct model *m, const char *pod);
/* The request that it sends now is of whoever has its address, if it is one for a token and will be looked at. */
void model_sent(const struct model *m, struct caller *c);
/* Takes the whole answers out of what the caller got, and checks each. */
void model_check(const struct model *m, struct caller *c);
