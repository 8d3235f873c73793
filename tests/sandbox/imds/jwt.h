/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <jansson.h>
#include <stddef.h>

/* JSON web tokens, RS256, as Entra signs them (RFC 7515, 7517, 7519). */
struct jwt_key;

/* The key in the PEM file `path`, which is made when it does not exist; NULL: a key of this run. */
struct jwt_key *jwt_key_new(const char *path, struct err *err);
struct jwt_key *jwt_key_free(struct jwt_key *k);
DEFINE_CLEANUP(struct jwt_key, jwt_key_free);

/* On the heap. */
char *jwt_sign(const struct jwt_key *k, const json_t *claims, struct err *err);
/* The public half as a JSON Web Key Set. */
json_t *jwt_key_set(const struct jwt_key *k);
/* The claims, if a key of the set signed them; the caller owns them. Times are not judged. */
json_t *jwt_verify(const json_t *key_set, const char *token, struct err *err);
