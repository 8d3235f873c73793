/* SPDX-License-Identifier: MIT */

/* What `kubectl get` prints: see table.h. */

#include "tests/sandbox/apiserver/table.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/kind.h"
#include "tests/sandbox/apiserver/meta.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *str(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

static const json_t *at(const json_t *obj, const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, ".");

		obj = json_object_getn(obj, p, n);
		p += n + (p[n] == '.');
	}
	return obj;
}

static json_t *text_or_none(const char *s)
{
	return json_string(*s ? s : "<none>");
}

/* Ages, as kubectl abbreviates them. */

static void print_age(char buf[static 32], long long s)
{
	if (s < 120)
		(void)snprintf(buf, 32, "%llds", s < 0 ? 0 : s);
	else if (s < 600)
		(void)snprintf(buf, 32, s % 60 ? "%lldm%llds" : "%lldm", s / 60, s % 60);
	else if (s < 3 * 3600)
		(void)snprintf(buf, 32, "%lldm", s / 60);
	else if (s < 8 * 3600)
		(void)snprintf(buf, 32, s / 60 % 60 ? "%lldh%lldm" : "%lldh", s / 3600,
			       s / 60 % 60);
	else if (s < 48 * 3600)
		(void)snprintf(buf, 32, "%lldh", s / 3600);
	else if (s < 8 * 86400)
		(void)snprintf(buf, 32, s / 3600 % 24 ? "%lldd%lldh" : "%lldd", s / 86400,
			       s / 3600 % 24);
	else
		(void)snprintf(buf, 32, "%lldd", s / 86400);
}

static json_t *age_of(const char *stamp, int64_t now)
{
	struct tm tm = { 0 };
	char buf[32];

	if (!*stamp || !strptime(stamp, "%Y-%m-%dT%H:%M:%S", &tm))
		return json_string("<unknown>");
	print_age(buf, (long long)(now - timegm(&tm)));
	return json_string(buf);
}

static json_t *age(const json_t *obj, int64_t now)
{
	return age_of(meta_str(obj, "creationTimestamp"), now);
}

/* columns */

struct column {
	enum kind_id id;
	const char *name, *type, *format;
	int priority;
};

/* clang-format off */
static const struct column columns[] = {
	{ KIND_POD, "Name", "string", "name", 0 },
	{ KIND_POD, "Ready", "string", "", 0 },
	{ KIND_POD, "Status", "string", "", 0 },
	{ KIND_POD, "Restarts", "string", "", 0 },
	{ KIND_POD, "Age", "string", "", 0 },
	{ KIND_POD, "IP", "string", "", 1 },
	{ KIND_POD, "Node", "string", "", 1 },
	{ KIND_POD, "Nominated Node", "string", "", 1 },
	{ KIND_POD, "Readiness Gates", "string", "", 1 },
	{ KIND_NAMESPACE, "Name", "string", "name", 0 },
	{ KIND_NAMESPACE, "Status", "string", "", 0 },
	{ KIND_NAMESPACE, "Age", "string", "", 0 },
	{ KIND_SECRET, "Name", "string", "name", 0 },
	{ KIND_SECRET, "Type", "string", "", 0 },
	{ KIND_SECRET, "Data", "string", "", 0 },
	{ KIND_SECRET, "Age", "string", "", 0 },
	{ KIND_SERVICE_ACCOUNT, "Name", "string", "name", 0 },
	{ KIND_SERVICE_ACCOUNT, "Secrets", "string", "", 0 },
	{ KIND_SERVICE_ACCOUNT, "Age", "string", "", 0 },
	{ KIND_EVENT, "Last Seen", "string", "", 0 },
	{ KIND_EVENT, "Type", "string", "", 0 },
	{ KIND_EVENT, "Reason", "string", "", 0 },
	{ KIND_EVENT, "Object", "string", "", 0 },
	{ KIND_EVENT, "Message", "string", "", 0 },
	{ KIND_EVENT, "Count", "integer", "", 1 },
	{ KIND_EVENT, "Name", "string", "name", 1 },
	{ KIND_NODE, "Name", "string", "name", 0 },
	{ KIND_NODE, "Status", "string", "", 0 },
	{ KIND_NODE, "Roles", "string", "", 0 },
	{ KIND_NODE, "Age", "string", "", 0 },
	{ KIND_NODE, "Version", "string", "", 0 },
	{ KIND_NODE, "Internal-IP", "string", "", 1 },
	{ KIND_LEASE, "Name", "string", "name", 0 },
	{ KIND_LEASE, "Holder", "string", "", 0 },
	{ KIND_LEASE, "Age", "string", "", 0 },
	{ KIND_CRD, "Name", "string", "name", 0 },
	{ KIND_CRD, "Created At", "date", "", 0 },
	{ KIND_OTHER, "Name", "string", "name", 0 },
	{ KIND_OTHER, "Data", "string", "", 0 },
	{ KIND_OTHER, "Age", "string", "", 0 },
	{ KIND_CUSTOM, "Name", "string", "name", 0 },
};
/* clang-format on */

