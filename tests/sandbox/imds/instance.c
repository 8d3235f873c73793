/* SPDX-License-Identifier: MIT */

/* /metadata/instance: the document, its sub-paths, JSON and text. */

#include "lib/base/mem.h"
#include "tests/sandbox/imds/answer.h"

#include <stdio.h>
#include <string.h>

static json_t *document(const struct imds_conf *c)
{
	_cleanup_free_ char *id = imds_conf_vm_id(c);
	json_t *compute = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}",
				    "azEnvironment", "AzurePublicCloud", "location", c->location,
				    "name", c->vm, "osType", "Linux", "resourceGroupName",
				    c->resource_group, "resourceId", id, "subscriptionId",
				    c->subscription_id, "vmId",
				    "13f56399-bd52-4150-9748-7190aae1ff21", "vmSize",
				    "Standard_D2s_v5", "zone", "1");
	json_t *network = json_pack("{s:[{s:{s:[{s:s, s:s}], s:[{s:s, s:s}]}, s:{s:[]}, s:s}]}",
				    "interface", "ipv4", "ipAddress", "privateIpAddress",
				    "10.240.0.4", "publicIpAddress", "", "subnet", "address",
				    "10.240.0.0", "prefix", "24", "ipv6", "ipAddress", "macAddress",
				    "0022480A1B2C");

	return json_pack("{s:o, s:o}", "compute", compute, "network", network);
}

/* The value that the segments of `path` lead to, borrowed; NULL when there is none. */
static const json_t *descend(const json_t *v, const char *path)
{
	while (*path && v) {
		size_t n;
		char name[64];

		path += *path == '/';
		n = strcspn(path, "/");
		(void)snprintf(name, sizeof(name), "%.*s", (int)n,
			       path); /* a longer one matches nothing */
		if (json_is_array(v))
			v = json_array_get(v, (size_t)strtoul(name, NULL, 10));
		else
			v = json_object_get(v, name);
		path += n;
	}
	return v;
}

/* A leaf as it is, an object as the names of its members, an array as its indices. */
static char *as_text(const json_t *v)
{
	char *out = NULL;
	size_t n = 0, i;
	FILE *f = open_memstream(&out, &n);
	const char *key;
	json_t *member;

	if (!f)
		return NULL;
	if (json_is_string(v)) {
		(void)fputs(json_string_value(v), f);
	} else if (json_is_array(v)) {
		for (i = 0; i < json_array_size(v); i++)
			(void)fprintf(f, "%s%zu/", i ? "\n" : "", i);
	} else {
		i = 0;
		json_object_foreach ((json_t *)(uintptr_t)v, key, member)
			(void)fprintf(f, "%s%s%s", i++ ? "\n" : "", key,
				      json_is_string(member) ? "" : "/");
	}
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	return out;
}

void imds_answer_json(struct imds_answer *out, unsigned status, json_t *take)
{
	out->status = status;
	out->type = "application/json; charset=utf-8";
	out->body = json_dumps(take, JSON_COMPACT);
	json_decref(take);
}

static void plain_error(struct imds_answer *out, unsigned status, const char *text)
{
	imds_answer_json(out, status, json_pack("{s:s}", "error", text));
}

void imds_answer_instance(const struct imds_conf *c, const struct query *q, struct imds_answer *out)
{
	json_t *doc = document(c);
	const json_t *v = descend(doc, q->path + strlen("/metadata/instance"));
	const char *format = query_get(q, "format");
	bool text = format && strcmp(format, "text") == 0;

	if (format && !text && strcmp(format, "json") != 0)
		plain_error(out, 400, "Bad request. format must be json or text");
	else if (!v)
		plain_error(out, 404, "Not found");
	else if (!text && json_is_string(v))
		plain_error(out, 400, "Bad request. A leaf is served with format=text only");
	else if (text)
		*out = (struct imds_answer){ 200, "text/plain; charset=utf-8", NULL, as_text(v) };
	else
		imds_answer_json(out, 200, json_incref((json_t *)(uintptr_t)v));
	json_decref(doc);
}
