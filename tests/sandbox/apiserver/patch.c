/* SPDX-License-Identifier: MIT */

/* Patches: see patch.h. Recursion is bounded by the depth that jansson accepts when it parses (2048). */

#include "tests/sandbox/apiserver/patch.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/status.h"

#include <stdbool.h>
#include <string.h>

/* RFC 7386 */

/* NOLINTNEXTLINE(misc-no-recursion): see above */
json_t *patch_merge(const json_t *doc, const json_t *patch)
{
	const char *key;
	json_t *value, *out;

	if (!json_is_object(patch))
		return json_deep_copy(patch);
	out = json_is_object(doc) ? json_copy((json_t *)(uintptr_t)doc) : json_object();
	json_object_foreach ((json_t *)(uintptr_t)patch, key, value) {
		if (json_is_null(value))
			json_object_del(out, key);
		else
			json_object_set_new(out, key,
					    patch_merge(json_object_get(doc, key), value));
	}
	return out;
}

/* RFC 6902 */

struct pointer {
	json_t *parent;
	char last[256]; /* unescaped */
};

static bool unescape(const char *p, size_t n, char out[static 256])
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (c == '~') {
			if (i + 1 == n || (p[i + 1] != '0' && p[i + 1] != '1'))
				return false;
			c = p[++i] == '0' ? '~' : '/';
		}
		if (len == 255)
			return false;
		out[len++] = c;
	}
	out[len] = '\0';
	return true;
}

/* Index of an array: "-" is its end; no leading zero. */
static bool array_index(const char *s, size_t n, size_t *out_i)
{
	char *end;

	if (strcmp(s, "-") == 0) {
		*out_i = n;
		return true;
	}
	if (!*s || strspn(s, "0123456789") != strlen(s) || strlen(s) > 9 || (s[0] == '0' && s[1]))
		return false;
	*out_i = strtoul(s, &end, 10);
	return *out_i <= n;
}

static json_t *child(json_t *parent, const char *name)
{
	size_t i;

	if (json_is_object(parent))
		return json_object_get(parent, name);
	if (json_is_array(parent) && array_index(name, json_array_size(parent), &i))
		return json_array_get(parent, i);
	return NULL;
}

static bool walk(json_t *doc, const char *path, struct pointer *out)
{
	const char *p = path;

	if (*p != '/')
		return false;
	out->parent = doc;
	for (;;) {
		size_t n = strcspn(++p, "/");

		if (!unescape(p, n, out->last))
			return false;
		p += n;
		if (!*p)
			return json_is_object(out->parent) || json_is_array(out->parent);
		out->parent = child(out->parent, out->last);
		if (!out->parent)
			return false;
	}
}

static bool do_add(json_t *doc, const char *path, json_t *value_take)
{
	struct pointer at;
	size_t i;

	if (walk(doc, path, &at)) {
		if (json_is_object(at.parent))
			return json_object_set_new(at.parent, at.last, value_take) == 0;
		if (array_index(at.last, json_array_size(at.parent), &i))
			return json_array_insert_new(at.parent, i, value_take) == 0;
	}
	json_decref(value_take);
	return false;
}

static bool do_remove(json_t *doc, const char *path, json_t **out_value)
{
	struct pointer at;
	json_t *v;
	size_t i = 0;

	if (!walk(doc, path, &at))
		return false;
	v = child(at.parent, at.last);
	if (!v)
		return false;
	if (out_value)
		*out_value = json_incref(v);
	if (json_is_object(at.parent))
		return json_object_del(at.parent, at.last) == 0;
	(void)array_index(at.last, json_array_size(at.parent), &i);
	return json_array_remove(at.parent, i) == 0;
}

static json_t *lookup(json_t *doc, const char *path)
{
	struct pointer at;

	if (!path || !walk(doc, path, &at))
		return NULL;
	return child(at.parent, at.last);
}

