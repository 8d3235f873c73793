/* SPDX-License-Identifier: MIT */

/* Who may do what: see rbac.h. */

#include "tests/sandbox/apiserver/rbac.h"

#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/auth.h"
#include "tests/sandbox/apiserver/files.h"

#include <string.h>

#define FILE_MAX_BYTES (1024UL * 1024)
#define API_VERSION    "rbac.authorization.k8s.io/v1"

struct rbac {
	json_t *roles, *bindings;
};

static const char *str(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

static bool is(const json_t *obj, const char *key, const char *value)
{
	return strcmp(str(obj, key), value) == 0;
}

static const json_t *meta(const json_t *obj)
{
	return json_object_get(obj, "metadata");
}

/* manifests */

struct rbac *rbac_new(void)
{
	struct rbac *r = xnew(struct rbac);

	r->roles = json_array();
	r->bindings = json_array();
	return r;
}

struct rbac *rbac_free(struct rbac *r)
{
	if (!r)
		return NULL;
	json_decref(r->roles);
	json_decref(r->bindings);
	free(r);
	return NULL;
}

static int add(struct rbac *r, json_t *doc, struct err *err)
{
	bool role = is(doc, "kind", "ClusterRole") || is(doc, "kind", "Role");
	bool binding = is(doc, "kind", "ClusterRoleBinding") || is(doc, "kind", "RoleBinding");

	if (is(doc, "kind", "ServiceAccount") && is(doc, "apiVersion", "v1"))
		return 0;
	if (!is(doc, "apiVersion", API_VERSION) || (!role && !binding))
		return err_set(err, ERR_INPUT, "%s %s is not of RBAC", str(doc, "apiVersion"),
			       str(doc, "kind"));
	json_array_append(role ? r->roles : r->bindings, doc);
	return 0;
}

int rbac_parse(struct rbac *r, const char *text, size_t n, struct err *err)
{
	json_t *docs = yaml_parse(text, n, err), *doc;
	int result = docs ? 0 : -ERR_INPUT;
	size_t i;

	json_array_foreach (docs, i, doc) {
		if (result == 0 && !json_is_null(doc))
			result = add(r, doc, err);
	}
	json_decref(docs);
	return result;
}

int rbac_load(struct rbac *r, const char *path, struct err *err)
{
	size_t n = 0;
	_cleanup_free_ char *text = file_read(path, FILE_MAX_BYTES, &n, err);

	if (!text)
		return -ERR_OS;
	return rbac_parse(r, text, n, err) < 0 ? err_wrap(err, "%s", path) : 0;
}

/* who */

static bool is_account(const json_t *subject, const struct user *u)
{
	_cleanup_free_ char *name = xasprintf("system:serviceaccount:%s:%s",
					      str(subject, "namespace"), str(subject, "name"));

	return strcmp(u->name, name) == 0;
}

static bool is_subject(const json_t *binding, const struct user *u)
{
	const json_t *s;
	size_t i;

	json_array_foreach (json_object_get(binding, "subjects"), i, s) {
		if ((is(s, "kind", "ServiceAccount") && is_account(s, u)) ||
		    (is(s, "kind", "User") && is(s, "name", u->name)) ||
		    (is(s, "kind", "Group") && user_is_in(u, str(s, "name"))))
			return true;
	}
	return false;
}

bool rbac_knows(const struct rbac *r, const struct user *u)
{
	const json_t *binding;
	size_t i;

	json_array_foreach (r->bindings, i, binding) {
		if (is_subject(binding, u))
			return true;
	}
	return false;
}

/* what */

static bool lists(const json_t *rule, const char *key, const char *word)
{
	const json_t *v;
	size_t i;

	json_array_foreach (json_object_get(rule, key), i, v) {
		const char *s = json_string_value(v);

		if (s && (strcmp(s, "*") == 0 || strcmp(s, word) == 0))
			return true;
	}
	return false;
}

static bool covers(const json_t *rule, const struct rbac_ask *ask)
{
	_cleanup_free_ char *resource = xasprintf("%s%s%s", ask->plural, *ask->sub ? "/" : "",
						  ask->sub);
	const json_t *names = json_object_get(rule, "resourceNames");

	return lists(rule, "verbs", ask->verb) && lists(rule, "apiGroups", ask->group) &&
	       lists(rule, "resources", resource) &&
	       (!json_array_size(names) || (*ask->name && lists(rule, "resourceNames", ask->name)));
}

/* The role that a binding is of: a Role is of the binding's own namespace. */
static const json_t *role_of(const struct rbac *r, const json_t *binding)
{
	const json_t *ref = json_object_get(binding, "roleRef"), *role;
	size_t i;

	json_array_foreach (r->roles, i, role) {
		if (is(role, "kind", str(ref, "kind")) &&
		    is(meta(role), "name", str(ref, "name")) &&
		    (is(role, "kind", "ClusterRole") ||
		     is(meta(role), "namespace", str(meta(binding), "namespace"))))
			return role;
	}
	return NULL;
}

bool rbac_allows(const struct rbac *r, const struct user *u, const struct rbac_ask *ask)
{
	const json_t *binding, *rule;
	size_t i, j;

	json_array_foreach (r->bindings, i, binding) {
		bool here = is(binding, "kind", "ClusterRoleBinding") ||
			    (*ask->ns && is(meta(binding), "namespace", ask->ns));

		if (!here || !is_subject(binding, u))
			continue;
		json_array_foreach (json_object_get(role_of(r, binding), "rules"), j, rule) {
			if (covers(rule, ask))
				return true;
		}
	}
	return false;
}
