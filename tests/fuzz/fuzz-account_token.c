/* SPDX-License-Identifier: MIT */

#include "lib/base/jval.h"
#include "nmi/token/account_token.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/*
 * The input is the answer to a TokenRequest. Either there is a token of three parts with issuer, subject and
 * one audience, or the outputs are as they were and the error says nothing of what stood in the answer.
 */
#define MARK "dont-tell" /* corpus files carry it where a token would be */

static void require(int holds)
{
	if (!holds)
		abort();
}

static void check_taken(const struct secret *token, const struct account_claims *claims)
{
	const unsigned char *dot = token->p ? memchr(token->p, '.', token->n) : NULL;

	require(dot && memchr(dot + 1, '.', token->n - (size_t)(dot + 1 - token->p)));
	require(!memchr(token->p, '\0', token->n));
	require(claims->issuer && claims->subject && claims->audience);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jval *doc = jval_parse((const char *)data, size, 65536, NULL);
	struct account_claims claims = { 0 };
	struct secret token = { 0 };
	struct err err = { 0 };

	if (!doc)
		return 0;
	if (account_token_parse(doc, &token, &claims, &err) == 0) {
		check_taken(&token, &claims);
	} else {
		require(!token.p && !claims.issuer && !claims.subject && !claims.audience);
		require(err.kind == ERR_INPUT && err.msg[0] && !strstr(err.msg, MARK));
	}
	account_claims_deinit(&claims);
	secret_deinit(&token);
	(void)jval_free(doc);
	return 0;
}
