/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/pods/pod.h"

#include <check.h>
#include <string.h>

/* A pod with what a test does not care about filled in: pod(.uid = "a", .ip = "10.0.0.1"). */
struct pod_args {
	const char *uid, *name, *ip, *ip2, *phase, *node; /* name NULL: pod-<uid> */
	bool host_network, deleting;
};

static inline char *pod_json_from(const struct pod_args *a)
{
	_cleanup_free_ char *second = a->ip2 ? xasprintf(",{\"ip\":\"%s\"}", a->ip2) : xstrdup("");
	_cleanup_free_ char *ips = a->ip ? xasprintf("{\"ip\":\"%s\"}%s", a->ip, second)
					 : xstrdup("");
	_cleanup_free_ char *name = a->name ? xstrdup(a->name) : xasprintf("pod-%s", a->uid);

	return xasprintf("{\"metadata\":{\"uid\":\"%s\",\"namespace\":\"my-app\",\"name\":\"%s\","
			 "\"resourceVersion\":\"1\",\"labels\":{\"aadpodidbinding\":\"web\"}%s},"
			 "\"spec\":{\"nodeName\":\"%s\",\"hostNetwork\":%s},"
			 "\"status\":{\"phase\":\"%s\",\"podIPs\":[%s]}}",
			 a->uid, name,
			 a->deleting ? ",\"deletionTimestamp\":\"2026-01-02T03:04:05Z\"" : "",
			 a->node ? a->node : "node-1", a->host_network ? "true" : "false",
			 a->phase ? a->phase : "Running", ips);
}

static inline struct pod *pod_from(const struct pod_args *a)
{
	_cleanup_free_ char *text = pod_json_from(a);
	_cleanup_(jval_freep) struct jval *doc = jval_parse(text, strlen(text), 1 << 20, NULL);
	struct err err = { 0 };
	struct pod *p;

	p = doc ? pod_parse(doc, &err) : NULL;
	if (!p)
		ck_abort_msg("%s: %s", err.msg, text);
	return p;
}

static inline struct inet_ip ip_from(const char *text)
{
	struct inet_ip ip;

	if (inet_ip_parse(text, &ip, NULL) < 0)
		ck_abort_msg("%s", text);
	return ip;
}

#define pod_json(...) pod_json_from(&(struct pod_args){ __VA_ARGS__ })
#define pod(...)      pod_from(&(struct pod_args){ __VA_ARGS__ })
