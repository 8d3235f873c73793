/* SPDX-License-Identifier: MIT */

/* From a request to what answers it, and what is there from the start: see api.h. */

#include "tests/sandbox/apiserver/api.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/auth.h"
#include "tests/sandbox/apiserver/delete.h"
#include "tests/sandbox/apiserver/discovery.h"
#include "tests/sandbox/apiserver/files.h"
#include "tests/sandbox/apiserver/list.h"
#include "tests/sandbox/apiserver/rbac.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/apiserver/rest.h"
#include "tests/sandbox/apiserver/status.h"
#include "tests/sandbox/apiserver/token.h"
#include "tests/sandbox/apiserver/watch.h"
#include "tests/sandbox/ledger.h"

#include <string.h>

#define OBJECTS_FILE_MAX (64UL * 1024 * 1024)

/* The counter starts as if a cluster had been set up before us, so that old versions exist. */
#define FIRST_VERSION 200

/* start */

/* What a Secret holds now: nothing once it is deleted. */
static void note_secret(struct ledger *l, const struct coll *c)
{
	const struct event *e = c->n_events ? coll_event(c, c->n_events - 1) : NULL;
	json_t *data = e && e->change != CHANGE_DELETED
			       ? json_object_get(version_json(e->cur), "data")
			       : NULL;

	if (e)
		ledger_write_take(l, json_pack("{s:s, s:s, s:o}", "kind", "secret", "object",
					       e->cur->key, "data",
					       data ? json_incref(data) : json_object()));
}

static void note_event(struct ledger *l, const struct coll *c)
{
	if (c->n_events)
		ledger_write_take(l,
				  json_incref(version_json(coll_event(c, c->n_events - 1)->cur)));
}

static void on_change(void *ctx, struct coll *c)
{
	struct api *api = ctx;

	enum kind_id id = container_of(c, struct kind, coll)->id;

	if (id == KIND_SECRET)
		note_secret(api->ledger, c);
	if (id == KIND_EVENT)
		note_event(api->events, c);
	watches_notify(api->watches, c);
}

static void create(struct api *api, enum kind_id id, json_t *obj_take)
{
	json_decref(rest_create_object(api, kinds_find_id(&api->kinds, id), obj_take));
}

static void create_node(struct api *api, const char *name)
{
	create(api, KIND_NODE,
	       json_pack("{s:{s:s, s:{s:s}}, s:{}, s:{s:[{s:s, s:s, s:s}], s:{s:s}}}", "metadata",
			 "name", name, "labels", "kubernetes.io/hostname", name, "spec", "status",
			 "conditions", "type", "Ready", "status", "True", "reason", "KubeletReady",
			 "nodeInfo", "kubeletVersion", "v1.32.0"));
}

void api_init(struct api *api, struct loop *loop, const struct api_options *options)
{
	static const char *const namespaces[] = { "default", "kube-node-lease", "kube-public",
						  "kube-system" };

	*api = (struct api){ .loop = loop,
			     .no_watchlist = options->no_watchlist,
			     .stop_msec = options->stop_msec };
	api->store = (struct store){ .loop = loop,
				     .rv = FIRST_VERSION,
				     .history = options->history,
				     .fn = on_change,
				     .ctx = api };
	api->watches = watches_new(api);
	api->reaper = reaper_new(api);
	kinds_init(&api->kinds, &api->store);
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		create(api, KIND_NAMESPACE,
		       json_pack("{s:{s:s}}", "metadata", "name", namespaces[i]));
	if (options->node)
		create_node(api, options->node);
}

void api_deinit(struct api *api)
{
	api->reaper = reaper_free(api->reaper);
	json_decref(api->fault.overtaking);
	api->store.fn = NULL;
	kinds_deinit(&api->kinds);
	api->watches = watches_free(api->watches);
	api->issuer = token_issuer_free(api->issuer);
	api->rbac = rbac_free(api->rbac);
	api->auth = auth_free(api->auth);
}

/* authorisation */

struct route {
	bool is_resource, found;
	const char *group, *version, *plural;
	struct target t;
};

