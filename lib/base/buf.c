/* SPDX-License-Identifier: MIT */

/* A byte buffer with a limit: see buf.h. */

#include "lib/base/buf.h"

#include "lib/base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 512

/* As realloc(), which would leave a copy behind. */
static char *move_and_wipe(const struct buf *b, size_t cap)
{
	char *p = xrealloc(NULL, cap);

	if (b->n)
		memcpy(p, b->p, b->n);
	if (b->p)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	return p;
}

int buf_append(struct buf *b, const void *data, size_t n, size_t limit, struct err *err)
{
	size_t need, cap;

	if (__builtin_add_overflow(b->n, n, &need) || need > limit || need >= SIZE_MAX / 2)
		return err_set(err, ERR_LIMIT, "more than %zu bytes", limit);
	if (need + 1 > b->cap) {
		for (cap = b->cap ? b->cap : BUF_FIRST; cap < need + 1;)
			cap *= 2;
		b->p = b->wipe ? move_and_wipe(b, cap) : xrealloc(b->p, cap);
		b->cap = cap;
	}
	if (n)
		memcpy(b->p + b->n, data, n);
	b->n = need;
	b->p[b->n] = '\0';
	return 0;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
	if (buf_append(b, data, n, SIZE_MAX, NULL) < 0)
		out_of_memory();
}

/* RFC 3986, 2.3; whatever the locale says of letters. */
static bool is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~", c));
}

void buf_put_percent(struct buf *b, const void *data, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";
	const unsigned char *p = data;

	for (; n; p++, n--) {
		const char code[] = { '%', hex[*p >> 4], hex[*p & 15] };

		if (is_unreserved(*p))
			buf_put(b, p, 1);
		else
			buf_put(b, code, sizeof(code));
	}
}

/* Drop the first n bytes, those that have been dealt with. */
void buf_consume(struct buf *b, size_t n)
{
	if (n >= b->n) {
		buf_reset(b);
		return;
	}
	memmove(b->p, b->p + n, b->n - n + 1);
	b->n -= n;
	if (b->wipe)
		explicit_bzero(b->p + b->n, n);
}

void buf_reset(struct buf *b)
{
	if (b->wipe && b->p)
		explicit_bzero(b->p, b->cap);
	b->n = 0;
	if (b->p)
		b->p[0] = '\0';
}

void buf_deinit(struct buf *b)
{
	if (b->wipe && b->p)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	*b = (struct buf){ 0 };
}

char *buf_steal(struct buf *b, size_t *out_n)
{
	char *p = b->p ? b->p : xstrdup("");

	if (out_n)
		*out_n = b->n;
	*b = (struct buf){ 0 };
	return p;
}
