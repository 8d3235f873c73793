/* SPDX-License-Identifier: MIT */

/*
 * Lists and watches: see list.h.
 *
 * What resourceVersion means to a list, as the real server has it: without one, the latest state; "0",
 * whatever the cache holds, and then `limit` is not looked at; any other, the latest state but not
 * before that version, except that `limit` or resourceVersionMatch=Exact make it exactly that version.
 */

#include "tests/sandbox/apiserver/list.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/base64.h"
#include "tests/sandbox/apiserver/format.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/apiserver/select.h"
#include "tests/sandbox/apiserver/status.h"
#include "tests/sandbox/apiserver/watch.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define TIMEOUT_MAX_S INT64_C(100000000)

static const char match_exact[] = "Exact", match_not_older[] = "NotOlderThan";

struct query {
	struct selector sel;
	struct format_spec format;
	const char *rv_text, *match, *next;
	uint64_t rv;
	int64_t limit, timeout_s;
	bool has_initial, initial; /* sendInitialEvents */
};

static void query_deinit(struct query *q)
{
	selector_deinit(&q->sel);
}

/* options */

static void forbid(json_t *causes, const char *field, const char *why)
{
	status_cause(causes, "FieldValueForbidden", field, "Forbidden: %s", why);
}

static void check_list_options(const struct query *q, json_t *causes)
{
	if (*q->match && !*q->rv_text)
		forbid(causes, "resourceVersionMatch",
		       "resourceVersionMatch is forbidden unless resourceVersion is provided");
	if (*q->match && *q->next)
		forbid(causes, "resourceVersionMatch",
		       "resourceVersionMatch is forbidden when continue is provided");
	if (*q->match && strcmp(q->match, match_exact) != 0 &&
	    strcmp(q->match, match_not_older) != 0)
		status_cause(causes, "FieldValueNotSupported", "resourceVersionMatch",
			     "Unsupported value: \"%s\": supported values: \"Exact\", "
			     "\"NotOlderThan\", \"\"",
			     q->match);
	if (strcmp(q->match, match_exact) == 0 && strcmp(q->rv_text, "0") == 0)
		forbid(causes, "resourceVersionMatch",
		       "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
	if (q->has_initial)
		forbid(causes, "sendInitialEvents", "sendInitialEvents is forbidden for list");
}

static void check_watch_options(const struct api *api, const struct query *q, json_t *causes)
{
	if (q->has_initial && strcmp(q->match, match_not_older) != 0)
		forbid(causes, "resourceVersionMatch",
		       "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	if (q->has_initial && api->no_watchlist)
		forbid(causes, "sendInitialEvents",
		       "sendInitialEvents is forbidden for watch unless the WatchList feature "
		       "gate is enabled");
	if (!*q->match)
		return;
	if (!q->has_initial)
		forbid(causes, "resourceVersionMatch",
		       "resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
		       "provided");
	if (strcmp(q->match, match_not_older) != 0)
		status_cause(causes, "FieldValueNotSupported", "resourceVersionMatch",
			     "Unsupported value: \"%s\": supported values: \"NotOlderThan\"",
			     q->match);
	if (*q->next)
		forbid(causes, "resourceVersionMatch",
		       "resourceVersionMatch is forbidden when continue is provided");
}

static json_t *parse_version(struct query *q)
{
	char *end;

	if (!*q->rv_text)
		return NULL;
	errno = 0;
	q->rv = strtoull(q->rv_text, &end, 10);
	if (errno || *end || strspn(q->rv_text, "0123456789") != strlen(q->rv_text))
		return status_internal("resourceVersion: Invalid value: \"%s\": strconv.ParseUint: "
				       "parsing \"%s\": invalid syntax",
				       q->rv_text, q->rv_text);
	return NULL;
}

static json_t *parse_number(const struct req *req, const char *key, int64_t *out)
{
	if (req_number(req, key, out))
		return NULL;
	return status_bad_request("strconv.ParseInt: parsing \"%s\": invalid syntax",
				  req_query(req, key));
}

static json_t *parse_selectors(const struct req *req, const struct kind *k, struct query *q)
{
	struct err err = { 0 };

	if (selector_parse_labels(&q->sel, req_query(req, "labelSelector"), &err) < 0 ||
	    selector_parse_fields(&q->sel, req_query(req, "fieldSelector"), &err) < 0 ||
	    selector_check_fields(&q->sel, k, &err) < 0)
		return status_bad_request("%s", err.msg);
	return NULL;
}

static json_t *parse_query(struct api *api, const struct req *req, const struct kind *k,
			   struct query *q)
{
	json_t *problem, *causes;

	q->rv_text = req_query(req, "resourceVersion");
	q->match = req_query(req, "resourceVersionMatch");
	q->next = req_query(req, "continue");
	q->has_initial = *req_query(req, "sendInitialEvents");
	q->initial = req_flag(req, "sendInitialEvents");
	q->format.now = loop_wall(api->loop).s;
	problem = format_choose(req, k, req_flag(req, "watch") ? FORMAT_OF_WATCH : FORMAT_OF_LIST,
				&q->format);
	if (!problem)
		problem = parse_number(req, "limit", &q->limit);
	if (!problem)
		problem = parse_number(req, "timeoutSeconds", &q->timeout_s);
	if (!problem)
		problem = parse_selectors(req, k, q);
	if (problem)
		return problem;
	causes = json_array();
	if (req_flag(req, "watch"))
		check_watch_options(api, q, causes);
	else
		check_list_options(q, causes);
	problem = status_invalid_take("meta.k8s.io", "ListOptions", "", causes);
	return problem ? problem : parse_version(q);
}

/* continue tokens: {"v":"meta.k8s.io/v1","rv":5,"start":"/ns/name\u0000"} in base64; rv -1: any */

static char *token_print(int64_t rv, const char *key, bool slash)
{
	_cleanup_free_ char *start = xasprintf("%s%s", slash ? "/" : "", key);
	json_t *doc = json_pack("{s:s, s:I, s:s%}", "v", "meta.k8s.io/v1", "rv", (json_int_t)rv,
				"start", start, strlen(start) + 1); /* the NUL belongs to it */
	_cleanup_free_ char *text = json_dumps(doc, JSON_COMPACT);

	json_decref(doc);
	return base64url_encode(text, strlen(text));
}

static json_t *bad_token(const char *why)
{
	return status_bad_request("continue key is not valid: %s", why);
}

static json_t *token_read(const char *text, int64_t *out_rv, char **out_key)
{
	_cleanup_free_ char *plain = NULL;
	json_t *doc, *problem = NULL;
	const char *start;
	size_t n;

	plain = base64url_decode(text, &n);
	if (!plain)
		return bad_token("illegal base64 data");
	doc = json_loadb(plain, n, JSON_ALLOW_NUL, NULL);
	start = json_string_value(json_object_get(doc, "start"));
	*out_rv = json_integer_value(json_object_get(doc, "rv"));
	if (!doc)
		problem = bad_token("invalid character");
	else if (!start || !*start)
		problem = bad_token("encoded start key empty (version meta.k8s.io/v1)");
	else if (*out_rv == 0)
		problem = bad_token("incorrect encoded start resourceVersion (version "
				    "meta.k8s.io/v1)");
	else
		*out_key = xstrdup(*start == '/' ? start + 1 : start);
	json_decref(doc);
	return problem;
}

/* lists */

struct page {
	struct snapshot *all;
	char *after; /* keys up to this one were on earlier pages; NULL on the first */
	int64_t limit;
};

static void page_deinit(struct page *p)
{
	snapshot_free(p->all);
	free(p->after);
}

/* From the first object not yet shown; sets what follows. */
static void fill_page(const struct query *q, const struct page *page, const char *ns,
		      struct format_list *out, char **out_next)
{
	size_t ns_len = strlen(ns), left = 0;
	const char *last = NULL;

	out->items = xcalloc(page->all->n + 1, sizeof(struct version *));
	for (size_t i = 0; i < page->all->n; i++) {
		struct version *v = page->all->objects[i];

		if (page->after && strcmp(v->key, page->after) <= 0)
			continue;
		if (ns_len && (strncmp(v->key, ns, ns_len) != 0 || v->key[ns_len] != '/'))
			continue;
		if (!selector_is_empty(&q->sel) && !selector_match(&q->sel, version_json(v)))
			continue;
		if (page->limit > 0 && (int64_t)out->n == page->limit) {
			left++;
			continue;
		}
		out->items[out->n++] = v;
		last = v->key;
	}
	out->rv = page->all->rv;
	out->remaining = left && selector_is_empty(&q->sel) ? (int64_t)left : -1;
	if (left && last)
		*out_next = token_print((int64_t)out->rv, last, true);
	out->next = *out_next ? *out_next : "";
}

static json_t *too_large(uint64_t rv, uint64_t now)
{
	json_t *details = json_pack("{s:[{s:s, s:s}], s:i}", "causes", "reason",
				    "ResourceVersionTooLarge", "message",
				    "Too large resource version", "retryAfterSeconds", 1);

	return status_failure(504, "Timeout", details,
			      "Too large resource version: %llu, current: %llu",
			      (unsigned long long)rv, (unsigned long long)now);
}

static json_t *token_expired(const char *key)
{
	_cleanup_free_ char *again = token_print(-1, key, false);

	return status_expired(
		json_pack("{s:s}", "continue", again),
		"The provided continue parameter is too old to display a consistent list result. "
		"You can start a new list without the continue parameter, or use the continue "
		"token in this response to retrieve the remainder of the results. Continuing with "
		"the provided token results in an inconsistent list - objects that were created, "
		"modified, or deleted between the time the first chunk was returned and now may "
		"show up in the list.");
}

static json_t *open_next(const struct api *api, const struct kind *k, const struct query *q,
			 struct page *page)
{
	uint64_t now = api->store.rv;
	json_t *problem;
	int64_t rv = 0;

	if (*q->rv_text && strcmp(q->rv_text, "0") != 0)
		return status_bad_request(
			"specifying resource version is not allowed when using continue");
	problem = token_read(q->next, &rv, &page->after);
	if (problem)
		return problem;
	page->limit = q->limit;
	page->all = coll_snapshot(&k->coll, rv < 0 ? now : (uint64_t)rv, now);
	return page->all ? NULL : token_expired(page->after);
}

static json_t *open_first(const struct api *api, const struct kind *k, const struct query *q,
			  struct page *page)
{
	bool exact = strcmp(q->match, match_exact) == 0;
	uint64_t now = api->store.rv;

	page->limit = q->limit;
	if (q->rv == 0 && *q->rv_text)
		page->limit = 0;
	/* such a list goes past the cache, and the store itself answers */
	if (q->rv && q->limit > 0 && !*q->match)
		exact = true;
	if (q->rv > now && exact)
		return status_internal("etcdserver: mvcc: required revision is a future revision");
	if (q->rv > now)
		return too_large(q->rv, now);
	page->all = coll_snapshot(&k->coll, exact && q->rv ? q->rv : now, now);
	if (!page->all)
		return status_expired(NULL,
				      "The resourceVersion for the provided list is too old.");
	return NULL;
}

static json_t *do_list(struct api *api, const struct kind *k, const char *ns, const struct query *q,
		       struct reply *reply)
{
	_cleanup_(page_deinit) struct page page = { 0 };
	_cleanup_free_ char *next = NULL;
	struct format_list list = { 0 };
	struct buf b = { 0 };
	json_t *problem;

	problem = *q->next ? open_next(api, k, q, &page) : open_first(api, k, q, &page);
	if (problem)
		return problem;
	assert(page.all); /* either of them opens it, or says why not */
	fill_page(q, &page, ns, &list, &next);
	format_list(&b, &q->format, k, &list);
	free(list.items);
	reply_buf(reply, 200, &b);
	return NULL;
}

/* watches */

static json_t *do_watch(struct api *api, const struct req *req, struct kind *k, const char *ns,
			struct query *q, struct reply *reply)
{
	const struct coll *c = &k->coll;
	struct watch_spec spec = {
		.kind = k,
		.ns = ns,
		.sel = &q->sel,
		.format = q->format,
		.from = q->rv,
		.bookmarks = req_flag(req, "allowWatchBookmarks"),
	};

	if (q->timeout_s < 0 || q->timeout_s > TIMEOUT_MAX_S)
		q->timeout_s = 0;
	spec.timeout_s = (unsigned)q->timeout_s;
	/* sendInitialEvents=false from nowhere: from now on */
	spec.initial = q->has_initial ? q->initial : q->rv == 0;
	spec.end_of_initial = q->has_initial && q->initial && spec.bookmarks;
	if (q->has_initial && !q->initial && q->rv == 0)
		spec.from = api->store.rv;
	if (q->has_initial && q->rv > api->store.rv)
		return too_large(q->rv, api->store.rv);
	reply->code = 200;
	reply->type = "application/json";
	if (!spec.initial && spec.from < c->floor)
		reply->watch = watch_failed_take(
			api->watches, status_expired(NULL, "too old resource version: %llu (%llu)",
						     (unsigned long long)spec.from,
						     (unsigned long long)c->floor));
	else
		reply->watch = watch_start(api->watches, &spec);
	return NULL;
}

void list_handle(struct api *api, const struct req *req, struct kind *k, const char *ns,
		 struct reply *reply)
{
	_cleanup_(query_deinit) struct query q = { 0 };
	json_t *problem = parse_query(api, req, k, &q);

	if (!problem && req_flag(req, "watch"))
		problem = do_watch(api, req, k, ns, &q, reply);
	else if (!problem)
		problem = do_list(api, k, ns, &q, reply);
	if (problem)
		reply_status_take(reply, problem);
}
