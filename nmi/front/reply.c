/* SPDX-License-Identifier: MIT */

/* Refusals: see reply.h. */

#include "nmi/front/reply.h"

#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/issue.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *code, *error;
	unsigned status, retry_after_sec;
} table[REASONS] = {
#define X(name, code, status, error, retry_after)                                                  \
	[REASON_##name] = { code, error, status, retry_after },
#include "nmi/reasons.def"
#undef X
};

unsigned reply_status(enum reason r)
{
	assert(r > REASON_NONE && r < REASONS);
	return table[r].status;
}

const char *reply_code(enum reason r)
{
	assert(r > REASON_NONE && r < REASONS);
	return table[r].code;
}

/*
 * azure-core for Python retries any status that carries a Retry-After, and msal-py replays the answer
 * for that long: so a permanent refusal never has one, whatever the caller says.
 */
unsigned reply_retry_after(const struct refusal *why)
{
	bool helps = table[why->reason].retry_after_sec || why->reason == REASON_UPSTREAM_UPDATING;

	if (!helps)
		return 0;
	return why->retry_after_sec ? why->retry_after_sec : table[why->reason].retry_after_sec;
}

/*
 * "unreachable" in a body makes azure-identity for Python, JavaScript and Go take the whole endpoint
 * for absent (a special case for Docker Desktop). It comes in with texts of libcurl and the kernel;
 * the word put in its place has the same length.
 */
static char *without_unreachable(const char *text)
{
	static const char bad[] = "unreachable", good[] = "unavailable";
	char *copy = xstrdup(text), *at = copy;

	static_assert(sizeof(bad) == sizeof(good), "replaced in place");
	while ((at = strcasestr(at, bad)))
		memcpy(at, good, sizeof(good) - 1);
	return copy;
}

static const char *or_null(const char *s)
{
	return s && *s ? s : NULL;
}

/* Entra's; a cancelled or temporary failure of it has nothing that an SDK should show. */
static const struct issue_upstream *upstream_of(const struct refusal *why)
{
	return why->reason == REASON_UPSTREAM_REFUSED ? why->upstream : NULL;
}

/* An object of strings, with the list of numbers at its end. */
static char *with_codes(char *body_take, const struct issue_upstream *up, size_t *out_len)
{
	_cleanup_free_ char *body = body_take;
	char codes[ISSUE_CODES_MAX * 12] = "", *all;
	size_t at = 0;

	for (size_t i = 0; i < up->n_codes; i++)
		at += (size_t)snprintf(codes + at, sizeof(codes) - at, "%s%u", i ? "," : "",
				       up->codes[i]);
	all = xasprintf("%.*s,\"error_codes\":[%s]}", (int)*out_len - 1, body, codes);
	*out_len = strlen(all);
	return all;
}

char *reply_body(const struct refusal *why, size_t *out_len)
{
	bool bare = why->reason == REASON_METADATA_HEADER;
	_cleanup_free_ char *error = NULL, *text = NULL;
	const struct issue_upstream *up = upstream_of(why);
	const char *trace;
	char *body;

	error = without_unreachable(or_null(why->error) ? why->error : table[why->reason].error);
	trace = up && up->correlation_id[0] ? up->correlation_id : why->id;
	text = without_unreachable(or_null(why->text) ? why->text : "The request was refused");
	const struct jval_pair pairs[] = {
		{ "error", error },
		{ "error_description", text },
		{ "reason", bare ? NULL : table[why->reason].code },
		/* msal-node prints the first spelling, MSAL for .NET and Java the second */
		{ "correlation_id", bare ? NULL : trace },
		{ "correlationId", bare ? NULL : trace },
		{ "request_id", trace == why->id ? NULL : why->id },
		{ "trace_id", up ? or_null(up->trace_id) : NULL },
		{ "timestamp", up ? or_null(up->timestamp) : NULL },
		{ "client_request_id", bare ? NULL : or_null(why->client_request_id) },
	};

	body = jval_print_pairs(pairs, ARRAY_SIZE(pairs), out_len);
	return up && up->n_codes ? with_codes(body, up, out_len) : body;
}
