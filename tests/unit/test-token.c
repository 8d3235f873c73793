/* SPDX-License-Identifier: MIT */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/token/token.h"
#include "tests/unit/unit.h"

#include <string.h>

#define mk_token(...) mk_token_((struct token_fields){ __VA_ARGS__ })

static struct token *mk_token_(struct token_fields f)
{
	f.access_token = f.access_token ? f.access_token : "abc";
	f.client_id = f.client_id ? f.client_id : "c1";
	f.resource = f.resource ? f.resource : "https://vault.azure.net";
	f.expires_on = f.expires_on ? f.expires_on : 2000;
	f.not_before = f.not_before ? f.not_before : 900;
	return token_new(&f);
}

START_TEST(the_answer_is_nine_strings_in_this_order)
{
	_cleanup_(token_unrefp) struct token *t = mk_token();
	size_t n;
	char *body = token_body(t, (struct wall){ 1500 }, &n);

	ck_assert_str_eq(body,
			 "{\"access_token\":\"abc\",\"refresh_token\":\"\",\"client_id\":\"c1\","
			 "\"expires_in\":\"500\",\"expires_on\":\"2000\","
			 "\"ext_expires_in\":\"500\",\"not_before\":\"900\","
			 "\"resource\":\"https://vault.azure.net\","
			 "\"token_type\":\"Bearer\"}");
	ck_assert_uint_eq(n, strlen(body));
	token_body_free(body, n);
}
END_TEST

static const struct {
	int64_t now;
	const char *expires_in;
} moments[] = { { 0, "2000" }, { 1999, "1" }, { 2000, "0" }, { 2001, "0" }, { 1LL << 40, "0" } };

/* What a client would read at `key`; the body is freed by the next call. */
static const char *field(const struct token *t, int64_t now, const char *key)
{
	static struct jval *doc;
	size_t n;
	char *body = token_body(t, (struct wall){ now }, &n);

	(void)jval_free(doc);
	doc = jval_parse(body, n, n, NULL);
	ck_assert_ptr_nonnull(doc);
	token_body_free(body, n);
	return jval_as_str(jval_get(doc, key));
}

START_TEST(expires_in_counts_from_now_and_is_never_negative)
{
	_cleanup_(token_unrefp) struct token *t = mk_token();

	ck_assert_str_eq(field(t, moments[_i].now, "expires_in"), moments[_i].expires_in);
	ck_assert_str_eq(field(t, moments[_i].now, "expires_on"), "2000");
}
END_TEST

static const struct {
	int64_t n;
	const char *text;
} numbers[] = {
	{ 10, "10" },
	{ -7, "-7" },
	{ INT64_MAX, "9223372036854775807" },
	{ INT64_MIN, "-9223372036854775808" },
};

START_TEST(a_number_is_printed_whole)
{
	_cleanup_(token_unrefp) struct token *t = mk_token(.not_before = numbers[_i].n);

	ck_assert_str_eq(field(t, 0, "not_before"), numbers[_i].text);
}
END_TEST

static const struct {
	const char *resource, *read_back;
} resources[] = {
	{ "https://management.azure.com/", NULL },
	{ "https://Management.Azure.com//", NULL },
	{ "a\"b", NULL },
	{ "a\\b", NULL },
	{ "a\x1f", NULL },
	{ "a\x7f", NULL },
	{ "a\"b\\c/d\b\f\n\r\t\x01\x1f\x7f", NULL },
	{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91", NULL },
	{ "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80", NULL },
	/* not UTF-8: a stray tail, a cut head, overlong, a surrogate, past the last code point */
	{ "a\x80z", "a\xef\xbf\xbdz" },
	{ "a\xc3", "a\xef\xbf\xbd" },
	{ "\xe2\x82z", "\xef\xbf\xbd\xef\xbf\xbdz" },
	{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xff", "\xef\xbf\xbd" },
};

START_TEST(text_comes_back_byte_for_byte_if_json_can_carry_it)
{
	const char *want = resources[_i].read_back;
	_cleanup_(token_unrefp) struct token *t = mk_token(.resource = resources[_i].resource,
							   .access_token = resources[_i].resource);

	ck_assert_str_eq(field(t, 0, "access_token"), want ? want : resources[_i].resource);
	ck_assert_str_eq(field(t, 0, "resource"), want ? want : resources[_i].resource);
	ck_assert_str_eq(field(t, 0, "token_type"), "Bearer");
}
END_TEST

START_TEST(a_token_without_a_client_id_has_an_empty_one)
{
	_cleanup_(token_unrefp) struct token *t =
		token_new(&(struct token_fields){ .access_token = "abc", .resource = "r" });

	ck_assert_str_eq(field(t, 0, "client_id"), "");
}
END_TEST

START_TEST(no_two_tokens_have_the_same_id)
{
	_cleanup_(token_unrefp) struct token *a = mk_token();
	_cleanup_(token_unrefp) struct token *b = mk_token();

	ck_assert_uint_ne(a->id, b->id);
	ck_assert_uint_ne(a->id, 0);
}
END_TEST

START_TEST(tokens_of_several_tenants_are_an_array_of_which_the_host_takes_the_first)
{
	_cleanup_(token_unrefp) struct token *t = mk_token();
	struct token *second =
		token_new(&(struct token_fields){ .access_token = "def", .resource = "r" });
	struct wall now = { 0 };
	struct jval *doc;
	size_t n;
	char *body;

	t->next = second; /* goes with the first */
	body = token_body(t, now, &n);
	doc = jval_parse(body, n, n, NULL);
	ck_assert_ptr_nonnull(doc);
	ck_assert_uint_eq(jval_len(doc), 2);
	ck_assert_str_eq(jval_as_str(jval_get(jval_at(doc, 0), "access_token")), "abc");
	ck_assert_str_eq(jval_as_str(jval_get(jval_at(doc, 1), "access_token")), "def");
	(void)jval_free(doc);
	token_body_free(body, n);
	body = token_body_first(t, now, &n);
	doc = jval_parse(body, n, n, NULL);
	ck_assert_ptr_nonnull(doc);
	ck_assert_str_eq(jval_as_str(jval_get(doc, "access_token")), "abc");
	(void)jval_free(doc);
	token_body_free(body, n);
}
END_TEST

START_TEST(a_reference_keeps_the_token)
{
	struct token *t = mk_token();
	_cleanup_(token_unrefp) struct token *mine = token_ref(t);

	ck_assert_ptr_null(token_unref(t));
	ck_assert_str_eq(field(mine, 0, "access_token"), "abc");
	ck_assert_ptr_null(token_unref(NULL));
	token_body_free(NULL, 0);
}
END_TEST

UNIT_MAIN("token", UNIT(the_answer_is_nine_strings_in_this_order),
	  UNIT_LOOP(expires_in_counts_from_now_and_is_never_negative, moments),
	  UNIT_LOOP(text_comes_back_byte_for_byte_if_json_can_carry_it, resources),
	  UNIT_LOOP(a_number_is_printed_whole, numbers),
	  UNIT(a_token_without_a_client_id_has_an_empty_one), UNIT(no_two_tokens_have_the_same_id),
	  UNIT(tokens_of_several_tenants_are_an_array_of_which_the_host_takes_the_first),
	  UNIT(a_reference_keeps_the_token))
