/* SPDX-License-Identifier: MIT */

/* Get, create, update, patch: see rest.h. */

#include "tests/sandbox/apiserver/rest.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/admit.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/crd.h"
#include "tests/sandbox/apiserver/files.h"
#include "tests/sandbox/apiserver/format.h"
#include "tests/sandbox/apiserver/meta.h"
#include "tests/sandbox/apiserver/patch.h"
#include "tests/sandbox/apiserver/proto.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/apiserver/status.h"

#include <string.h>
#include <strings.h>

/* bodies */

static bool type_is(const char *header, const char *type)
{
	size_t n = strcspn(header, "; ");

	return n == strlen(type) && strncasecmp(header, type, n) == 0;
}

enum body { BODY_JSON, BODY_YAML, BODY_PROTO, BODY_UNKNOWN };

static enum body body_type(const struct req *req)
{
	const char *type = req->content_type ? req->content_type : "";

	return !*type || type_is(type, "application/json")	      ? BODY_JSON
	       : type_is(type, "application/yaml")		      ? BODY_YAML
	       : type_is(type, "application/vnd.kubernetes.protobuf") ? BODY_PROTO
								      : BODY_UNKNOWN;
}

static json_t *parse_body(const struct req *req, enum body type, const char *kind,
			  json_t **out_problem)
{
	const char *p = req->body ? req->body : "";
	json_error_t why = { 0 };
	struct err err = { 0 };
	json_t *docs, *doc = NULL;

	if (type == BODY_PROTO) {
		doc = proto_decode(p, req->n_body, &err);
	} else if (type == BODY_YAML) {
		docs = yaml_parse(p, req->n_body, &err);
		doc = json_incref(json_array_get(docs, 0));
		json_decref(docs);
	} else {
		doc = json_loadb(p, req->n_body, JSON_ALLOW_NUL, &why);
	}
	if (!doc)
		*out_problem = status_bad_request(
			"the object provided is unrecognized (must be of type %s): couldn't get "
			"version/kind; json parse error: %s",
			kind, type == BODY_JSON ? why.text : err.msg);
	return doc;
}

json_t *rest_decode(const struct req *req, const char *kind, json_t **out_problem)
{
	enum body type = body_type(req);
	json_t *obj;

	if (type == BODY_UNKNOWN) {
		*out_problem = status_failure(
			415, "UnsupportedMediaType", json_object(),
			"the body of the request was in an unknown format - accepted media types "
			"include: application/json, application/yaml, "
			"application/vnd.kubernetes.protobuf");
		return NULL;
	}
	obj = parse_body(req, type, kind, out_problem);
	if (obj && !json_is_object(obj)) {
		*out_problem = status_bad_request(
			"the object provided is unrecognized (must be of type %s): couldn't get "
			"version/kind; json parse error: json: cannot unmarshal into Go value of "
			"type struct",
			kind);
		json_decref(obj);
		return NULL;
	}
	return obj;
}

/* Is the body of the kind that the path names? Core kinds may leave it out. */
static json_t *check_type(const struct kind *k, const json_t *obj)
{
	const char *kind = json_string_value(json_object_get(obj, "kind"));
	const char *version = json_string_value(json_object_get(obj, "apiVersion"));
	_cleanup_free_ char *expected = kind_api_version(k);

	if (k->id == KIND_CUSTOM && !kind)
		return status_bad_request("Object 'Kind' is missing in the body of the request");
	if (k->id == KIND_CUSTOM && !version)
		return status_bad_request(
			"Object 'apiVersion' is missing in the body of the request");
	if (version && strcmp(version, expected) != 0)
		return status_bad_request("the API version in the data (%s) does not match the "
					  "expected API version (%s)",
					  version, expected);
	if (kind && strcmp(kind, k->name) != 0)
		return status_bad_request("%s in version \"%s\" cannot be handled as a %s: "
					  "converting (%s) to (%s): unknown conversion",
					  kind, k->version, k->name, kind, k->name);
	return NULL;
}

