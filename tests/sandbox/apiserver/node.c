/* SPDX-License-Identifier: MIT */

/* Nodes: see node.h. The rules and words are those of ValidateNode() of Kubernetes 1.34. */

#include "tests/sandbox/apiserver/node.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/names.h"
#include "tests/sandbox/apiserver/status.h"

#include <stdbool.h>
#include <string.h>

static const char *str(const json_t *obj, const char *key)
{
	const char *v = json_string_value(json_object_get(obj, key));

	return v ? v : "";
}

static json_t *taints_of(const json_t *node)
{
	return json_object_get(json_object_get(node, "spec"), "taints");
}

/* An empty list is as none (omitempty). */
void node_tidy(json_t *node)
{
	if (json_is_array(taints_of(node)) && json_array_size(taints_of(node)) == 0)
		json_object_del(json_object_get(node, "spec"), "taints");
}

static void add(json_t *causes, const char *reason, size_t i, const char *member, const char *text)
{
	_cleanup_free_ char *path = xasprintf("spec.taints[%zu]%s", i, member);

	status_cause(causes, reason, path, "%s", text);
}

static void validate_effect(const char *effect, size_t i, json_t *causes)
{
	_cleanup_free_ char *text = NULL;

	if (!*effect) {
		add(causes, "FieldValueRequired", i, ".effect", "Required value");
		return;
	}
	if (strcmp(effect, "NoSchedule") == 0 || strcmp(effect, "PreferNoSchedule") == 0 ||
	    strcmp(effect, "NoExecute") == 0)
		return;
	text = xasprintf("Unsupported value: \"%s\": supported values: \"NoSchedule\", "
			 "\"PreferNoSchedule\", \"NoExecute\"",
			 effect);
	add(causes, "FieldValueNotSupported", i, ".effect", text);
}

static bool is_twice(const json_t *taints, size_t i)
{
	const json_t *taint = json_array_get(taints, i);

	for (size_t j = 0; j < i; j++) {
		const json_t *other = json_array_get(taints, j);

		if (strcmp(str(other, "key"), str(taint, "key")) == 0 &&
		    strcmp(str(other, "effect"), str(taint, "effect")) == 0)
			return true;
	}
	return false;
}

void node_validate(const json_t *node, json_t *causes)
{
	const json_t *taints = taints_of(node), *taint;
	size_t i;

	json_array_foreach (taints, i, taint) {
		_cleanup_free_ char *text = NULL;
		const char *why = names_check_qualified(str(taint, "key"));

		if (why) {
			text = xasprintf("Invalid value: \"%s\": %s", str(taint, "key"), why);
			add(causes, "FieldValueInvalid", i, ".key", text);
		}
		why = names_check_label_value(str(taint, "value"));
		if (why)
			add(causes, "FieldValueInvalid", i, ".value", why);
		validate_effect(str(taint, "effect"), i, causes);
		if (is_twice(taints, i))
			add(causes, "FieldValueDuplicate", i, "",
			    "Duplicate value: taints must be unique by key and effect pair");
	}
}
