/* SPDX-License-Identifier: MIT */

/*
 * A document of an API server: refused with a reason, or one that prints to something that reads the
 * same; fields are read all or none.
 */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define LIMIT 65536

struct fields {
	const char *str;
	int64_t n, any;
	bool b;
	const struct jval *obj, *arr;
};

static int read_all(const struct jval *doc, bool required, enum jval_case which, struct fields *out,
		    struct err *err)
{
	const struct jval_field fields[] = {
		{ "metadata.name", JVAL_STR, required, &out->str },
		{ "n", JVAL_INT, required, &out->n },
		{ "any", JVAL_INT_ANY, required, &out->any },
		{ "b", JVAL_BOOL, required, &out->b },
		{ "spec", JVAL_OBJ, required, &out->obj },
		{ "items", JVAL_ARR, required, &out->arr },
	};

	return jval_read(doc, fields, ARRAY_SIZE(fields), which, err);
}

static int check_pair(void *ctx, const char *key, const struct jval *v)
{
	if (!key || !v)
		abort();
	(*(size_t *)ctx)++;
	return 0;
}

static bool same(const struct fields *a, const struct fields *b)
{
	return a->str == b->str && a->n == b->n && a->any == b->any && a->b == b->b &&
	       a->obj == b->obj && a->arr == b->arr;
}

static void check_read(const struct jval *doc, bool required, enum jval_case which)
{
	static const struct fields untouched = { "x", 1, 2, true, NULL, NULL };
	struct fields f = untouched;
	struct err err = { 0 };
	int r = read_all(doc, required, which, &f, &err);

	if (r < 0 && (r != -ERR_INPUT || !err.msg[0] || !same(&f, &untouched)))
		abort();
	if (r == 0 && required && (!f.str || !f.obj || !f.arr))
		abort();
	for (size_t i = 0; f.arr && i < jval_len(f.arr); i++)
		(void)jval_as_str(jval_at(f.arr, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = { 0 };
	struct jval *doc = jval_parse((const char *)data, size, LIMIT, &err), *again;
	size_t n = 0, pairs = 0;
	char *text, *text_again;

	if (!doc) {
		if ((err.kind != ERR_INPUT && err.kind != ERR_LIMIT) || !err.msg[0])
			abort();
		return 0;
	}
	for (int i = 0; i < 4; i++)
		check_read(doc, i / 2, i % 2 ? JVAL_CASE_IGNORED : JVAL_CASE_EXACT);
	(void)jval_each(doc, check_pair, &pairs);

	text = jval_print(doc, &n);
	if (n != strlen(text))
		abort();
	again = jval_parse(text, n, SIZE_MAX, &err);
	if (!again)
		abort();
	text_again = jval_print(again, NULL);
	if (strcmp(text, text_again) != 0)
		abort();
	free(text_again);
	free(text);
	jval_free(again);
	jval_free(doc);
	return 0;
}
