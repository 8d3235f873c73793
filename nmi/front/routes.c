/* SPDX-License-Identifier: MIT */

/* What can be asked. The first row that fits decides. */

#include "lib/base/mem.h"
#include "nmi/front/internal.h"

#include <stdio.h>
#include <string.h>

#define GET	METHOD_GET
#define READ	(METHOD_GET | METHOD_HEAD)
#define ANY	(METHOD_GET | METHOD_HEAD | METHOD_POST | METHOD_PUT)
#define EVERY	(ANY | METHOD_OTHER)
#define PODS	LISTENER_PODS
#define HOST	LISTENER_HOST
#define PROBES	LISTENER_PROBES
#define METRICS LISTENER_METRICS

static bool is_host_token(struct str path)
{
	return str_starts(path, STR("/host/token"));
}

static bool is_self_test(struct str path)
{
	return str_starts(path, STR(FRONT_SELF_TEST));
}

static bool is_any(struct str path)
{
	(void)path; /* whatever it is */
	return true;
}

/* clang-format off */
static const struct route routes[] = {
	/* The first name is the old agent's label, so that its dashboards keep working. */
	{ PODS, GET, "/metadata/identity/oauth2/token", NULL, "/metadata/identity/oauth2/token", h_token,
	  "A token of the pod's own identity" },
	{ PODS, EVERY, "/metadata/identity/...", target_is_identity, "identity", h_identity,
	  "404: no other identity path exists here, and none is ever forwarded" },
	/* Where the pods' listener is on a loopback address too, it is the host's at the same time. */
	{ PODS, GET, "/host/token", is_host_token, "/host/token", h_host_token,
	  "As below, if the listener has a loopback address; to pods 403" },
	{ PODS, READ, "/metadata/instance/...", target_is_instance, "instance", h_instance,
	  "Forwarded to IMDS; 403 with --block-instance-metadata" },
	{ PODS, GET, FRONT_SELF_TEST "...", is_self_test, "self-test", h_self_test,
	  "The agent asks here whether the metadata address leads to it; to others 404" },
	{ PODS, ANY, "/...", is_any, "forward", h_forward,
	  "Forwarded to IMDS" },

	{ HOST, GET, "/host/token", is_host_token, "/host/token", h_host_token,
	  "A token in the name of a pod, for processes of this node; see --host-token" },
	{ HOST, EVERY, "/...", is_any, "host", h_host_other,
	  "404" },

	{ PROBES, READ, "/healthz", NULL, "healthz", h_healthz,
	  "Active once the packet rules have been in place, else Not Active; always 200" },
	{ PROBES, READ, "/readyz", NULL, "readyz", h_readyz,
	  "200 when every check passes, else 503; one line a check" },
	{ PROBES, READ, "/livez", NULL, "livez", h_livez,
	  "200 while the agent's loop runs" },

	{ METRICS, READ, "/metrics", NULL, "metrics", h_metrics,
	  "Metrics in the Prometheus text format 0.0.4" },
};

static const struct {
	enum method method;
	const char *name;
} method_names[] = {
	{ METHOD_GET, "GET" },
	{ METHOD_HEAD, "HEAD" },
	{ METHOD_POST, "POST" },
	{ METHOD_PUT, "PUT" },
};
/* clang-format on */

const struct route *route_find(enum listener listener, struct str path)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		const struct route *r = &routes[i];

		if (r->listener == listener &&
		    (r->fits ? r->fits(path) : str_eq(path, str_of(r->path))))
			return r;
	}
	return NULL;
}

unsigned method_parse(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(method_names); i++) {
		if (strcmp(name, method_names[i].name) == 0)
			return method_names[i].method;
	}
	return METHOD_OTHER;
}

const char *methods_print(unsigned methods, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	if (methods & METHOD_OTHER) {
		(void)snprintf(buf, size, "any");
		return buf;
	}
	for (size_t i = 0; i < ARRAY_SIZE(method_names) && n < size; i++) {
		if (methods & method_names[i].method)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "",
					      method_names[i].name);
	}
	return buf;
}

void front_print_routes(FILE *out)
{
	static const char *const listener_names[LISTENERS] = {
		[LISTENER_PODS] = "pods",
		[LISTENER_HOST] = "host",
		[LISTENER_PROBES] = "probes",
		[LISTENER_METRICS] = "metrics",
	};
	char methods[32];

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		fprintf(out, "%s\t%s\t%s\t%s\n", listener_names[routes[i].listener],
			methods_print(routes[i].methods, methods, sizeof(methods)), routes[i].path,
			routes[i].summary);
}