static json_t *decode_object(const struct req *req, const struct kind *k, json_t **out_problem)
{
	json_t *obj = rest_decode(req, k->name, out_problem);

	if (!obj)
		return NULL;
	*out_problem = check_type(k, obj);
	if (*out_problem) {
		json_decref(obj);
		return NULL;
	}
	if (!json_object_get(obj, "metadata") || json_is_null(json_object_get(obj, "metadata")))
		json_object_set_new(obj, "metadata", json_object());
	return obj;
}

/* answers */

static void reply_object(struct api *api, const struct req *req, const struct kind *k, int code,
			 struct version *v, struct reply *reply)
{
	struct format_spec f = { 0 };
	struct buf b = { 0 };
	json_t *problem = format_choose(req, k, FORMAT_OF_OBJECT, &f);

	if (problem) {
		reply_status_take(reply, problem);
		return;
	}
	f.now = loop_wall(api->loop).s;
	format_object(&b, &f, k, v);
	add_str(&b, "\n");
	reply_buf(reply, code, &b);
}

static void reply_dry(const struct kind *k, int code, json_t *obj, struct reply *reply)
{
	struct format_spec f = { .format = FORMAT_WHOLE };
	struct buf b = { 0 };

	if (!*meta_str(obj, "resourceVersion"))
		json_object_del(meta_of(obj), "resourceVersion");
	format_json(&b, &f, k, obj, true);
	add_str(&b, "\n");
	reply_buf(reply, code, &b);
}

static bool is_dry(const struct req *req)
{
	return strcmp(req_query(req, "dryRun"), "All") == 0;
}

/* fieldValidation: members that the schema does not know are an error, a warning, or nothing. */
static json_t *judge_unknown(const struct req *req, const struct kind *k, const json_t *unknown,
			     struct reply *reply)
{
	const char *mode = req_query(req, "fieldValidation");
	_cleanup_free_ char *all = xstrdup("");
	json_t *path;
	size_t i;

	if (*mode && strcmp(mode, "Ignore") != 0 && strcmp(mode, "Warn") != 0 &&
	    strcmp(mode, "Strict") != 0)
		return status_bad_request("Unsupported value: \"%s\": supported values: "
					  "\"Ignore\", \"Strict\", \"Warn\"",
					  mode);
	if (!json_array_size(unknown) || strcmp(mode, "Ignore") == 0)
		return NULL;
	json_array_foreach (unknown, i, path) {
		char *more = xasprintf("%s%sunknown field \"%s\"", all, i ? ", " : "",
				       json_string_value(path));

		free(all);
		all = more;
	}
	if (strcmp(mode, "Strict") == 0)
		return status_bad_request("%s in version \"%s\" cannot be handled as a %s: strict "
					  "decoding error: %s",
					  k->name, k->version, k->name, all);
	reply->warning = steal_ptr(all);
	return NULL;
}

/* get */

void rest_get(struct api *api, const struct req *req, const struct target *t, struct reply *reply)
{
	_cleanup_free_ char *key = kind_key(t->kind, t->ns, t->name);
	struct version *v = coll_find(&t->kind->coll, key);

	if (v)
		reply_object(api, req, t->kind, 200, v, reply);
	else
		reply_status_take(reply, status_not_found(t->kind, t->name));
}

/* create */

/* NOLINTBEGIN(misc-no-recursion): a namespace makes its service account, which makes nothing */

/* What comes about besides the object itself. */
static void after_create(struct api *api, const struct kind *k, const json_t *obj)
{
	struct kind *sk;

	if (k->id == KIND_CRD)
		crd_install(api, obj);
	if (k->id != KIND_NAMESPACE)
		return;
	sk = kinds_find_id(&api->kinds, KIND_SERVICE_ACCOUNT);
	json_decref(rest_create_object(api, sk,
				       json_pack("{s:{s:s, s:s}}", "metadata", "name", "default",
						 "namespace", meta_str(obj, "name"))));
}

