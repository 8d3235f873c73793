/* SPDX-License-Identifier: MIT */

/* Structural schemas: see schema.h. Recursion is bounded by the depth that jansson accepts (2048). */

/* NOLINTBEGIN(misc-no-recursion): see above */

#include "tests/sandbox/apiserver/schema.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/status.h"

#include <regex.h>
#include <stdbool.h>
#include <string.h>

static const char *schema_type(const json_t *schema)
{
	const char *type = json_string_value(json_object_get(schema, "type"));

	return type ? type : "";
}

static bool flag(const json_t *schema, const char *name)
{
	return json_is_true(json_object_get(schema, name));
}

/* The schema of a member, or NULL if it is unknown. */
static const json_t *member_schema(const json_t *schema, const char *key)
{
	const json_t *s = json_object_get(json_object_get(schema, "properties"), key);

	if (!s)
		s = json_object_get(schema, "additionalProperties");
	return s;
}

static bool is_type_meta(const char *key)
{
	return strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0 ||
	       strcmp(key, "metadata") == 0;
}

static char *join(const char *path, const char *key)
{
	return *path ? xasprintf("%s.%s", path, key) : xstrdup(key);
}

/* pruning */

static void prune(const json_t *schema, json_t *v, const char *path, bool whole, json_t *unknown);

static void prune_object(const json_t *schema, json_t *obj, const char *path, bool whole,
			 json_t *unknown)
{
	bool keep = flag(schema, "x-kubernetes-preserve-unknown-fields");
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(obj, next, key, value)
	{
		const json_t *s = member_schema(schema, key);
		_cleanup_free_ char *below = join(path, key);

		if (whole && is_type_meta(key))
			continue;
		if (json_is_object(s)) {
			prune(s, value, below, flag(s, "x-kubernetes-embedded-resource"), unknown);
		} else if (!s && !keep) {
			json_array_append_new(unknown, json_string(below));
			json_object_del(obj, key);
		}
	}
}

static void prune(const json_t *schema, json_t *v, const char *path, bool whole, json_t *unknown)
{
	json_t *item;
	size_t i;

	if (json_is_object(v))
		prune_object(schema, v, path, whole, unknown);
	json_array_foreach (v, i, item) {
		_cleanup_free_ char *below = xasprintf("%s[%zu]", path, i);

		prune(json_object_get(schema, "items"), item, below, false, unknown);
	}
}

void schema_prune(const json_t *schema, json_t *obj, json_t *unknown)
{
	prune(schema, obj, "", true, unknown);
}

/* defaults */

void schema_default(const json_t *schema, json_t *obj)
{
	const char *key;
	json_t *s, *item;
	size_t i;

	json_object_foreach (json_object_get(schema, "properties"), key, s) {
		const json_t *value = json_object_get(s, "default");

		if (json_is_object(obj) && !json_object_get(obj, key) && value)
			json_object_set_new(obj, key, json_deep_copy(value));
		schema_default(s, json_object_get(obj, key));
	}
	json_array_foreach (obj, i, item)
		schema_default(json_object_get(schema, "items"), item);
}

/* validation */

static const char *value_type(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
		return "integer";
	case JSON_REAL:
		return "number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "boolean";
	case JSON_NULL:
		return "null";
	}
	return "";
}

static bool type_fits(const json_t *schema, const json_t *v)
{
	const char *want = schema_type(schema), *have = value_type(v);

	if (flag(schema, "x-kubernetes-int-or-string"))
		return json_is_string(v) || json_is_integer(v);
	if (json_is_null(v))
		return flag(schema, "nullable") || !*want;
	if (strcmp(want, "number") == 0)
		return json_is_number(v);
	return !*want || strcmp(want, have) == 0;
}

static char *quoted_list(const json_t *values)
{
	char *all = xstrdup("");
	json_t *v;
	size_t i;

	json_array_foreach (values, i, v) {
		_cleanup_free_ char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
		char *more = xasprintf("%s%s%s", all, i ? ", " : "", text);

		free(all);
		all = more;
	}
	return all;
}

