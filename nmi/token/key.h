/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/token/source.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What determines a token, as bytes to be found by. Pure. Two asks with equal keys would be given the
 * same token, whoever asks; who may ask is decided before.
 */
#define TOKEN_KEY_INLINE 512

struct token_key {
	const char *p;
	size_t n;
	char *heap; /* only for keys longer than the inline space */
	char inlined[TOKEN_KEY_INLINE];
};

/* No allocation for keys of usual length. `k` must not be copied: it points into itself. */
void token_key_init(struct token_key *k, const struct token_ask *ask);
void token_key_deinit(struct token_key *k);
bool token_key_eq(const struct token_ask *a, const struct token_ask *b);
