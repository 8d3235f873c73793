/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/inet.h"

#include <stdbool.h>
#include <stddef.h>

struct jval;

/*
 * A pod, reduced to what is used. Immutable and reference-counted: a request under way keeps the
 * snapshot that it was decided on.
 */
enum pod_phase { POD_PENDING, POD_RUNNING, POD_SUCCEEDED, POD_FAILED, POD_UNKNOWN_PHASE };

struct pod {
	unsigned refs;
	unsigned char n_ips;
	enum pod_phase phase : 8;
	bool host_network : 1;
	bool terminated : 1; /* every container has ended: its IP is no longer its own */
	bool deleting : 1;   /* metadata.deletionTimestamp is set */
	/* by the kubelet's clock, down to the second; 0: not known */
	struct wall32 started; /* the kubelet took it up, before it made its network */
	struct wall32 ran;     /* the last time that one of its containers was started */
	const char *uid, *namespace, *name, *service_account; /* never empty */
	const char *labels;				      /* as of labels_parse() */
	struct inet_ip ips[]; /* status.podIPs, or status.podIP where that is all there is */
};

/* NULL with ERR_INPUT naming the field; an IP that cannot be parsed is such an error. */
struct pod *pod_parse(const struct jval *obj, struct err *err);
struct pod *pod_ref(const struct pod *p);
struct pod *pod_unref(struct pod *p);
DEFINE_CLEANUP(struct pod, pod_unref);

/* Neither Pending nor Running, or all its containers have ended. */
bool pod_has_ended(const struct pod *p);
/* May it claim its IPs: Pending or Running, not all containers ended, not on the host's network. */
bool pod_is_active(const struct pod *p);