static json_t *column(const char *name, const char *type, const char *format, const char *about,
		      json_int_t priority)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I}", "name", name, "type", type, "format", format,
			 "description", about, "priority", priority);
}

json_t *table_columns(const struct kind *k)
{
	json_t *all = json_array(), *c;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		if (columns[i].id == k->id)
			json_array_append_new(all,
					      column(columns[i].name, columns[i].type,
						     columns[i].format, "", columns[i].priority));
	}
	if (k->id != KIND_CUSTOM)
		return all;
	json_array_foreach (k->columns, i, c)
		json_array_append_new(all,
				      column(str(c, "name"), str(c, "type"), str(c, "format"),
					     str(c, "description"),
					     json_integer_value(json_object_get(c, "priority"))));
	if (!json_array_size(k->columns))
		json_array_append_new(all, column("Age", "date", "", "", 0));
	return all;
}

/* rows */

/* Ready of how many, what state to show, restarts: summed up over the containers. */
static void pod_summary(const json_t *pod, char ready[static 32], char restarts[static 32],
			const char **out_status)
{
	const json_t *status = json_object_get(pod, "status"), *c;
	size_t total = json_array_size(at(pod, "spec.containers")), up = 0, i;
	json_int_t again = 0;

	*out_status = *str(status, "reason") ? str(status, "reason") : str(status, "phase");
	json_array_foreach (json_object_get(status, "containerStatuses"), i, c) {
		const char *waiting = str(at(c, "state.waiting"), "reason");
		const char *ended = str(at(c, "state.terminated"), "reason");

		up += json_is_true(json_object_get(c, "ready"));
		again += json_integer_value(json_object_get(c, "restartCount"));
		if (*waiting || *ended)
			*out_status = *waiting ? waiting : ended;
	}
	if (*meta_str(pod, "deletionTimestamp"))
		*out_status = "Terminating";
	else if (strcmp(*out_status, "Succeeded") == 0)
		*out_status = "Completed";
	(void)snprintf(ready, 32, "%zu/%zu", up, total);
	(void)snprintf(restarts, 32, "%lld", (long long)again);
}

static json_t *pod_cells(const json_t *pod, int64_t now)
{
	const json_t *status = json_object_get(pod, "status");
	char ready[32], restarts[32];
	const char *state;

	pod_summary(pod, ready, restarts, &state);
	return json_pack("[s, s, s, s, o, o, o, o, s]", meta_str(pod, "name"), ready, state,
			 restarts, age(pod, now), text_or_none(str(status, "podIP")),
			 text_or_none(str(json_object_get(pod, "spec"), "nodeName")),
			 text_or_none(str(status, "nominatedNodeName")), "<none>");
}

