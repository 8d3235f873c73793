/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/store.h"
#include "tests/unit/unit.h"

#include <string.h>

struct world {
	struct loop *loop;
	struct store store;
	struct coll coll;
};

static void world_init(struct world *w, size_t history)
{
	*w = (struct world){ .loop = loop_new_fake(NULL) };
	w->store = (struct store){ .loop = w->loop, .rv = 100, .history = history };
	coll_init(&w->coll, &w->store);
}

static void world_deinit(struct world *w)
{
	coll_deinit(&w->coll);
	loop_free(w->loop);
}

static uint64_t put(struct world *w, const char *key, int value)
{
	json_t *obj = json_pack("{s:{}, s:i}", "metadata", "value", value);
	uint64_t rv = store_put(&w->store, &w->coll, key, obj)->rv;

	json_decref(obj);
	return rv;
}

static int value_of(struct version *v)
{
	return v ? (int)json_integer_value(json_object_get(version_json(v), "value")) : -1;
}

static int value_at(struct world *w, uint64_t rv, const char *key)
{
	_cleanup_(snapshot_freep) struct snapshot *s = coll_snapshot(&w->coll, rv, w->store.rv);

	ck_assert(s != NULL);
	for (size_t i = 0; i < s->n; i++) {
		if (i)
			ck_assert_int_lt(strcmp(s->objects[i - 1]->key, s->objects[i]->key), 0);
	}
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->objects[i]->key, key) == 0)
			return value_of(s->objects[i]);
	}
	return -1;
}

START_TEST(each_write_has_the_next_version_and_shows_it)
{
	struct world w;

	world_init(&w, 10);
	ck_assert_uint_eq(put(&w, "a/x", 1), 101);
	ck_assert_uint_eq(put(&w, "a/x", 2), 102);
	ck_assert(store_delete(&w.store, &w.coll, "a/x"));
	ck_assert_uint_eq(w.store.rv, 103);
	ck_assert(!store_delete(&w.store, &w.coll, "a/x"));
	ck_assert_uint_eq(w.store.rv, 103);
	ck_assert(strstr(coll_event(&w.coll, 1)->cur->text, "\"resourceVersion\":\"102\""));
	ck_assert(strstr(coll_event(&w.coll, 2)->cur->text, "\"resourceVersion\":\"103\""));
	ck_assert(coll_find(&w.coll, "a/x") == NULL);
	world_deinit(&w);
}
END_TEST

START_TEST(events_tell_what_was_before)
{
	struct world w;

	world_init(&w, 10);
	put(&w, "a/x", 1);
	put(&w, "a/x", 2);
	store_delete(&w.store, &w.coll, "a/x");
	ck_assert_int_eq(coll_event(&w.coll, 0)->change, CHANGE_ADDED);
	ck_assert(coll_event(&w.coll, 0)->prev == NULL);
	ck_assert_int_eq(coll_event(&w.coll, 1)->change, CHANGE_MODIFIED);
	ck_assert_int_eq(value_of(coll_event(&w.coll, 1)->prev), 1);
	ck_assert_int_eq(coll_event(&w.coll, 2)->change, CHANGE_DELETED);
	ck_assert_int_eq(value_of(coll_event(&w.coll, 2)->prev), 2);
	ck_assert_uint_eq(coll_events_after(&w.coll, 100), 0);
	ck_assert_uint_eq(coll_events_after(&w.coll, 101), 1);
	ck_assert_uint_eq(coll_events_after(&w.coll, 999), 3);
	world_deinit(&w);
}
END_TEST

/* Against a model: the values of a few keys at every version. */
START_TEST(a_snapshot_is_what_was_there)
{
	static const char *const keys[] = { "a-b/x", "a/x", "a/y", "b/x" };
	int model[400][ARRAY_SIZE(keys)];
	unsigned seed = 7;
	struct world w;

	world_init(&w, 1000);
	memset(model, -1, sizeof(model));
	for (int step = 1; step < 400; step++) {
		size_t k = (seed = seed * 1103515245 + 12345) / 65536 % ARRAY_SIZE(keys);

		memcpy(model[step], model[step - 1], sizeof(model[0]));
		if (seed / 4096 % 3 == 0 && model[step][k] >= 0) {
			store_delete(&w.store, &w.coll, keys[k]);
			model[step][k] = -1;
		} else {
			put(&w, keys[k], step);
			model[step][k] = step;
		}
	}
	for (uint64_t step = 0; step < 400; step++) {
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			ck_assert_int_eq(value_at(&w, 100 + step, keys[k]), model[step][k]);
	}
	world_deinit(&w);
}
END_TEST

START_TEST(the_history_is_bounded_and_knows_where_it_begins)
{
	struct world w;

	world_init(&w, 4);
	for (int i = 0; i < 10; i++)
		put(&w, "a/x", i); /* 101 to 110 */
	ck_assert_uint_eq(w.coll.n_events, 4);
	ck_assert_uint_eq(coll_event(&w.coll, 0)->rv, 107);
	ck_assert_uint_eq(w.coll.floor, 106);
	ck_assert_uint_eq(w.coll.dropped, 106);
	ck_assert(coll_snapshot(&w.coll, 105, w.store.rv) == NULL);
	ck_assert_int_eq(value_at(&w, 106, "a/x"), 5);
	ck_assert_int_eq(value_at(&w, 110, "a/x"), 9);
	ck_assert(coll_snapshot(&w.coll, 111, w.store.rv) == NULL);
	world_deinit(&w);
}
END_TEST

START_TEST(a_compaction_forgets_the_past_and_keeps_the_present)
{
	struct world w;

	world_init(&w, 10);
	put(&w, "a/x", 1);
	put(&w, "a/y", 2);
	store_compact(&w.store, &w.coll);
	ck_assert_uint_eq(w.coll.n_events, 0);
	ck_assert_uint_eq(w.coll.floor, 102);
	ck_assert(coll_snapshot(&w.coll, 101, w.store.rv) == NULL);
	ck_assert_int_eq(value_at(&w, 102, "a/y"), 2);
	put(&w, "a/x", 3);
	ck_assert_int_eq(value_at(&w, 102, "a/x"), 1);
	ck_assert_int_eq(value_at(&w, 103, "a/x"), 3);
	world_deinit(&w);
}
END_TEST

START_TEST(old_trees_are_dropped_and_come_back_from_the_text)
{
	struct world w;

	world_init(&w, 1000);
	for (int i = 0; i < 200; i++)
		put(&w, "a/x", i);
	ck_assert(coll_event(&w.coll, 10)->cur->json == NULL);
	ck_assert(coll_event(&w.coll, 199)->cur->json != NULL);
	ck_assert_int_eq(value_of(coll_event(&w.coll, 10)->cur), 10);
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("sandbox-store", UNIT(each_write_has_the_next_version_and_shows_it),
	  UNIT(events_tell_what_was_before), UNIT(a_snapshot_is_what_was_there),
	  UNIT(the_history_is_bounded_and_knows_where_it_begins),
	  UNIT(a_compaction_forgets_the_past_and_keeps_the_present),
	  UNIT(old_trees_are_dropped_and_come_back_from_the_text))
