/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"
#include "nmi/token/source.h"

#include <stdbool.h>

/* What the sources of tokens share in saying that there is none. Pure. */

/* Fills fault and err. Always NULL, so that a parser can return it. */
struct token *token_fail(struct token_failure *fail, enum token_fault fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The exchange itself failed: what kind of failure that was goes along with what was said of it. */
void token_fail_exchange(struct token_failure *fail, const struct err *exchange);
/* Seconds of a Retry-After, bounded; 0 without one, also when it is a date. */
unsigned token_retry_after(const char *text);
/* A code such as invalid_request, and not the sentence that some endpoints put there. */
bool token_is_error_code(const char *s);
/*
 * Cuts every JWT out of a text, in place. No error should hold one; this keeps it so whatever an upstream
 * may write.
 */
void token_text_mask(char *text);
/* Overwrites a secret with asterisks wherever it stands in a text, also as a form spells it. */
void token_text_hide(char *text, const char *secret, size_t n);
/* As it was said, but for what has passed of its Retry-After since. */
struct token_failure token_failure_after(const struct token_failure *said, struct mono since,
					 struct mono now);
