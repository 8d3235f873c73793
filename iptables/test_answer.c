/* SPDX-License-Identifier: MIT */

/* Reads what came for an answer to a self-test: see tester.h. It may be anybody who answers. */

#include "iptables/tester.h"
#include "lib/base/str.h"

#include <string.h>

/* The line that begins at `*at`, without its end; moves behind it. */
static struct str next_line(struct str all, size_t *at)
{
	struct str line = { all.p + *at, 0 };
	const char *end = memchr(line.p, '\n', all.n - *at);

	line.n = end ? (size_t)(end - line.p) : all.n - *at;
	*at += line.n + (end != NULL);
	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static struct str trim(struct str s)
{
	while (s.n && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.n--;
	}
	return s;
}

/* "HTTP/1.1 404 Not Found"; 0: it is none. */
static uint16_t status_of(struct str line)
{
	const char *p = line.p;

	if (line.n < 12 || !str_starts(line, STR("HTTP/1.")) || p[8] != ' ')
		return 0;
	for (size_t i = 9; i < 12; i++)
		if (p[i] < '0' || p[i] > '9')
			return 0;
	if (line.n > 12 && p[12] != ' ')
		return 0;
	return (uint16_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 + p[11] - '0');
}

void test_answer_parse(const void *p, size_t n, struct redirect_test *out)
{
	struct str all = { p, n }, line;
	size_t at = 0;

	*out = (struct redirect_test){ .outcome = REDIRECT_TEST_MUTE };
	if (!n)
		return;
	line = next_line(all, &at);
	(void)str_escape(out->text, sizeof(out->text), line);
	out->status = status_of(line);
	out->outcome = out->status ? REDIRECT_TEST_ANSWERED : REDIRECT_TEST_GARBLED;
	if (!out->status)
		return;
	while (at < n) {
		line = next_line(all, &at);
		if (!line.n)
			break;
		if (!*out->server && str_istarts(line, STR("Server:")))
			(void)str_escape(out->server, sizeof(out->server),
					 trim((struct str){ line.p + 7, line.n - 7 }));
	}
	if (at < n)
		(void)str_escape(out->body, sizeof(out->body), next_line(all, &at));
}