static const char *verb_of(const struct req *req, const struct route *r)
{
	if (req_is(req, "GET") || req_is(req, "HEAD"))
		return !r->is_resource || *r->t.name ? "get"
		       : req_flag(req, "watch")	     ? "watch"
						     : "list";
	if (req_is(req, "POST"))
		return "create";
	if (req_is(req, "PUT"))
		return "update";
	if (req_is(req, "PATCH"))
		return "patch";
	if (req_is(req, "DELETE"))
		return *r->t.name ? "delete" : "deletecollection";
	return "get";
}

static bool is_probe(const struct req *req)
{
	static const char *const probes[] = { "healthz", "livez", "readyz" };

	for (size_t i = 0; req->n_segs && i < ARRAY_SIZE(probes); i++) {
		if (strcmp(req->segs[0], probes[i]) == 0)
			return true;
	}
	return false;
}

/* What the nameless may read. */
static bool is_public(const struct api *api, const struct req *req)
{
	return is_probe(req) || (req->n_segs && strcmp(req->segs[0], "version") == 0) ||
	       (api->issuer && token_keys_are_public(api->issuer, req));
}

/* Of a list or watch, the one object that its selector names, as Kubernetes takes it; the caller frees. */
static char *name_asked(const struct req *req, const struct route *r)
{
	static const char key[] = "metadata.name=";
	const char *term = *r->t.name ? "" : req_query(req, "fieldSelector");
	size_t n;

	for (; *term; term += n + (term[n] == ',')) {
		n = strcspn(term, ",");
		if (strncmp(term, key, strlen(key)) == 0)
			return xstrndup(term + strlen(key), n - strlen(key));
	}
	return xstrdup(r->t.name);
}

static bool may(const struct api *api, const struct req *req, const struct route *r)
{
	_cleanup_free_ char *name = name_asked(req, r);
	const struct rbac_ask ask = { .verb = verb_of(req, r),
				      .group = r->group,
				      .plural = r->plural,
				      .sub = r->t.sub,
				      .ns = r->t.ns,
				      .name = name };

	/* everybody may ask what he may do */
	if (!r->is_resource || strcmp(r->group, "authorization.k8s.io") == 0 ||
	    user_is_in(req->user, "system:masters"))
		return true;
	if (fault_forbids(&api->fault, r->plural, ask.verb))
		return false;
	return !api->rbac || !rbac_knows(api->rbac, req->user) ||
	       rbac_allows(api->rbac, req->user, &ask);
}

static json_t *forbidden(const struct req *req, const struct route *r)
{
	struct kind shape = { .group = (char *)(uintptr_t)r->group,
			      .plural = (char *)(uintptr_t)r->plural };
	const char *sep = *r->t.sub ? "/" : "";

	if (!r->is_resource)
		return status_failure(403, "Forbidden", json_object(),
				      "forbidden: User \"%s\" cannot %s path \"%s\"",
				      req->user->name, verb_of(req, r), req->path);
	if (*r->t.ns)
		return status_forbidden(&shape, r->t.name,
					"User \"%s\" cannot %s resource \"%s%s%s\" in API group "
					"\"%s\" in the namespace \"%s\"",
					req->user->name, verb_of(req, r), r->plural, sep, r->t.sub,
					r->group, r->t.ns);
	return status_forbidden(&shape, r->t.name,
				"User \"%s\" cannot %s resource \"%s%s%s\" in API group \"%s\" at "
				"the cluster scope",
				req->user->name, verb_of(req, r), r->plural, sep, r->t.sub,
				r->group);
}

/* paths */

/* What follows the version: [namespaces NS] plural [name [sub]]. */
static void route_resource(const struct api *api, char *const *segs, size_t n, struct route *r)
{
	bool scoped = n >= 3 && strcmp(segs[0], "namespaces") == 0 &&
		      strcmp(segs[2], "status") != 0 && strcmp(segs[2], "finalize") != 0;

	r->is_resource = true;
	r->t.ns = scoped ? segs[1] : "";
	if (scoped) {
		segs += 2;
		n -= 2;
	}
	r->plural = segs[0];
	r->t.name = n > 1 ? segs[1] : "";
	r->t.sub = n > 2 ? segs[2] : "";
	r->t.kind = kinds_find(&api->kinds, r->group, r->version, r->plural);
	r->found = r->t.kind && n <= 3 && (r->t.kind->namespaced || !scoped) &&
		   (scoped || !r->t.kind->namespaced || n == 1);
}

