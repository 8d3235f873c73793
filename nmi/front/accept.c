/* SPDX-License-Identifier: MIT */

/* The Accept header of a scrape: see accept.h. */

#include "nmi/front/accept.h"

#include <stdbool.h>
#include <string.h>

/* A quality is at most 1, in thousandths. */
#define QUALITY_MAX 1000

struct range {
	bool is_openmetrics, is_text;
	unsigned quality;
};

static struct str trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = (struct str){ s.p + 1, s.n - 1 };
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* What is before the next `sep`, or all; `rest` goes behind it. Nothing that we look for is quoted. */
static struct str cut(struct str *rest, char sep)
{
	const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
	struct str first = { rest->p, at ? (size_t)(at - rest->p) : rest->n };

	*rest = at ? (struct str){ at + 1, rest->n - first.n - 1 } : (struct str){ NULL, 0 };
	return trim(first);
}

/* "1", "0.25": at most three digits behind the point; anything else: 0. */
static unsigned parse_quality(struct str s)
{
	unsigned n = 0, weight = QUALITY_MAX;

	for (size_t i = 0; i < s.n; i++) {
		if (i == 1 && s.p[i] == '.')
			continue;
		if (i == 1 || i > 4 || s.p[i] < '0' || s.p[i] > '9')
			return 0;
		n += (unsigned)(s.p[i] - '0') * weight;
		weight /= 10;
	}
	return n <= QUALITY_MAX ? n : 0;
}

static void read_parameter(struct range *r, struct str parameter)
{
	struct str value = parameter, name = cut(&value, '=');

	value = trim(value);
	if (str_ieq(name, STR("q")))
		r->quality = parse_quality(value);
	else if (str_ieq(name, STR("version")) && r->is_openmetrics)
		r->is_openmetrics = str_ieq(value, STR("1.0.0"));
	else if (str_ieq(name, STR("version")) && r->is_text)
		r->is_text = str_ieq(value, STR("0.0.4"));
}

enum metric_format accept_format(struct str accept)
{
	unsigned openmetrics = 0, text = 0;

	while (accept.n) {
		struct str rest = cut(&accept, ',');
		struct str type = cut(&rest, ';');
		struct range r = { .is_openmetrics = str_ieq(type,
							     STR("application/openmetrics-text")),
				   .is_text = str_ieq(type, STR("text/plain")),
				   .quality = QUALITY_MAX };

		while (rest.n)
			read_parameter(&r, cut(&rest, ';'));
		if (r.is_openmetrics && r.quality > openmetrics)
			openmetrics = r.quality;
		if (r.is_text && r.quality > text)
			text = r.quality;
	}
	return openmetrics && openmetrics >= text ? METRIC_OPENMETRICS : METRIC_TEXT;
}
