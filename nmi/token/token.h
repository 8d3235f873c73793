/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An access token as IMDS describes it, ready to be answered. Reference-counted, immutable but for
 * the count and what the cache that keeps it notes; the text is wiped when the last reference goes.
 */
struct token {
	unsigned refs;
	uint64_t id; /* unique in this process: front caches the finished answer by it */
	struct wall expires_on;
	struct wall not_before;
	int64_t lives_sec;	/* from when it came, as its issuer counts; 0: not said */
	struct wall renew_at;	/* when the cache that keeps it means to renew it; 0: none does */
	struct mono kept_since; /* when that took it; 0: none did */
	struct secret access_token;
	bool is_plain; /* that is as it stands in JSON */
	char *client_id;
	char *resource; /* as the client asked for it, byte for byte */
	uint64_t
		origin; /* of what it was made with, as its source counts; 0: nothing that changes */
	struct token *next; /* of the next tenant, of an identity that has several; owned */
};

struct token_fields {
	const char *access_token;
	const char *client_id;
	const char *resource;
	int64_t expires_on, not_before, lives_sec;
};
struct token *token_new(const struct token_fields *f);
struct token *token_ref(const struct token *t);
struct token *token_unref(struct token *t);
DEFINE_CLEANUP(struct token, token_unref);

/* It was in memory before `asked`: another could not be had, or its source has looked and gave it back. */
static inline bool token_was_kept(const struct token *t, struct mono asked)
{
	return t->kept_since.ns && mono_before(t->kept_since, asked);
}

/*
 * The answer of imds-compatible endpoints: an object of nine strings, in the order access_token,
 * refresh_token (""), client_id, expires_in, expires_on, ext_expires_in, not_before, resource,
 * token_type. expires_in counts from `now`. Of an identity with several tenants, an array of such objects,
 * as aad-pod-identity answers. Into a heap buffer that the caller frees with
 * token_body_free(), which wipes it.
 */
char *token_body(const struct token *t, struct wall now, size_t *out_len);
/* The first tenant's alone. */
char *token_body_first(const struct token *t, struct wall now, size_t *out_len);
void token_body_free(char *body, size_t len);
