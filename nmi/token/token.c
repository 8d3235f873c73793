/* SPDX-License-Identifier: MIT */

/*
 * An access token and its answer: see token.h.
 *
 * The answer is written here rather than by the JSON library, because that one frees its copies
 * without wiping them, and because `resource` must come back byte for byte: text that is valid UTF-8
 * is copied as it stands, and only what JSON forbids in a string is escaped.
 */

#include "nmi/token/token.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"

#include <assert.h>
#include <string.h>

/* U+FFFD, which stands for bytes that are not UTF-8: JSON cannot carry those. */
#define REPLACEMENT STR("\xef\xbf\xbd")
/* A decimal of 64 bits with its sign. */
#define NUMBER_MAX 20

static uint64_t last_id;

/* Printable ASCII but for quote and backslash, as every token of Entra is. */
static bool is_plain(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f || *s == '"' ||
		    *s == '\\')
			return false;
	}
	return true;
}

struct token *token_new(const struct token_fields *f)
{
	struct token *t = xnew(struct token);

	t->refs = 1;
	t->id = ++last_id;
	t->expires_on.s = f->expires_on;
	t->not_before.s = f->not_before;
	t->lives_sec = f->lives_sec;
	secret_set(&t->access_token, f->access_token, strlen(f->access_token));
	t->is_plain = is_plain(f->access_token);
	t->client_id = xstrdup(f->client_id ? f->client_id : "");
	t->resource = xstrdup(f->resource);
	return t;
}

struct token *token_ref(const struct token *t)
{
	struct token *mine = (struct token *)(uintptr_t)t;

	mine->refs++;
	return mine;
}

struct token *token_unref(struct token *t)
{
	while (t) {
		struct token *next = t->next;

		assert(t->refs > 0);
		if (--t->refs)
			break;
		secret_deinit(&t->access_token);
		free(t->client_id);
		free(t->resource);
		free(t);
		t = next;
	}
	return NULL;
}

/*
 * The length of the UTF-8 sequence at the start of `s`, 0 if it is none: overlong forms, surrogates
 * and what lies past U+10FFFF are none (RFC 3629, 4).
 */
static size_t utf8_len(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n > s.n)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

/* With `to` NULL only the length is counted, so that the answer is one allocation of its own size. */
static size_t put(char *to, size_t at, struct str s)
{
	if (to)
		memcpy(to + at, s.p, s.n);
	return at + s.n;
}

static size_t put_string(char *to, size_t at, struct str s)
{
	at = put(to, at, STR("\""));
	for (size_t i = 0, n; i < s.n; i += n) {
		struct str one = { s.p + i, s.n - i };

		n = utf8_len(one);
		one.n = n;
		if (n == 0) {
			one = REPLACEMENT;
			n = 1;
		}
		if (n == 1 && ((unsigned char)s.p[i] < 0x20 || s.p[i] == '"' || s.p[i] == '\\')) {
			char escaped[STR_ESCAPE_MAX + 1];

			one = (struct str){ escaped, str_escape(escaped, sizeof(escaped), one) };
			at = put(to, at, one);
			continue;
		}
		at = put(to, at, one);
	}
	return put(to, at, STR("\""));
}

struct pair {
	struct str key, value;
	bool is_plain;
};

static size_t put_plain(char *to, size_t at, struct str s)
{
	at = put(to, at, STR("\""));
	at = put(to, at, s);
	return put(to, at, STR("\""));
}

static size_t put_object(char *to, size_t at, const struct pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		at = put(to, at, i ? STR(",") : STR("{"));
		at = put_plain(to, at, pairs[i].key);
		at = put(to, at, STR(":"));
		at = pairs[i].is_plain ? put_plain(to, at, pairs[i].value)
				       : put_string(to, at, pairs[i].value);
	}
	return put(to, at, STR("}"));
}

static struct str print_number(char buf[static NUMBER_MAX], int64_t n)
{
	uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
	char *end = buf + NUMBER_MAX, *p = end;

	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (n < 0)
		*--p = '-';
	return (struct str){ p, (size_t)(end - p) };
}

static size_t put_token(char *to, size_t at, const struct token *t, struct wall now)
{
	char in_text[NUMBER_MAX], on_text[NUMBER_MAX], before_text[NUMBER_MAX];
	int64_t left = t->expires_on.s > now.s ? t->expires_on.s - now.s : 0;
	struct str in = print_number(in_text, left);
	struct str on = print_number(on_text, t->expires_on.s);
	struct str before = print_number(before_text, t->not_before.s);
	const struct pair pairs[] = {
		{ STR("access_token"),
		  { (const char *)t->access_token.p, t->access_token.n },
		  t->is_plain },
		{ STR("refresh_token"), STR(""), true },
		{ STR("client_id"), str_of(t->client_id), false },
		{ STR("expires_in"), in, true },
		{ STR("expires_on"), on, true },
		{ STR("ext_expires_in"), in, true },
		{ STR("not_before"), before, true },
		{ STR("resource"), str_of(t->resource), false },
		{ STR("token_type"), STR("Bearer"), true },
	};

	return put_object(to, at, pairs, ARRAY_SIZE(pairs));
}

static size_t put_tokens(char *to, const struct token *t, struct wall now)
{
	size_t at = 0;

	if (!t->next)
		return put_token(to, 0, t, now);
	for (const struct token *one = t; one; one = one->next) {
		at = put(to, at, one == t ? STR("[") : STR(","));
		at = put_token(to, at, one, now);
	}
	return put(to, at, STR("]"));
}

char *token_body(const struct token *t, struct wall now, size_t *out_len)
{
	size_t n = put_tokens(NULL, t, now);
	char *body = xcalloc(1, n + 1);

	(void)put_tokens(body, t, now);
	*out_len = n;
	return body;
}

char *token_body_first(const struct token *t, struct wall now, size_t *out_len)
{
	size_t n = put_token(NULL, 0, t, now);
	char *body = xcalloc(1, n + 1);

	(void)put_token(body, 0, t, now);
	*out_len = n;
	return body;
}

void token_body_free(char *body, size_t len)
{
	if (body)
		explicit_bzero(body, len);
	free(body);
}
