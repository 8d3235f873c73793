/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/*
 * Text that came off the wire: a slice with an explicit length, never assumed to end in NUL. It
 * borrows; who owns the bytes is said where the slice comes from.
 */
struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })

static inline struct str str_of(const char *s)
{
	return (struct str){ s, s ? strlen(s) : 0 };
}

/* As snprintf("%s"): always terminated, and cut where it does not fit. `size` is at least 1. */
static inline void str_copy(char *buf, size_t size, const char *s)
{
	size_t n = strnlen(s, size - 1);

	memcpy(buf, s, n);
	buf[n] = '\0';
}

/* Nothing but spaces, tabs and ends of lines: what a person leaves when there is no value. */
static inline bool str_is_blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

bool str_eq(struct str a, struct str b);
/* ASCII only: identifiers, GUIDs, ARM ids, header names. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
/* 8-4-4-4-12 hexadecimal digits in either case, without braces: what client ids and tenants are. */
bool str_is_guid(struct str s);
#define STR_GUID_LEN 36

/*
 * Write `s` as the inside of a JSON string into `buf`, always terminated; what does not fit is cut
 * between escapes. Control, quote, backslash and every byte outside ASCII are escaped, one by one, so
 * the result is safe in a log line too; it is for showing text, since UTF-8 does not survive it.
 * Returns the length written.
 */
size_t str_escape(char *buf, size_t size, struct str s);
/* The longest escape of one byte, for sizing buffers. */
#define STR_ESCAPE_MAX 6
