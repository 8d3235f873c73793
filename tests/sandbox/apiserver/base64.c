/* SPDX-License-Identifier: MIT */

/* Base64: see base64.h. */

#include "tests/sandbox/apiserver/base64.h"

#include "lib/base/mem.h"

#include <string.h>

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(const char *alphabet, const unsigned char *p, size_t n, bool pad)
{
	char *out = xcalloc(n / 3 * 4 + 5, 1);
	size_t len = 0;

	for (size_t i = 0; i < n; i += 3) {
		unsigned long w = (unsigned long)p[i] << 16;

		if (i + 1 < n)
			w |= (unsigned long)p[i + 1] << 8;
		if (i + 2 < n)
			w |= p[i + 2];
		out[len++] = alphabet[w >> 18 & 63];
		out[len++] = alphabet[w >> 12 & 63];
		if (i + 1 < n)
			out[len++] = alphabet[w >> 6 & 63];
		else if (pad)
			out[len++] = '=';
		if (i + 2 < n)
			out[len++] = alphabet[w & 63];
		else if (pad)
			out[len++] = '=';
	}
	return out;
}

char *base64_encode(const void *p, size_t n)
{
	return encode(plain, p, n, true);
}

char *base64url_encode(const void *p, size_t n)
{
	return encode(url, p, n, false);
}

char *base64url_decode(const char *text, size_t *out_n)
{
	size_t n = strlen(text), len = 0;
	char *out = xcalloc(n + 1, 1);
	unsigned long bits = 0;

	for (size_t i = 0; i < n; i++) {
		const char *at = strchr(url, text[i]);

		if (!at || n % 4 == 1) {
			free(out);
			return NULL;
		}
		bits = bits << 6 | (unsigned long)(at - url);
		if (i % 4)
			out[len++] = (char)(bits >> (6 - i % 4 * 2) & 255);
	}
	out[len] = '\0';
	*out_n = len;
	return out;
}

bool base64_is_valid(const char *text)
{
	size_t n = strlen(text);
	size_t body = strspn(text, plain);

	return n % 4 == 0 && n - body <= 2 && strspn(text + body, "=") == n - body;
}
