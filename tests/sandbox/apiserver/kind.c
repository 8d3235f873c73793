/* SPDX-License-Identifier: MIT */

/* The table of kinds: see kind.h. */

#include "tests/sandbox/apiserver/kind.h"

#include "lib/base/mem.h"

#include <string.h>
#include <utlist.h>

enum {
	NS = 1,	    /* namespaced */
	STAT = 2,   /* has a status subresource */
	UNCOND = 4, /* unconditional updates */
	UPSERT = 8, /* an update may create */
	RET = 16,   /* deletion returns the object */
};

/* clang-format off */
static const struct {
	enum kind_id id;
	const char *group, *version, *plural, *singular, *name, *short_names;
	int flags;
} builtin[] = {
	{ KIND_NAMESPACE, "", "v1", "namespaces", "namespace", "Namespace", "ns", STAT | UNCOND | RET },
	{ KIND_POD, "", "v1", "pods", "pod", "Pod", "po", NS | STAT | UNCOND | RET },
	{ KIND_SECRET, "", "v1", "secrets", "secret", "Secret", NULL, NS | UNCOND },
	{ KIND_SERVICE_ACCOUNT, "", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", "sa",
	  NS | UNCOND | RET },
	{ KIND_EVENT, "", "v1", "events", "event", "Event", "ev", NS | UNCOND | UPSERT },
	{ KIND_NODE, "", "v1", "nodes", "node", "Node", "no", STAT | UNCOND },
	{ KIND_OTHER, "", "v1", "configmaps", "configmap", "ConfigMap", "cm", NS | UNCOND },
	{ KIND_LEASE, "coordination.k8s.io", "v1", "leases", "lease", "Lease", NULL, NS | UPSERT },
	{ KIND_CRD, "apiextensions.k8s.io", "v1", "customresourcedefinitions",
	  "customresourcedefinition", "CustomResourceDefinition", "crd,crds", STAT },
};
/* clang-format on */

static void add_builtin(struct kinds *ks, size_t i)
{
	struct kind *k = xnew(struct kind);

	k->id = builtin[i].id;
	k->group = xstrdup(builtin[i].group);
	k->version = xstrdup(builtin[i].version);
	k->plural = xstrdup(builtin[i].plural);
	k->singular = xstrdup(builtin[i].singular);
	k->name = xstrdup(builtin[i].name);
	k->list_name = xasprintf("%sList", k->name);
	k->short_names = builtin[i].short_names ? xstrdup(builtin[i].short_names) : NULL;
	k->namespaced = builtin[i].flags & NS;
	k->status_sub = builtin[i].flags & STAT;
	k->unconditional_update = builtin[i].flags & UNCOND;
	k->create_on_update = builtin[i].flags & UPSERT;
	k->returns_deleted = builtin[i].flags & RET;
	k->coll.drop_trees = k->id == KIND_EVENT;
	kinds_add_take(ks, k);
}

void kinds_init(struct kinds *ks, struct store *store)
{
	ks->first = NULL;
	ks->store = store;
	for (size_t i = 0; i < ARRAY_SIZE(builtin); i++)
		add_builtin(ks, i);
}

static void kind_free(struct kind *k)
{
	coll_deinit(&k->coll);
	json_decref(k->schema);
	json_decref(k->columns);
	free(k->group);
	free(k->version);
	free(k->plural);
	free(k->singular);
	free(k->name);
	free(k->list_name);
	free(k->short_names);
	free(k);
}

void kinds_deinit(struct kinds *ks)
{
	while (ks->first) {
		struct kind *k = ks->first;

		ks->first = k->next;
		kind_free(k);
	}
}

void kinds_add_take(struct kinds *ks, struct kind *k)
{
	_cleanup_free_ char *version = kind_api_version(k);

	k->coll.sorted_members = k->id == KIND_CUSTOM;
	k->type_len = strlen("{\"kind\":\"\",\"apiVersion\":\"\",") + strlen(k->name) +
		      strlen(version);
	coll_init(&k->coll, ks->store);
	LL_APPEND(ks->first, k);
}

void kinds_remove(struct kinds *ks, struct kind *k)
{
	LL_DELETE(ks->first, k);
	kind_free(k);
}

struct kind *kinds_find(const struct kinds *ks, const char *group, const char *version,
			const char *plural)
{
	for (struct kind *k = ks->first; k; k = k->next) {
		if (strcmp(k->group, group) == 0 && strcmp(k->version, version) == 0 &&
		    strcmp(k->plural, plural) == 0)
			return k;
	}
	return NULL;
}

struct kind *kinds_find_id(const struct kinds *ks, enum kind_id id)
{
	for (struct kind *k = ks->first; k; k = k->next) {
		if (k->id == id)
			return k;
	}
	return NULL;
}

char *kind_api_version(const struct kind *k)
{
	return *k->group ? xasprintf("%s/%s", k->group, k->version) : xstrdup(k->version);
}

char *kind_resource(const struct kind *k)
{
	return *k->group ? xasprintf("%s.%s", k->plural, k->group) : xstrdup(k->plural);
}

char *kind_key(const struct kind *k, const char *ns, const char *name)
{
	return k->namespaced ? xasprintf("%s/%s", ns, name) : xstrdup(name);
}