/* Admitted already. NULL, with a Status, if it is there. */
static struct version *store_new(struct api *api, struct kind *k, json_t *obj, json_t **out_problem)
{
	_cleanup_free_ char *key = kind_key(k, meta_str(obj, "namespace"), meta_str(obj, "name"));
	struct version *v;

	if (coll_find(&k->coll, key)) {
		*out_problem = status_exists(k, meta_str(obj, "name"));
		return NULL;
	}
	v = store_put(&api->store, &k->coll, key, obj);
	after_create(api, k, obj);
	return v;
}

json_t *rest_create_object(struct api *api, struct kind *k, json_t *obj_take)
{
	json_t *unknown = json_array(), *problem;
	_cleanup_free_ char *ns = xstrdup(meta_str(obj_take, "namespace"));

	problem = admit_create(api, k, obj_take, ns, unknown);
	if (!problem)
		(void)store_new(api, k, obj_take, &problem);
	json_decref(obj_take);
	json_decref(unknown);
	return problem;
}

/* NOLINTEND(misc-no-recursion) */

static json_t *check_scope(const struct target *t, const json_t *obj)
{
	const json_t *ns = json_object_get(meta_of(obj), "namespace");

	if (json_string_length(ns) && strcmp(json_string_value(ns), t->ns) != 0)
		return status_bad_request("the namespace of the provided object does not match the "
					  "namespace sent on the request");
	if (json_string_length(json_object_get(meta_of(obj), "resourceVersion")))
		return status_internal(
			"resourceVersion should not be set on objects to be created");
	return NULL;
}

static void create_decoded(struct api *api, const struct req *req, const struct target *t,
			   json_t *obj, struct reply *reply)
{
	json_t *unknown = json_array(), *problem = check_scope(t, obj);
	struct version *v = NULL;

	if (!problem)
		problem = admit_create(api, t->kind, obj, t->ns, unknown);
	if (!problem)
		problem = judge_unknown(req, t->kind, unknown, reply);
	json_decref(unknown);
	if (!problem && is_dry(req)) {
		reply_dry(t->kind, 201, obj, reply);
		return;
	}
	if (!problem)
		v = store_new(api, t->kind, obj, &problem);
	if (v)
		reply_object(api, req, t->kind, 201, v, reply);
	else
		reply_status_take(reply, problem);
}

void rest_create(struct api *api, const struct req *req, const struct target *t,
		 struct reply *reply)
{
	json_t *problem = NULL, *obj = decode_object(req, t->kind, &problem);

	if (obj)
		create_decoded(api, req, t, obj, reply);
	else
		reply_status_take(reply, problem);
	json_decref(obj);
}

/* update */

static json_t *check_identity(const struct target *t, const json_t *obj, const json_t *old)
{
	const char *name = meta_str(obj, "name"), *ns = meta_str(obj, "namespace");
	const char *uid = meta_str(obj, "uid");

	if (*name && strcmp(name, t->name) != 0)
		return status_bad_request(
			"the name of the object (%s) does not match the name on the URL (%s)", name,
			t->name);
	if (!*name)
		return status_bad_request("name must be provided");
	if (*ns && strcmp(ns, t->ns) != 0)
		return status_bad_request("the namespace of the object (%s) does not match the "
					  "namespace on the request (%s)",
					  ns, t->ns);
	if (*uid && strcmp(uid, meta_str(old, "uid")) != 0)
		return status_conflict(t->kind, t->name,
				       "Precondition failed: UID in precondition: %s, UID in "
				       "object meta: %s",
				       uid, meta_str(old, "uid"));
	return NULL;
}

