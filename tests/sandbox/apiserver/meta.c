/* SPDX-License-Identifier: MIT */

/* Metadata: see meta.h. */

#include "tests/sandbox/apiserver/meta.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/kind.h"
#include "tests/sandbox/apiserver/names.h"
#include "tests/sandbox/apiserver/status.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SUFFIX_LEN 5 /* letters after generateName */

void meta_print_time(char buf[static META_TIME_MAX], int64_t epoch_s)
{
	time_t t = (time_t)epoch_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	(void)strftime(buf, META_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void random_bytes(void *p, size_t n)
{
	if (getrandom(p, n, 0) != (ssize_t)n)
		abort(); /* the kernel gives up to 256 bytes whole once it is seeded */
}

void meta_new_uid(char buf[static META_UID_MAX])
{
	unsigned char b[16];

	random_bytes(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	(void)snprintf(buf, META_UID_MAX,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		       b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		       b[13], b[14], b[15]);
}

json_t *meta_of(const json_t *obj)
{
	return json_object_get(obj, "metadata");
}

const char *meta_str(const json_t *obj, const char *field)
{
	const char *s = json_string_value(json_object_get(meta_of(obj), field));

	return s ? s : "";
}

/* order */

static void take_in_order(json_t *to, const json_t *from, const char *const *order)
{
	for (size_t i = 0; order[i]; i++) {
		if (json_object_get(from, order[i]))
			json_object_set(to, order[i], json_object_get(from, order[i]));
	}
}

void meta_reorder(json_t *obj, const char *const *order)
{
	json_t *was = json_copy(obj), *value;
	const char *key;

	json_object_clear(obj);
	take_in_order(obj, was, order);
	json_object_foreach (was, key, value) {
		if (!json_object_get(obj, key))
			json_object_set(obj, key, value);
	}
	json_decref(was);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Go prints maps sorted. */
static void sort_map(json_t *map)
{
	size_t n = json_object_size(map), i = 0;
	const char **names = xcalloc(n + 1, sizeof(char *));
	json_t *was = json_copy(map), *value;
	const char *key;

	json_object_foreach (was, key, value)
		names[i++] = key;
	qsort(names, n, sizeof(char *), compare_names);
	if (n) {
		json_object_clear(map);
		take_in_order(map, was, names);
	}
	free(names);
	json_decref(was);
}

void meta_tidy(const struct kind *k, json_t *obj)
{
	static const char *const top[] = { "kind",	     "apiVersion",     "metadata",
					   "involvedObject", "reason",	       "message",
					   "source",	     "firstTimestamp", "lastTimestamp",
					   "count",	     "type",	       NULL };
	static const char *const secret_top[] = { "kind", "apiVersion", "metadata", "immutable",
						  "data", "type",	NULL };
	static const char *const other_top[] = { "kind", "apiVersion", "metadata",
						 "spec", "status",     NULL };
	static const char *const meta[] = { "name",
					    "generateName",
					    "namespace",
					    "uid",
					    "resourceVersion",
					    "generation",
					    "creationTimestamp",
					    "deletionTimestamp",
					    "deletionGracePeriodSeconds",
					    "labels",
					    "annotations",
					    "ownerReferences",
					    "finalizers",
					    "managedFields",
					    NULL };
	_cleanup_free_ char *version = kind_api_version(k);

	json_object_set_new(obj, "kind", json_string(k->name));
	json_object_set_new(obj, "apiVersion", json_string(version));
	if (k->id == KIND_CUSTOM)
		return; /* printed sorted */
	/* a place for what the store fills in last */
	if (!json_object_get(meta_of(obj), "resourceVersion"))
		json_object_set_new(meta_of(obj), "resourceVersion", json_string(""));
	sort_map(json_object_get(meta_of(obj), "labels"));
	sort_map(json_object_get(meta_of(obj), "annotations"));
	meta_reorder(meta_of(obj), meta);
	meta_reorder(obj, k->id == KIND_EVENT	 ? top
			  : k->id == KIND_SECRET ? secret_top
						 : other_top);
}

/* create, update */

static void add_name(json_t *meta, const char *prefix)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	char suffix[SUFFIX_LEN + 1] = { 0 };
	unsigned char b[SUFFIX_LEN];
	char *name;

	random_bytes(b, sizeof(b));
	for (size_t i = 0; i < SUFFIX_LEN; i++)
		suffix[i] = letters[b[i] % (sizeof(letters) - 1)];
	name = xasprintf("%.248s%s", prefix, suffix);
	json_object_set_new(meta, "name", json_string(name));
	free(name);
}

static bool has_generation(const struct kind *k)
{
	return k->id == KIND_CUSTOM || k->id == KIND_CRD;
}

void meta_prepare_create(const struct kind *k, json_t *obj, const char *ns, int64_t now)
{
	json_t *meta = meta_of(obj);
	char time[META_TIME_MAX], uid[META_UID_MAX];

	if (!*meta_str(obj, "name") && *meta_str(obj, "generateName"))
		add_name(meta, meta_str(obj, "generateName"));
	if (k->namespaced)
		json_object_set_new(meta, "namespace", json_string(ns));
	else
		json_object_del(meta, "namespace");
	meta_print_time(time, now);
	meta_new_uid(uid);
	json_object_set_new(meta, "uid", json_string(uid));
	json_object_set_new(meta, "creationTimestamp", json_string(time));
	json_object_del(meta, "deletionTimestamp");
	json_object_del(meta, "deletionGracePeriodSeconds");
	json_object_del(meta, "selfLink");
	json_object_del(meta, "managedFields");
	json_object_del(meta, "generation");
	if (has_generation(k))
		json_object_set_new(meta, "generation", json_integer(1));
}

/* Did anything but the metadata change? */
static bool content_differs(const json_t *a, const json_t *b)
{
	json_t *x = json_copy((json_t *)(uintptr_t)a), *y = json_copy((json_t *)(uintptr_t)b);
	bool differs;

	json_object_del(x, "metadata");
	json_object_del(y, "metadata");
	differs = !json_equal(x, y);
	json_decref(x);
	json_decref(y);
	return differs;
}

void meta_prepare_update(const struct kind *k, json_t *obj, const json_t *old)
{
	static const char *const fixed[] = { "name",
					     "namespace",
					     "uid",
					     "creationTimestamp",
					     "deletionTimestamp",
					     "deletionGracePeriodSeconds",
					     "generation",
					     "generateName" };
	json_t *meta = meta_of(obj);

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		json_t *was = json_object_get(meta_of(old), fixed[i]);

		if (was)
			json_object_set(meta, fixed[i], was);
		else
			json_object_del(meta, fixed[i]);
	}
	json_object_del(meta, "selfLink");
	json_object_del(meta, "managedFields");
	if (has_generation(k) && content_differs(obj, old)) {
		json_int_t was = json_integer_value(json_object_get(meta, "generation"));

		json_object_set_new(meta, "generation", json_integer(was + 1));
	}
}

/* validation */

static const char *go_type(const json_t *v)
{
	return json_is_object(v)    ? "object"
	       : json_is_array(v)   ? "array"
	       : json_is_string(v)  ? "string"
	       : json_is_boolean(v) ? "bool"
				    : "number";
}

static json_t *cannot_decode(const struct kind *k, const json_t *v, const char *field,
			     const char *type)
{
	return status_bad_request(
		"%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal %s into Go "
		"struct field ObjectMeta.metadata.%s of type %s",
		k->name, k->version, k->name, go_type(v), field, type);
}

static json_t *check_string_map(const struct kind *k, const json_t *meta, const char *field)
{
	json_t *map = json_object_get(meta, field), *value;
	const char *key;

	if (!map || json_is_null(map))
		return NULL;
	if (!json_is_object(map))
		return cannot_decode(k, map, field, "map[string]string");
	json_object_foreach (map, key, value) {
		if (!json_is_string(value) && !json_is_null(value))
			return cannot_decode(k, value, field, "string");
	}
	return NULL;
}

json_t *meta_check_types(const struct kind *k, const json_t *obj)
{
	static const char *const strings[] = { "name", "generateName", "namespace", "uid",
					       "resourceVersion" };
	const json_t *meta = meta_of(obj);
	json_t *problem;

	if (!json_is_object(meta))
		return status_bad_request("%s in version \"%s\" cannot be handled as a %s: json: "
					  "cannot unmarshal %s into Go struct field "
					  "%s.metadata of type v1.ObjectMeta",
					  k->name, k->version, k->name, go_type(meta), k->name);
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		const json_t *v = json_object_get(meta, strings[i]);

		if (v && !json_is_null(v) && !json_is_string(v))
			return cannot_decode(k, v, strings[i], "string");
	}
	problem = check_string_map(k, meta, "labels");
	if (!problem)
		problem = check_string_map(k, meta, "annotations");
	if (!problem && json_object_get(meta, "finalizers") &&
	    !json_is_array(json_object_get(meta, "finalizers")))
		problem = cannot_decode(k, json_object_get(meta, "finalizers"), "finalizers",
					"[]string");
	return problem;
}

static void validate_name(const struct kind *k, const json_t *obj, json_t *causes)
{
	const char *name = meta_str(obj, "name");
	const char *why = k->id == KIND_NAMESPACE ? names_check_dns_label(name)
						  : names_check_dns_subdomain(name);

	if (!*name)
		status_cause(causes, "FieldValueRequired", "metadata.name",
			     "Required value: name or generateName is required");
	else if (why)
		status_cause(causes, "FieldValueInvalid", "metadata.name",
			     "Invalid value: \"%s\": %s", name, why);
}

void meta_validate(const struct kind *k, const json_t *obj, json_t *causes)
{
	json_t *value;
	const char *key, *why;

	validate_name(k, obj, causes);
	json_object_foreach (json_object_get(meta_of(obj), "labels"), key, value) {
		const char *v = json_is_string(value) ? json_string_value(value) : "";

		why = names_check_qualified(key);
		if (why)
			status_cause(causes, "FieldValueInvalid", "metadata.labels",
				     "Invalid value: \"%s\": %s", key, why);
		why = names_check_label_value(v);
		if (why)
			status_cause(causes, "FieldValueInvalid", "metadata.labels",
				     "Invalid value: \"%s\": %s", v, why);
	}
	json_object_foreach (json_object_get(meta_of(obj), "annotations"), key, value) {
		why = names_check_qualified(key);
		if (why)
			status_cause(causes, "FieldValueInvalid", "metadata.annotations",
				     "Invalid value: \"%s\": %s", key, why);
	}
}
