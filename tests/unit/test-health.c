/* SPDX-License-Identifier: MIT */

#include "nmi/health.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static bool check(void *ctx, char *why, size_t size)
{
	const char *fails = ctx;

	if (fails)
		snprintf(why, size, "%s", fails);
	return !fails;
}

START_TEST(nothing_to_check_is_ready)
{
	struct health h = { 0 };
	char buf[64] = "x";

	ck_assert(health_ready(&h, buf, sizeof(buf)));
	ck_assert_str_eq(buf, "");
}
END_TEST

START_TEST(each_check_has_its_line_and_one_failure_is_enough)
{
	char no[] = "no rules yet", buf[256];
	struct health h = { 0 };

	health_add(&h, "pods", check, NULL);
	ck_assert(health_ready(&h, buf, sizeof(buf)));
	ck_assert_str_eq(buf, "[+]pods ok\n");
	health_add(&h, "redirect", check, no);
	health_add(&h, "identities", check, NULL);
	ck_assert(!health_ready(&h, buf, sizeof(buf)));
	ck_assert_str_eq(buf, "[+]pods ok\n[-]redirect: no rules yet\n[+]identities ok\n");
}
END_TEST

START_TEST(a_small_buffer_cuts_the_text_and_not_the_result)
{
	char no[] = "because", buf[16];
	struct health h = { 0 };

	health_add(&h, "first", check, NULL);
	health_add(&h, "second", check, NULL);
	health_add(&h, "third", check, no);
	ck_assert(!health_ready(&h, buf, sizeof(buf)));
	ck_assert_str_eq(buf, "[+]first ok\n[+]");
}
END_TEST

START_TEST(a_long_reason_is_cut_to_a_line)
{
	char no[HEALTH_LINE_MAX * 2], buf[HEALTH_CHECKS_MAX * HEALTH_LINE_MAX];
	struct health h = { 0 };

	memset(no, 'x', sizeof(no));
	no[sizeof(no) - 1] = '\0';
	for (int i = 0; i < HEALTH_CHECKS_MAX; i++)
		health_add(&h, "check", check, no);
	ck_assert(!health_ready(&h, buf, sizeof(buf)));
	ck_assert_uint_eq(strlen(buf), sizeof(buf) - 1);
}
END_TEST

UNIT_MAIN("health", UNIT(nothing_to_check_is_ready),
	  UNIT(each_check_has_its_line_and_one_failure_is_enough),
	  UNIT(a_small_buffer_cuts_the_text_and_not_the_result),
	  UNIT(a_long_reason_is_cut_to_a_line))
