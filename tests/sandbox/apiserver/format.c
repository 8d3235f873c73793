/* SPDX-License-Identifier: MIT */

/* How objects are shown: see format.h. */

#include "tests/sandbox/apiserver/format.h"

#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/base64.h"
#include "tests/sandbox/apiserver/meta.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/apiserver/status.h"
#include "tests/sandbox/apiserver/table.h"

#include <string.h>
#include <strings.h>

/* Accept */

static bool has_param(const char *p, size_t n, const char *param)
{
	size_t len = strlen(param);
	const char *at = memmem(p, n, param, len), *end = p + n;

	return at && at > p && (at[-1] == ';' || at[-1] == ' ') &&
	       (at + len == end || at[len] == ';' || at[len] == ' ');
}

/* One media range of the header; false: not ours, look at the next. */
static bool choose_one(const char *p, size_t n, struct format_spec *out, bool *out_as_list)
{
	size_t type = strcspn(p, ";,");

	while (n && *p == ' ') {
		p++;
		n--;
		type--;
	}
	while (type && p[type - 1] == ' ')
		type--;
	if (!(type == 16 && strncasecmp(p, "application/json", 16) == 0) &&
	    !(type == 3 && strncmp(p, "*/*", 3) == 0) &&
	    !(type == 13 && strncmp(p, "application/*", 13) == 0))
		return false;
	if (!memmem(p, n, "as=", 3)) {
		out->format = FORMAT_WHOLE;
		return true;
	}
	if (!has_param(p, n, "g=meta.k8s.io") || !has_param(p, n, "v=v1"))
		return false;
	*out_as_list = has_param(p, n, "as=PartialObjectMetadataList");
	if (has_param(p, n, "as=Table"))
		out->format = FORMAT_TABLE;
	else if (has_param(p, n, "as=PartialObjectMetadata") || *out_as_list)
		out->format = FORMAT_PARTIAL;
	else
		return false;
	return true;
}

/*
 * In the words of the real server, which names the Go type. Where a watch asks for a list that one takes
 * the request, and breaks off at the first event, which it cannot encode; here it is told at once.
 */
static json_t *check_partial(const struct kind *k, enum format_what what, bool as_list)
{
	bool is_custom = k->coll.sorted_members;

	if (what == FORMAT_OF_LIST && !as_list)
		return status_failure(406, "NotAcceptable", json_object(),
				      "you requested PartialObjectMetadata, but the requested "
				      "object is a list (*%s%s)",
				      is_custom ? "unstructured.Unstructured" : "core.",
				      is_custom ? "List" : k->list_name);
	if (what != FORMAT_OF_LIST && as_list)
		return status_failure(406, "NotAcceptable", json_object(),
				      "you requested PartialObjectMetadataList, but the requested "
				      "object is not a list (*%s%s)",
				      is_custom ? "unstructured." : "core.",
				      is_custom ? "Unstructured" : k->name);
	return NULL;
}

json_t *format_choose(const struct req *req, const struct kind *k, enum format_what what,
		      struct format_spec *out)
{
	const char *include = req_query(req, "includeObject");
	const char *p = req->accept ? req->accept : "";
	bool as_list = false;

	out->objects = strcmp(include, "Object") == 0 ? FORMAT_OBJECTS_WHOLE
		       : strcmp(include, "None") == 0 ? FORMAT_OBJECTS_NONE
						      : FORMAT_OBJECTS_META;
	out->format = FORMAT_WHOLE;
	if (!*p)
		return NULL;
	while (*p) {
		size_t n = strcspn(p, ",");

		if (choose_one(p, n, out, &as_list))
			return out->format == FORMAT_PARTIAL ? check_partial(k, what, as_list)
							     : NULL;
		p += n + (p[n] == ',');
	}
	return status_failure(406, "NotAcceptable", json_object(),
			      "only the following media types are accepted: application/json, "
			      "application/yaml, application/vnd.kubernetes.protobuf");
}

