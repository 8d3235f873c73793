/* SPDX-License-Identifier: MIT */

/* Deletion: see delete.h. */

#include "tests/sandbox/apiserver/delete.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/crd.h"
#include "tests/sandbox/apiserver/meta.h"
#include "tests/sandbox/apiserver/pod.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/apiserver/status.h"

#include <string.h>
#include <utlist.h>

#define GRACE_MAX_S INT64_C(1000000)

/* the reaper */

struct reaper {
	struct api *api;
	struct dying *first;
};

struct dying {
	struct dying *prev, *next;
	struct reaper *reaper;
	struct loop_timer timer;
	char *key, *uid;
};

struct reaper *reaper_new(struct api *api)
{
	struct reaper *r = xnew(struct reaper);

	r->api = api;
	return r;
}

static void dying_free(struct dying *d)
{
	DL_DELETE(d->reaper->first, d);
	loop_timer_del(&d->timer);
	free(d->key);
	free(d->uid);
	free(d);
}

struct reaper *reaper_free(struct reaper *r)
{
	struct dying *d, *next;

	if (!r)
		return NULL;
	DL_FOREACH_SAFE (r->first, d, next)
		dying_free(d);
	free(r);
	return NULL;
}

static bool has_finalizers(const json_t *obj)
{
	return json_array_size(json_object_get(meta_of(obj), "finalizers"));
}

/* deletionTimestamp in `grace_s` from now; the version after that. */
static struct version *mark(struct api *api, struct kind *k, const char *key, int64_t grace_s)
{
	json_t *obj = json_deep_copy(version_json(coll_find(&k->coll, key))), *meta = meta_of(obj);
	char time[META_TIME_MAX];
	struct version *v;

	/* a second mark may only bring the end nearer, and then the time is what was said first */
	if (!*meta_str(obj, "deletionTimestamp") || grace_s > 0) {
		meta_print_time(time, loop_wall(api->loop).s + grace_s);
		json_object_set_new(meta, "deletionTimestamp", json_string(time));
	}
	json_object_set_new(meta, "deletionGracePeriodSeconds", json_integer(grace_s));
	meta_tidy(k, obj);
	v = store_put(&api->store, &k->coll, key, obj);
	json_decref(obj);
	return v;
}

/* What the kubelet does last: a deletion without grace, which is a change and then the end. */
static void finish_pod(struct api *api, struct kind *k, const char *key)
{
	struct version *v = mark(api, k, key, 0);

	if (!has_finalizers(version_json(v)))
		(void)store_delete(&api->store, &k->coll, key);
}

static void on_stopped(struct loop_timer *t)
{
	struct dying *d = container_of(t, struct dying, timer);
	struct api *api = d->reaper->api;
	struct kind *k = kinds_find_id(&api->kinds, KIND_POD);
	struct version *v = coll_find(&k->coll, d->key);

	if (v && strcmp(meta_str(version_json(v), "uid"), d->uid) == 0)
		finish_pod(api, k, d->key);
	dying_free(d);
}

static void stop_later(struct api *api, const char *key, const json_t *pod, int64_t grace_s)
{
	struct dying *d = xnew(struct dying);
	uint64_t msec = (uint64_t)grace_s * 1000;

	d->reaper = api->reaper;
	d->key = xstrdup(key);
	d->uid = xstrdup(meta_str(pod, "uid"));
	DL_APPEND(api->reaper->first, d);
	if (msec > api->stop_msec)
		msec = api->stop_msec;
	loop_timer_set_msec(api->loop, &d->timer, msec, on_stopped);
}

/* options */

struct options {
	int64_t grace_s; /* -1: not said */
	const char *uid, *rv;
};

static json_t *read_options(const struct req *req, const json_t *body, struct options *out)
{
	const json_t *grace = json_object_get(body, "gracePeriodSeconds");
	const json_t *must = json_object_get(body, "preconditions");

	out->grace_s = json_is_integer(grace) ? json_integer_value(grace) : -1;
	out->uid = json_string_value(json_object_get(must, "uid"));
	out->rv = json_string_value(json_object_get(must, "resourceVersion"));
	if (!req_number(req, "gracePeriodSeconds", &out->grace_s))
		return status_bad_request("strconv.ParseInt: parsing \"%s\": invalid syntax",
					  req_query(req, "gracePeriodSeconds"));
	if (out->grace_s > GRACE_MAX_S)
		out->grace_s = GRACE_MAX_S;
	return NULL;
}

static json_t *check_preconditions(const struct target *t, const struct options *o,
				   const json_t *obj)
{
	if (o->uid && strcmp(o->uid, meta_str(obj, "uid")) != 0)
		return status_conflict(t->kind, t->name,
				       "Precondition failed: UID in precondition: %s, UID in "
				       "object meta: %s",
				       o->uid, meta_str(obj, "uid"));
	if (o->rv && strcmp(o->rv, meta_str(obj, "resourceVersion")) != 0)
		return status_conflict(t->kind, t->name,
				       "Precondition failed: ResourceVersion in precondition: %s, "
				       "ResourceVersion in object meta: %s",
				       o->rv, meta_str(obj, "resourceVersion"));
	return NULL;
}

