/* SPDX-License-Identifier: MIT */

/* Defaults, validation, admission: see admit.h. */

#include "tests/sandbox/apiserver/admit.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/base64.h"
#include "tests/sandbox/apiserver/crd.h"
#include "tests/sandbox/apiserver/meta.h"
#include "tests/sandbox/apiserver/node.h"
#include "tests/sandbox/apiserver/pod.h"
#include "tests/sandbox/apiserver/schema.h"
#include "tests/sandbox/apiserver/status.h"

#include <string.h>

static const char *str(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

static void set_default(json_t *obj, const char *key, json_t *value_take)
{
	if (json_object_get(obj, key))
		json_decref(value_take);
	else
		json_object_set_new(obj, key, value_take);
}

/* secrets */

static json_t *check_secret_data(const json_t *secret)
{
	const json_t *data = json_object_get(secret, "data");
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)data, key, value) {
		if (!json_is_string(value))
			return status_bad_request(
				"Secret in version \"v1\" cannot be handled as a Secret: json: "
				"cannot unmarshal into Go struct field Secret.data of type "
				"[]uint8");
		if (!base64_is_valid(json_string_value(value)))
			return status_bad_request(
				"Secret in version \"v1\" cannot be handled as a Secret: illegal "
				"base64 data at input byte 0");
	}
	return NULL;
}

static json_t *default_secret(json_t *secret)
{
	json_t *plain = json_object_get(secret, "stringData"), *value;
	json_t *problem = check_secret_data(secret);
	const char *key;

	if (problem)
		return problem;
	if (json_object_size(plain) && !json_is_object(json_object_get(secret, "data")))
		json_object_set_new(secret, "data", json_object());
	json_object_foreach (plain, key, value) {
		_cleanup_free_ char *text = NULL;

		if (!json_is_string(value))
			return status_bad_request(
				"Secret in version \"v1\" cannot be handled as a Secret: json: "
				"cannot unmarshal into Go struct field Secret.stringData of type "
				"string");
		text = base64_encode(json_string_value(value), json_string_length(value));
		json_object_set_new(json_object_get(secret, "data"), key, json_string(text));
	}
	json_object_del(secret, "stringData");
	if (!*str(secret, "type"))
		json_object_set_new(secret, "type", json_string("Opaque"));
	return NULL;
}

/* the others */

static void default_namespace(json_t *ns)
{
	json_t *meta = meta_of(ns);

	if (!json_is_object(json_object_get(meta, "labels")))
		json_object_set_new(meta, "labels", json_object());
	json_object_set(json_object_get(meta, "labels"), "kubernetes.io/metadata.name",
			json_object_get(meta, "name"));
	json_object_set_new(ns, "spec", json_pack("{s:[s]}", "finalizers", "kubernetes"));
	json_object_set_new(ns, "status", json_pack("{s:s}", "phase", "Active"));
}

static void default_event(json_t *event)
{
	set_default(event, "source", json_object());
	set_default(event, "firstTimestamp", json_null());
	set_default(event, "lastTimestamp", json_null());
	set_default(event, "eventTime", json_null());
	set_default(event, "reportingComponent", json_string(""));
	set_default(event, "reportingInstance", json_string(""));
}

static void validate_event(const json_t *event, json_t *causes)
{
	const json_t *about = json_object_get(event, "involvedObject");
	const char *ns = str(about, "namespace"), *own = meta_str(event, "namespace");

	/* about a cluster-wide object, an event lives in "default" */
	if (strcmp(ns, own) != 0 && (*ns || strcmp(own, "default") != 0))
		status_cause(causes, "FieldValueInvalid", "involvedObject.namespace",
			     "Invalid value: \"%s\": does not match event.namespace", ns);
}

static void validate_lease(const json_t *lease, json_t *causes)
{
	const json_t *spec = json_object_get(lease, "spec");
	const json_t *lasts = json_object_get(spec, "leaseDurationSeconds");
	const json_t *moves = json_object_get(spec, "leaseTransitions");

	if (json_is_integer(lasts) && json_integer_value(lasts) <= 0)
		status_cause(causes, "FieldValueInvalid", "spec.leaseDurationSeconds",
			     "Invalid value: %lld: must be greater than 0",
			     (long long)json_integer_value(lasts));
	if (json_is_integer(moves) && json_integer_value(moves) < 0)
		status_cause(causes, "FieldValueInvalid", "spec.leaseTransitions",
			     "Invalid value: %lld: must be greater than or equal to 0",
			     (long long)json_integer_value(moves));
}

static json_t *complete(const struct kind *k, json_t *obj, json_t *unknown)
{
	switch (k->id) {
	case KIND_POD:
		pod_default(obj);
		break;
	case KIND_SECRET:
		return default_secret(obj);
	case KIND_EVENT:
		default_event(obj);
		break;
	case KIND_CRD:
		crd_default(obj);
		break;
	case KIND_CUSTOM:
		if (k->schema) {
			schema_prune(k->schema, obj, unknown);
			schema_default(k->schema, obj);
		}
		break;
	case KIND_NODE:
		node_tidy(obj);
		break;
	case KIND_NAMESPACE:
	case KIND_LEASE:
	case KIND_SERVICE_ACCOUNT:
	case KIND_OTHER:
		break;
	}
	return NULL;
}

