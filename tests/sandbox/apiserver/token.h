/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "tests/sandbox/apiserver/rest.h"

/*
 * TokenRequest: JWTs for service accounts, signed with a key of our own, and the two documents by which
 * others verify them.
 */
struct token_issuer;

struct token_options {
	const char *issuer, *jwks_uri;
	const char *key_path; /* NULL: a key is made */
	/*
	 * May everybody read the two documents? As where the role system:service-account-issuer-discovery
	 * is bound to system:unauthenticated, so that others than the cluster can verify its tokens.
	 */
	bool public_keys;
};

struct token_issuer *token_issuer_new(const struct token_options *o, struct err *err);
struct token_issuer *token_issuer_free(struct token_issuer *i);

void token_handle(struct api *api, const struct req *req, const struct target *t,
		  struct reply *reply);
/* /.well-known/openid-configuration and /openid/v1/jwks; false if it is neither. */
bool token_handle_keys(struct api *api, const struct req *req, struct reply *reply);
/* Is it one of the two, and open to everybody? */
bool token_keys_are_public(const struct token_issuer *i, const struct req *req);
