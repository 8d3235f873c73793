/* SPDX-License-Identifier: MIT */

/* Whatever the real parser takes for a list, the cutter takes too, with the same number of items. */

#include "lib/base/jval.h"
#include "lib/kube/page.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static size_t items_of(struct page *page, const char *begin, const char *end, int *out_r)
{
	struct str item;
	size_t n = 0;

	while ((*out_r = page_next(page, &item, NULL)) > 0) {
		if (!item.n || item.p < begin || item.p + item.n > end)
			abort();
		n++;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct jval *doc = jval_parse(p, size, 1 << 20, NULL);
	const struct jval *items = NULL;
	const char *version = NULL, *more = NULL;
	const struct jval_field fields[] = {
		{ "metadata.resourceVersion", JVAL_STR, JVAL_MUST, &version },
		{ "metadata.continue", JVAL_STR, JVAL_MAY, &more },
		{ "items", JVAL_ARR, JVAL_MAY, &items },
	};
	/* an escaped key ("\u0069tems") is another key to us: no server writes that */
	bool valid = doc && jval_read(doc, fields, 3, JVAL_CASE_EXACT, NULL) == 0 && *version &&
		     !memchr(p, '\\', size) && size < 65536;
	struct page page = { 0 };
	int r = page_parse(&page, p, size, NULL);
	size_t n;

	if (r < 0 && (valid || page.version || page.more || page.items.p))
		abort();
	if (r == 0) {
		n = items_of(&page, p, p + size, &r);
		if (valid && (r != 0 || n != (items ? jval_len(items) : 0)))
			abort();
		page_deinit(&page);
	}
	jval_free(doc);
	return 0;
}