/* objects */

static void add_json(struct buf *b, json_t *j, bool sorted)
{
	char *text = json_dumps(j, JSON_COMPACT | (sorted ? JSON_SORT_KEYS : 0));

	add_str(b, text);
	free(text);
}

static json_t *partial_of(const json_t *obj)
{
	return json_pack("{s:s, s:s, s:O}", "kind", "PartialObjectMetadata", "apiVersion",
			 "meta.k8s.io/v1", "metadata", meta_of(obj));
}

static json_t *row(const struct format_spec *f, const struct kind *k, json_t *obj)
{
	json_t *r = json_pack("{s:o}", "cells", table_cells(k, obj, f->now));

	if (f->objects == FORMAT_OBJECTS_WHOLE)
		json_object_set(r, "object", obj);
	else if (f->objects == FORMAT_OBJECTS_META)
		json_object_set_new(r, "object", partial_of(obj));
	return r;
}

static json_t *table(const struct kind *k, const char *rv, bool with_columns)
{
	return json_pack("{s:s, s:s, s:{s:s}, s:o, s:[]}", "kind", "Table", "apiVersion",
			 "meta.k8s.io/v1", "metadata", "resourceVersion", rv, "columnDefinitions",
			 with_columns ? table_columns(k) : json_null(), "rows");
}

void format_json(struct buf *b, const struct format_spec *f, const struct kind *k, json_t *obj,
		 bool with_columns)
{
	json_t *shown = NULL;

	switch (f->format) {
	case FORMAT_WHOLE:
		shown = json_incref(obj);
		break;
	case FORMAT_PARTIAL:
		shown = partial_of(obj);
		break;
	case FORMAT_TABLE:
		shown = table(k, meta_str(obj, "resourceVersion"), with_columns);
		json_array_append_new(json_object_get(shown, "rows"), row(f, k, obj));
		break;
	}
	add_json(b, shown, k->coll.sorted_members && f->format == FORMAT_WHOLE);
	json_decref(shown);
}

void format_object(struct buf *b, const struct format_spec *f, const struct kind *k,
		   struct version *v)
{
	if (f->format == FORMAT_WHOLE)
		add_bytes(b, v->text, v->n);
	else
		format_json(b, f, k, version_json(v), true);
}

/* lists */

static json_t *list_meta(const struct kind *k, const struct format_list *list)
{
	json_t *meta = json_object();
	char rv[24];

	/* the list of a custom resource always has the member, sorted first */
	if (k->coll.sorted_members)
		json_object_set_new(meta, "continue", json_string(list->next));
	(void)snprintf(rv, sizeof(rv), "%llu", (unsigned long long)list->rv);
	if (k->coll.sorted_members && list->remaining >= 0)
		json_object_set_new(meta, "remainingItemCount", json_integer(list->remaining));
	json_object_set_new(meta, "resourceVersion", json_string(rv));
	if (!k->coll.sorted_members && *list->next)
		json_object_set_new(meta, "continue", json_string(list->next));
	if (!k->coll.sorted_members && list->remaining >= 0)
		json_object_set_new(meta, "remainingItemCount", json_integer(list->remaining));
	return meta;
}

static void add_whole_items(struct buf *b, const struct kind *k, const struct format_list *list)
{
	size_t skip = k->coll.sorted_members ? 0 : k->type_len;

	for (size_t i = 0; i < list->n; i++) {
		add_str(b, i ? "," : "");
		if (skip)
			add_str(b, "{");
		add_bytes(b, list->items[i]->text + skip, list->items[i]->n - skip);
	}
}

