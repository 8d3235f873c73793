/* SPDX-License-Identifier: MIT */

#include "nmi/token/policy.h"
#include "tests/unit/unit.h"

static const struct {
	int64_t life, usable;
} lives[] = {
	{ 86400, 86100 }, { 3600, 3300 }, { 600, 300 }, { 599, 299 }, { 240, 120 },
	{ 60, 30 },	  { 2, 1 },	  { 1, 0 },	{ 0, 0 },     { -5, -5 },
};

START_TEST(five_minutes_must_be_left_or_half_of_what_there_was)
{
	struct wall got = { 1000 }, expires_on = { 1000 + lives[_i].life };

	ck_assert_int_eq(policy_usable_until(got, expires_on).s, 1000 + lives[_i].usable);
}
END_TEST

static const struct {
	int64_t life, last; /* usable so long: `lives` */
} lasts[] = { { 86400, 86340 }, { 3600, 3540 }, { 240, 180 }, { 122, 62 },
	      { 120, 60 },	{ 60, 30 },	{ 1, 0 } };

START_TEST(a_minute_must_be_left_for_a_last_resort_and_no_less_than_to_be_usable)
{
	struct wall got = { 1000 }, end = { 1000 + lasts[_i].life };

	ck_assert_int_eq(policy_last_until(policy_usable_until(got, end), end).s,
			 1000 + lasts[_i].last);
}
END_TEST

static const struct {
	struct token_failure fail;
	bool leaves, ends;
} lost[] = {
	{ { .fault = TOKEN_FAULT_DOWN }, true, false },
	{ { .fault = TOKEN_FAULT_DOWN, .err.http_status = 500 }, true, false },
	{ { .fault = TOKEN_FAULT_UPDATING, .err.http_status = 410 }, true, false },
	{ { .fault = TOKEN_FAULT_THROTTLED, .err.http_status = 429 }, true, false },
	{ { .fault = TOKEN_FAULT_OVERLOADED }, true, false },
	{ { .fault = TOKEN_FAULT_POD_LIMIT }, true, false },
	{ { .fault = TOKEN_FAULT_GARBLED }, true, false },
	{ { .fault = TOKEN_FAULT_GARBLED, .err.http_status = 200 }, true, false },
	{ { .fault = TOKEN_FAULT_GARBLED, .err.http_status = 302 }, true, false },
	{ { .fault = TOKEN_FAULT_GARBLED, .err.http_status = 400 }, false, true },
	{ { .fault = TOKEN_FAULT_GARBLED, .err.http_status = 401 }, false, true },
	{ { .fault = TOKEN_FAULT_GARBLED, .err.http_status = 499 }, false, true },
	{ { .fault = TOKEN_FAULT_REFUSED, .err.http_status = 403 }, false, true },
	{ { .fault = TOKEN_FAULT_UNSUPPORTED }, false, true },
	{ { .fault = TOKEN_FAULT_INVALID }, false, true },
	{ { .fault = TOKEN_FAULT_CREDENTIAL }, false, true },
	{ { .fault = TOKEN_FAULT_POD }, false, false },
};

START_TEST(a_last_resort_is_left_by_what_says_nothing_of_the_identity)
{
	ck_assert_int_eq(policy_leaves_last(&lost[_i].fail), lost[_i].leaves);
	ck_assert_int_eq(policy_ends_last(&lost[_i].fail), lost[_i].ends);
}
END_TEST

static const struct {
	int64_t life, from, to;
} renewals[] = {
	{ 86100, 60270, 68880 }, { 3300, 2310, 2640 }, { 300, 210, 240 },
	{ 30, 30, 30 },		 { 1, 30, 30 },	       { 0, 30, 30 },
};

START_TEST(renewal_falls_between_seven_and_eight_tenths)
{
	struct wall got = { 1000 }, until = { 1000 + renewals[_i].life };
	int64_t least = INT64_MAX, most = 0;

	for (uint32_t dice = 0; dice < 20000; dice++) {
		int64_t at = policy_renew_at(got, until, dice).s - 1000;

		least = at < least ? at : least;
		most = at > most ? at : most;
	}
	ck_assert_int_eq(least, renewals[_i].from);
	ck_assert_int_eq(most, renewals[_i].to);
}
END_TEST

