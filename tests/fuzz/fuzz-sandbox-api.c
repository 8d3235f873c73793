/* SPDX-License-Identifier: MIT */

/*
 * Requests to the stand-in API server, as text: "METHOD TARGET", "CONTENT-TYPE", then the body; more
 * requests follow after a line "----". All run against one server, which begins anew with each input.
 */

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/auth.h"
#include "tests/sandbox/apiserver/files.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/apiserver/rest.h"
#include "tests/sandbox/apiserver/watch.h"

#include <string.h>

#define WATCHES_MAX 16
#define INPUT_MAX   (64 * 1024)

static struct watch *watches[WATCHES_MAX];
static size_t n_watches;

static const char crd[] =
	"{\"metadata\":{\"name\":\"things.example.com\"},\"spec\":{\"group\":\"example.com\","
	"\"scope\":\"Namespaced\",\"names\":{\"plural\":\"things\",\"kind\":\"Thing\"},"
	"\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{"
	"\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\","
	"\"required\":[\"s\"],\"properties\":{\"n\":{\"type\":\"integer\",\"minimum\":1},"
	"\"s\":{\"type\":\"string\",\"pattern\":\"^a\",\"default\":\"a\"},\"l\":{\"type\":"
	"\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"e\":{\"type\":\"string\","
	"\"enum\":[\"x\",\"y\"]}}}},\"ref\":{\"type\":\"object\","
	"\"x-kubernetes-embedded-resource\":true}}}}}},\"additionalPrinterColumns\":[{\"name\":"
	"\"N\",\"type\":\"string\",\"jsonPath\":\".spec.n\"}]}]}}";

static void api_fill(struct api *api)
{
	json_t *problem;

	api->auth = auth_parse("admin admin system:masters\n", NULL);
	problem = rest_create_object(api, kinds_find_id(&api->kinds, KIND_CRD),
				     json_loads(crd, 0, NULL));
	if (problem)
		abort();
}

/* What is true of every answer. */
static void check(struct api *api, const struct req *req, struct reply *reply, uint64_t rv_before)
{
	json_t *doc;

	if (reply->code < 200 || reply->code > 599 || !reply->type)
		abort();
	if (reply->code >= 400 && api->store.rv != rv_before)
		abort(); /* refused, and yet something was written */
	if (reply->watch || strcmp(reply->type, "application/json") != 0)
		return;
	doc = json_loadb(reply->body, reply->n, JSON_ALLOW_NUL, NULL);
	if (!doc)
		abort();
	json_decref(doc);
}

static void drain(struct watch *w)
{
	char buf[4096];
	ssize_t n;

	for (int i = 0; i < 1000; i++) {
		n = watch_read(w, buf, sizeof(buf));
		if (n <= 0)
			return;
	}
}

static void run(struct api *api, char *text)
{
	char *method = strsep(&text, " \n"), *target = text ? strsep(&text, "\n") : NULL;
	char *type = text ? strsep(&text, "\n") : NULL;
	uint64_t rv = api->store.rv;
	struct reply reply = { 0 };
	struct req req = { 0 };

	if (!target || req_parse_target(&req, target, NULL) < 0)
		return;
	req.method = method;
	req.content_type = type;
	req.accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
	if (type && *type == '!') { /* the plain form, too */
		req.content_type = type + 1;
		req.accept = NULL;
	}
	req.authorization = "Bearer admin";
	req.body = text;
	req.n_body = text ? strlen(text) : 0;
	api_handle(api, &req, &reply);
	check(api, &req, &reply, rv);
	if (reply.watch && n_watches < WATCHES_MAX)
		watches[n_watches++] = reply.watch;
	else
		watch_free(reply.watch);
	reply_deinit(&reply);
	req_deinit(&req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct api_options options = { .node = "n", .history = 8, .stop_msec = 10 };
	struct loop *loop;
	struct api api;
	char *text, *rest, *end;

	if (size > INPUT_MAX)
		return 0;
	loop = loop_new_fake(NULL);
	api_init(&api, loop, &options);
	api_fill(&api);
	text = xstrndup((const char *)data, size);
	for (rest = text; rest; rest = end) {
		end = strstr(rest, "\n----\n");
		if (end) {
			*end = '\0';
			end += strlen("\n----\n");
		}
		run(&api, rest);
		loop_fake_advance(loop, 5);
		for (size_t i = 0; i < n_watches; i++)
			drain(watches[i]);
	}
	loop_fake_advance(loop, 100);
	while (n_watches)
		watch_free(watches[--n_watches]);
	api_deinit(&api);
	loop_free(loop);
	free(text);
	return 0;
}