static void check_enum(const json_t *schema, const json_t *v, const char *path, json_t *causes)
{
	const json_t *allowed = json_object_get(schema, "enum");
	_cleanup_free_ char *list = NULL, *text = NULL;
	json_t *a;
	size_t i;

	if (!json_is_array(allowed))
		return;
	json_array_foreach (allowed, i, a) {
		if (json_equal(a, v))
			return;
	}
	list = quoted_list(allowed);
	text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	status_cause(causes, "FieldValueNotSupported", path,
		     "Unsupported value: %s: supported values: %s", text, list);
}

static void check_string(const json_t *schema, const json_t *v, const char *path, json_t *causes)
{
	const char *pattern = json_string_value(json_object_get(schema, "pattern"));
	const json_t *max = json_object_get(schema, "maxLength");
	const char *s = json_string_value(v);
	regex_t re;

	if (json_is_integer(max) && (json_int_t)json_string_length(v) > json_integer_value(max))
		status_cause(causes, "FieldValueTooLong", path,
			     "Too long: may not be more than %lld bytes",
			     (long long)json_integer_value(max));
	if (!pattern || regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return;
	if (regexec(&re, s, 0, NULL, 0) != 0)
		status_cause(causes, "FieldValueInvalid", path,
			     "Invalid value: \"%s\": %s in body should match '%s'", s, path,
			     pattern);
	regfree(&re);
}

static void check_number(const json_t *schema, const json_t *v, const char *path, json_t *causes)
{
	const json_t *min = json_object_get(schema, "minimum");
	const json_t *max = json_object_get(schema, "maximum");
	double n = json_number_value(v);

	if (json_is_number(min) && n < json_number_value(min))
		status_cause(causes, "FieldValueInvalid", path,
			     "Invalid value: %g: %s in body should be greater than or equal to %g",
			     n, path, json_number_value(min));
	if (json_is_number(max) && n > json_number_value(max))
		status_cause(causes, "FieldValueInvalid", path,
			     "Invalid value: %g: %s in body should be less than or equal to %g", n,
			     path, json_number_value(max));
}

static void validate(const json_t *schema, const json_t *v, const char *path, json_t *causes);

static void require(const json_t *obj, const char *path, const char *name, json_t *causes)
{
	_cleanup_free_ char *below = join(path, name);

	if (!json_object_get(obj, name))
		status_cause(causes, "FieldValueRequired", below, "Required value");
}

static void check_embedded(const json_t *obj, const char *path, json_t *causes)
{
	static const char *const must[] = { "apiVersion", "kind" };

	for (size_t i = 0; i < ARRAY_SIZE(must); i++) {
		_cleanup_free_ char *below = join(path, must[i]);

		if (!json_string_length(json_object_get(obj, must[i])))
			status_cause(causes, "FieldValueRequired", below,
				     "Required value: must not be empty");
	}
}

static void check_object(const json_t *schema, const json_t *obj, const char *path, json_t *causes)
{
	json_t *name, *value;
	const char *key;
	size_t i;

	if (flag(schema, "x-kubernetes-embedded-resource"))
		check_embedded(obj, path, causes);
	json_array_foreach (json_object_get(schema, "required"), i, name) {
		if (json_is_string(name))
			require(obj, path, json_string_value(name), causes);
	}
	json_object_foreach ((json_t *)(uintptr_t)obj, key, value) {
		const json_t *s = member_schema(schema, key);
		_cleanup_free_ char *below = join(path, key);

		if (json_is_object(s))
			validate(s, value, below, causes);
	}
}

static void validate(const json_t *schema, const json_t *v, const char *path, json_t *causes)
{
	json_t *item;
	size_t i;

	if (!type_fits(schema, v)) {
		status_cause(causes, "FieldValueTypeInvalid", path,
			     "Invalid value: \"%s\": %s in body must be of type %s: \"%s\"",
			     value_type(v), path, schema_type(schema), value_type(v));
		return;
	}
	if (json_is_null(v))
		return;
	check_enum(schema, v, path, causes);
	if (json_is_string(v))
		check_string(schema, v, path, causes);
	if (json_is_number(v))
		check_number(schema, v, path, causes);
	if (json_is_object(v))
		check_object(schema, v, path, causes);
	json_array_foreach (v, i, item) {
		_cleanup_free_ char *below = xasprintf("%s[%zu]", path, i);

		validate(json_object_get(schema, "items"), item, below, causes);
	}
}

void schema_validate(const json_t *schema, const json_t *obj, json_t *causes)
{
	validate(schema, obj, "", causes);
}

/* NOLINTEND(misc-no-recursion) */
