/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct jval;
struct kube_client;
struct loop;

/*
 * Keeps a consumer in step with one kind of object, as client-go's reflector does: first the whole
 * (streaming initial list, else paged list), then a watch; a closed stream resumes at the last
 * version seen, 410 in either form starts over, failures back off with jitter. A resync is a diff:
 * between begin() and end() every object that exists is upserted, and the consumer then drops those
 * that were not. An API server that is away changes nothing for the consumer.
 *
 * All callbacks come from the loop. Objects are borrowed for the call.
 */
struct reflector;

struct reflector_ops {
	void (*begin)(void *ctx); /* again without end(): the attempt before was broken off */
	/* A malformed object is for the consumer to warn of and skip; it does not end the stream. */
	void (*upsert)(void *ctx, const struct jval *obj);
	void (*remove)(void *ctx, const struct jval *obj);
	void (*end)(void *ctx); /* a resync is complete: the consumer now holds the whole */
	/*
	 * An attempt failed, and there will be another; err as in the status. May be NULL, and must not free
	 * the reflector.
	 */
	void (*failed)(void *ctx, const struct err *err);
};

struct reflector_spec {
	const char *name;	    /* for messages and metrics: "pods" */
	const char *path;	    /* "/api/v1/pods" */
	const char *field_selector; /* unescaped, or NULL */
	const char *label_selector;
	bool metadata_only; /* what else objects hold is not asked for */
	bool optional; /* a custom resource: 404 means "not installed yet", an empty whole, asked again */
};

enum reflector_state {
	REFLECTOR_STARTING, /* no whole yet; left by a complete initial list or by a 404 if optional */
	REFLECTOR_SYNCED,	 /* a whole was seen and a watch is open */
	REFLECTOR_DISCONNECTED,	 /* a whole was seen; the watch is down and being retried */
	REFLECTOR_NOT_INSTALLED, /* optional only: the server does not know the resource */
};

struct reflector_status {
	enum reflector_state state;
	bool has_synced; /* a whole has been delivered at least once (or it is not installed) */
	struct mono last_event; /* last event or bookmark */
	struct mono last_heard; /* that, a part of a list, or that it is not installed; 0: never */
	unsigned long
		restarts; /* after failures and expired versions; not the server's own time-out */
	struct err last_err; /* kind ERR_NONE when the last attempt went well */
};

struct reflector *reflector_new(struct loop *l, struct kube_client *client,
				const struct reflector_spec *spec, const struct reflector_ops *ops,
				void *ctx);
/* The client must outlive the reflector. May be called from its own callbacks. */
struct reflector *reflector_free(struct reflector *r);
DEFINE_CLEANUP(struct reflector, reflector_free);
void reflector_start(struct reflector *r);
const struct reflector_status *reflector_status(const struct reflector *r);
const char *reflector_name(const struct reflector *r);
