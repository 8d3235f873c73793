/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/err.h"

#include <stddef.h>

/* Cuts a stream into lines, each a JSON document of a watch. Pure: bytes in, lines out. */
struct frames {
	struct buf part; /* the line that has not ended yet */
	size_t line_max;
};

/* One line without its newline; empty lines are not reported. Non-zero stops and is returned. */
typedef int frames_line_fn(void *ctx, const char *p, size_t n);

/* ERR_LIMIT when a line is longer than line_max. A line that lies whole in `p` is not copied. */
int frames_push(struct frames *f, const char *p, size_t n, frames_line_fn *fn, void *ctx,
		struct err *err);
/* Bytes of a line that has no end: what a cut stream left behind. */
size_t frames_pending(const struct frames *f);
void frames_reset(struct frames *f);
void frames_deinit(struct frames *f);
