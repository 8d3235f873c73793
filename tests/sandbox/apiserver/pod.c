/* SPDX-License-Identifier: MIT */

/* Pods: see pod.h. */

#include "tests/sandbox/apiserver/pod.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/meta.h"
#include "tests/sandbox/apiserver/names.h"
#include "tests/sandbox/apiserver/status.h"

#include <string.h>

static void set_default(json_t *obj, const char *key, json_t *value_take)
{
	if (json_object_get(obj, key))
		json_decref(value_take);
	else
		json_object_set_new(obj, key, value_take);
}

static const char *str(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

/* defaults */

static void default_probe(json_t *probe)
{
	if (!json_is_object(probe))
		return;
	if (json_is_object(json_object_get(probe, "httpGet")))
		set_default(json_object_get(probe, "httpGet"), "scheme", json_string("HTTP"));
	set_default(probe, "timeoutSeconds", json_integer(1));
	set_default(probe, "periodSeconds", json_integer(10));
	set_default(probe, "successThreshold", json_integer(1));
	set_default(probe, "failureThreshold", json_integer(3));
}

static void default_env(json_t *list)
{
	json_t *env;
	size_t i;

	json_array_foreach (list, i, env) {
		json_t *ref = json_object_get(json_object_get(env, "valueFrom"), "fieldRef");

		if (json_is_object(ref)) {
			static const char *const order[] = { "apiVersion", NULL };

			set_default(ref, "apiVersion", json_string("v1"));
			meta_reorder(ref, order);
		}
	}
}

static const char *pull_policy(const char *image)
{
	const char *slash = strrchr(image, '/');
	const char *colon = strrchr(slash ? slash : image, ':');

	if (strchr(image, '@'))
		return "IfNotPresent";
	return !colon || strcmp(colon, ":latest") == 0 ? "Always" : "IfNotPresent";
}

static void default_container(json_t *c)
{
	static const char *const order[] = {
		"name",		  "image",	  "command",	   "args",
		"workingDir",	  "ports",	  "envFrom",	   "env",
		"resources",	  "volumeMounts", "volumeDevices", "livenessProbe",
		"readinessProbe", "startupProbe", "lifecycle",	   NULL
	};
	json_t *port;
	size_t i;

	if (!json_is_object(c))
		return;
	set_default(c, "resources", json_object());
	default_env(json_object_get(c, "env"));
	default_probe(json_object_get(c, "livenessProbe"));
	default_probe(json_object_get(c, "readinessProbe"));
	default_probe(json_object_get(c, "startupProbe"));
	json_array_foreach (json_object_get(c, "ports"), i, port) {
		if (json_is_object(port))
			set_default(port, "protocol", json_string("TCP"));
	}
	set_default(c, "terminationMessagePath", json_string("/dev/termination-log"));
	set_default(c, "terminationMessagePolicy", json_string("File"));
	set_default(c, "imagePullPolicy", json_string(pull_policy(str(c, "image"))));
	meta_reorder(c, order);
}

/* The DefaultTolerationSeconds plugin's two. */
static void default_tolerations(json_t *spec)
{
	static const char *const keys[] = { "node.kubernetes.io/not-ready",
					    "node.kubernetes.io/unreachable" };
	json_t *list = json_object_get(spec, "tolerations"), *t;

	if (!json_is_array(list)) {
		json_object_set_new(spec, "tolerations", json_array());
		list = json_object_get(spec, "tolerations");
	}
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		bool there = false;
		size_t i;

		json_array_foreach (list, i, t)
			there = there || !*str(t, "key") || strcmp(str(t, "key"), keys[k]) == 0;
		if (!there)
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:s, s:i}", "key", keys[k],
							"operator", "Exists", "effect", "NoExecute",
							"tolerationSeconds", 300));
	}
}

static void default_status(json_t *status)
{
	static const char *const order[] = { "observedGeneration",
					     "phase",
					     "conditions",
					     "message",
					     "reason",
					     "nominatedNodeName",
					     "hostIP",
					     "hostIPs",
					     "podIP",
					     "podIPs",
					     "startTime",
					     "initContainerStatuses",
					     "containerStatuses",
					     "qosClass",
					     NULL };
	static const char *const condition_order[] = { "type", "status", "lastProbeTime",
						       "lastTransitionTime", NULL };
	json_t *c;
	size_t i;

	if (!json_is_object(status))
		return;
	json_array_foreach (json_object_get(status, "conditions"), i, c) {
		if (!json_is_object(c))
			continue;
		set_default(c, "lastProbeTime", json_null());
		set_default(c, "lastTransitionTime", json_null());
		meta_reorder(c, condition_order);
	}
	meta_reorder(status, order);
}

static void default_spec(json_t *spec)
{
	static const char *const lists[] = { "initContainers", "containers" };
	static const char *const order[] = { "volumes",
					     "initContainers",
					     "containers",
					     "restartPolicy",
					     "terminationGracePeriodSeconds",
					     "activeDeadlineSeconds",
					     "dnsPolicy",
					     "nodeSelector",
					     "serviceAccountName",
					     "serviceAccount",
					     "automountServiceAccountToken",
					     "nodeName",
					     "hostNetwork",
					     "hostPID",
					     "hostIPC",
					     "securityContext",
					     "imagePullSecrets",
					     "hostname",
					     "subdomain",
					     "affinity",
					     "schedulerName",
					     "tolerations",
					     "hostAliases",
					     "priorityClassName",
					     "priority",
					     NULL };
	json_t *c;
	size_t i;

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		json_array_foreach (json_object_get(spec, lists[l]), i, c)
			default_container(c);
	}
	if (!*str(spec, "serviceAccountName"))
		json_object_set_new(spec, "serviceAccountName",
				    json_string(*str(spec, "serviceAccount")
							? str(spec, "serviceAccount")
							: "default"));
	json_object_set(spec, "serviceAccount", json_object_get(spec, "serviceAccountName"));
	set_default(spec, "restartPolicy", json_string("Always"));
	set_default(spec, "terminationGracePeriodSeconds", json_integer(30));
	set_default(spec, "dnsPolicy", json_string("ClusterFirst"));
	set_default(spec, "securityContext", json_object());
	set_default(spec, "schedulerName", json_string("default-scheduler"));
	default_tolerations(spec);
	set_default(spec, "priority", json_integer(0));
	set_default(spec, "enableServiceLinks", json_true());
	set_default(spec, "preemptionPolicy", json_string("PreemptLowerPriority"));
	meta_reorder(spec, order);
}

