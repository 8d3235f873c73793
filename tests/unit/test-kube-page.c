/* SPDX-License-Identifier: MIT */

#include "lib/kube/page.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define META "\"metadata\":{\"resourceVersion\":\"7\"}"

static const struct {
	const char *text, *items, *more;
} good[] = {
	{ "{" META ",\"items\":[{\"a\":1},{\"b\":[2,{}]}]}", "<{\"a\":1}><{\"b\":[2,{}]}>", NULL },
	{ "{\"items\":[{}],\"kind\":\"List\"," META "}", "<{}>", NULL },
	{ " {\n" META " ,\t\"items\" : [ {} , {\"x\":\"]},\\\"{\"} ]\n}\n",
	  "<{}><{\"x\":\"]},\\\"{\"}>", NULL },
	{ "{" META ",\"items\":[]}", "", NULL },
	{ "{" META ",\"items\":[ ]}", "", NULL },
	{ "{" META ",\"items\":null}", "", NULL },
	{ "{" META "}", "", NULL },
	{ "{" META ",\"items\":[1,\"x\",true]}", "<1><\"x\"><true>", NULL },
	{ "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"abc\"},\"items\":[{}]}", "<{}>",
	  "abc" },
	{ "{\"metadata\":{\"continue\":\"\",\"resourceVersion\":\"7\"}}", "", NULL },
};

static int items_of(struct page *page, char *got, size_t size)
{
	struct str item;
	int r;

	got[0] = '\0';
	while ((r = page_next(page, &item, NULL)) > 0)
		snprintf(got + strlen(got), size - strlen(got), "<%.*s>", (int)item.n, item.p);
	return r;
}

START_TEST(a_page_is_cut_into_its_items)
{
	struct page page = { 0 };
	struct err err = { 0 };
	char got[256];

	ck_assert_msg(page_parse(&page, good[_i].text, strlen(good[_i].text), &err) == 0, "%s",
		      err.msg);
	ck_assert_str_eq(page.version, "7");
	ck_assert_pstr_eq(page.more, good[_i].more);
	ck_assert_int_eq(items_of(&page, got, sizeof(got)), 0);
	ck_assert_str_eq(got, good[_i].items);
	page_deinit(&page);
}
END_TEST

static const char *const bad[] = {
	"",
	"[]",
	"{",
	"{}",
	"{" META,
	"{" META ",",
	"{" META ",}",
	"{" META "} x",
	"{" META "}{}",
	"{" META ",\"items\":{}}",
	"{" META ",\"items\":[{}}",
	"{" META ",\"items\":[{}]",
	"{" META ",\"items\":[{\"a]}",
	"{" META ",\"items\":[],\"items\":[]}",
	"{" META "," META "}",
	"{" META ",\"x\"}",
	"{" META ",\"x\":}",
	"{" META ",x:1}",
	"{" META " \"items\":[]}",
	"{\"metadata\":{},\"items\":[]}",
	"{\"metadata\":{\"resourceVersion\":\"\"},\"items\":[]}",
	"{\"metadata\":{\"resourceVersion\":7},\"items\":[]}",
	"{\"metadata\":[],\"items\":[]}",
	"{\"metadata\":null,\"items\":[]}",
	"{\"items\":[]}",
};

START_TEST(what_is_no_page_is_refused_and_the_output_left_alone)
{
	struct page page = { 0 };
	struct err err = { 0 };

	ck_assert_int_lt(page_parse(&page, bad[_i], strlen(bad[_i]), &err), 0);
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_ptr_null(page.version);
	ck_assert_ptr_null(page.items.p);
}
END_TEST

static const char *const bad_items[] = { ",", "{},", "{},,{}", "{} {}", ",{}" };

START_TEST(a_malformed_list_of_items_is_refused)
{
	struct page page = { 0 };
	char text[128], got[256];

	snprintf(text, sizeof(text), "{" META ",\"items\":[%s]}", bad_items[_i]);
	ck_assert_int_eq(page_parse(&page, text, strlen(text), NULL), 0);
	ck_assert_int_eq(items_of(&page, got, sizeof(got)), -ERR_INPUT);
	page_deinit(&page);
}
END_TEST

START_TEST(every_cut_of_a_page_is_refused)
{
	static const char text[] = "{\"kind\":\"List\"," META ",\"items\":[{\"a\":\"b\"},{}]}";
	struct page page = { 0 };

	for (size_t n = 0; n < sizeof(text) - 1; n++)
		ck_assert_int_lt(page_parse(&page, text, n, NULL), 0);
}
END_TEST

UNIT_MAIN("kube-page", UNIT_LOOP(a_page_is_cut_into_its_items, good),
	  UNIT_LOOP(what_is_no_page_is_refused_and_the_output_left_alone, bad),
	  UNIT_LOOP(a_malformed_list_of_items_is_refused, bad_items),
	  UNIT(every_cut_of_a_page_is_refused))
