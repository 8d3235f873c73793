/* SPDX-License-Identifier: MIT */

/* Lines out of a stream: see frames.h. */

#include "lib/http/frames.h"

#include "lib/base/cleanup.h"

#include <string.h>

/* Without an err, err_wrap() cannot know the kind. */
static int over_limit(const struct frames *f, struct err *err)
{
	return err_set(err, ERR_LIMIT, "line of a stream: more than %zu bytes", f->line_max);
}

static int deliver(struct frames *f, const char *p, size_t n, frames_line_fn *fn, void *ctx,
		   struct err *err)
{
	_cleanup_free_ char *whole = NULL;

	if (f->part.n) {
		if (buf_append(&f->part, p, n, f->line_max, NULL) < 0)
			return over_limit(f, err);
		/* taken out first: the callback may reset us */
		p = whole = buf_steal(&f->part, &n);
	} else if (n > f->line_max) {
		return over_limit(f, err);
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
	if (n && buf_append(&f->part, p, n, f->line_max, NULL) < 0)
		return over_limit(f, err);
	return 0;
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
