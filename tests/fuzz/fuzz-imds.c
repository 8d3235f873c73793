/* SPDX-License-Identifier: MIT */

#include "lib/base/buf.h"
#include "lib/base/jval.h"
#include "nmi/token/imds.h"
#include "nmi/token/token.h"
#include "tests/fuzz/answer.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/*
 * The input is a line "status[ retry-after]" and a body. Whatever IMDS sends: either a token that is
 * good now and for who was asked, or a failure that explains itself; never both, and never a word of
 * the token in the failure.
 */
#define NOW 1000

static void check_token(const struct token *t, const struct token_failure *fail,
			const char *client_id)
{
	size_t n;
	char *body = token_body(t, (struct wall){ NOW }, &n);
	struct jval *doc = jval_parse(body, n, n, NULL);
	const char *resource = doc ? jval_as_str(jval_get(doc, "resource")) : NULL;

	if (t->access_token.n == 0 || t->expires_on.s <= NOW)
		abort();
	if (strcasecmp(t->client_id, client_id) != 0)
		abort();
	if (!resource || strcmp(resource, "https://r/") != 0)
		abort();
	if (fail->err.kind || fail->err.msg[0] || fail->error[0] || fail->retry_after_sec)
		abort();
	(void)jval_free(doc);
	token_body_free(body, n);
}

/* Ids and times, and nothing that could be a token. */
static void check_trace(const struct upstream_trace *t)
{
	static const char hex[] = "0123456789abcdefABCDEF-";

	if (t->trace_id[strspn(t->trace_id, hex)] ||
	    t->correlation_id[strspn(t->correlation_id, hex)])
		abort();
	if (t->timestamp[strspn(t->timestamp, "0123456789-: .TZ")])
		abort();
}

static void check_failure(const struct token_failure *fail, const struct jval *doc)
{
	const char *secret = doc ? jval_as_str(jval_get(doc, "access_token")) : NULL;
	const char *text = doc ? jval_as_str(jval_get(doc, "error_description")) : NULL;
	const char *error = doc ? jval_as_str(jval_get(doc, "error")) : NULL;

	if (!fail->err.msg[0] || !fail->err.kind)
		abort();
	if (fail->fault == TOKEN_FAULT_REFUSED && fail->retry_after_sec)
		abort();
	check_trace(&fail->trace);
	for (const char *p = fail->err.msg; *p; p++) {
		if (*p < ' ' || *p > '~')
			abort();
	}
	if (secret && strlen(secret) > 32 && !(text && strstr(text, secret)) &&
	    !(error && strstr(error, secret)) && strstr(fail->err.msg, secret))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char client_id[] = "c1", name[] = "n";
	const struct azure_identity identity = { .client_id = client_id,
						 .meta = { .namespace = name, .name = name } };
	const struct token_ask ask = { .identity = &identity, .resource = "https://r/" };
	struct token_failure fail = { 0 };
	struct fuzz_answer a;
	struct jval *doc;
	struct token *t;

	if (!fuzz_answer_read(&a, data, size))
		return 0;
	t = imds_answer_parse(a.status, a.body.p, a.body.n, a.retry_after, &ask,
			      (struct wall){ NOW }, &fail);
	if (t) {
		check_token(t, &fail, client_id);
		(void)token_unref(t);
		return 0;
	}
	doc = jval_parse(a.body.p, a.body.n, a.body.n, NULL);
	check_failure(&fail, doc);
	(void)jval_free(doc);
	return 0;
}
