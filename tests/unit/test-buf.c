/* SPDX-License-Identifier: MIT */

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "tests/unit/unit.h"

#include <stdint.h>
#include <string.h>

START_TEST(what_was_appended_is_there_and_ends_in_nul)
{
	struct buf b = { 0 };

	ck_assert_int_eq(buf_append(&b, "ab", 2, 100, NULL), 0);
	ck_assert_int_eq(buf_append(&b, "", 0, 100, NULL), 0);
	ck_assert_int_eq(buf_append(&b, "c\0d", 3, 100, NULL), 0);
	ck_assert_uint_eq(b.n, 5);
	ck_assert_mem_eq(b.p, "abc\0d", 6);
	buf_deinit(&b);
	ck_assert_ptr_null(b.p);
	buf_deinit(&b);
}
END_TEST

START_TEST(it_grows_past_any_first_size_and_keeps_order)
{
	struct buf b = { 0 };

	for (unsigned i = 0; i < 5000; i++) {
		unsigned char c = (unsigned char)i;

		ck_assert_int_eq(buf_append(&b, &c, 1, 5000, NULL), 0);
	}
	for (unsigned i = 0; i < 5000; i++)
		ck_assert_uint_eq((unsigned char)b.p[i], (unsigned char)i);
	buf_deinit(&b);
}
END_TEST

START_TEST(the_limit_is_kept_to_the_byte_and_a_refusal_changes_nothing)
{
	struct buf b = { 0 };
	struct err err = { 0 };

	ck_assert_int_eq(buf_append(&b, "abcd", 4, 4, &err), 0);
	ck_assert_int_eq(buf_append(&b, "e", 1, 4, &err), -ERR_LIMIT);
	ck_assert_int_eq(err.kind, ERR_LIMIT);
	ck_assert_str_eq(err.msg, "more than 4 bytes");
	ck_assert_str_eq(b.p, "abcd");
	ck_assert_uint_eq(b.n, 4);
	buf_deinit(&b);
}
END_TEST

START_TEST(a_size_that_wraps_is_over_any_limit)
{
	struct buf b = { 0 };

	ck_assert_int_eq(buf_append(&b, "a", 1, SIZE_MAX, NULL), 0);
	ck_assert_int_eq(buf_append(&b, "", SIZE_MAX, SIZE_MAX, NULL), -ERR_LIMIT);
	ck_assert_int_eq(buf_append(&b, "", SIZE_MAX / 2, SIZE_MAX, NULL), -ERR_LIMIT);
	ck_assert_str_eq(b.p, "a");
	buf_deinit(&b);
}
END_TEST

static const struct {
	size_t n;
	const char *left;
} consumed[] = {
	{ 0, "abcdef" }, { 1, "bcdef" }, { 5, "f" }, { 6, "" }, { 7, "" }, { SIZE_MAX, "" }
};

START_TEST(consuming_drops_from_the_front)
{
	struct buf b = { 0 };

	ck_assert_int_eq(buf_append(&b, "abcdef", 6, 10, NULL), 0);
	buf_consume(&b, consumed[_i].n);
	ck_assert_uint_eq(b.n, strlen(consumed[_i].left));
	ck_assert_str_eq(b.p, consumed[_i].left);
	ck_assert_int_eq(buf_append(&b, "g", 1, 10, NULL), 0);
	ck_assert_int_eq(b.p[b.n - 1], 'g');
	buf_deinit(&b);
}
END_TEST

START_TEST(an_empty_one_can_do_everything)
{
	struct buf b = { 0 };
	size_t n = 7;
	char *s;

	buf_consume(&b, 3);
	buf_reset(&b);
	s = buf_steal(&b, &n);
	ck_assert_str_eq(s, "");
	ck_assert_uint_eq(n, 0);
	free(s);
}
END_TEST

START_TEST(stealing_leaves_it_empty_and_usable)
{
	struct buf b = { 0 };
	char *s;

	ck_assert_int_eq(buf_append(&b, "abc", 3, 10, NULL), 0);
	s = buf_steal(&b, NULL);
	ck_assert_str_eq(s, "abc");
	ck_assert_uint_eq(b.n, 0);
	ck_assert_int_eq(buf_append(&b, "d", 1, 10, NULL), 0);
	ck_assert_str_eq(b.p, "d");
	ck_assert_str_eq(s, "abc");
	free(s);
	buf_deinit(&b);
}
END_TEST

START_TEST(what_a_wiping_one_lets_go_of_is_wiped)
{
	struct buf b = { .wipe = true };

	ck_assert_int_eq(buf_append(&b, "secret", 6, 10000, NULL), 0);
	buf_consume(&b, 3);
	ck_assert_str_eq(b.p, "ret");
	ck_assert_mem_eq(b.p + 3, "\0\0\0", 3);
	buf_reset(&b);
	ck_assert_mem_eq(b.p, "\0\0\0", 3);
	for (size_t i = 0; i < 100; i++)
		ck_assert_int_eq(buf_append(&b, "0123456789abcdef", 16, 10000, NULL), 0);
	ck_assert_uint_eq(b.n, 1600); /* moved by hand, and whole */
	ck_assert_mem_eq(b.p + 1584, "0123456789abcdef", 16);
	buf_deinit(&b);
}
END_TEST

static const struct {
	struct str raw;
	const char *coded;
} percents[] = {
	{ STR(""), "" },
	{ STR("aZ09-._~"), "aZ09-._~" },
	{ STR("a b/c?d=e&f%"), "a%20b%2Fc%3Fd%3De%26f%25" },
	{ STR("\0\n\x7f\xc3\xa9"), "%00%0A%7F%C3%A9" },
};

START_TEST(what_means_something_in_a_url_is_percent_encoded)
{
	struct buf b = { 0 };

	buf_put(&b, "x=", 2);
	buf_put_percent(&b, percents[_i].raw.p, percents[_i].raw.n);
	ck_assert_uint_eq(b.n, 2 + strlen(percents[_i].coded));
	ck_assert_str_eq(b.p + 2, percents[_i].coded);
	buf_deinit(&b);
}
END_TEST

UNIT_MAIN("buf", UNIT(what_was_appended_is_there_and_ends_in_nul),
	  UNIT(it_grows_past_any_first_size_and_keeps_order),
	  UNIT(the_limit_is_kept_to_the_byte_and_a_refusal_changes_nothing),
	  UNIT(a_size_that_wraps_is_over_any_limit),
	  UNIT_LOOP(consuming_drops_from_the_front, consumed), UNIT(an_empty_one_can_do_everything),
	  UNIT(stealing_leaves_it_empty_and_usable), UNIT(what_a_wiping_one_lets_go_of_is_wiped),
	  UNIT_LOOP(what_means_something_in_a_url_is_percent_encoded, percents))