static json_t *event_cells(const json_t *e, int64_t now)
{
	const json_t *about = json_object_get(e, "involvedObject");
	const char *last = str(e, "lastTimestamp");
	_cleanup_free_ char *object = xasprintf("%s/%s", str(about, "kind"), str(about, "name"));

	for (char *p = object; *p && *p != '/'; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 'a' - 'A' : *p);
	return json_pack("[o, s, s, s, s, I, s]",
			 age_of(*last ? last : meta_str(e, "creationTimestamp"), now),
			 str(e, "type"), str(e, "reason"), object, str(e, "message"),
			 json_integer_value(json_object_get(e, "count")), meta_str(e, "name"));
}

static const char *node_state(const json_t *node)
{
	json_t *c;
	size_t i;

	json_array_foreach (at(node, "status.conditions"), i, c) {
		if (strcmp(str(c, "type"), "Ready") == 0)
			return strcmp(str(c, "status"), "True") == 0 ? "Ready" : "NotReady";
	}
	return "Unknown";
}

static const char *node_ip(const json_t *node)
{
	json_t *a;
	size_t i;

	json_array_foreach (at(node, "status.addresses"), i, a) {
		if (strcmp(str(a, "type"), "InternalIP") == 0)
			return str(a, "address");
	}
	return "";
}

/* A column's JSONPath of the simple sort: ".spec.clientID". */
static json_t *custom_cell(const json_t *column, const json_t *obj, int64_t now)
{
	const char *path = str(column, "jsonPath");
	const json_t *v = at(obj, *path == '.' ? path + 1 : path);
	char digits[32];

	if (strcmp(str(column, "type"), "date") == 0)
		return age_of(json_is_string(v) ? json_string_value(v) : "", now);
	if (strcmp(str(column, "type"), "string") == 0 && json_is_integer(v)) {
		/* declared as text, holding a number: shown as text */
		(void)snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(v));
		return json_string(digits);
	}
	return v ? json_incref((json_t *)(uintptr_t)v) : json_null();
}

static json_t *custom_cells(const struct kind *k, const json_t *obj, int64_t now)
{
	json_t *cells = json_pack("[s]", meta_str(obj, "name")), *c;
	size_t i;

	json_array_foreach (k->columns, i, c)
		json_array_append_new(cells, custom_cell(c, obj, now));
	if (!json_array_size(k->columns))
		json_array_append_new(cells, age(obj, now));
	return cells;
}

static json_t *count(const json_t *obj, const char *member)
{
	const json_t *v = json_object_get(obj, member);
	char digits[32];

	(void)snprintf(digits, sizeof(digits), "%zu",
		       json_is_array(v) ? json_array_size(v) : json_object_size(v));
	return json_string(digits);
}

json_t *table_cells(const struct kind *k, const json_t *obj, int64_t now)
{
	const char *name = meta_str(obj, "name");

	switch (k->id) {
	case KIND_POD:
		return pod_cells(obj, now);
	case KIND_EVENT:
		return event_cells(obj, now);
	case KIND_CUSTOM:
		return custom_cells(k, obj, now);
	case KIND_NAMESPACE:
		return json_pack("[s, s, o]", name, str(json_object_get(obj, "status"), "phase"),
				 age(obj, now));
	case KIND_SECRET:
		return json_pack("[s, s, o, o]", name, str(obj, "type"), count(obj, "data"),
				 age(obj, now));
	case KIND_SERVICE_ACCOUNT:
		return json_pack("[s, o, o]", name, count(obj, "secrets"), age(obj, now));
	case KIND_NODE:
		return json_pack("[s, s, s, o, s, o]", name, node_state(obj), "<none>",
				 age(obj, now), str(at(obj, "status.nodeInfo"), "kubeletVersion"),
				 text_or_none(node_ip(obj)));
	case KIND_LEASE:
		return json_pack("[s, s, o]", name,
				 str(json_object_get(obj, "spec"), "holderIdentity"),
				 age(obj, now));
	case KIND_CRD:
		return json_pack("[s, s]", name, meta_str(obj, "creationTimestamp"));
	case KIND_OTHER:
		break;
	}
	return json_pack("[s, o, o]", name, count(obj, "data"), age(obj, now));
}
