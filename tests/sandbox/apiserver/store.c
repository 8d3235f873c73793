/* SPDX-License-Identifier: MIT */

/* Objects, their versions and their past: see store.h. */

#include "tests/sandbox/apiserver/store.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"

#include <assert.h>
#include <string.h>

/* Trees of versions this far in the past are dropped: hardly a watcher is still that far behind. */
#define KEEP_TREES 64

/* versions */

struct version *version_ref(struct version *v)
{
	v->refs++;
	return v;
}

struct version *version_unref(struct version *v)
{
	if (!v || --v->refs > 0)
		return NULL;
	json_decref(v->json);
	free(v->text);
	free(v->key);
	free(v);
	return NULL;
}

json_t *version_json(struct version *v)
{
	if (!v->json)
		v->json = json_loadb(v->text, v->n, 0, NULL);
	assert(v->json); /* we printed that text ourselves */
	return v->json;
}

static struct version *version_new(const struct coll *c, const char *key, json_t *obj, uint64_t rv)
{
	struct version *v = xnew(struct version);
	char digits[24];

	(void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)rv);
	json_object_set_new(json_object_get(obj, "metadata"), "resourceVersion",
			    json_string(digits));
	v->refs = 1;
	v->rv = rv;
	v->key = xstrdup(key);
	v->text = json_dumps(obj, JSON_COMPACT | (c->sorted_members ? JSON_SORT_KEYS : 0));
	assert(v->text);
	v->n = strlen(v->text);
	v->json = json_incref(obj);
	return v;
}

static void drop_tree(struct version *v)
{
	json_decref(v->json);
	v->json = NULL;
}

/* collections */

void coll_init(struct coll *c, const struct store *s)
{
	c->floor = s->rv;
}

static void event_deinit(struct event *e)
{
	e->cur = version_unref(e->cur);
	e->prev = version_unref(e->prev);
}

void coll_deinit(struct coll *c)
{
	for (size_t i = 0; i < c->n; i++)
		c->objects[i] = version_unref(c->objects[i]);
	for (size_t i = 0; i < c->n_events; i++)
		event_deinit(&c->events[(c->first + i) % c->cap_events]);
	free(c->objects);
	free(c->events);
	*c = (struct coll){ 0 };
}