static bool apply_op(json_t *doc, const json_t *op)
{
	const char *name = json_string_value(json_object_get(op, "op"));
	const char *path = json_string_value(json_object_get(op, "path"));
	const char *from = json_string_value(json_object_get(op, "from"));
	json_t *value = json_object_get(op, "value");
	json_t *moved = NULL;

	if (!name || !path)
		return false;
	if (strcmp(name, "add") == 0)
		return value && do_add(doc, path, json_deep_copy(value));
	if (strcmp(name, "remove") == 0)
		return do_remove(doc, path, NULL);
	if (strcmp(name, "replace") == 0)
		return value && do_remove(doc, path, NULL) &&
		       do_add(doc, path, json_deep_copy(value));
	if (strcmp(name, "test") == 0)
		return lookup(doc, path) && json_equal(lookup(doc, path), value);
	if (strcmp(name, "copy") == 0)
		return lookup(doc, from) && do_add(doc, path, json_deep_copy(lookup(doc, from)));
	if (strcmp(name, "move") == 0)
		return from && do_remove(doc, from, &moved) && do_add(doc, path, moved);
	return false;
}

json_t *patch_json(const json_t *doc, const json_t *patch, json_t **out_problem)
{
	json_t *out, *op;
	size_t i;

	if (!json_is_array(patch)) {
		*out_problem = status_bad_request(
			"error decoding patch: json: cannot unmarshal object into Go value of "
			"type jsonpatch.Patch");
		return NULL;
	}
	out = json_deep_copy(doc);
	json_array_foreach (patch, i, op) {
		if (apply_op(out, op))
			continue;
		json_decref(out);
		*out_problem = status_failure(
			422, "Invalid", json_object(),
			"the server rejected our request due to an error in our request");
		return NULL;
	}
	return out;
}

/* strategic merge */

/* clang-format off */
static const struct {
	const char *field, *key; /* key "": a list of plain values that are merged as a set */
} merge_keys[] = {
	{ "containers", "name" }, { "initContainers", "name" }, { "ephemeralContainers", "name" },
	{ "env", "name" }, { "volumes", "name" }, { "imagePullSecrets", "name" },
	{ "secrets", "name" }, { "volumeMounts", "mountPath" }, { "volumeDevices", "devicePath" },
	{ "ports", "containerPort" }, { "hostAliases", "ip" }, { "podIPs", "ip" },
	{ "hostIPs", "ip" }, { "conditions", "type" }, { "addresses", "type" },
	{ "ownerReferences", "uid" }, { "finalizers", "" },
	{ "podCIDRs", "" }, { "topologySpreadConstraints", "topologyKey" },
};
/* clang-format on */

static const char *merge_key(const char *field)
{
	for (size_t i = 0; i < ARRAY_SIZE(merge_keys); i++) {
		if (strcmp(merge_keys[i].field, field) == 0)
			return merge_keys[i].key;
	}
	return NULL;
}

static bool find_by(const json_t *list, const char *key, const json_t *wanted, size_t *out_i)
{
	json_t *item;

	size_t i;

	json_array_foreach (list, i, item) {
		*out_i = i;
		if (json_equal(*key ? json_object_get(item, key) : item, wanted))
			return true;
	}
	return false;
}

static json_t *strategic(const json_t *doc, const json_t *patch, json_t **out_problem);

static bool directive_is(const json_t *v, const char *what)
{
	const char *d = json_string_value(json_object_get(v, "$patch"));

	return d && strcmp(d, what) == 0;
}

