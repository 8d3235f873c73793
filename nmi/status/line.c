/* SPDX-License-Identifier: MIT */

/* The line that a client sends: see line.h. */

#include "nmi/status/line.h"

static struct str trimmed(struct str s)
{
	while (s.n && s.p[0] == ' ') {
		s.p++;
		s.n--;
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

enum status_line status_line_parse(const char *p, size_t n, bool ended, struct str *out_command,
				   struct str *out_args)
{
	const char *end = n ? memchr(p, '\n', n) : NULL;
	struct str line = { p, end ? (size_t)(end - p) : n };
	size_t word = 0;

	if (line.n >= STATUS_LINE_MAX)
		return STATUS_LINE_BAD;
	if (!end && !ended)
		return STATUS_LINE_PART;
	line = trimmed(line);
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] < ' ' || line.p[i] > '~')
			return STATUS_LINE_BAD;
	while (word < line.n && line.p[word] != ' ')
		word++;
	*out_command = (struct str){ line.p, word };
	*out_args = trimmed((struct str){ line.p + word, line.n - word });
	return STATUS_LINE_WHOLE;
}
