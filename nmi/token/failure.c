/* SPDX-License-Identifier: MIT */

/* Failures of token sources: see failure.h. */

#include "nmi/token/failure.h"

#include "nmi/token/policy.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct token *token_fail(struct token_failure *fail, enum token_fault fault, const char *fmt, ...)
{
	static const enum err_kind kinds[] = {
		[TOKEN_FAULT_REFUSED] = ERR_REFUSED,	  [TOKEN_FAULT_THROTTLED] = ERR_UNAVAILABLE,
		[TOKEN_FAULT_UPDATING] = ERR_UNAVAILABLE, [TOKEN_FAULT_DOWN] = ERR_UNAVAILABLE,
		[TOKEN_FAULT_GARBLED] = ERR_INPUT,	  [TOKEN_FAULT_UNSUPPORTED] = ERR_INPUT,
		[TOKEN_FAULT_OVERLOADED] = ERR_LIMIT,	  [TOKEN_FAULT_INVALID] = ERR_INPUT,
		[TOKEN_FAULT_CREDENTIAL] = ERR_INPUT,	  [TOKEN_FAULT_POD_LIMIT] = ERR_LIMIT,
		[TOKEN_FAULT_POD] = ERR_UNAVAILABLE,
	};
	va_list ap;

	fail->fault = fault;
	fail->err.kind = kinds[fault];
	va_start(ap, fmt);
	(void)vsnprintf(fail->err.msg, sizeof(fail->err.msg), fmt, ap);
	va_end(ap);
	return NULL;
}

void token_fail_exchange(struct token_failure *fail, const struct err *exchange)
{
	fail->err.os_errno = exchange->os_errno;
	if (exchange->kind == ERR_TIMEOUT)
		fail->err.kind = ERR_TIMEOUT;
}

unsigned token_retry_after(const char *text)
{
	unsigned sec = 0;

	if (!text || !*text)
		return 0;
	for (const char *p = text; *p; p++) {
		if (!isdigit((unsigned char)*p))
			return 0;
		sec = sec * 10 + (unsigned)(*p - '0');
		if (sec > POLICY_RETRY_AFTER_MAX_SEC)
			sec = POLICY_RETRY_AFTER_MAX_SEC;
	}
	return sec;
}

static bool is_code_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

bool token_is_error_code(const char *s)
{
	size_t n = 0;

	while (is_code_char(s[n]))
		n++;
	return n > 0 && s[n] == '\0' && n < sizeof(((struct token_failure *)0)->error);
}

/* A JWT begins with the base64 of '{"', and is cut from there to its end. */
void token_text_mask(char *text)
{
	static const char mark[] = "eyJ...";
	char *at = text;

	while ((at = strstr(at, "eyJ"))) {
		size_t n = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_-.+/=");

		if (n > 2 * sizeof(mark)) {
			memcpy(at, mark, sizeof(mark) - 1);
			memmove(at + sizeof(mark) - 1, at + n, strlen(at + n) + 1);
			n = sizeof(mark) - 1;
		}
		at += n;
	}
}

/* How many bytes of `text` spell this byte: itself, or its percent-encoding; 0: none. */
static size_t spelled(const char *text, unsigned char byte)
{
	char code[4];

	if ((unsigned char)text[0] == byte)
		return 1;
	(void)snprintf(code, sizeof(code), "%%%02X", byte);
	if (strncasecmp(text, code, 3) == 0)
		return 3;
	return byte == ' ' && text[0] == '+' ? 1 : 0;
}

void token_text_hide(char *text, const char *secret, size_t n)
{
	for (; n && *text; text++) {
		size_t at = 0, i = 0, one;

		while (i < n && (one = spelled(text + at, (unsigned char)secret[i]))) {
			at += one;
			i++;
		}
		if (i == n)
			memset(text, '*', at);
	}
}

struct token_failure token_failure_after(const struct token_failure *said, struct mono since,
					 struct mono now)
{
	struct token_failure fail = *said;
	uint64_t gone = (now.ns - since.ns) / NSEC_PER_SEC;

	if (fail.retry_after_sec > 1)
		fail.retry_after_sec = fail.retry_after_sec > gone + 1
					       ? fail.retry_after_sec - (unsigned)gone
					       : 1;
	return fail;
}
