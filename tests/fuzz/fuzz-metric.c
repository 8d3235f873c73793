/* SPDX-License-Identifier: MIT */

/*
 * Label values that pods made up, one a line of the input: both pages stay a series a line, with every quote and
 * backslash of a value escaped, and values that differ are different series until the limit.
 */

#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define SERIES 8

static const double bounds[] = { 0.1, 1 };
static const struct metric_desc descs[] = {
	{ "c_total", METRIC_COUNTER, "help", { "a" }, NULL, 0 },
	{ "h", METRIC_HISTOGRAM, "help", { "a", "b" }, bounds, 2 },
};

/* {name="value",...}: the end of it, or it is not well-formed. */
static const char *labels_end(const char *p, const char *end)
{
	bool quoted = false;

	for (; p < end; p++) {
		if (quoted && *p == '\\') {
			p++;
			assert(p < end && (*p == '\\' || *p == '"' || *p == 'n'));
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (*p == '}' && !quoted) {
			return p + 1;
		}
	}
	abort();
}

static void check_page(const char *page, size_t n)
{
	assert(n == strlen(page)); /* no NUL in it */
	for (const char *p = page, *end; *p; p = end + 1) {
		const char *open;
		char *rest;

		end = strchr(p, '\n');
		assert(end && end > p);
		if (*p == '#')
			continue;
		open = memchr(p, '{', (size_t)(end - p));
		p = open ? labels_end(open, end) : memchr(p, ' ', (size_t)(end - p));
		assert(p && *p == ' ');
		(void)strtod(p + 1, &rest);
		assert(rest == end);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xcalloc(1, size + 1), *page = NULL, *open = NULL;
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, ARRAY_SIZE(descs), SERIES);
	const char *before = "";
	char *rest = text;
	double added = 0;
	size_t n;

	if (size)
		memcpy(text, data, size);
	for (const char *line; (line = strsep(&rest, "\n"));) {
		metric_add(m, 0, (const char *const[]){ line }, 1);
		metric_observe(m, 1, (const char *const[]){ line, before }, (double)strlen(line));
		before = line;
		added++;
	}
	assert(!(metric_sum(m, 0) < added) && !(metric_sum(m, 0) > added));
	page = metrics_print_as(m, METRIC_TEXT, &n);
	check_page(page, n);
	open = metrics_print_as(m, METRIC_OPENMETRICS, &n);
	check_page(open, n);
	return 0;
}
