/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "tests/sandbox/apiserver/rest.h"

/*
 * TokenRequest: JWTs for service accounts, signed with a key of our own, and the two documents by which
 * others verify them.
 */
struct token_issuer;

/* `key_path` NULL: a key is made. */
struct token_issuer *token_issuer_new(const char *issuer, const char *jwks_uri,
				      const char *key_path, struct err *err);
struct token_issuer *token_issuer_free(struct token_issuer *i);

void token_handle(struct api *api, const struct req *req, const struct target *t,
		  struct reply *reply);
/* /.well-known/openid-configuration and /openid/v1/jwks; false if it is neither. */
bool token_handle_keys(struct api *api, const struct req *req, struct reply *reply);
