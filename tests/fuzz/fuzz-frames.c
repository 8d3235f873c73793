/* SPDX-License-Identifier: MIT */

/* The first byte says where to cut the rest; however it is cut, the lines are the same. */

#include "lib/http/frames.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define LINE_MAX_ 64

static int count(void *ctx, const char *p, size_t n)
{
	uint64_t *sum = ctx;

	if (!n || n > LINE_MAX_ || memchr(p, '\n', n))
		abort();
	for (size_t i = 0; i < n; i++)
		*sum = *sum * 31 + (unsigned char)p[i];
	*sum = *sum * 31 + 1000;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frames whole = { .line_max = LINE_MAX_ }, cut = { .line_max = LINE_MAX_ };
	uint64_t sum_whole = 0, sum_cut = 0;
	const char *p = (const char *)data + 1;
	size_t step;
	int a, b = 0;

	if (size < 2)
		return 0;
	step = (size_t)data[0] + 1;
	size--;
	a = frames_push(&whole, p, size, count, &sum_whole, NULL);
	for (size_t at = 0; at < size && b == 0; at += step)
		b = frames_push(&cut, p + at, at + step < size ? step : size - at, count, &sum_cut,
				NULL);
	/* a line that is too long may be noticed before or after its end, but never delivered */
	if (a != b || sum_whole != sum_cut)
		abort();
	if (a == 0 && frames_pending(&whole) != frames_pending(&cut))
		abort();
	frames_deinit(&whole);
	frames_deinit(&cut);
	return 0;
}
