/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes that grow, up to a limit that the owner names. Embedded; all-zero is empty and valid. */
struct buf {
	char *p; /* n bytes, then a NUL that is not counted; NULL before the first append */
	size_t n;
	size_t cap;
	bool wipe; /* it holds a secret: what it lets go of is wiped; to be set before the first append */
};

/* Fails with ERR_LIMIT, leaving the buffer as it was, if more than `limit` bytes would be held. */
int buf_append(struct buf *b, const void *data, size_t n, size_t limit, struct err *err);
/* Where the parts have limits of their own, checked where they come in: cannot fail. */
void buf_put(struct buf *b, const void *data, size_t n);
/* The same as a query's value or a path's segment: all but letters, digits and -._~ as %XX (RFC 3986, 2.1). */
void buf_put_percent(struct buf *b, const void *data, size_t n);
void buf_consume(struct buf *b, size_t n);
void buf_reset(struct buf *b);
void buf_deinit(struct buf *b);
/* The bytes as a heap string; the buffer is empty afterwards. */
char *buf_steal(struct buf *b, size_t *out_n);
