/* SPDX-License-Identifier: MIT */

/* CustomResourceDefinitions: see crd.h. */

#include "tests/sandbox/apiserver/crd.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/meta.h"
#include "tests/sandbox/apiserver/status.h"
#include "tests/sandbox/apiserver/watch.h"

#include <ctype.h>
#include <string.h>

static const char *str(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

static const json_t *names_of(const json_t *crd)
{
	return json_object_get(json_object_get(crd, "spec"), "names");
}

static bool is_served(const json_t *version)
{
	return *str(version, "name") && json_is_true(json_object_get(version, "served"));
}

void crd_default(json_t *crd)
{
	json_t *spec = json_object_get(crd, "spec");
	json_t *names = json_object_get(spec, "names");
	char *p;

	if (!json_is_object(names))
		return;
	if (!*str(names, "listKind")) {
		p = xasprintf("%sList", str(names, "kind"));
		json_object_set_new(names, "listKind", json_string(p));
		free(p);
	}
	if (!*str(names, "singular")) {
		p = xstrdup(str(names, "kind"));
		for (char *c = p; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		json_object_set_new(names, "singular", json_string(p));
		free(p);
	}
	if (!json_object_get(spec, "conversion"))
		json_object_set_new(spec, "conversion", json_pack("{s:s}", "strategy", "None"));
}

void crd_init_status(json_t *crd, const char *now)
{
	json_t *stored = json_array(), *version, *status;
	size_t i;

	json_array_foreach (json_object_get(json_object_get(crd, "spec"), "versions"), i, version) {
		if (json_is_true(json_object_get(version, "storage")))
			json_array_append(stored, json_object_get(version, "name"));
	}
	status = json_pack("{s:[{s:s, s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s, s:s}], s:O, s:o}",
			   "conditions", "type", "NamesAccepted", "status", "True",
			   "lastTransitionTime", now, "reason", "NoConflicts", "message",
			   "no conflicts found", "type", "Established", "status", "True",
			   "lastTransitionTime", now, "reason", "InitialNamesAccepted", "message",
			   "the initial names have been accepted", "acceptedNames", names_of(crd),
			   "storedVersions", stored);
	json_object_set_new(crd, "status", status);
}

/* validation */

static void require(const json_t *obj, const char *key, const char *path, json_t *causes)
{
	if (!*str(obj, key))
		status_cause(causes, "FieldValueRequired", path, "Required value");
}

static void validate_versions(const json_t *spec, json_t *causes)
{
	const json_t *versions = json_object_get(spec, "versions"), *v;
	size_t i, storage = 0;

	json_array_foreach (versions, i, v) {
		_cleanup_free_ char *path = xasprintf("spec.versions[%zu].schema.openAPIV3Schema",
						      i);

		storage += json_is_true(json_object_get(v, "storage"));
		if (!json_is_object(
			    json_object_get(json_object_get(v, "schema"), "openAPIV3Schema")))
			status_cause(causes, "FieldValueRequired", path,
				     "Required value: schemas are required");
	}
	if (storage != 1)
		status_cause(causes, "FieldValueInvalid", "spec.versions",
			     "Invalid value: must have exactly one version marked as storage "
			     "version");
}

static bool is_protected(const char *group)
{
	size_t n = strlen(group);

	return strcmp(group, "k8s.io") == 0 || strcmp(group, "kubernetes.io") == 0 ||
	       (n > 7 && strcmp(group + n - 7, ".k8s.io") == 0) ||
	       (n > 14 && strcmp(group + n - 14, ".kubernetes.io") == 0);
}

void crd_validate(const json_t *crd, json_t *causes)
{
	const json_t *spec = json_object_get(crd, "spec"), *names = names_of(crd);
	const char *scope = str(spec, "scope"), *name = meta_str(crd, "name");
	const json_t *notes = json_object_get(meta_of(crd), "annotations");
	_cleanup_free_ char *full = xasprintf("%s.%s", str(names, "plural"), str(spec, "group"));

	if (strcmp(name, full) != 0)
		status_cause(causes, "FieldValueInvalid", "metadata.name",
			     "Invalid value: \"%s\": must be spec.names.plural+\".\"+spec.group",
			     name);
	require(spec, "group", "spec.group", causes);
	require(names, "plural", "spec.names.plural", causes);
	require(names, "kind", "spec.names.kind", causes);
	if (strcmp(scope, "Namespaced") != 0 && strcmp(scope, "Cluster") != 0)
		status_cause(causes, "FieldValueNotSupported", "spec.scope",
			     "Unsupported value: \"%s\": supported values: \"Cluster\", "
			     "\"Namespaced\"",
			     scope);
	validate_versions(spec, causes);
	if (is_protected(str(spec, "group")) && !*str(notes, "api-approved.kubernetes.io"))
		status_cause(causes, "FieldValueRequired",
			     "metadata.annotations[api-approved.kubernetes.io]",
			     "Required value: protected groups must have approval annotation "
			     "\"api-approved.kubernetes.io\", see "
			     "https://github.com/kubernetes/enhancements/pull/1111");
}

/* installing */

static char *join_names(const json_t *list)
{
	char *all = NULL;
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		char *more = xasprintf("%s%s%s", all ? all : "", all ? "," : "",
				       json_is_string(v) ? json_string_value(v) : "");

		free(all);
		all = more;
	}
	return all;
}

static void describe(struct kind *k, const json_t *version)
{
	const json_t *schema = json_object_get(json_object_get(version, "schema"),
					       "openAPIV3Schema");
	const json_t *subs = json_object_get(version, "subresources");

	json_decref(k->schema);
	json_decref(k->columns);
	k->schema = json_deep_copy(schema);
	k->columns = json_deep_copy(json_object_get(version, "additionalPrinterColumns"));
	k->status_sub = json_is_object(json_object_get(subs, "status"));
}

static void install_version(struct api *api, const json_t *crd, const json_t *version)
{
	const json_t *names = names_of(crd), *spec = json_object_get(crd, "spec");
	struct kind *k = kinds_find(&api->kinds, str(spec, "group"), str(version, "name"),
				    str(names, "plural"));

	if (k) {
		describe(k, version);
		return;
	}
	k = xnew(struct kind);
	k->id = KIND_CUSTOM;
	k->group = xstrdup(str(spec, "group"));
	k->version = xstrdup(str(version, "name"));
	k->plural = xstrdup(str(names, "plural"));
	k->singular = xstrdup(str(names, "singular"));
	k->name = xstrdup(str(names, "kind"));
	k->list_name = xstrdup(str(names, "listKind"));
	k->short_names = join_names(json_object_get(names, "shortNames"));
	k->namespaced = strcmp(str(spec, "scope"), "Namespaced") == 0;
	describe(k, version);
	kinds_add_take(&api->kinds, k);
}

static void uninstall_version(struct api *api, const json_t *crd, const json_t *version)
{
	struct kind *k = kinds_find(&api->kinds, str(json_object_get(crd, "spec"), "group"),
				    str(version, "name"), str(names_of(crd), "plural"));

	if (!k || k->id != KIND_CUSTOM)
		return;
	while (k->coll.n) {
		_cleanup_free_ char *key = xstrdup(k->coll.objects[0]->key);

		(void)store_delete(&api->store, &k->coll, key); /* it was just there */
	}
	watches_end_kind(api->watches, k);
	kinds_remove(&api->kinds, k);
}

void crd_install(struct api *api, const json_t *crd)
{
	json_t *version;
	size_t i;

	json_array_foreach (json_object_get(json_object_get(crd, "spec"), "versions"), i, version) {
		if (is_served(version))
			install_version(api, crd, version);
		else
			uninstall_version(api, crd, version);
	}
}

void crd_uninstall(struct api *api, const json_t *crd)
{
	json_t *version;
	size_t i;

	json_array_foreach (json_object_get(json_object_get(crd, "spec"), "versions"), i, version)
		uninstall_version(api, crd, version);
}