/* Where the key is, or would be. */
static size_t find_slot(struct version *const *objects, size_t n, const char *key, bool *out_found)
{
	size_t lo = 0, hi = n;

	*out_found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = strcmp(objects[mid]->key, key);

		if (r == 0) {
			*out_found = true;
			return mid;
		}
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct version *coll_find(const struct coll *c, const char *key)
{
	bool found;
	size_t i = find_slot(c->objects, c->n, key, &found);

	return found ? c->objects[i] : NULL;
}

const struct event *coll_event(const struct coll *c, size_t i)
{
	return &c->events[(c->first + i) % c->cap_events];
}

size_t coll_events_after(const struct coll *c, uint64_t rv)
{
	size_t lo = 0, hi = c->n_events;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (coll_event(c, mid)->rv <= rv)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* snapshots */

static void array_remove(struct version **objects, size_t *n, size_t i)
{
	memmove(&objects[i], &objects[i + 1], (*n - i - 1) * sizeof(struct version *));
	(*n)--;
}

static void array_insert(struct version **objects, size_t *n, size_t i, struct version *v)
{
	memmove(&objects[i + 1], &objects[i], (*n - i) * sizeof(struct version *));
	objects[i] = v;
	(*n)++;
}

/* One event backwards: the object is again what it was before. */
static void undo(struct snapshot *s, const struct event *e)
{
	bool found;
	size_t i = find_slot(s->objects, s->n, e->cur->key, &found);

	if (e->change == CHANGE_ADDED && found) {
		version_unref(s->objects[i]);
		array_remove(s->objects, &s->n, i);
	} else if (e->prev && found) {
		version_unref(s->objects[i]);
		s->objects[i] = version_ref(e->prev);
	} else if (e->prev) {
		array_insert(s->objects, &s->n, i, version_ref(e->prev));
	}
}

struct snapshot *coll_snapshot(const struct coll *c, uint64_t rv, uint64_t now_rv)
{
	size_t after = coll_events_after(c, rv);
	struct snapshot *s;

	if (rv < c->floor || rv > now_rv)
		return NULL;
	s = xnew(struct snapshot);
	s->rv = rv;
	s->n = c->n;
	s->objects = xcalloc(c->n + (c->n_events - after) + 1, sizeof(struct version *));
	for (size_t i = 0; i < c->n; i++)
		s->objects[i] = version_ref(c->objects[i]);
	for (size_t i = c->n_events; i > after; i--)
		undo(s, coll_event(c, i - 1));
	return s;
}

struct snapshot *snapshot_free(struct snapshot *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->n; i++)
		s->objects[i] = version_unref(s->objects[i]);
	free(s->objects);
	free(s);
	return NULL;
}

/* writing */

static void forget_first(struct coll *c)
{
	c->dropped = coll_event(c, 0)->rv;
	event_deinit(&c->events[c->first]);
	c->first = (c->first + 1) % c->cap_events;
	c->n_events--;
	/* as the real cache says it: anything before the oldest event that is left is too old */
	if (c->n_events)
		c->floor = coll_event(c, 0)->rv - 1;
}

static void grow_events(struct coll *c, size_t limit)
{
	size_t cap = c->cap_events ? c->cap_events * 2 : 64;
	struct event *events;

	if (cap > limit)
		cap = limit;
	events = xcalloc(cap, sizeof(struct event));
	for (size_t i = 0; i < c->n_events; i++)
		events[i] = *coll_event(c, i);
	free(c->events);
	c->events = events;
	c->cap_events = cap;
	c->first = 0;
}

static void push_event(struct store *s, struct coll *c, struct event e)
{
	if (c->n_events == c->cap_events && c->cap_events < s->history)
		grow_events(c, s->history);
	if (c->n_events == c->cap_events)
		forget_first(c);
	e.at = loop_mono(s->loop);
	c->events[(c->first + c->n_events) % c->cap_events] = e;
	c->n_events++;
	if (c->n_events > KEEP_TREES) {
		const struct event *old = coll_event(c, c->n_events - 1 - KEEP_TREES);

		if (old->prev)
			drop_tree(old->prev);
		if (old->change == CHANGE_DELETED)
			drop_tree(old->cur);
	}
	if (s->fn)
		s->fn(s->ctx, c);
}

struct version *store_put(struct store *s, struct coll *c, const char *key, json_t *obj)
{
	struct version *v = version_new(c, key, obj, ++s->rv);
	bool found;
	size_t i = find_slot(c->objects, c->n, key, &found);
	struct event e = { .change = found ? CHANGE_MODIFIED : CHANGE_ADDED, .rv = v->rv };

	if (found) {
		e.prev = c->objects[i]; /* the array's reference moves to the event */
		c->objects[i] = version_ref(v);
	} else {
		if (c->n == c->cap) {
			c->cap = c->cap ? c->cap * 2 : 64;
			c->objects = xrealloc(c->objects, c->cap * sizeof(struct version *));
		}
		array_insert(c->objects, &c->n, i, version_ref(v));
	}
	if (c->drop_trees)
		drop_tree(v);
	e.cur = v;
	push_event(s, c, e);
	return v;
}

bool store_delete(struct store *s, struct coll *c, const char *key)
{
	struct event e = { .change = CHANGE_DELETED };
	bool found;
	size_t i = find_slot(c->objects, c->n, key, &found);
	json_t *last;

	if (!found)
		return false;
	e.prev = c->objects[i];
	e.rv = ++s->rv;
	array_remove(c->objects, &c->n, i);
	last = json_deep_copy(version_json(e.prev));
	e.cur = version_new(c, key, last, e.rv);
	json_decref(last);
	push_event(s, c, e);
	return true;
}

void store_compact(struct store *s, struct coll *c)
{
	while (c->n_events)
		forget_first(c);
	c->floor = s->rv;
}
