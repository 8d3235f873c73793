/* SPDX-License-Identifier: MIT */

#include "lib/base/jval.h"
#include "nmi/token/entra.h"
#include "nmi/token/token.h"
#include "tests/fuzz/answer.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/*
 * The input is a line "status[ retry-after]" and a body. Whatever Entra, or something in its place, sends:
 * either a token that is good now, or a failure that explains itself in printable ASCII, never with the
 * secret that it was asked with.
 */
#define NOW    1000
#define SECRET "s3cr3t-v4lue"

static void require(int holds)
{
	if (!holds)
		abort();
}

static void check_printable(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	require(n < size);
	for (size_t i = 0; i < n; i++)
		require(text[i] >= ' ' && text[i] <= '~');
	require(!strstr(text, SECRET));
}

static void check_failure(const struct token_failure *f)
{
	require(f->err.kind && f->err.msg[0]);
	require(f->fault != TOKEN_FAULT_REFUSED || (!f->retry_after_sec && f->error[0]));
	require(f->trace.n_codes <= UPSTREAM_CODES_MAX);
	check_printable(f->err.msg, sizeof(f->err.msg));
	check_printable(f->error, sizeof(f->error));
	check_printable(f->description, sizeof(f->description));
	check_printable(f->trace.trace_id, sizeof(f->trace.trace_id));
	check_printable(f->trace.correlation_id, sizeof(f->trace.correlation_id));
	check_printable(f->trace.timestamp, sizeof(f->trace.timestamp));
	check_printable(f->hint, sizeof(f->hint));
}

static void check_token(const struct token *t)
{
	require(t->access_token.n > 0 && t->expires_on.s > NOW);
	require(strcmp(t->resource, "https://r/") == 0 && strcmp(t->client_id, "id") == 0);
	for (size_t i = 0; i < t->access_token.n; i++)
		require(t->access_token.p[i] > ' ' && t->access_token.p[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct secret secret = { (unsigned char *)(uintptr_t)SECRET,
					      sizeof(SECRET) - 1 };
	const struct entra_ask ask = { .url = "https://login.microsoftonline.com/a.b/x",
				       .tenant = "a.b",
				       .client_id = "id",
				       .resource = "https://r/",
				       .credential = "Secret a/b",
				       .client_secret = &secret };
	struct token_failure fail = { 0 };
	struct fuzz_answer a;
	struct token *t;

	if (!fuzz_answer_read(&a, data, size))
		return 0;
	t = entra_answer_parse(a.status, a.body, a.retry_after, &ask, (struct wall){ NOW }, &fail);
	if (t)
		check_token(t);
	else
		check_failure(&fail);
	(void)token_unref(t);
	return 0;
}