/* the kinds of deletion; each returns the object as the answer should show it */

static struct version *delete_pod(struct api *api, const struct target *t, const char *key,
				  const struct options *o)
{
	const json_t *pod = version_json(coll_find(&t->kind->coll, key));
	const json_t *spec = json_object_get(pod, "spec");
	int64_t grace = o->grace_s;
	bool again = *meta_str(pod, "deletionTimestamp");
	struct version *v;

	if (grace < 0)
		grace = json_integer_value(json_object_get(spec, "terminationGracePeriodSeconds"));
	if (pod_is_idle(pod))
		grace = 0;
	if (again &&
	    grace >= json_integer_value(
			     json_object_get(meta_of(pod), "deletionGracePeriodSeconds")) &&
	    grace > 0)
		return version_ref(coll_find(&t->kind->coll, key)); /* already on its way */
	v = version_ref(mark(api, t->kind, key, grace));
	if (grace > 0)
		stop_later(api, key, version_json(v), grace);
	else if (!has_finalizers(version_json(v)))
		(void)store_delete(&api->store, &t->kind->coll, key);
	return v;
}

static void delete_contents(struct api *api, const char *ns)
{
	size_t n = strlen(ns);

	for (struct kind *k = api->kinds.first; k; k = k->next) {
		if (!k->namespaced)
			continue;
		for (size_t i = k->coll.n; i > 0; i--) {
			struct version *v = k->coll.objects[i - 1];
			_cleanup_free_ char *key = xstrdup(v->key);

			if (strncmp(key, ns, n) == 0 && key[n] == '/')
				(void)store_delete(&api->store, &k->coll, key);
		}
	}
}

static struct version *delete_namespace(struct api *api, const struct target *t, const char *key)
{
	json_t *obj = json_deep_copy(version_json(coll_find(&t->kind->coll, key)));
	char time[META_TIME_MAX];
	struct version *v;

	meta_print_time(time, loop_wall(api->loop).s);
	json_object_set_new(meta_of(obj), "deletionTimestamp", json_string(time));
	json_object_set_new(obj, "status", json_pack("{s:s}", "phase", "Terminating"));
	meta_tidy(t->kind, obj);
	v = version_ref(store_put(&api->store, &t->kind->coll, key, obj));
	json_decref(obj);
	delete_contents(api, t->name);
	(void)store_delete(&api->store, &t->kind->coll, key);
	return v;
}

static struct version *delete_plain(struct api *api, const struct target *t, const char *key)
{
	struct version *v = version_ref(coll_find(&t->kind->coll, key));

	if (has_finalizers(version_json(v))) {
		if (!*meta_str(version_json(v), "deletionTimestamp")) {
			version_unref(v);
			v = version_ref(mark(api, t->kind, key, 0));
		}
		return v;
	}
	(void)store_delete(&api->store, &t->kind->coll, key);
	if (t->kind->id == KIND_CRD)
		crd_uninstall(api, version_json(v));
	return v;
}

static void delete_found(struct api *api, const struct req *req, const struct target *t,
			 const char *key, const struct options *o, struct reply *reply)
{
	_cleanup_(version_unrefp) struct version *v = NULL;
	struct buf b = { 0 };

	if (strcmp(req_query(req, "dryRun"), "All") == 0)
		v = version_ref(coll_find(&t->kind->coll, key));
	else if (t->kind->id == KIND_POD)
		v = delete_pod(api, t, key, o);
	else if (t->kind->id == KIND_NAMESPACE)
		v = delete_namespace(api, t, key);
	else
		v = delete_plain(api, t, key);
	/* one that waits for its finalizers is shown, whatever its kind */
	if (!t->kind->returns_deleted && !*meta_str(version_json(v), "deletionTimestamp")) {
		reply_status_take(reply, status_deleted(t->kind, t->name,
							meta_str(version_json(v), "uid")));
		return;
	}
	add_bytes(&b, v->text, v->n);
	add_str(&b, "\n");
	reply_buf(reply, 200, &b);
}

void rest_delete(struct api *api, const struct req *req, const struct target *t,
		 struct reply *reply)
{
	_cleanup_free_ char *key = kind_key(t->kind, t->ns, t->name);
	struct version *v = coll_find(&t->kind->coll, key);
	json_t *problem = NULL, *body = NULL;
	struct options o = { 0 };

	if (req->n_body)
		body = rest_decode(req, "DeleteOptions", &problem);
	if (!problem)
		problem = read_options(req, body, &o);
	if (!problem && !v)
		problem = status_not_found(t->kind, t->name);
	if (!problem)
		problem = check_preconditions(t, &o, version_json(v));
	if (problem)
		reply_status_take(reply, problem);
	else
		delete_found(api, req, t, key, &o, reply);
	json_decref(body);
}
