/* SPDX-License-Identifier: MIT */

#include "nmi/token/failure.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct {
	const char *text;
	unsigned sec;
} waits[] = {
	{ NULL, 0 },
	{ "", 0 },
	{ "0", 0 },
	{ "17", 17 },
	{ "x", 0 },
	{ "1x", 0 },
	{ "-1", 0 },
	{ "99999999999999999999", 3600 },
	{ " 5", 0 },
	{ "3601", 3600 },
	{ "Wed, 21 Oct 2026 07:28:00 GMT", 0 },
};

START_TEST(a_retry_after_is_a_number_of_seconds)
{
	ck_assert_uint_eq(token_retry_after(waits[_i].text), waits[_i].sec);
}
END_TEST

START_TEST(an_error_code_is_one_word)
{
	char longest[65];

	ck_assert(token_is_error_code("invalid_client"));
	ck_assert(!token_is_error_code(""));
	ck_assert(!token_is_error_code("Bad request"));
	ck_assert(!token_is_error_code("a\nb"));
	memset(longest, 'a', 64);
	longest[64] = '\0';
	ck_assert(!token_is_error_code(longest)); /* no room for its end */
	longest[63] = '\0';
	ck_assert(token_is_error_code(longest));
}
END_TEST

START_TEST(a_jwt_is_cut_out_of_a_text)
{
	char text[] = "got eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln, sorry; eyJ is short";

	token_text_mask(text);
	ck_assert_str_eq(text, "got eyJ..., sorry; eyJ is short");
}
END_TEST

static const struct {
	const char *text, *secret, *want;
} hidden[] = {
	{ "the secret abc is wrong", "abc", "the secret *** is wrong" },
	{ "abcabc", "abc", "******" },
	{ "ab", "abc", "ab" },
	{ "client_secret=a%26b%2bc%2F&x", "a&b+c/", "client_secret=************&x" },
	{ "a+b", "a b", "***" },
	{ "nothing", "", "nothing" },
	{ "%41bc", "Abc", "*****" },
};

START_TEST(a_secret_is_overwritten_however_it_is_spelled)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s", hidden[_i].text);
	token_text_hide(text, hidden[_i].secret, strlen(hidden[_i].secret));
	ck_assert_str_eq(text, hidden[_i].want);
}
END_TEST

START_TEST(a_failure_has_the_kind_of_its_fault)
{
	struct token_failure fail = { 0 };

	ck_assert_ptr_null(token_fail(&fail, TOKEN_FAULT_CREDENTIAL, "Secret %s", "a/b"));
	ck_assert_int_eq(fail.fault, TOKEN_FAULT_CREDENTIAL);
	ck_assert_int_eq(fail.err.kind, ERR_INPUT);
	ck_assert_str_eq(fail.err.msg, "Secret a/b");
	(void)token_fail(&fail, TOKEN_FAULT_DOWN, "x");
	ck_assert_int_eq(fail.err.kind, ERR_UNAVAILABLE);
}
END_TEST

UNIT_MAIN("failure", UNIT_LOOP(a_retry_after_is_a_number_of_seconds, waits),
	  UNIT(an_error_code_is_one_word), UNIT(a_jwt_is_cut_out_of_a_text),
	  UNIT_LOOP(a_secret_is_overwritten_however_it_is_spelled, hidden),
	  UNIT(a_failure_has_the_kind_of_its_fault))
