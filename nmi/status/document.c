/* SPDX-License-Identifier: MIT */

/* The status as JSON: see document.h. */

#include "nmi/status/document.h"

#include "lib/base/jval.h"

static void put_field(struct jval *obj, const char *key, const struct status_field *f,
		      const void *row)
{
	const void *at = (const char *)row + f->offset;
	int64_t n;

	switch (f->kind) {
	case STATUS_STR:
		jval_put_str(obj, key, *(const char *const *)at);
		return;
	case STATUS_BOOL:
		jval_put_bool(obj, key, *(const bool *)at);
		return;
	case STATUS_INT:
	case STATUS_TIME:
	case STATUS_SECONDS:
	case STATUS_MSEC:
	case STATUS_USEC:
	case STATUS_KIB:
		n = *(const int64_t *)at;
		if (n < 0)
			jval_put_null(obj, key);
		else
			jval_put_int(obj, key, n);
		return;
	}
}

static void put_fields(struct jval *obj, const struct status_part *part, const void *row)
{
	const char *key;

	for (size_t i = 0; i < n_status_fields; i++)
		if (status_is_in(part, &status_fields[i], &key))
			put_field(obj, key, &status_fields[i], row);
}

static void put_part(struct jval *doc, const struct status_part *part, const struct status_agent *a)
{
	const char *base = (const char *)a;
	struct jval *list;
	size_t n;

	if (part->kind == STATUS_PART_GROUP) {
		put_fields(*part->key ? jval_put_obj(doc, part->key) : doc, part, a);
		return;
	}
	n = *(const size_t *)(const void *)(base + part->n);
	list = jval_put_arr(doc, part->key);
	if (part->kind == STATUS_PART_SENTENCES) {
		for (size_t i = 0; i < n; i++)
			jval_add_str(list, a->surroundings[i]);
		return;
	}
	for (size_t i = 0; i < n; i++)
		put_fields(jval_add_obj(list), part, base + part->rows + i * part->row_bytes);
}

char *status_document_print(const struct status_agent *a, size_t *out_n)
{
	struct jval *doc = jval_new_obj();
	char *text;

	jval_put_int(doc, "schema", STATUS_SCHEMA);
	for (size_t i = 0; i < n_status_parts; i++)
		put_part(doc, &status_parts[i], a);
	text = jval_print(doc, out_n);
	(void)jval_free(doc);
	return text;
}
