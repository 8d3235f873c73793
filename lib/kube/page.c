/* SPDX-License-Identifier: MIT */

/* One page of a list: see page.h. */

#include "lib/kube/page.h"

#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The metadata of a list is four short fields. */
#define METADATA_MAX ((size_t)64 << 10)

static void skip_space(struct str *s)
{
	while (s->n && strchr(" \t\r\n", *s->p) && *s->p) {
		s->p++;
		s->n--;
	}
}

static bool take(struct str *s, char c)
{
	skip_space(s);
	if (!s->n || *s->p != c)
		return false;
	s->p++;
	s->n--;
	return true;
}

/* The bytes of a string at the front, its quotes included; 0 when it does not end. */
static size_t string_len(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return 0;
}

/* Of an object or an array. Whether brackets match in kind is left to the parser of the item. */
static size_t nested_len(struct str s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '"') {
			size_t len = string_len((struct str){ s.p + i, s.n - i });

			if (!len)
				return 0;
			i += len - 1;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if ((c == '}' || c == ']') && --depth == 0) {
			return i + 1;
		}
	}
	return 0;
}

/* Cut one value off the front. False: there is none, or it does not end. */
static bool take_value(struct str *s, struct str *out)
{
	size_t n = 0;

	skip_space(s);
	if (!s->n)
		return false;
	if (*s->p == '"')
		n = string_len(*s);
	else if (*s->p == '{' || *s->p == '[')
		n = nested_len(*s);
	else
		while (n < s->n && !strchr(",]} \t\r\n", s->p[n]))
			n++;
	if (!n)
		return false;
	*out = (struct str){ s->p, n };
	s->p += n;
	s->n -= n;
	return true;
}

static int read_metadata(struct page *page, struct str text, struct err *err)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse(text.p, text.n, METADATA_MAX, err);
	const char *version = NULL, *more = NULL;
	const struct jval_field fields[] = {
		{ "resourceVersion", JVAL_STR, JVAL_MUST, &version },
		{ "continue", JVAL_STR, JVAL_MAY, &more },
	};

	if (!doc || jval_read(doc, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err) < 0) {
		(void)err_wrap(err, "metadata");
		return -ERR_INPUT;
	}
	if (!*version)
		return err_set(err, ERR_INPUT, "metadata.resourceVersion is empty");
	page->version = xstrdup(version);
	page->more = more && *more ? xstrdup(more) : NULL;
	return 0;
}

static int read_member(struct page *page, struct str key, struct str value, struct err *err)
{
	if (str_eq(key, STR("\"metadata\""))) {
		if (page->version)
			return err_set(err, ERR_INPUT, "metadata twice");
		return read_metadata(page, value, err);
	}
	if (!str_eq(key, STR("\"items\"")) || str_eq(value, STR("null")))
		return 0; /* null is how Go writes an empty list */
	if (page->items.p)
		return err_set(err, ERR_INPUT, "items twice");
	if (value.p[0] != '[' || value.p[value.n - 1] != ']')
		return err_set(err, ERR_INPUT, "items: expected an array");
	page->items = (struct str){ value.p + 1, value.n - 2 };
	skip_space(&page->items);
	return 0;
}

int page_parse(struct page *out, const char *p, size_t n, struct err *err)
{
	_cleanup_(page_deinit) struct page page = { 0 };
	struct str s = { p, n }, key, value;
	bool closed, more;

	if (!take(&s, '{'))
		return err_set(err, ERR_INPUT, "not a list: expected an object");
	closed = take(&s, '}');
	for (more = !closed; more; more = take(&s, ',')) {
		int r;

		skip_space(&s);
		if (!s.n || *s.p != '"' || !take_value(&s, &key) || !take(&s, ':') ||
		    !take_value(&s, &value))
			return err_set(err, ERR_INPUT, "not a list: malformed at byte %zu",
				       n - s.n);
		r = read_member(&page, key, value, err);
		if (r < 0)
			return r;
	}
	if (!closed && !take(&s, '}'))
		return err_set(err, ERR_INPUT, "not a list: malformed at byte %zu", n - s.n);
	skip_space(&s);
	if (s.n || !page.version)
		return err_set(err, ERR_INPUT,
			       s.n ? "not a list: more than one document"
				   : "not a list: no metadata");
	*out = page;
	page = (struct page){ 0 };
	return 0;
}

int page_next(struct page *page, struct str *out_item, struct err *err)
{
	struct str rest = page->items, item;

	if (!rest.n)
		return 0;
	if (!take_value(&rest, &item))
		return err_set(err, ERR_INPUT, "malformed list of items");
	skip_space(&rest);
	if (rest.n) {
		/* a comma promises another item */
		if (!take(&rest, ','))
			return err_set(err, ERR_INPUT, "malformed list of items");
		skip_space(&rest);
		if (!rest.n)
			return err_set(err, ERR_INPUT, "malformed list of items");
	}
	page->items = rest;
	*out_item = item;
	return 1;
}

void page_deinit(struct page *page)
{
	free(page->version);
	free(page->more);
	*page = (struct page){ 0 };
}
