/* SPDX-License-Identifier: MIT */

/* Which grants are news, and how many of them a pod may tell. */

#include "nmi/front/grants.h"
#include "nmi/limits.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct grant web = {
	.pod_uid = "u1",
	.identity_kind = "AzureIdentity",
	.identity_namespace = "shop",
	.identity = "web",
	.resource = "https://vault",
	.token_id = 1,
};

static const struct {
	const char *what;
	struct grant grant;
	enum grant_news news;
} seconds[] = {
	/* clang-format off */
	{ "the same", { "u1", "AzureIdentity", "shop", "web", "https://vault", 1 }, GRANT_KNOWN },
	{ "a new token", { "u1", "AzureIdentity", "shop", "web", "https://vault", 2 }, GRANT_RENEWED },
	{ "another pod", { "u2", "AzureIdentity", "shop", "web", "https://vault", 1 }, GRANT_FIRST },
	{ "another kind", { "u1", "ServiceAccount", "shop", "web", "https://vault", 1 }, GRANT_FIRST },
	{ "another namespace", { "u1", "AzureIdentity", "x", "web", "https://vault", 1 }, GRANT_FIRST },
	{ "another identity", { "u1", "AzureIdentity", "shop", "x", "https://vault", 1 }, GRANT_FIRST },
	{ "the node's", { "u1", "node", NULL, NULL, "https://vault", 1 }, GRANT_FIRST },
	{ "another resource", { "u1", "AzureIdentity", "shop", "web", "https://x", 1 }, GRANT_FIRST },
	/* clang-format on */
};

START_TEST(a_grant_is_news_once_and_again_with_each_new_token)
{
	struct grants *g = grants_new();

	ck_assert_int_eq(grants_note(g, &web), GRANT_FIRST);
	ck_assert_msg(grants_note(g, &seconds[_i].grant) == seconds[_i].news, "%s",
		      seconds[_i].what);
	ck_assert_int_eq(grants_note(g, &seconds[_i].grant), GRANT_KNOWN);
	ck_assert_ptr_null(grants_free(g));
}
END_TEST

START_TEST(a_node_full_of_pods_is_remembered_and_a_flood_forgets_without_growing)
{
	struct grants *g = grants_new();
	unsigned again = 0;
	char uid[16];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 250; i++) {
			struct grant one = web;

			snprintf(uid, sizeof(uid), "u%d", i);
			one.pod_uid = uid;
			again += grants_note(g, &one) == GRANT_KNOWN;
		}
	}
	ck_assert_uint_eq(again, 250); /* whatever the random seed, but for 6 in 10^10 */
	for (int i = 0; i < 100000; i++) {
		struct grant one = web;

		snprintf(uid, sizeof(uid), "x%d", i);
		one.resource = uid;
		(void)grants_note(g, &one);
	}
	ck_assert_int_eq(grants_note(g, &web), GRANT_FIRST);
	grants_free(g);
}
END_TEST

START_TEST(a_pod_tells_some_at_once_and_then_one_in_a_while_and_others_are_not_held_back)
{
	struct grants *g = grants_new();
	struct mono now = { NSEC_PER_SEC * 1000 };
	unsigned long held = 77;
	unsigned told = 0;

	for (int i = 0; i < 100; i++)
		told += grants_may_tell(g, "u1", now, &held);
	ck_assert_uint_eq(told, LIMIT_GRANT_LOG_BURST);
	ck_assert_uint_eq(held, 0);
	ck_assert(grants_may_tell(g, "u2", now, &held));
	now = mono_add_msec(now, LIMIT_GRANT_LOG_MSEC);
	ck_assert(grants_may_tell(g, "u1", now, &held));
	ck_assert_uint_eq(held, 100 - LIMIT_GRANT_LOG_BURST);
	ck_assert(!grants_may_tell(g, "u1", now, &held));
	now = mono_add_msec(now, LIMIT_GRANT_LOG_MSEC);
	ck_assert(grants_may_tell(g, "u1", now, &held));
	ck_assert_uint_eq(held, 1);
	grants_free(g);
}
END_TEST

/* However many pods come and go in one moment, what is written is bounded by the table. */
START_TEST(pods_without_number_share_what_is_left)
{
	struct grants *g = grants_new();
	struct mono now = { NSEC_PER_SEC * 1000 };
	unsigned long held;
	unsigned told = 0;
	char uid[16];

	for (int i = 0; i < 100000; i++) {
		snprintf(uid, sizeof(uid), "u%d", i);
		told += grants_may_tell(g, uid, now, &held);
	}
	ck_assert_uint_le(told, 256 + LIMIT_GRANT_LOG_BURST);
	grants_free(g);
}
END_TEST

UNIT_MAIN("grants", UNIT_LOOP(a_grant_is_news_once_and_again_with_each_new_token, seconds),
	  UNIT(a_node_full_of_pods_is_remembered_and_a_flood_forgets_without_growing),
	  UNIT(a_pod_tells_some_at_once_and_then_one_in_a_while_and_others_are_not_held_back),
	  UNIT(pods_without_number_share_what_is_left))