static void route(const struct api *api, const struct req *req, struct route *r)
{
	*r = (struct route){ .group = "", .version = "", .plural = "" };
	r->t = (struct target){ .ns = "", .name = "", .sub = "" };
	if (req->n_segs >= 3 && strcmp(req->segs[0], "api") == 0) {
		r->version = req->segs[1];
		route_resource(api, (char *const *)req->segs + 2, req->n_segs - 2, r);
	} else if (req->n_segs >= 4 && strcmp(req->segs[0], "apis") == 0) {
		r->group = req->segs[1];
		r->version = req->segs[2];
		route_resource(api, (char *const *)req->segs + 3, req->n_segs - 3, r);
	}
}

static void not_found(const struct api *api, const struct route *r, struct reply *reply)
{
	bool custom = true;

	/* a group that is ours says it as a Status; of others nobody knows anything */
	for (const struct kind *k = api->kinds.first; k; k = k->next) {
		if (r->is_resource && strcmp(k->group, r->group) == 0 &&
		    strcmp(k->version, r->version) == 0 && k->id != KIND_CUSTOM)
			custom = false;
	}
	if (custom)
		reply_text(reply, 404, "404 page not found\n");
	else
		reply_status_take(reply, status_no_resource());
}

/* requests */

static void handle_object(struct api *api, const struct req *req, const struct target *t,
			  struct reply *reply)
{
	bool plain = !*t->sub, status = strcmp(t->sub, "status") == 0 && t->kind->status_sub;
	bool pod = t->kind->id == KIND_POD;

	if (t->kind->id == KIND_SERVICE_ACCOUNT && strcmp(t->sub, "token") == 0 && api->issuer)
		token_handle(api, req, t, reply);
	else if (pod && strcmp(t->sub, "binding") == 0 && req_is(req, "POST"))
		rest_bind(api, req, t, reply);
	else if (!plain && !status)
		reply_status_take(reply, status_no_resource());
	else if (req_is(req, "GET") || req_is(req, "HEAD"))
		rest_get(api, req, t, reply);
	else if (req_is(req, "PUT"))
		rest_update(api, req, t, reply);
	else if (req_is(req, "PATCH"))
		rest_patch(api, req, t, reply);
	else if (req_is(req, "DELETE") && plain)
		rest_delete(api, req, t, reply);
	else
		reply_status_take(reply, status_no_method());
}

static void handle_resource(struct api *api, const struct req *req, const struct route *r,
			    struct reply *reply)
{
	if (*r->t.name)
		handle_object(api, req, &r->t, reply);
	else if (req_is(req, "GET") || req_is(req, "HEAD"))
		list_handle(api, req, r->t.kind, r->t.ns, reply);
	else if (req_is(req, "POST") && (*r->t.ns || !r->t.kind->namespaced))
		rest_create(api, req, &r->t, reply);
	else
		reply_status_take(reply, status_no_method());
}

/* "May I?": yes, for whoever has got this far. */
static void review(const struct req *req, struct reply *reply)
{
	json_t *problem = NULL, *body = rest_decode(req, "SelfSubjectAccessReview", &problem);

	if (!body) {
		reply_status_take(reply, problem);
		return;
	}
	reply_json_take(reply, 201,
			json_pack("{s:s, s:s, s:{s:n}, s:O?, s:{s:b}}", "kind",
				  "SelfSubjectAccessReview", "apiVersion",
				  "authorization.k8s.io/v1", "metadata", "creationTimestamp",
				  "spec", json_object_get(body, "spec"), "status", "allowed", 1));
	json_decref(body);
}

static bool handle_discovery(struct api *api, const struct req *req, struct reply *reply)
{
	const char *first = req->n_segs ? req->segs[0] : "";
	bool apis = strcmp(first, "apis") == 0;

	if (!req_is(req, "GET") && !req_is(req, "HEAD"))
		return false;
	if (strcmp(first, "version") == 0 && req->n_segs == 1) {
		discovery_version(reply);
		return true;
	}
	if (strcmp(first, "api") == 0 && req->n_segs == 1) {
		discovery_versions(api, reply);
		return true;
	}
	if (strcmp(first, "api") == 0 && req->n_segs == 2)
		return discovery_resources(api, "", req->segs[1], reply);
	if (!apis || req->n_segs > 3)
		return false;
	if (req->n_segs == 1)
		discovery_groups(api, reply);
	else if (req->n_segs == 2)
		discovery_group(api, req->segs[1], reply);
	else
		return discovery_resources(api, req->segs[1], req->segs[2], reply);
	return true;
}