/* One item of a list that is merged by key. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static bool merge_item(json_t *out, const char *key, const json_t *item, json_t **out_problem)
{
	const json_t *id = *key ? json_object_get(item, key) : item;
	json_t *merged;
	size_t i;

	if (!id) {
		*out_problem = status_bad_request("an item does not contain declared merge key: %s",
						  key);
		return false;
	}
	if (!find_by(out, key, id, &i)) {
		if (directive_is(item, "delete"))
			return true;
		merged = *key ? strategic(NULL, item, out_problem) : json_deep_copy(item);
		return merged && json_array_append_new(out, merged) == 0;
	}
	if (directive_is(item, "delete"))
		return json_array_remove(out, i) == 0;
	merged = *key ? strategic(json_array_get(out, i), item, out_problem) : json_deep_copy(item);
	return merged && json_array_set_new(out, i, merged) == 0;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static json_t *merge_list(const char *key, const json_t *doc, const json_t *patch,
			  json_t **out_problem)
{
	json_t *out = json_array(), *item;
	bool replace = false;
	size_t i;

	json_array_foreach (patch, i, item)
		replace = replace || directive_is(item, "replace");
	if (!replace && json_is_array(doc))
		json_array_extend(out, (json_t *)(uintptr_t)doc);
	json_array_foreach (patch, i, item) {
		if (directive_is(item, "replace"))
			continue;
		if (!merge_item(out, key, item, out_problem)) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* $deleteFromPrimitiveList/finalizers: [...] */
static void delete_plain(json_t *out, const char *field, const json_t *values)
{
	json_t *kept = json_array(), *list = json_object_get(out, field), *item, *v;
	size_t i, j;

	json_array_foreach (list, i, item) {
		bool gone = false;

		json_array_foreach (values, j, v)
			gone = gone || json_equal(item, v);
		if (!gone)
			json_array_append(kept, item);
	}
	if (json_array_size(kept))
		json_object_set(out, field, kept);
	else
		json_object_del(out, field);
	json_decref(kept);
}

/* $retainKeys: members of the object that are not named go. */
static void retain_keys(json_t *out, const json_t *keep)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(out, next, key, value)
	{
		json_t *name = json_string(key);
		size_t i;

		if (!find_by(keep, "", name, &i))
			json_object_del(out, key);
		json_decref(name);
	}
}

static bool is_directive(const char *key)
{
	return key[0] == '$';
}

static void apply_directive(json_t *out, const char *key, const json_t *value)
{
	static const char from_list[] = "$deleteFromPrimitiveList/";

	if (strncmp(key, from_list, strlen(from_list)) == 0)
		delete_plain(out, key + strlen(from_list), value);
	else if (strcmp(key, "$retainKeys") == 0)
		retain_keys(out, value);
	/* $setElementOrder only matters to the order, which nothing here depends on */
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static json_t *strategic_value(const char *field, const json_t *doc, const json_t *value,
			       json_t **out_problem)
{
	const char *key = json_is_array(value) ? merge_key(field) : NULL;

	if (key)
		return merge_list(key, doc, value, out_problem);
	return json_is_object(value) ? strategic(doc, value, out_problem) : json_deep_copy(value);
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static json_t *strategic(const json_t *doc, const json_t *patch, json_t **out_problem)
{
	json_t *out, *value, *merged;
	const char *key;

	if (directive_is(patch, "delete"))
		return json_object();
	out = json_is_object(doc) && !directive_is(patch, "replace")
		      ? json_copy((json_t *)(uintptr_t)doc)
		      : json_object();
	json_object_foreach ((json_t *)(uintptr_t)patch, key, value) {
		if (is_directive(key)) {
			apply_directive(out, key, value);
			continue;
		}
		if (json_is_null(value)) {
			json_object_del(out, key);
			continue;
		}
		merged = strategic_value(key, json_object_get(doc, key), value, out_problem);
		if (!merged) {
			json_decref(out);
			return NULL;
		}
		json_object_set_new(out, key, merged);
	}
	return out;
}

json_t *patch_strategic(const json_t *doc, const json_t *patch, json_t **out_problem)
{
	*out_problem = NULL;
	if (!json_is_object(patch)) {
		*out_problem = status_bad_request("error decoding patch: not an object");
		return NULL;
	}
	return strategic(doc, patch, out_problem);
}
