/* SPDX-License-Identifier: MIT */

#include "lib/base/err.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static const enum err_kind kinds[] = { ERR_LIMIT,     ERR_OS,	   ERR_INPUT,	   ERR_TIMEOUT,
				       ERR_CANCELLED, ERR_REFUSED, ERR_UNAVAILABLE };

START_TEST(setting_returns_the_kind_negated_and_keeps_it)
{
	struct err err = { .http_status = 500, .os_errno = 7 };

	ck_assert_int_eq(err_set(&err, kinds[_i], "pod %s", "a"), -(int)kinds[_i]);
	ck_assert_int_eq(err.kind, kinds[_i]);
	ck_assert_str_eq(err.msg, "pod a");
	ck_assert_int_eq(err.http_status, 0);
	ck_assert_int_eq(err.os_errno, 0);
}
END_TEST

START_TEST(an_errno_is_said_in_words)
{
	struct err err = { 0 };

	ck_assert_int_eq(err_set_errno(&err, ENOENT, "open %s", "/x"), -ERR_OS);
	ck_assert_str_eq(err.msg, "open /x: No such file or directory");
	ck_assert_int_eq(err.os_errno, ENOENT);
	ck_assert_int_eq(err_set_errno(&err, 99999, "open"), -ERR_OS);
	ck_assert_str_eq(err.msg, "open: Unknown error 99999");
}
END_TEST

START_TEST(wrapping_puts_context_in_front_and_keeps_the_rest)
{
	struct err err = { 0 };

	(void)err_set_errno(&err, EACCES, "cert.pem");
	err.http_status = 403;
	ck_assert_int_eq(err_wrap(&err, "secret of %s", "ns/x"), -ERR_OS);
	ck_assert_str_eq(err.msg, "secret of ns/x: cert.pem: Permission denied");
	ck_assert_int_eq(err.os_errno, EACCES);
	ck_assert_int_eq(err.http_status, 403);
}
END_TEST

START_TEST(null_is_taken_everywhere)
{
	ck_assert_int_eq(err_set(NULL, ERR_INPUT, "x"), -ERR_INPUT);
	ck_assert_int_eq(err_set_errno(NULL, EIO, "x"), -ERR_OS);
	ck_assert_int_eq(err_wrap(NULL, "x"), -ERR_OS);
}
END_TEST

START_TEST(the_old_message_may_be_part_of_the_new_one)
{
	struct err err = { 0 };

	(void)err_set(&err, ERR_INPUT, "bad");
	(void)err_set(&err, ERR_LIMIT, "was: %s", err.msg);
	ck_assert_str_eq(err.msg, "was: bad");
	(void)err_set_errno(&err, EIO, "was: %s", err.msg);
	ck_assert_str_eq(err.msg, "was: was: bad: Input/output error");
	(void)err_wrap(&err, "%s", "again");
	ck_assert_str_eq(err.msg, "again: was: was: bad: Input/output error");
}
END_TEST

START_TEST(a_long_name_is_cut_before_the_reason_is)
{
	struct err err = { 0 };
	char name[400];
	char *cut;

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	(void)err_set(&err, ERR_INPUT, "clientID is missing");
	ck_assert_int_eq(err_wrap(&err, "identity %s", name), -ERR_INPUT);
	ck_assert_uint_eq(strlen(err.msg), ERR_MSG_MAX - 1);
	cut = strstr(err.msg, "...: ");
	ck_assert_ptr_nonnull(cut);
	ck_assert_str_eq(cut, "...: clientID is missing");

	(void)err_set_errno(&err, ENOENT, "%s", name);
	ck_assert_str_eq(strstr(err.msg, "...: "), "...: No such file or directory");
}
END_TEST

START_TEST(a_long_reason_leaves_a_quarter_to_the_context)
{
	struct err err = { 0 };
	char reason[400];

	memset(reason, 'r', sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	(void)err_set(&err, ERR_INPUT, "%s", reason);
	ck_assert_uint_eq(strlen(err.msg), ERR_MSG_MAX - 1);
	(void)err_wrap(&err, "pod ns/name");
	ck_assert_uint_eq(strlen(err.msg), ERR_MSG_MAX - 1);
	ck_assert_int_eq(strncmp(err.msg, "pod ns/name: rrr", 16), 0);
	for (int i = 0; i < 100; i++)
		(void)err_wrap(&err, "level %d", i);
	ck_assert_int_eq(strncmp(err.msg, "level 99: level 98: ", 20), 0);
	ck_assert_uint_eq(strlen(err.msg), ERR_MSG_MAX - 1);
}
END_TEST

UNIT_MAIN("err", UNIT_LOOP(setting_returns_the_kind_negated_and_keeps_it, kinds),
	  UNIT(an_errno_is_said_in_words), UNIT(wrapping_puts_context_in_front_and_keeps_the_rest),
	  UNIT(null_is_taken_everywhere), UNIT(the_old_message_may_be_part_of_the_new_one),
	  UNIT(a_long_name_is_cut_before_the_reason_is),
	  UNIT(a_long_reason_leaves_a_quarter_to_the_context))