static json_t *check_version(const struct target *t, const json_t *obj, const struct version *old)
{
	const char *rv = meta_str(obj, "resourceVersion");
	json_t *causes;
	char *end;

	if (!*rv || strcmp(rv, "0") == 0) {
		if (t->kind->unconditional_update)
			return NULL;
		causes = json_array();
		status_cause(causes, "FieldValueInvalid", "metadata.resourceVersion",
			     "Invalid value: 0x0: must be specified for an update");
		return status_invalid_take(t->kind->group, t->kind->name, t->name, causes);
	}
	if (strtoull(rv, &end, 10) == old->rv && !*end)
		return NULL;
	return status_modified(t->kind, t->name);
}

/* The last finalizer has gone from an object that was to be deleted. */
static bool is_released(const struct kind *k, const json_t *obj)
{
	const json_t *grace = json_object_get(meta_of(obj), "deletionGracePeriodSeconds");

	return *meta_str(obj, "deletionTimestamp") &&
	       !json_array_size(json_object_get(meta_of(obj), "finalizers")) &&
	       json_integer_value(grace) == 0 && k->id != KIND_NAMESPACE;
}

static struct version *store_changed(struct api *api, struct kind *k, const char *key, json_t *obj)
{
	struct version *v = store_put(&api->store, &k->coll, key, obj);

	if (k->id == KIND_CRD)
		crd_install(api, obj);
	return v;
}

/* `obj` is the whole object as it should be. */
static void replace(struct api *api, const struct req *req, const struct target *t, json_t *obj,
		    struct version *old, struct reply *reply)
{
	_cleanup_free_ char *key = kind_key(t->kind, t->ns, t->name);
	_cleanup_(version_unrefp) struct version *held = version_ref(old);
	json_t *before = version_json(held), *unknown = json_array();
	json_t *problem = check_identity(t, obj, before);
	struct version *v;

	if (!problem)
		problem = check_version(t, obj, held);
	if (!problem)
		problem = admit_update(api, t->kind, obj, before, t->sub, unknown);
	if (!problem)
		problem = judge_unknown(req, t->kind, unknown, reply);
	json_decref(unknown);
	if (problem) {
		reply_status_take(reply, problem);
		return;
	}
	json_object_set(meta_of(obj), "resourceVersion",
			json_object_get(meta_of(before), "resourceVersion"));
	if (is_dry(req)) {
		reply_dry(t->kind, 200, obj, reply);
		return;
	}
	if (json_equal(obj, before)) { /* nothing to write, and no event */
		reply_object(api, req, t->kind, 200, held, reply);
		return;
	}
	v = store_changed(api, t->kind, key, obj);
	reply_object(api, req, t->kind, 200, v, reply);
	if (is_released(t->kind, obj))
		(void)store_delete(&api->store, &t->kind->coll, key);
}

void rest_update(struct api *api, const struct req *req, const struct target *t,
		 struct reply *reply)
{
	_cleanup_free_ char *key = kind_key(t->kind, t->ns, t->name);
	struct version *old = coll_find(&t->kind->coll, key);
	json_t *problem = NULL, *obj = decode_object(req, t->kind, &problem);
	bool create = !old && t->kind->create_on_update;

	if (!problem)
		problem = meta_check_types(t->kind, obj);
	if (!problem && create && strcmp(meta_str(obj, "name"), t->name) != 0)
		create = false;
	if (!problem && !old && !create)
		problem = status_not_found(t->kind, t->name);
	if (problem)
		reply_status_take(reply, problem);
	else if (create)
		create_decoded(api, req, t, obj, reply);
	else
		replace(api, req, t, obj, old, reply);
	json_decref(obj);
}

/* patch */

static json_t *check_patch_type(const struct req *req, const struct kind *k)
{
	const char *type = req->content_type ? req->content_type : "";

	if (type_is(type, "application/merge-patch+json") ||
	    type_is(type, "application/json-patch+json") ||
	    (k->id != KIND_CUSTOM && type_is(type, "application/strategic-merge-patch+json")))
		return NULL;
	return status_failure(
		415, "UnsupportedMediaType", json_object(),
		"the body of the request was in an unknown format - accepted media types include: "
		"application/json-patch+json, application/merge-patch+json%s",
		k->id == KIND_CUSTOM ? "" : ", application/strategic-merge-patch+json");
}

