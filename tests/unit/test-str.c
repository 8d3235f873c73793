/* SPDX-License-Identifier: MIT */

#include "lib/base/str.h"
#include "tests/unit/unit.h"

#define S(literal)                                                                                 \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}

static const struct {
	struct str a, b;
	bool eq, ieq, starts, istarts;
} pairs[] = {
	{ S("abc"), S("abc"), true, true, true, true },
	{ S("abc"), S("ABC"), false, true, false, true },
	{ S("abc"), S("ab"), false, false, true, true },
	{ S("aBc"), S("Ab"), false, false, false, true },
	{ S("ab"), S("abc"), false, false, false, false },
	{ S("abc"), S(""), false, false, true, true },
	{ S(""), S(""), true, true, true, true },
	{ S(""), S("a"), false, false, false, false },
	{ S("a\0b"), S("a\0b"), true, true, true, true },
	{ S("a\0b"), S("a\0c"), false, false, false, false },
	{ S("a\0b"), S("A\0B"), false, true, false, true },
	{ S("a\0"), S("a"), false, false, true, true },
	{ S("a\0b"), S("axb"), false, false, false, false },
	{ S("axb"), S("a\0b"), false, false, false, false },
	{ S("[{"), S("{["), false, false, false, false },
	{ S("@"), S("`"), false, false, false, false },
	{ S("["), S("{"), false, false, false, false },
	{ S("\xc3\x84"), S("\xc3\xa4"), false, false, false, false },
	{ { NULL, 0 }, S(""), true, true, true, true },
	{ { NULL, 0 }, { NULL, 0 }, true, true, true, true },
};

START_TEST(slices_are_compared_by_length_and_bytes)
{
	ck_assert_int_eq(str_eq(pairs[_i].a, pairs[_i].b), pairs[_i].eq);
	ck_assert_int_eq(str_ieq(pairs[_i].a, pairs[_i].b), pairs[_i].ieq);
	ck_assert_int_eq(str_starts(pairs[_i].a, pairs[_i].b), pairs[_i].starts);
	ck_assert_int_eq(str_istarts(pairs[_i].a, pairs[_i].b), pairs[_i].istarts);
}
END_TEST

START_TEST(a_slice_of_a_string_has_its_length)
{
	ck_assert_uint_eq(str_of("abc").n, 3);
	ck_assert_uint_eq(str_of(NULL).n, 0);
	ck_assert_uint_eq(STR("a\0b").n, 3);
}
END_TEST

static const struct {
	struct str in;
	const char *out;
} escapes[] = {
	{ S(""), "" },
	{ S("plain text/1.0"), "plain text/1.0" },
	{ S("a\"b\\c"), "a\\\"b\\\\c" },
	{ S("\b\t\n\f\r"), "\\b\\t\\n\\f\\r" },
	{ S("\0\x01\x1f\x7f"), "\\u0000\\u0001\\u001f\\u007f" },
	{ S("\x1b[31m"), "\\u001b[31m" },
	{ S("\xc3\xa9\xff"), "\\u00c3\\u00a9\\u00ff" },
};

START_TEST(what_is_not_plain_is_escaped)
{
	char buf[128];

	ck_assert_uint_eq(str_escape(buf, sizeof(buf), escapes[_i].in), strlen(escapes[_i].out));
	ck_assert_str_eq(buf, escapes[_i].out);
}
END_TEST

START_TEST(an_escape_is_cut_between_never_inside)
{
	const char full[] = "ab\\u0001\\n";
	char buf[16];

	for (size_t size = 1; size <= sizeof(full); size++) {
		size_t n, fits = size - 1;

		memset(buf, 'X', sizeof(buf));
		n = str_escape(buf, size, STR("ab\x01\n"));
		/* whole escapes end after 1, 2, 8 and 10 bytes */
		fits = fits >= 10 ? 10 : fits >= 8 ? 8 : fits >= 2 ? 2 : fits;
		ck_assert_uint_eq(n, fits);
		ck_assert_mem_eq(buf, full, n);
		ck_assert_int_eq(buf[n], '\0');
		ck_assert_int_eq(buf[size], 'X');
	}
}
END_TEST

START_TEST(no_room_means_no_write)
{
	char c = 'X';

	ck_assert_uint_eq(str_escape(&c, 0, STR("abc")), 0);
	ck_assert_int_eq(c, 'X');
}
END_TEST

START_TEST(the_longest_escape_is_what_the_header_says)
{
	char buf[64];
	size_t longest = 0;

	for (int c = 0; c < 256; c++) {
		char one = (char)c;
		size_t n = str_escape(buf, sizeof(buf), (struct str){ &one, 1 });

		longest = n > longest ? n : longest;
	}
	ck_assert_uint_eq(longest, STR_ESCAPE_MAX);
}
END_TEST

static const struct {
	const char *text;
	bool blank;
} blanks[] = { { "", true },	{ " \t\r\n", true }, { " a", false },
	       { "a ", false }, { "\v", false },     { "0", false } };

START_TEST(blank_is_what_has_only_white_space)
{
	ck_assert(str_is_blank(blanks[_i].text) == blanks[_i].blank);
}
END_TEST

static const struct {
	struct str text;
	bool is;
} guids[] = {
	{ STR("11111111-aaaa-4000-8000-00000000000f"), true },
	{ STR("ABCDEF00-0000-0000-0000-000000000000"), true },
	{ STR(""), false },
	{ STR("11111111-aaaa-4000-8000-00000000000"), false },
	{ STR("11111111-aaaa-4000-8000-00000000000ff"), false },
	{ STR("1111111--aaaa-4000-8000-00000000000f"), false },
	{ STR("11111111aaaa-4000-8000-000000000000f"), false },
	{ STR("11111111-aaaa-4000-8000-00000000000g"), false },
	{ STR("11111111-aaaa-4000-8000-0000000\0000f"), false },
	{ STR(" 1111111-aaaa-4000-8000-00000000000f"), false },
	{ STR("{1111111-aaaa-4000-8000-0000000000f}"), false },
};

START_TEST(a_guid_is_told_by_its_shape)
{
	ck_assert(str_is_guid(guids[_i].text) == guids[_i].is);
}
END_TEST

START_TEST(a_copy_ends_where_there_is_no_more_room)
{
	char buf[4] = "xxx";

	str_copy(buf, sizeof(buf), "ab");
	ck_assert_str_eq(buf, "ab");
	str_copy(buf, sizeof(buf), "abc");
	ck_assert_str_eq(buf, "abc");
	str_copy(buf, sizeof(buf), "abcd");
	ck_assert_str_eq(buf, "abc");
	str_copy(buf, 1, "abcd");
	ck_assert_str_eq(buf, "");
}
END_TEST

UNIT_MAIN("str", UNIT(a_copy_ends_where_there_is_no_more_room),
	  UNIT_LOOP(slices_are_compared_by_length_and_bytes, pairs),
	  UNIT(a_slice_of_a_string_has_its_length),
	  UNIT_LOOP(what_is_not_plain_is_escaped, escapes),
	  UNIT(an_escape_is_cut_between_never_inside), UNIT(no_room_means_no_write),
	  UNIT(the_longest_escape_is_what_the_header_says),
	  UNIT_LOOP(blank_is_what_has_only_white_space, blanks),
	  UNIT_LOOP(a_guid_is_told_by_its_shape, guids))