static json_t *validate(const struct kind *k, const json_t *obj, const json_t *old)
{
	json_t *causes = json_array();

	meta_validate(k, obj, causes);
	switch (k->id) {
	case KIND_POD:
		pod_validate(obj, causes);
		if (old)
			pod_validate_update(obj, old, causes);
		break;
	case KIND_EVENT:
		validate_event(obj, causes);
		break;
	case KIND_LEASE:
		validate_lease(obj, causes);
		break;
	case KIND_CRD:
		crd_validate(obj, causes);
		break;
	case KIND_CUSTOM:
		if (k->schema)
			schema_validate(k->schema, obj, causes);
		break;
	case KIND_SECRET:
		if (old && strcmp(str(old, "type"), str(obj, "type")) != 0)
			status_cause(causes, "FieldValueInvalid", "type",
				     "Invalid value: \"%s\": field is immutable", str(obj, "type"));
		break;
	case KIND_NODE:
		node_validate(obj, causes);
		break;
	case KIND_NAMESPACE:
	case KIND_SERVICE_ACCOUNT:
	case KIND_OTHER:
		break;
	}
	return status_invalid_take(k->group, k->name, meta_str(obj, "name"), causes);
}

/* admission */

static json_t *check_namespace(struct api *api, const struct kind *k, const char *ns,
			       const char *name)
{
	const struct kind *nk = kinds_find_id(&api->kinds, KIND_NAMESPACE);
	struct version *v;

	if (!k->namespaced)
		return NULL;
	v = coll_find(&nk->coll, ns);
	if (!v)
		return status_not_found(nk, ns);
	if (*meta_str(version_json(v), "deletionTimestamp"))
		return status_forbidden(k, name,
					"unable to create new content in namespace %s because it "
					"is being terminated",
					ns);
	return NULL;
}

static json_t *check_service_account(struct api *api, const struct kind *k, const json_t *pod,
				     const char *ns)
{
	const struct kind *sk = kinds_find_id(&api->kinds, KIND_SERVICE_ACCOUNT);
	const char *sa = str(json_object_get(pod, "spec"), "serviceAccountName");
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, sa);

	if (coll_find(&sk->coll, key))
		return NULL;
	return status_forbidden(k, meta_str(pod, "name"),
				"error looking up service account %s: serviceaccount \"%s\" not "
				"found",
				key, sa);
}

static void init_status(const struct kind *k, json_t *obj)
{
	if (k->id == KIND_POD)
		pod_init_status(obj);
	else if (k->id == KIND_CRD)
		crd_init_status(obj, meta_str(obj, "creationTimestamp"));
	else if (k->id == KIND_NAMESPACE)
		default_namespace(obj);
	else if (k->id == KIND_CUSTOM && k->status_sub)
		json_object_del(obj, "status");
}

json_t *admit_create(struct api *api, const struct kind *k, json_t *obj, const char *ns,
		     json_t *unknown)
{
	json_t *problem = meta_check_types(k, obj);

	if (problem)
		return problem;
	meta_prepare_create(k, obj, ns, loop_wall(api->loop).s);
	problem = check_namespace(api, k, ns, meta_str(obj, "name"));
	if (!problem)
		problem = complete(k, obj, unknown);
	if (!problem && k->id == KIND_POD)
		problem = check_service_account(api, k, obj, ns);
	if (!problem)
		init_status(k, obj);
	if (!problem)
		problem = validate(k, obj, NULL);
	if (!problem)
		meta_tidy(k, obj);
	return problem;
}

static void take_over(json_t *obj, const json_t *old, const char *member)
{
	json_t *was = json_object_get(old, member);

	if (was)
		json_object_set_new(obj, member, json_deep_copy(was));
	else
		json_object_del(obj, member);
}

/* Through the status subresource only the status changes (and labels and the like), else all but it. */
static void take_over_other_half(const struct kind *k, json_t *obj, const json_t *old,
				 const char *sub)
{
	const char *key;
	json_t *value;
	void *next;

	if (strcmp(sub, "status") != 0) {
		if (k->status_sub)
			take_over(obj, old, "status");
		return;
	}
	json_object_foreach_safe(obj, next, key, value)
	{
		if (strcmp(key, "metadata") != 0 && strcmp(key, "status") != 0)
			take_over(obj, old, key);
	}
	json_object_foreach ((json_t *)(uintptr_t)old, key, value) {
		if (!json_object_get(obj, key) && strcmp(key, "status") != 0)
			json_object_set_new(obj, key, json_deep_copy(value));
	}
	if (k->id == KIND_CUSTOM) /* there, metadata belongs to the main resource as a whole */
		take_over(obj, old, "metadata");
}

json_t *admit_update(struct api *api, const struct kind *k, json_t *obj, const json_t *old,
		     const char *sub, json_t *unknown)
{
	json_t *problem = meta_check_types(k, obj);

	if (problem)
		return problem;
	take_over_other_half(k, obj, old, sub);
	problem = complete(k, obj, unknown);
	if (problem)
		return problem;
	if (k->id != KIND_CUSTOM || strcmp(sub, "status") != 0)
		meta_prepare_update(k, obj, old);
	meta_tidy(k, obj);
	return validate(k, obj, old);
}
