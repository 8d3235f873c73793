/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "nmi/reason.h"

#include <stdbool.h>

struct kube_client;
struct loop;
struct metrics;

/*
 * Refusals as core/v1 Events of the pods that they concern, so that `kubectl describe pod` says why.
 * The only permission needed is `create` on events. Never in the way of an answer: what is reported is
 * kept, and sent later from the loop; what cannot be sent is dropped.
 *
 * A refusal is told at once the first time, and again while it recurs, at most every
 * LIMIT_EVENT_QUIET_MSEC, then with the count since the first. Bounded per pod, per node and in memory
 * (LIMIT_EVENT_*), so that a pod can neither flood the API server nor hide another's refusals for long.
 */
struct events;

struct events *events_new(struct loop *l, struct kube_client *client, const char *node,
			  struct metrics *metrics);
struct events *events_free(struct events *e); /* what has not been sent is dropped */
DEFINE_CLEANUP(struct events, events_free);

struct event_pod {
	const char *namespace, *name, *uid;
};

/*
 * True: the Event that carries `request_id` will be sent. What passes by itself (the pod or the objects
 * are not known yet, a limit, IMDS in trouble) makes none. Strings are copied if needed.
 */
bool events_refused(struct events *e, const struct event_pod *pod, enum reason reason,
		    const char *text, const char *request_id);
