/* SPDX-License-Identifier: MIT */

/* Request targets: see query.h. */

#include "tests/sandbox/imds/query.h"

#include "lib/base/mem.h"

#include <string.h>
#include <strings.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded copy; a bad escape stands for itself, a NUL ends the text. */
static char *decode(const char *p, size_t n, bool plus_is_space)
{
	char *out = xcalloc(n + 1, 1), *w = out;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '%' && i + 2 < n && hex(p[i + 1]) >= 0 && hex(p[i + 2]) >= 0) {
			*w++ = (char)(hex(p[i + 1]) * 16 + hex(p[i + 2]));
			i += 2;
		} else {
			*w++ = (char)(p[i] == '+' && plus_is_space ? ' ' : p[i]);
		}
	}
	return out;
}

/* Every segment of `raw` that is not empty or a dot, joined again; ".." takes one back. */
static char *canonical(const char *raw)
{
	size_t len = strlen(raw);
	char *out = xcalloc(len + 2, 1), *w = out;
	const char *p = raw;

	while (*p) {
		size_t n = strcspn(p, "/\\");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (w > out && *--w != '/')
				;
			*w = '\0';
		} else if (n && !(n == 1 && p[0] == '.')) {
			*w++ = '/';
			memcpy(w, p, n);
			w += n;
			*w = '\0';
		}
		p += n;
		p += *p != '\0';
	}
	if (w == out)
		*w = '/';
	return out;
}

bool query_parse(struct query *q, const char *target)
{
	const char *mark = strchr(target, '?');
	size_t path_len = mark ? (size_t)(mark - target) : strlen(target);
	char *raw = decode(target, path_len, false);

	*q = (struct query){ .path = canonical(raw) };
	free(raw);
	for (const char *p = mark ? mark + 1 : ""; *p;) {
		size_t n = strcspn(p, "&");
		const char *eq = memchr(p, '=', n);
		size_t name_len = eq ? (size_t)(eq - p) : n;

		if (q->n == QUERY_PARAMS_MAX)
			return false;
		if (n) {
			q->params[q->n].name = decode(p, name_len, true);
			q->params[q->n++].value = eq ? decode(eq + 1, n - name_len - 1, true)
						     : xstrdup("");
		}
		p += n;
		p += *p == '&';
	}
	return true;
}

void query_deinit(struct query *q)
{
	for (size_t i = 0; i < q->n; i++) {
		free(q->params[i].name);
		free(q->params[i].value);
	}
	free(q->path);
	*q = (struct query){ 0 };
}

const char *query_get(const struct query *q, const char *name)
{
	for (size_t i = 0; i < q->n; i++) {
		if (strcmp(q->params[i].name, name) == 0)
			return q->params[i].value;
	}
	return NULL;
}

const char *query_duplicate(const struct query *q)
{
	for (size_t i = 0; i < q->n; i++) {
		for (size_t k = i + 1; k < q->n; k++) {
			if (strcasecmp(q->params[i].name, q->params[k].name) == 0)
				return q->params[i].name;
		}
	}
	return NULL;
}