static void handle_allowed(struct api *api, const struct req *req, const struct route *r,
			   struct reply *reply)
{
	if (is_probe(req))
		reply_text(reply, 200, "ok");
	else if (r->found)
		handle_resource(api, req, r, reply);
	else if (r->is_resource && strcmp(r->group, "authorization.k8s.io") == 0 &&
		 strcmp(r->plural, "selfsubjectaccessreviews") == 0 && req_is(req, "POST"))
		review(req, reply);
	else if (api->issuer && token_handle_keys(api, req, reply))
		return;
	else if (!handle_discovery(api, req, reply))
		not_found(api, r, reply);
}

static void fail(int status, struct reply *reply)
{
	reply_status_take(reply, status_failure(status,
						status == 429	? "TooManyRequests"
						: status == 503 ? "ServiceUnavailable"
						: status == 403 ? "Forbidden"
						: status == 401 ? "Unauthorized"
								: "InternalError",
						NULL, "a failure was ordered"));
	if (status == 429 || status == 503)
		reply->retry_after_s = 1;
}

void api_handle(struct api *api, const struct req *req, struct reply *reply)
{
	struct route r;
	struct req known = *req;
	bool sandbox = req->n_segs && strcmp(req->segs[0], "_sandbox") == 0;
	int failure;

	api->requests++;
	failure = sandbox ? 0 : fault_take_failure(&api->fault);
	if (failure) {
		fail(failure, reply);
		return;
	}
	known.user = auth_find(api->auth, req);
	if (!known.user || (api->fault.expired && !sandbox && !user_is_anonymous(known.user))) {
		reply_status_take(reply, status_failure(401, "Unauthorized", NULL, "Unauthorized"));
		return;
	}
	route(api, req, &r);
	if (sandbox && user_is_in(known.user, "system:masters"))
		fault_handle(api, req, reply);
	else if (sandbox || (user_is_anonymous(known.user) && !is_public(api, req)) ||
		 !may(api, &known, &r))
		reply_status_take(reply, forbidden(&known, &r));
	else
		handle_allowed(api, &known, &r, reply);
}

/* objects from files */

static int load_one(struct api *api, json_t *obj, struct err *err)
{
	const char *gv = json_string_value(json_object_get(obj, "apiVersion"));
	const char *name = json_string_value(json_object_get(obj, "kind"));
	json_t *problem;
	int r = 0;

	for (struct kind *k = api->kinds.first; k && gv && name; k = k->next) {
		_cleanup_free_ char *mine = kind_api_version(k);

		if (strcmp(mine, gv) != 0 || strcmp(k->name, name) != 0)
			continue;
		if (k->namespaced && json_is_object(json_object_get(obj, "metadata")) &&
		    !json_object_get(json_object_get(obj, "metadata"), "namespace"))
			json_object_set_new(json_object_get(obj, "metadata"), "namespace",
					    json_string("default"));
		problem = rest_create_object(api, k, json_deep_copy(obj));
		if (problem)
			r = err_set(err, ERR_INPUT, "%s",
				    json_string_value(json_object_get(problem, "message")));
		json_decref(problem);
		return r;
	}
	return err_set(err, ERR_INPUT, "no such kind: %s %s", gv ? gv : "?", name ? name : "?");
}

int api_load_file(struct api *api, const char *path, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	json_t *docs, *doc;
	size_t n, i;
	int r = 0;

	text = file_read(path, OBJECTS_FILE_MAX, &n, err);
	if (!text)
		return -ERR_OS;
	docs = yaml_parse(text, n, err);
	if (!docs)
		return err_wrap(err, "%s", path);
	json_array_foreach (docs, i, doc) {
		if (json_is_null(doc) || r < 0)
			continue;
		r = load_one(api, doc, err);
		if (r < 0)
			r = err_wrap(err, "%s: document %zu", path, i + 1);
	}
	json_decref(docs);
	return r;
}