/* A new whole object, or a Status in *out_problem. */
static json_t *apply_patch(const struct req *req, const struct kind *k, const json_t *doc,
			   json_t **out_problem)
{
	const char *type = req->content_type ? req->content_type : "";
	json_t *patch, *shared = NULL, *out;

	patch = parse_body(req, BODY_JSON, k->name, out_problem);
	if (!patch)
		return NULL;
	if (type_is(type, "application/json-patch+json"))
		shared = patch_json(doc, patch, out_problem);
	else if (type_is(type, "application/strategic-merge-patch+json"))
		shared = patch_strategic(doc, patch, out_problem);
	else if (json_is_object(patch))
		shared = patch_merge(doc, patch);
	else
		*out_problem = status_bad_request("error decoding patch: not an object");
	json_decref(patch);
	if (!shared)
		return NULL;
	out = json_deep_copy(shared); /* a merge shares what it does not touch */
	json_decref(shared);
	return out;
}

/* The fault of that name: see fault.h. */
static struct version *overtake(struct api *api, struct kind *k, const char *key,
				struct version *old)
{
	json_t *obj, *patch = api->fault.overtaking;

	if (!patch || !old || k->id != KIND_NODE)
		return old;
	api->fault.overtaking = NULL;
	obj = patch_merge(version_json(old), patch);
	(void)store_put(&api->store, &k->coll, key, obj);
	json_decref(obj);
	json_decref(patch);
	return coll_find(&k->coll, key);
}

void rest_patch(struct api *api, const struct req *req, const struct target *t, struct reply *reply)
{
	_cleanup_free_ char *key = kind_key(t->kind, t->ns, t->name);
	struct version *old = overtake(api, t->kind, key, coll_find(&t->kind->coll, key));
	json_t *problem = check_patch_type(req, t->kind), *obj = NULL;

	if (!problem && !old)
		problem = status_not_found(t->kind, t->name);
	if (problem) {
		reply_status_take(reply, problem);
		return;
	}
	obj = apply_patch(req, t->kind, version_json(old), &problem);
	if (obj && !problem)
		problem = meta_check_types(t->kind, obj);
	if (obj && !problem)
		problem = check_type(t->kind, obj);
	if (problem)
		reply_status_take(reply, problem);
	else
		replace(api, req, t, obj, old, reply);
	json_decref(obj);
}

/* binding */

void rest_bind(struct api *api, const struct req *req, const struct target *t, struct reply *reply)
{
	_cleanup_free_ char *key = kind_key(t->kind, t->ns, t->name);
	struct version *old = coll_find(&t->kind->coll, key);
	json_t *problem = NULL, *body = rest_decode(req, "Binding", &problem), *pod;
	const char *node =
		json_string_value(json_object_get(json_object_get(body, "target"), "name"));
	const char *now;

	if (body && !old)
		problem = status_not_found(t->kind, t->name);
	else if (body && (!node || !*node))
		problem = status_bad_request("target.name: Required value");
	if (problem) {
		reply_status_take(reply, problem);
		json_decref(body);
		return;
	}
	now = json_string_value(
		json_object_get(json_object_get(version_json(old), "spec"), "nodeName"));
	if (now && *now) {
		reply_status_take(reply,
				  status_conflict(t->kind, t->name,
						  "pod %s is already assigned to node \"%s\"",
						  t->name, now));
		json_decref(body);
		return;
	}
	pod = json_deep_copy(version_json(old));
	json_object_set_new(json_object_get(pod, "spec"), "nodeName", json_string(node));
	(void)store_put(&api->store, &t->kind->coll, key, pod);
	json_decref(pod);
	json_decref(body);
	reply_json_take(reply, 201,
			json_pack("{s:s, s:s, s:{}, s:s, s:i}", "kind", "Status", "apiVersion",
				  "v1", "metadata", "status", "Success", "code", 201));
}