static void whole_list(struct buf *b, const struct kind *k, const struct format_list *list)
{
	_cleanup_free_ char *version = kind_api_version(k);
	_cleanup_free_ char *meta = NULL, *head = NULL;
	json_t *m = list_meta(k, list);

	meta = json_dumps(m, JSON_COMPACT);
	json_decref(m);
	if (k->coll.sorted_members) {
		head = xasprintf("{\"apiVersion\":\"%s\",\"items\":[", version);
		add_str(b, head);
		add_whole_items(b, k, list);
		free(head);
		head = xasprintf("],\"kind\":\"%s\",\"metadata\":%s}\n", k->list_name, meta);
		add_str(b, head);
		return;
	}
	head = xasprintf("{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":%s,\"items\":[",
			 k->list_name, version, meta);
	add_str(b, head);
	add_whole_items(b, k, list);
	add_str(b, "]}\n");
}

void format_list(struct buf *b, const struct format_spec *f, const struct kind *k,
		 const struct format_list *list)
{
	json_t *doc;

	if (f->format == FORMAT_WHOLE) {
		whole_list(b, k, list);
		return;
	}
	if (f->format == FORMAT_TABLE)
		doc = table(k, "", true);
	else
		doc = json_pack("{s:s, s:s, s:{}, s:[]}", "kind", "PartialObjectMetadataList",
				"apiVersion", "meta.k8s.io/v1", "metadata", "items");
	json_object_set_new(doc, "metadata", list_meta(k, list));
	for (size_t i = 0; i < list->n; i++) {
		json_t *obj = version_json(list->items[i]);

		if (f->format == FORMAT_TABLE)
			json_array_append_new(json_object_get(doc, "rows"), row(f, k, obj));
		else
			json_array_append_new(json_object_get(doc, "items"), partial_of(obj));
	}
	add_json(b, doc, false);
	add_str(b, "\n");
	json_decref(doc);
}

/* bookmarks */

/* What a streaming list says of the list that it stands for: an empty one, in base64. */
static json_t *blueprint(const struct kind *k)
{
	_cleanup_free_ char *version = kind_api_version(k), *text = NULL, *encoded = NULL;

	if (k->coll.sorted_members)
		text = xasprintf("{\"apiVersion\":\"%s\",\"items\":[],\"kind\":\"%s\","
				 "\"metadata\":{}}\n",
				 version, k->list_name);
	else
		text = xasprintf("{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{},"
				 "\"items\":null}\n",
				 k->list_name, version);
	encoded = base64_encode(text, strlen(text));
	return json_string(encoded);
}

/* An empty struct of Go prints the members that are not marked to be left out. */
static void add_empty_members(const struct kind *k, json_t *obj)
{
	if (k->id == KIND_POD)
		json_object_set_new(obj, "spec", json_pack("{s:n}", "containers"));
	else if (k->id == KIND_NAMESPACE || k->id == KIND_NODE || k->id == KIND_LEASE)
		json_object_set_new(obj, "spec", json_object());
	if (k->id == KIND_POD || k->id == KIND_NAMESPACE)
		json_object_set_new(obj, "status", json_object());
}

void format_bookmark(struct buf *b, const struct format_spec *f, const struct kind *k, uint64_t rv,
		     bool end_of_initial)
{
	_cleanup_free_ char *version = kind_api_version(k);
	json_t *obj, *meta, *notes;
	char digits[24];

	(void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)rv);
	meta = json_pack("{s:s}", "resourceVersion", digits);
	if (!k->coll.sorted_members)
		json_object_set_new(meta, "creationTimestamp", json_null());
	if (end_of_initial) {
		notes = json_pack("{s:s, s:o}", "k8s.io/initial-events-end", "true",
				  "kubernetes.io/initial-events-list-blueprint", blueprint(k));
		json_object_set_new(meta, "annotations", notes);
	}
	obj = json_pack("{s:s, s:s, s:o}", "kind", k->name, "apiVersion", version, "metadata",
			meta);
	if (f->format == FORMAT_WHOLE && !k->coll.sorted_members)
		add_empty_members(k, obj);
	format_json(b, f, k, obj, false);
	json_decref(obj);
}
