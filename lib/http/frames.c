/* SPDX-License-Identifier: MIT */

/* Lines out of a stream: see frames.h. */

#include "lib/http/frames.h"

#include "lib/base/cleanup.h"

#include <string.h>

static int deliver(struct frames *f, const char *p, size_t n, frames_line_fn *fn, void *ctx,
		   struct err *err)
{
	_cleanup_free_ char *whole = NULL;
	int r;

	if (f->part.n) {
		r = buf_append(&f->part, p, n, f->line_max, err);
		if (r < 0)
			return err_wrap(err, "line of a stream");
		/* taken out first: the callback may reset us */
		p = whole = buf_steal(&f->part, &n);
	} else if (n > f->line_max) {
		return err_set(err, ERR_LIMIT, "line of a stream: more than %zu bytes",
			       f->line_max);
	}
	return n ? fn(ctx, p, n) : 0;
}

int frames_push(struct frames *f, const char *p, size_t n, frames_line_fn *fn, void *ctx,
		struct err *err)
{
	const char *nl;
	int r;

	while (n && (nl = memchr(p, '\n', n))) {
		size_t len = (size_t)(nl - p);

		r = deliver(f, p, len, fn, ctx, err);
		if (r)
			return r;
		p = nl + 1;
		n -= len + 1;
	}
	r = n ? buf_append(&f->part, p, n, f->line_max, err) : 0;
	return r < 0 ? err_wrap(err, "line of a stream") : 0;
}

size_t frames_pending(const struct frames *f)
{
	return f->part.n;
}

void frames_reset(struct frames *f)
{
	buf_reset(&f->part);
}

void frames_deinit(struct frames *f)
{
	buf_deinit(&f->part);
}