static const struct {
	struct token_failure fail;
	unsigned msec;
} failures[] = {
	{ { .fault = TOKEN_FAULT_REFUSED }, 5000 },
	{ { .fault = TOKEN_FAULT_REFUSED, .retry_after_sec = 30 }, 5000 },
	{ { .fault = TOKEN_FAULT_THROTTLED }, 5000 },
	{ { .fault = TOKEN_FAULT_THROTTLED, .retry_after_sec = 17 }, 17000 },
	{ { .fault = TOKEN_FAULT_THROTTLED, .retry_after_sec = 3600 }, 60000 },
	{ { .fault = TOKEN_FAULT_UPDATING }, 2000 },
	{ { .fault = TOKEN_FAULT_UPDATING, .retry_after_sec = 70 }, 60000 },
	{ { .fault = TOKEN_FAULT_DOWN }, 1000 },
	{ { .fault = TOKEN_FAULT_DOWN, .retry_after_sec = 3 }, 3000 },
	{ { .fault = TOKEN_FAULT_GARBLED }, 2000 },
	{ { .fault = TOKEN_FAULT_UNSUPPORTED }, 0 },
	{ { .fault = TOKEN_FAULT_POD }, 0 },
	{ { .fault = TOKEN_FAULT_OVERLOADED }, 0 },
	{ { .fault = TOKEN_FAULT_POD_LIMIT, .retry_after_sec = 1 }, 0 },
};

START_TEST(a_failure_is_believed_as_long_as_its_class_says)
{
	ck_assert_uint_eq(policy_remember_msec(&failures[_i].fail), failures[_i].msec);
}
END_TEST

static const struct {
	struct token_failure fail;
	unsigned tries;
	uint64_t failing_msec;
	unsigned from, to; /* 0: not again */
} tries[] = {
	{ { .fault = TOKEN_FAULT_DOWN }, 1, 0, 1000, 1499 },
	{ { .fault = TOKEN_FAULT_DOWN }, 2, 0, 2000, 2999 },
	{ { .fault = TOKEN_FAULT_DOWN }, 3, 0, 3000, 4499 },
	{ { .fault = TOKEN_FAULT_DOWN }, 4, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_DOWN }, 1, 19999, 1000, 1499 },
	{ { .fault = TOKEN_FAULT_DOWN }, 1, 20000, 0, 0 },
	{ { .fault = TOKEN_FAULT_DOWN, .retry_after_sec = 3 }, 1, 0, 3000, 3000 },
	{ { .fault = TOKEN_FAULT_DOWN, .retry_after_sec = 6 }, 1, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_DOWN, .retry_after_sec = 3600 }, 1, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_UPDATING }, 1, 0, 2000, 2999 },
	{ { .fault = TOKEN_FAULT_UPDATING }, 2, 0, 3000, 4499 },
	{ { .fault = TOKEN_FAULT_UPDATING }, 3, 69999, 3000, 4499 },
	{ { .fault = TOKEN_FAULT_UPDATING }, 1, 70000, 0, 0 },
	{ { .fault = TOKEN_FAULT_THROTTLED }, 1, 0, 5000, 5000 },
	{ { .fault = TOKEN_FAULT_THROTTLED, .retry_after_sec = 1 }, 3, 90000, 1000, 1000 },
	{ { .fault = TOKEN_FAULT_THROTTLED, .retry_after_sec = 1 }, 4, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_THROTTLED, .retry_after_sec = 6 }, 1, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_REFUSED }, 1, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_GARBLED }, 1, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_UNSUPPORTED }, 1, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_OVERLOADED }, 1, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_POD_LIMIT, .retry_after_sec = 1 }, 1, 0, 0, 0 },
	{ { .fault = TOKEN_FAULT_POD }, 1, 0, 0, 0 },
};

START_TEST(another_try_is_made_after_a_wait_that_its_class_and_number_say)
{
	unsigned least = UINT32_MAX, most = 0;

	for (uint32_t dice = 0; dice < 20000; dice++) {
		unsigned wait = policy_retry_msec(&tries[_i].fail, tries[_i].tries,
						  tries[_i].failing_msec, dice);

		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
	}
	ck_assert_uint_eq(least, tries[_i].from);
	ck_assert_uint_eq(most, tries[_i].to);
}
END_TEST

UNIT_MAIN("token-policy", UNIT_LOOP(five_minutes_must_be_left_or_half_of_what_there_was, lives),
	  UNIT_LOOP(a_minute_must_be_left_for_a_last_resort_and_no_less_than_to_be_usable, lasts),
	  UNIT_LOOP(a_last_resort_is_left_by_what_says_nothing_of_the_identity, lost),
	  UNIT_LOOP(renewal_falls_between_seven_and_eight_tenths, renewals),
	  UNIT_LOOP(a_failure_is_believed_as_long_as_its_class_says, failures),
	  UNIT_LOOP(another_try_is_made_after_a_wait_that_its_class_and_number_say, tries))