void pod_default(json_t *pod)
{
	if (json_is_object(json_object_get(pod, "spec")))
		default_spec(json_object_get(pod, "spec"));
	default_status(json_object_get(pod, "status"));
}

/* status */

/* Requests and limits of cpu and memory: none at all, equal everywhere, or something between. */
static const char *qos_class(const json_t *spec)
{
	static const char *const what[] = { "cpu", "memory" };
	bool any = false, all_equal = true;
	json_t *c;
	size_t i;

	json_array_foreach (json_object_get(spec, "containers"), i, c) {
		const json_t *res = json_object_get(c, "resources");

		for (size_t w = 0; w < ARRAY_SIZE(what); w++) {
			const json_t *req = json_object_get(json_object_get(res, "requests"),
							    what[w]);
			const json_t *lim = json_object_get(json_object_get(res, "limits"),
							    what[w]);

			any = any || req || lim;
			all_equal = all_equal && lim && (!req || json_equal(req, lim));
		}
	}
	return !any ? "BestEffort" : all_equal ? "Guaranteed" : "Burstable";
}

void pod_init_status(json_t *pod)
{
	json_object_set_new(pod, "status",
			    json_pack("{s:s, s:s}", "phase", "Pending", "qosClass",
				      qos_class(json_object_get(pod, "spec"))));
}

/* validation */

static void validate_container(const json_t *c, const char *list, size_t i, json_t *causes)
{
	_cleanup_free_ char *name = xasprintf("spec.%s[%zu].name", list, i);
	_cleanup_free_ char *image = xasprintf("spec.%s[%zu].image", list, i);
	const char *why;

	if (!*str(c, "name")) {
		status_cause(causes, "FieldValueRequired", name, "Required value");
	} else {
		why = names_check_dns_label(str(c, "name"));
		if (why)
			status_cause(causes, "FieldValueInvalid", name, "Invalid value: \"%s\": %s",
				     str(c, "name"), why);
	}
	if (!*str(c, "image"))
		status_cause(causes, "FieldValueRequired", image, "Required value");
}

static void validate_spec(const json_t *spec, json_t *causes)
{
	static const char *const policies[] = { "Always", "OnFailure", "Never" };
	const char *policy = str(spec, "restartPolicy"), *node = str(spec, "nodeName"), *why;
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
		known = known || strcmp(policy, policies[i]) == 0;
	if (!known)
		status_cause(causes, "FieldValueNotSupported", "spec.restartPolicy",
			     "Unsupported value: \"%s\": supported values: \"Always\", "
			     "\"OnFailure\", \"Never\"",
			     policy);
	why = *node ? names_check_dns_subdomain(node) : NULL;
	if (why)
		status_cause(causes, "FieldValueInvalid", "spec.nodeName",
			     "Invalid value: \"%s\": %s", node, why);
}

void pod_validate(const json_t *pod, json_t *causes)
{
	static const char *const lists[] = { "initContainers", "containers" };
	const json_t *spec = json_object_get(pod, "spec"), *c;
	size_t i;

	if (!json_array_size(json_object_get(spec, "containers")))
		status_cause(causes, "FieldValueRequired", "spec.containers", "Required value");
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		json_array_foreach (json_object_get(spec, lists[l]), i, c)
			validate_container(c, lists[l], i, causes);
	}
	if (json_is_object(spec))
		validate_spec(spec, causes);
}

/* The few members of a running pod's spec that may change are taken out, on both sides. */
static json_t *fixed_part(const json_t *pod)
{
	static const char *const lists[] = { "initContainers", "containers" };
	static const char *const free_members[] = { "activeDeadlineSeconds", "tolerations",
						    "terminationGracePeriodSeconds" };
	json_t *spec = json_deep_copy(json_object_get(pod, "spec")), *c;
	size_t i;

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		json_array_foreach (json_object_get(spec, lists[l]), i, c)
			json_object_del(c, "image");
	}
	for (size_t m = 0; m < ARRAY_SIZE(free_members); m++)
		json_object_del(spec, free_members[m]);
	return spec;
}

void pod_validate_update(const json_t *pod, const json_t *old, json_t *causes)
{
	json_t *a = fixed_part(pod), *b = fixed_part(old);

	if (!json_equal(a, b))
		status_cause(causes, "FieldValueForbidden", "spec",
			     "Forbidden: pod updates may not change fields other than "
			     "`spec.containers[*].image`,`spec.initContainers[*].image`,"
			     "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
			     "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it "
			     "to be set to 1 if it was previously negative)");
	json_decref(a);
	json_decref(b);
}

bool pod_is_idle(const json_t *pod)
{
	const char *phase = str(json_object_get(pod, "status"), "phase");

	return !*str(json_object_get(pod, "spec"), "nodeName") || strcmp(phase, "Succeeded") == 0 ||
	       strcmp(phase, "Failed") == 0;
}
