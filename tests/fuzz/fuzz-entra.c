/* SPDX-License-Identifier: MIT */

#include "lib/base/jval.h"
#include "nmi/token/entra.h"
#include "nmi/token/token.h"
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
	require(f->n_codes <= TOKEN_CODES_MAX);
	check_printable(f->err.msg, sizeof(f->err.msg));
	check_printable(f->error, sizeof(f->error));
	check_printable(f->description, sizeof(f->description));
	check_printable(f->trace_id, sizeof(f->trace_id));
	check_printable(f->correlation_id, sizeof(f->correlation_id));
	check_printable(f->timestamp, sizeof(f->timestamp));
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
	const char *text = (const char *)data, *eol = memchr(text, '\n', size);
	struct token_failure fail = { 0 };
	char head[64] = "", *rest;
	struct token *t;
	long status;

	if (!eol || (size_t)(eol - text) >= sizeof(head))
		return 0;
	memcpy(head, text, (size_t)(eol - text));
	status = strtol(head, &rest, 10);
	if (*rest == ' ')
		rest++;
	t = entra_answer_parse(status, (struct str){ eol + 1, size - (size_t)(eol + 1 - text) },
			       rest, &ask, (struct wall){ NOW }, &fail);
	if (t)
		check_token(t);
	else
		check_failure(&fail);
	(void)token_unref(t);
	return 0;
}
