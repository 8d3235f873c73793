/* SPDX-License-Identifier: MIT */

#include "mic-client/crd.h"
#include "mic-client/rejects.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct object_id id(const char *namespace, const char *name, const char *version)
{
	return (struct object_id){ namespace, name, "", version };
}

START_TEST(an_object_is_noted_once_a_version)
{
	struct rejects r = { 0 };
	struct object_id v1 = id("a", "x", "1"), v2 = id("a", "x", "2");

	ck_assert(rejects_note(&r, &v1));
	ck_assert(!rejects_note(&r, &v1));
	ck_assert(rejects_note(&r, &v2));
	ck_assert(!rejects_note(&r, &v2));
	ck_assert_uint_eq(hmap_count(&r.seen), 1);
	rejects_deinit(&r);
}
END_TEST

START_TEST(namespace_and_name_do_not_run_together)
{
	struct rejects r = { 0 };
	struct object_id one = id("a", "bc", "1"), other = id("ab", "c", "1");

	ck_assert(rejects_note(&r, &one));
	ck_assert(rejects_note(&r, &other));
	rejects_deinit(&r);
}
END_TEST

START_TEST(a_forgotten_object_is_noted_again)
{
	struct rejects r = { 0 };
	struct object_id v = id("a", "x", "1");

	ck_assert(!rejects_forget(&r, &v));
	ck_assert(rejects_note(&r, &v));
	ck_assert(rejects_forget(&r, &v));
	ck_assert(!rejects_forget(&r, &v));
	ck_assert(rejects_note(&r, &v));
	rejects_deinit(&r);
}
END_TEST

START_TEST(a_resync_forgets_what_it_did_not_bring)
{
	struct rejects r = { 0 };
	struct object_id stays = id("a", "stays", "1"), goes = id("a", "goes", "1");

	ck_assert(rejects_note(&r, &stays));
	ck_assert(rejects_note(&r, &goes));
	rejects_resync_begin(&r);
	ck_assert(!rejects_note(&r, &stays));
	rejects_resync_end(&r);
	ck_assert_uint_eq(hmap_count(&r.seen), 1);
	ck_assert(!rejects_note(&r, &stays));
	ck_assert(rejects_note(&r, &goes));
	rejects_deinit(&r);
}
END_TEST

START_TEST(no_more_than_the_limit_are_remembered)
{
	struct rejects r = { 0 };
	char name[32];

	for (int i = 0; i < REJECTS_MAX + 10; i++) {
		struct object_id v = id("a", name, "1");

		(void)snprintf(name, sizeof(name), "x%d", i);
		ck_assert(rejects_note(&r, &v));
	}
	ck_assert_uint_eq(hmap_count(&r.seen), REJECTS_MAX);
	/* the oldest went */
	struct object_id first = id("a", "x0", "1"), last = id("a", name, "1");
	ck_assert(!rejects_note(&r, &last));
	ck_assert(rejects_note(&r, &first));
	rejects_deinit(&r);
}
END_TEST

START_TEST(a_name_longer_than_any_is_taken)
{
	struct rejects r = { 0 };
	char name[2000];
	struct object_id v = id(name, name, "1");

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert(rejects_note(&r, &v));
	ck_assert(!rejects_note(&r, &v));
	ck_assert(rejects_forget(&r, &v));
	rejects_deinit(&r);
}
END_TEST

UNIT_MAIN("rejects", UNIT(an_object_is_noted_once_a_version),
	  UNIT(namespace_and_name_do_not_run_together), UNIT(a_forgotten_object_is_noted_again),
	  UNIT(a_resync_forgets_what_it_did_not_bring), UNIT(no_more_than_the_limit_are_remembered),
	  UNIT(a_name_longer_than_any_is_taken))
