/* SPDX-License-Identifier: MIT */

/* Discovery: see discovery.h. */

#include "tests/sandbox/apiserver/discovery.h"

#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/reply.h"

#include <string.h>

/* Groups that hold no objects, only questions. */
static const struct {
	const char *group, *version, *plural, *kind;
} questions[] = {
	{ "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview" },
};

void discovery_versions(const struct api *api, struct reply *reply)
{
	reply_json_take(reply, 200,
			json_pack("{s:s, s:[s], s:[{s:s, s:s}]}", "kind", "APIVersions", "versions",
				  "v1", "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0",
				  "serverAddress", "127.0.0.1:6443"));
}

static json_t *version_entry(const char *group, const char *version)
{
	_cleanup_free_ char *gv = xasprintf("%s/%s", group, version);

	return json_pack("{s:s, s:s}", "groupVersion", gv, "version", version);
}

static json_t *find_group(const json_t *groups, const char *name)
{
	json_t *g;
	size_t i;

	json_array_foreach (groups, i, g) {
		if (strcmp(json_string_value(json_object_get(g, "name")), name) == 0)
			return g;
	}
	return NULL;
}

static void add_version(json_t *groups, const char *group, const char *version)
{
	json_t *g = find_group(groups, group), *entry = version_entry(group, version), *v;
	size_t i;

	if (!g) {
		g = json_pack("{s:s, s:[], s:O}", "name", group, "versions", "preferredVersion",
			      entry);
		json_array_append_new(groups, g);
	}
	json_array_foreach (json_object_get(g, "versions"), i, v) {
		if (json_equal(v, entry)) {
			json_decref(entry);
			return;
		}
	}
	json_array_append_new(json_object_get(g, "versions"), entry);
}

static json_t *all_groups(const struct api *api)
{
	json_t *groups = json_array();

	for (const struct kind *k = api->kinds.first; k; k = k->next) {
		if (*k->group)
			add_version(groups, k->group, k->version);
	}
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
		add_version(groups, questions[i].group, questions[i].version);
	return groups;
}

void discovery_groups(const struct api *api, struct reply *reply)
{
	reply_json_take(reply, 200,
			json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1",
				  "groups", all_groups(api)));
}

void discovery_group(const struct api *api, const char *group, struct reply *reply)
{
	json_t *groups = all_groups(api);
	json_t *g = find_group(groups, group), *doc;

	if (g) {
		doc = json_pack("{s:s, s:s}", "kind", "APIGroup", "apiVersion", "v1");
		json_object_update(doc, g);
		reply_json_take(reply, 200, doc);
	} else {
		reply_text(reply, 404, "404 page not found\n");
	}
	json_decref(groups);
}

static json_t *split(const char *names)
{
	json_t *list = json_array();

	while (names && *names) {
		size_t n = strcspn(names, ",");

		json_array_append_new(list, json_stringn(names, n));
		names += n + (names[n] == ',');
	}
	return list;
}

static void add_sub(json_t *list, const struct kind *k, const char *sub, json_t *verbs_take)
{
	_cleanup_free_ char *name = xasprintf("%s/%s", k->plural, sub);

	json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", name,
					      "singularName", "", "namespaced", k->namespaced,
					      "kind", k->name, "verbs", verbs_take));
}

static void add_resource(json_t *list, const struct kind *k)
{
	json_t *r = json_pack("{s:s, s:s, s:b, s:s, s:[s,s,s,s,s,s,s]}", "name", k->plural,
			      "singularName", k->singular, "namespaced", k->namespaced, "kind",
			      k->name, "verbs", "create", "delete", "get", "list", "patch",
			      "update", "watch");

	if (k->short_names)
		json_object_set_new(r, "shortNames", split(k->short_names));
	if (k->id == KIND_POD)
		json_object_set_new(r, "categories", json_pack("[s]", "all"));
	json_array_append_new(list, r);
	if (k->status_sub)
		add_sub(list, k, "status", json_pack("[s, s, s]", "get", "patch", "update"));
	if (k->id == KIND_SERVICE_ACCOUNT)
		add_sub(list, k, "token", json_pack("[s]", "create"));
	if (k->id == KIND_POD)
		add_sub(list, k, "binding", json_pack("[s]", "create"));
}

int discovery_resources(const struct api *api, const char *group, const char *version,
			struct reply *reply)
{
	_cleanup_free_ char *gv = *group ? xasprintf("%s/%s", group, version) : xstrdup(version);
	json_t *list = json_array();

	for (const struct kind *k = api->kinds.first; k; k = k->next) {
		if (strcmp(k->group, group) == 0 && strcmp(k->version, version) == 0)
			add_resource(list, k);
	}
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		if (strcmp(questions[i].group, group) != 0 ||
		    strcmp(questions[i].version, version) != 0)
			continue;
		json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:[s]}", "name",
						      questions[i].plural, "singularName", "",
						      "namespaced", 0, "kind", questions[i].kind,
						      "verbs", "create"));
	}
	if (!json_array_size(list)) {
		json_decref(list);
		return 0;
	}
	reply_json_take(reply, 200,
			json_pack("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion",
				  "v1", "groupVersion", gv, "resources", list));
	return 1;
}

void discovery_version(struct reply *reply)
{
	reply_json_take(reply, 200,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major", "1",
				  "minor", "32", "gitVersion", "v1.32.0", "gitCommit",
				  "0000000000000000000000000000000000000000", "gitTreeState",
				  "clean", "buildDate", "2024-12-11T18:04:20Z", "goVersion",
				  "go1.23.3", "compiler", "gc", "platform", "linux/amd64"));
}
