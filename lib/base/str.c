/* SPDX-License-Identifier: MIT */

/* Slices of text: see str.h. */

#include "lib/base/str.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Not strncasecmp(): that one stops at a NUL, and so calls "a\0b" and "a\0c" equal. */
bool str_ieq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq((struct str){ s.p, prefix.n }, prefix);
}

bool str_istarts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_ieq((struct str){ s.p, prefix.n }, prefix);
}

bool str_is_guid(struct str s)
{
	static const char shape[] = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";

	static_assert(sizeof(shape) == STR_GUID_LEN + 1, "as the header says");
	if (s.n != STR_GUID_LEN)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (shape[i] == '-' ? s.p[i] != '-' : !isxdigit((unsigned char)s.p[i]))
			return false;
	}
	return true;
}

static size_t escape_byte(char out[STR_ESCAPE_MAX + 1], unsigned char c)
{
	static const char named[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
				      ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\' };

	if (c < sizeof(named) && named[c]) {
		out[0] = '\\';
		out[1] = named[c];
		return 2;
	}
	if (c < 0x20 || c >= 0x7f)
		return (size_t)snprintf(out, STR_ESCAPE_MAX + 1, "\\u%04x", c);
	out[0] = (char)c;
	return 1;
}

size_t str_escape(char *buf, size_t size, struct str s)
{
	size_t n = 0;

	if (size == 0)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		char one[STR_ESCAPE_MAX + 1];
		size_t k = escape_byte(one, (unsigned char)s.p[i]);

		if (n + k >= size)
			break;
		memcpy(buf + n, one, k);
		n += k;
	}
	buf[n] = '\0';
	return n;
}
