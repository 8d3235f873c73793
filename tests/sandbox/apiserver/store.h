/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/*
 * Objects with one counter of versions over all of them, as etcd has, and for each collection a window
 * of past changes: what a watch replays, and what an older list is computed from. A version of an
 * object never changes; the text that clients get is made once, when it is written.
 */
struct version {
	unsigned refs;
	uint64_t rv;
	char *key;    /* "namespace/name", or "name" */
	char *text;   /* the whole object */
	size_t n;     /* bytes of text */
	json_t *json; /* NULL: dropped, made again from the text by version_json() */
};

struct version *version_ref(struct version *v);
struct version *version_unref(struct version *v);
/* Borrowed; never to be changed. */
json_t *version_json(struct version *v);
DEFINE_CLEANUP(struct version, version_unref);

enum change { CHANGE_ADDED, CHANGE_MODIFIED, CHANGE_DELETED };

struct event {
	enum change change;
	uint64_t rv;
	struct mono at;
	struct version *
		cur; /* after the change; of a deletion: the last state with the version of the end */
	struct version *prev; /* before it; NULL for ADDED */
};

/* Objects of one kind in the order of their keys. Embedded in the kind; all-zero is empty. */
struct coll {
	bool sorted_members; /* custom resources are printed with sorted members */
	bool drop_trees;     /* many and rarely selected: keep the text only */
	struct version **objects;
	size_t n, cap;
	struct event *events; /* ring */
	size_t first, n_events, cap_events;
	uint64_t floor;	  /* a watch or a list from before this version is refused */
	uint64_t dropped; /* version of the newest event that is forgotten */
};

typedef void store_change_fn(void *ctx, struct coll *c);

struct store {
	struct loop *loop;
	uint64_t rv;	     /* of the last change */
	size_t history;	     /* events kept for each collection */
	store_change_fn *fn; /* called after each change */
	void *ctx;
};

/* From now on a watch of the collection can start at the present version. */
void coll_init(struct coll *c, const struct store *s);
void coll_deinit(struct coll *c);

/* reading: borrowed until the next write */
struct version *coll_find(const struct coll *c, const char *key);
const struct event *coll_event(const struct coll *c, size_t i);
/* Index of the first event after `rv`. */
size_t coll_events_after(const struct coll *c, uint64_t rv);

/* The objects as they were at `rv`; each is referenced. NULL when that is forgotten or not reached. */
struct snapshot {
	struct version **objects;
	size_t n;
	uint64_t rv;
};
struct snapshot *coll_snapshot(const struct coll *c, uint64_t rv, uint64_t now_rv);
struct snapshot *snapshot_free(struct snapshot *s);
DEFINE_CLEANUP(struct snapshot, snapshot_free);

/* writing */
/* Create or replace; writes metadata.resourceVersion into `obj`, which the store keeps. */
struct version *store_put(struct store *s, struct coll *c, const char *key, json_t *obj);
/* False if there is no such object. */
bool store_delete(struct store *s, struct coll *c, const char *key);
/* Forget the past of the collection, as a compaction does. */
void store_compact(struct store *s, struct coll *c);
