/* SPDX-License-Identifier: MIT */

/* Faults on order: see fault.h. */

#include "tests/sandbox/apiserver/fault.h"

#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/apiserver/rest.h"
#include "tests/sandbox/apiserver/status.h"
#include "tests/sandbox/apiserver/watch.h"

#include <string.h>

bool fault_is_dropping(const struct fault *f)
{
	return f->drop;
}

/* Is the word one of a list with commas? */
static bool is_listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; *p; p += *p == ',') {
		size_t len = strcspn(p, ",");

		if (len == n && memcmp(p, word, n) == 0)
			return true;
		p += len;
	}
	return false;
}

bool fault_forbids(const struct fault *f, const char *plural, const char *verb)
{
	return *f->forbidden && strcmp(f->forbidden, plural) == 0 &&
	       (!*f->forbidden_verbs || is_listed(f->forbidden_verbs, verb));
}

int fault_take_failure(struct fault *f)
{
	if (!f->fail_count)
		return 0;
	f->fail_count--;
	return f->fail_status;
}

typedef json_t *fault_fn(struct api *api, const struct req *req);

static bool is_on(const struct req *req)
{
	return !req_has(req, "on") || req_flag(req, "on");
}

static json_t *do_compact(struct api *api, const struct req *req)
{
	watches_flush(api->watches);
	for (struct kind *k = api->kinds.first; k; k = k->next)
		store_compact(&api->store, &k->coll);
	return NULL;
}

static json_t *do_close(struct api *api, const struct req *req)
{
	watches_end(api->watches, req_flag(req, "abort"));
	return NULL;
}

static json_t *do_delay(struct api *api, const struct req *req)
{
	int64_t msec = -1;

	if (!req_number(req, "msec", &msec) || msec < 0 || msec > 3600000)
		return status_bad_request("msec: 0 to 3600000");
	api->fault.delay_msec = (unsigned)msec;
	watches_notify(api->watches, NULL);
	return NULL;
}

static json_t *do_fail(struct api *api, const struct req *req)
{
	int64_t status = 500, count = 1;

	if (!req_number(req, "status", &status) || status < 300 || status > 599)
		return status_bad_request("status: 300 to 599");
	if (!req_number(req, "count", &count) || count < 0 || count > 1000000)
		return status_bad_request("count: 0 to 1000000");
	api->fault.fail_status = (int)status;
	api->fault.fail_count = (unsigned)count;
	return NULL;
}

static json_t *do_forbid(struct api *api, const struct req *req)
{
	const char *plural = is_on(req) ? req_query(req, "resource") : "";
	const char *verbs = req_query(req, "verbs");

	if (is_on(req) && (!*plural || strlen(plural) >= sizeof(api->fault.forbidden)))
		return status_bad_request("resource: the plural of a kind");
	if (strlen(verbs) >= sizeof(api->fault.forbidden_verbs))
		return status_bad_request("verbs: get, list, watch, ... with commas");
	(void)snprintf(api->fault.forbidden, sizeof(api->fault.forbidden), "%s", plural);
	(void)snprintf(api->fault.forbidden_verbs, sizeof(api->fault.forbidden_verbs), "%s", verbs);
	return NULL;
}

static json_t *do_drop(struct api *api, const struct req *req)
{
	api->fault.drop = is_on(req);
	watches_notify(api->watches, NULL);
	return NULL;
}

static json_t *do_bookmark(struct api *api, const struct req *req)
{
	watches_bookmark(api->watches);
	return NULL;
}

static json_t *do_watchlist(struct api *api, const struct req *req)
{
	api->no_watchlist = !is_on(req);
	return NULL;
}

static json_t *do_overtake(struct api *api, const struct req *req)
{
	json_t *problem = NULL, *patch = rest_decode(req, "object", &problem);

	if (patch) {
		json_object_del(patch, "metadata");
		json_decref(api->fault.overtaking);
		api->fault.overtaking = patch;
	}
	return problem;
}

static json_t *do_expire(struct api *api, const struct req *req)
{
	api->fault.expired = is_on(req);
	return NULL;
}

static const struct {
	const char *name;
	fault_fn *fn;
} faults[] = {
	{ "bookmark", do_bookmark },   { "close-watches", do_close }, { "compact", do_compact },
	{ "delay", do_delay },	       { "drop", do_drop },	      { "expire", do_expire },
	{ "fail", do_fail },	       { "forbid", do_forbid },	      { "overtake", do_overtake },
	{ "watchlist", do_watchlist },
};

static json_t *stats(struct api *api)
{
	json_t *objects = json_object();

	for (const struct kind *k = api->kinds.first; k; k = k->next)
		json_object_set_new(objects, k->plural, json_integer((json_int_t)k->coll.n));
	return json_pack("{s:I, s:I, s:I, s:I, s:o}", "requests", (json_int_t)api->requests,
			 "watches", (json_int_t)watches_count(api->watches), "events",
			 (json_int_t)watches_sent(api->watches), "resourceVersion",
			 (json_int_t)api->store.rv, "objects", objects);
}

void fault_handle(struct api *api, const struct req *req, struct reply *reply)
{
	const char *name = req->n_segs == 2 ? req->segs[1] : "";
	json_t *problem;

	if (strcmp(name, "stats") == 0 && req_is(req, "GET")) {
		reply_json_take(reply, 200, stats(api));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (strcmp(faults[i].name, name) != 0 || !req_is(req, "POST"))
			continue;
		problem = faults[i].fn(api, req);
		if (problem)
			reply_status_take(reply, problem);
		else
			reply_json_take(reply, 200, json_pack("{s:s}", "status", "Success"));
		return;
	}
	reply_text(reply, 404, "404 page not found\n");
}
