/* SPDX-License-Identifier: MIT */

#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIMIT 100000

static struct jval *parse(const char *text)
{
	struct err err = { 0 };
	struct jval *doc = jval_parse(text, strlen(text), LIMIT, &err);

	ck_assert_msg(doc != NULL, "%s: %s", text, err.msg);
	return doc;
}

static const char *const not_json[] = {
	"",
	" ",
	"{",
	"[1,]",
	"{'a':1}",
	"{\"a\":1}x",
	"{\"a\":1,\"a\":2}",
	"{\"a\":\"\xff\"}",
	"{\"a\":\"\xed\xa0\x80\"}",
	"{\"a\":\"\\ud800\"}",
	"\"text\"",
	"1",
	"null",
	"{\"a\":99999999999999999999}",
	"{\"a\":01}",
	"{\"a\":NaN}",
};

START_TEST(what_is_not_one_object_or_array_is_refused)
{
	struct err err = { 0 };

	ck_assert_ptr_null(jval_parse(not_json[_i], strlen(not_json[_i]), LIMIT, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_int_eq(strncmp(err.msg, "not JSON: ", 10), 0);
}
END_TEST

START_TEST(nothing_at_all_is_refused_not_read)
{
	struct err err = { 0 };

	ck_assert_ptr_null(jval_parse(NULL, 0, LIMIT, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
}
END_TEST

START_TEST(a_document_over_the_limit_is_not_parsed)
{
	struct err err = { 0 };

	ck_assert_ptr_null(jval_parse("{\"a\":1}", 7, 6, &err));
	ck_assert_int_eq(err.kind, ERR_LIMIT);
	ck_assert_str_eq(err.msg, "JSON of 7 bytes; at most 6");
	jval_free(jval_parse("{\"a\":1}", 7, 7, &err));
}
END_TEST

START_TEST(a_deep_document_is_refused_not_overflowed)
{
	char *deep = xcalloc(1, 50000 + 1);
	struct err err = { 0 };

	memset(deep, '[', 50000);
	ck_assert_ptr_null(jval_parse(deep, 50000, LIMIT, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	free(deep);
}
END_TEST

START_TEST(an_error_never_quotes_the_document)
{
	static const char *const broken[] = {
		"{\"password\": hunter2}",
		"{\"password\": \"hunter2\" \"hunter2\"}",
		"{\"password\": \"hunter2",
		"{\"hunter2\":1,\"hunter2\":2}",
		"[hunter2]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		struct err err = { 0 };

		ck_assert_ptr_null(jval_parse(broken[i], strlen(broken[i]), LIMIT, &err));
		ck_assert_msg(!strstr(err.msg, "hunter"), "%s", err.msg);
	}
}
END_TEST

START_TEST(each_type_is_read_into_its_c_type)
{
	struct jval *doc = parse("{\"s\":\"x\",\"i\":-5,\"any\":7,\"text\":\"86399\",\"b\":true,"
				 "\"o\":{\"k\":1},\"a\":[1,2]}");
	const char *s = NULL;
	int64_t i = 0, any = 0, text = 0;
	bool b = false;
	const struct jval *o = NULL, *a = NULL;
	const struct jval_field fields[] = {
		{ "s", JVAL_STR, JVAL_MUST, &s },
		{ "i", JVAL_INT, JVAL_MUST, &i },
		{ "any", JVAL_INT_ANY, JVAL_MUST, &any },
		{ "text", JVAL_INT_ANY, JVAL_MUST, &text },
		{ "b", JVAL_BOOL, JVAL_MUST, &b },
		{ "o", JVAL_OBJ, JVAL_MUST, &o },
		{ "a", JVAL_ARR, JVAL_MUST, &a },
	};

	ck_assert_int_eq(jval_read(doc, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, NULL), 0);
	ck_assert_str_eq(s, "x");
	ck_assert_int_eq(i, -5);
	ck_assert_int_eq(any, 7);
	ck_assert_int_eq(text, 86399);
	ck_assert(b);
	ck_assert_ptr_nonnull(jval_get(o, "k"));
	ck_assert_uint_eq(jval_len(a), 2);
	jval_free(doc);
}
END_TEST

static const struct {
	const char *doc;
	const char *path;
	enum jval_type type;
	const char *says; /* NULL: read, or absent and allowed to be */
} reads[] = {
	{ "{\"a\":{\"b\":{\"c\":\"x\"}}}", "a.b.c", JVAL_STR, NULL },
	{ "{\"a.b\":\"x\"}", "a.b", JVAL_STR, "a.b is missing" },
	{ "{}", "a", JVAL_STR, "a is missing" },
	{ "{\"a\":null}", "a", JVAL_STR, "a is missing" },
	{ "{\"a\":null}", "a.b", JVAL_STR, "a.b is missing" },
	{ "{\"A\":\"x\"}", "a", JVAL_STR, "a is missing" },
	{ "{\"a\":\"x\"}", "a.b", JVAL_STR, "a.b: b is not inside an object" },
	{ "{\"a\":[]}", "a.b.c", JVAL_STR, "a.b.c: b is not inside an object" },
	{ "{\"a\":1}", "a", JVAL_STR, "a: expected a string, found a number" },
	{ "{\"a\":\"1\"}", "a", JVAL_INT, "a: expected a whole number, found a string" },
	{ "{\"a\":1.5}", "a", JVAL_INT, "a: expected a whole number, found a fraction" },
	{ "{\"a\":true}", "a", JVAL_INT_ANY, "a: expected a whole number, found a boolean" },
	{ "{\"a\":\"\"}", "a", JVAL_INT_ANY, "a: expected a whole number, found a string" },
	{ "{\"a\":\" 5\"}", "a", JVAL_INT_ANY, "a: expected a whole number, found a string" },
	{ "{\"a\":\"+5\"}", "a", JVAL_INT_ANY, "a: expected a whole number, found a string" },
	{ "{\"a\":\"5s\"}", "a", JVAL_INT_ANY, "a: expected a whole number, found a string" },
	{ "{\"a\":\"-\"}", "a", JVAL_INT_ANY, "a: expected a whole number, found a string" },
	{ "{\"a\":\"9223372036854775808\"}", "a", JVAL_INT_ANY, "a: expected a whole number" },
	{ "{\"a\":\"-9223372036854775808\"}", "a", JVAL_INT_ANY, NULL },
	{ "{\"a\":0}", "a", JVAL_BOOL, "a: expected a boolean, found a number" },
	{ "{\"a\":false}", "a", JVAL_BOOL, NULL },
	{ "{\"a\":[]}", "a", JVAL_OBJ, "a: expected an object, found an array" },
	{ "{\"a\":{}}", "a", JVAL_ARR, "a: expected an array, found an object" },
	{ "{\"a\":\"x\\u0000y\"}", "a", JVAL_STR, "a contains a NUL" },
	{ "{\"a\":\"1\\u0000\"}", "a", JVAL_INT_ANY, "a contains a NUL" },
	{ "[1]", "a", JVAL_STR, "expected an object" },
};

START_TEST(a_mistake_names_path_what_was_expected_and_what_was_found)
{
	struct jval *doc = parse(reads[_i].doc);
	struct err err = { 0 };
	char out[16];
	const struct jval_field f = { reads[_i].path, reads[_i].type, JVAL_MUST, out };
	char before[16];

	memset(out, 0x5a, sizeof(out));
	memcpy(before, out, sizeof(out));
	if (reads[_i].says) {
		ck_assert_int_eq(jval_read(doc, &f, 1, JVAL_CASE_EXACT, &err), -ERR_INPUT);
		ck_assert_msg(strncmp(err.msg, reads[_i].says, strlen(reads[_i].says)) == 0,
			      "said: %s", err.msg);
		ck_assert_mem_eq(out, before, sizeof(out));
	} else {
		ck_assert_int_eq(jval_read(doc, &f, 1, JVAL_CASE_EXACT, &err), 0);
		ck_assert_mem_ne(out, before, sizeof(out));
	}
	jval_free(doc);
}
END_TEST

START_TEST(an_optional_field_that_is_absent_leaves_its_default)
{
	struct jval *doc = parse("{\"b\":null}");
	const char *a = "default";
	int64_t b = 5;
	const struct jval_field fields[] = { { "a", JVAL_STR, JVAL_MAY, &a },
					     { "b", JVAL_INT, JVAL_MAY, &b } };

	ck_assert_int_eq(jval_read(doc, fields, 2, JVAL_CASE_EXACT, NULL), 0);
	ck_assert_str_eq(a, "default");
	ck_assert_int_eq(b, 5);
	jval_free(doc);
}
END_TEST

START_TEST(a_refusal_leaves_every_output_alone)
{
	struct jval *doc = parse("{\"a\":\"x\",\"b\":\"not a number\"}");
	const char *a = "before";
	int64_t b = 5;
	const struct jval_field fields[] = { { "a", JVAL_STR, JVAL_MUST, &a },
					     { "b", JVAL_INT, JVAL_MUST, &b } };

	ck_assert_int_eq(jval_read(doc, fields, 2, JVAL_CASE_EXACT, NULL), -ERR_INPUT);
	ck_assert_str_eq(a, "before");
	ck_assert_int_eq(b, 5);
	jval_free(doc);
}
END_TEST

static const struct {
	const char *doc;
	const char *found;
} spellings[] = {
	{ "{\"ClientID\":\"x\"}", "x" },
	{ "{\"clientid\":\"x\",\"clientID\":\"exact\"}", "exact" },
	{ "{\"CLIENTID\":\"first\",\"clientid\":\"second\"}", "first" },
	{ "{\"clientIDs\":\"x\"}", NULL },
};

START_TEST(with_case_ignored_the_exact_spelling_wins_else_the_first)
{
	struct jval *doc = parse(spellings[_i].doc);
	const char *s = NULL;
	const struct jval_field f = { "clientID", JVAL_STR, JVAL_MAY, &s };

	ck_assert_int_eq(jval_read(doc, &f, 1, JVAL_CASE_IGNORED, NULL), 0);
	ck_assert_pstr_eq(s, spellings[_i].found);
	jval_free(doc);
}
END_TEST

START_TEST(array_items_are_reached_by_index_and_not_beyond)
{
	struct jval *doc = parse("{\"a\":[\"x\",1,\"y\\u0000\"],\"n\":null}");
	const struct jval *a = jval_get(doc, "a");

	ck_assert_uint_eq(jval_len(a), 3);
	ck_assert_str_eq(jval_as_str(jval_at(a, 0)), "x");
	ck_assert_ptr_null(jval_as_str(jval_at(a, 1)));
	ck_assert_ptr_null(jval_as_str(jval_at(a, 2)));
	ck_assert_ptr_null(jval_at(a, 3));
	ck_assert_ptr_null(jval_get(doc, "n"));
	ck_assert_ptr_null(jval_get(doc, "z"));
	ck_assert_uint_eq(jval_len(NULL), 0);
	ck_assert_uint_eq(jval_len(doc), 0);
	ck_assert_ptr_null(jval_at(NULL, 0));
	ck_assert_ptr_null(jval_as_str(NULL));
	{
		int64_t n = 5;

		ck_assert(!jval_as_int(NULL, &n));
		ck_assert(!jval_as_int(jval_at(a, 0), &n)); /* "x" */
		ck_assert_int_eq(n, 5);
	}
	jval_free(doc);
}
END_TEST

static int count_until_stop(void *ctx, const char *key, const struct jval *v)
{
	(*(int *)ctx)++;
	return strcmp(key, "stop") == 0 ? 42 : 0;
}

START_TEST(members_are_visited_in_order_until_one_says_stop)
{
	struct jval *doc = parse("{\"z\":1,\"a\":2,\"stop\":3,\"b\":4}");
	int n = 0;

	ck_assert_int_eq(jval_each(doc, count_until_stop, &n), 42);
	ck_assert_int_eq(n, 3);
	jval_free(doc);
	doc = parse("[1,2]");
	ck_assert_int_eq(jval_each(doc, count_until_stop, &n), 0);
	ck_assert_int_eq(n, 3);
	jval_free(doc);
}
END_TEST

START_TEST(pairs_are_printed_in_order_compact_and_escaped)
{
	const struct jval_pair pairs[] = {
		{ "z", "1" }, { "skip", NULL },	   { "a", "q\"\\\n\x01" },
		{ "e", "" },  { "u", "\xc3\xa9" }, { "bad", "a\xff\xc3z" },
	};
	size_t n = 0;
	char *text = jval_print_pairs(pairs, ARRAY_SIZE(pairs), &n);

	ck_assert_str_eq(text, "{\"z\":\"1\",\"a\":\"q\\\"\\\\\\n\\u0001\",\"e\":\"\","
			       "\"u\":\"\xc3\xa9\",\"bad\":\"a??z\"}");
	ck_assert_uint_eq(n, strlen(text));
	free(text);
	text = jval_print_pairs(NULL, 0, NULL);
	ck_assert_str_eq(text, "{}");
	free(text);
}
END_TEST

START_TEST(items_make_the_objects_that_their_paths_name)
{
	const struct jval_item items[] = {
		{ "kind", JVAL_STR, "Event", 0 },   { "meta.name", JVAL_STR, "a.b", 0 },
		{ "count", JVAL_INT, NULL, -3 },    { "a.b.c", JVAL_STR, "deep\xff\"", 0 },
		{ "meta.skip", JVAL_STR, NULL, 0 }, { "meta.n", JVAL_INT, NULL, INT64_MAX },
	};
	size_t n = 0;
	char *text = jval_print_items(items, ARRAY_SIZE(items), &n);

	ck_assert_str_eq(text, "{\"kind\":\"Event\",\"meta\":{\"name\":\"a.b\","
			       "\"n\":9223372036854775807},\"count\":-3,"
			       "\"a\":{\"b\":{\"c\":\"deep?\\\"\"}}}");
	ck_assert_uint_eq(n, strlen(text));
	free(text);
	text = jval_print_items(NULL, 0, NULL);
	ck_assert_str_eq(text, "{}");
	free(text);
}
END_TEST

START_TEST(an_object_is_not_made_for_an_item_that_is_left_out)
{
	const struct jval_item items[] = { { "a.b", JVAL_STR, NULL, 0 } };
	char *text = jval_print_items(items, ARRAY_SIZE(items), NULL);

	ck_assert_str_eq(text, "{}");
	free(text);
}
END_TEST

START_TEST(the_same_path_twice_is_the_callers_mistake)
{
	const struct jval_item items[] = { { "a.b", JVAL_STR, "1", 0 },
					   { "a.b", JVAL_STR, "2", 0 } };

	free(jval_print_items(items, ARRAY_SIZE(items), NULL));
}
END_TEST

START_TEST(a_path_below_a_string_is_the_callers_mistake)
{
	const struct jval_item items[] = { { "a", JVAL_STR, "1", 0 }, { "a.b", JVAL_STR, "2", 0 } };

	free(jval_print_items(items, ARRAY_SIZE(items), NULL));
}
END_TEST

static const char *const printed[] = {
	"{\"b\":1,\"a\":[true,false,null,\"x\",1.5]}",
	"[]",
	"[[],{}]",
	"[\"a\\u0000b\"]",
	"[\"\\\\\"]",
};

START_TEST(a_value_is_printed_as_it_was_read)
{
	struct jval *doc = parse(printed[_i]);
	char *text = jval_print(doc, NULL);

	ck_assert_str_eq(text, printed[_i]);
	free(text);
	jval_free(doc);
}
END_TEST

START_TEST(a_part_of_a_document_is_printed_whatever_its_type)
{
	struct jval *doc = parse("{\"s\":\"x\",\"n\":5}");
	size_t n = 0;
	char *s = jval_print(jval_get(doc, "s"), &n), *i = jval_print(jval_get(doc, "n"), NULL);

	ck_assert_str_eq(s, "\"x\"");
	ck_assert_uint_eq(n, 3);
	ck_assert_str_eq(i, "5");
	free(s);
	free(i);
	jval_free(doc);
}
END_TEST

START_TEST(freeing_nothing_is_fine)
{
	ck_assert_ptr_null(jval_free(NULL));
}
END_TEST

/* How often `needle` with its last byte raised by one (so that we hold no copy) is in the heap. */
static size_t count_in_heap(const char *needle, size_t n)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from = 0, to = 0;
	char line[512];
	size_t found = 0;

	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "[heap]")) {
			char *end;

			from = strtoul(line, &end, 16);
			to = strtoul(end + 1, NULL, 16);
		}
	}
	(void)fclose(maps);
	/* page by page on the stack: a copy on the heap would find itself */
	for (unsigned long at = from; at < to; at += 4096) {
		char page[4096 + 64];
		ssize_t k = pread(mem, page, sizeof(page), (off_t)at);

		for (ssize_t i = 0; i + (ssize_t)n <= k && i < 4096; i++) {
			if (memcmp(page + i, needle, n - 1) == 0 &&
			    page[i + (ssize_t)n - 1] == needle[n - 1] + 1)
				found++;
		}
	}
	close(mem);
	return found;
}

START_TEST(a_freed_document_leaves_no_copy_of_its_text)
{
	/* behind what an allocator writes into a freed block; its last byte differs from the text's */
	const char needle[] = "not-to-be-found-afterwards-0";
	char text[128];
	int n = snprintf(text, sizeof(text), "{\"access_token\":\"%032d%s\"}", 0, needle);
	struct jval *doc;

	mallopt(M_PERTURB, 0); /* else the allocator would wipe it for us */
	text[n - 3]++;
	doc = parse(text);
	if (count_in_heap(needle, sizeof(needle) - 1) == 0) {
		jval_free(doc);
		return; /* a sanitizer's or valgrind's allocator: its memory is elsewhere */
	}
	jval_free(doc);
	ck_assert_uint_eq(count_in_heap(needle, sizeof(needle) - 1), 0);
}
END_TEST

START_TEST(a_document_is_put_together_piece_by_piece)
{
	_cleanup_(jval_freep) struct jval *doc = jval_new_obj();
	struct jval *other = jval_parse("{\"x\":[1]}", 9, 99, NULL);
	_cleanup_free_ char *text = NULL;
	struct jval *list;
	size_t n = 0;

	jval_put_str(doc, "b", "text \xff");
	jval_put_int(doc, "a", -5);
	jval_put_bool(jval_put_obj(doc, "o"), "yes", true);
	list = jval_put_arr(jval_put_obj(doc, "o"), "list");
	jval_add_str(list, "one");
	jval_put_str(jval_add_obj(list), "k", NULL);
	jval_put_null(doc, "none");
	jval_put_val(doc, "val", jval_get(other, "x"));
	(void)jval_free(other);
	text = jval_print(doc, &n);
	ck_assert_str_eq(text, "{\"b\":\"text ?\",\"a\":-5,\"o\":{\"yes\":true,\"list\":[\"one\","
			       "{\"k\":null}]},\"none\":null,\"val\":[1]}");
	ck_assert_uint_eq(n, strlen(text));
}
END_TEST

START_TEST(what_people_read_too_is_indented)
{
	_cleanup_(jval_freep) struct jval *doc = jval_new_obj();
	_cleanup_free_ char *text = NULL;

	jval_put_int(doc, "a", 1);
	text = jval_print_indented(doc, NULL);
	ck_assert_str_eq(text, "{\n  \"a\": 1\n}");
}
END_TEST

UNIT_MAIN("jval", UNIT(a_document_is_put_together_piece_by_piece),
	  UNIT(what_people_read_too_is_indented),
	  UNIT_LOOP(what_is_not_one_object_or_array_is_refused, not_json),
	  UNIT(nothing_at_all_is_refused_not_read), UNIT(a_document_over_the_limit_is_not_parsed),
	  UNIT(a_deep_document_is_refused_not_overflowed), UNIT(an_error_never_quotes_the_document),
	  UNIT(each_type_is_read_into_its_c_type),
	  UNIT_LOOP(a_mistake_names_path_what_was_expected_and_what_was_found, reads),
	  UNIT(an_optional_field_that_is_absent_leaves_its_default),
	  UNIT(a_refusal_leaves_every_output_alone),
	  UNIT_LOOP(with_case_ignored_the_exact_spelling_wins_else_the_first, spellings),
	  UNIT(array_items_are_reached_by_index_and_not_beyond),
	  UNIT(members_are_visited_in_order_until_one_says_stop),
	  UNIT(pairs_are_printed_in_order_compact_and_escaped),
	  UNIT(items_make_the_objects_that_their_paths_name),
	  UNIT(an_object_is_not_made_for_an_item_that_is_left_out),
	  UNIT_ABORT(the_same_path_twice_is_the_callers_mistake),
	  UNIT_ABORT(a_path_below_a_string_is_the_callers_mistake),
	  UNIT_LOOP(a_value_is_printed_as_it_was_read, printed),
	  UNIT(a_part_of_a_document_is_printed_whatever_its_type), UNIT(freeing_nothing_is_fine),
	  UNIT(a_freed_document_leaves_no_copy_of_its_text))
