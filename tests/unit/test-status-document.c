/* SPDX-License-Identifier: MIT */

#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/status/document.h"
#include "tests/unit/golden.h"
#include "tests/unit/mk-status.h"
#include "tests/unit/unit.h"

/* Indented, as a file that a person can compare. */
static char *document(const struct status_agent *a)
{
	_cleanup_(jval_freep) struct jval *doc = NULL;
	_cleanup_free_ char *text = NULL;
	struct err err = { 0 };
	size_t n;

	text = status_document_print(a, &n);
	ck_assert_uint_eq(n, strlen(text));
	ck_assert_ptr_null(strchr(text, '\n'));
	doc = jval_parse(text, n, 65536, &err);
	ck_assert_msg(doc != NULL, "%s", err.msg);
	return jval_print_indented(doc, NULL);
}

START_TEST(every_field_has_its_place)
{
	const struct status_agent a = mk_status();
	_cleanup_free_ char *have = document(&a), *want = golden("status.json");

	if (getenv("UPDATE_GOLDEN"))
		puts(have);
	want[strlen(want) - 1] = '\0'; /* the end of the last line */
	ck_assert_str_eq(have, want);
}
END_TEST

START_TEST(what_is_not_to_be_had_is_null_and_an_empty_list_is_there)
{
	const struct status_agent a = { .repairs = -1, .rules_why = NULL };
	_cleanup_free_ char *have = document(&a);

	ck_assert_ptr_nonnull(strstr(have, "\"repairs\": null"));
	ck_assert_ptr_nonnull(strstr(have, "\"why\": null"));
	ck_assert_ptr_nonnull(strstr(have, "\"watches\": []"));
	ck_assert_ptr_nonnull(strstr(have, "\"surroundings\": []"));
	ck_assert_ptr_nonnull(strstr(have, "\"ready\": false"));
}
END_TEST

START_TEST(any_text_is_json)
{
	const struct status_agent a = { .node = "a\"b\\c\n\xff\x01", .rules_why = "\xc3\xa9" };
	_cleanup_free_ char *have = document(&a);

	ck_assert_ptr_nonnull(strstr(have, "\"node\": \"a\\\"b\\\\c\\n?\\u0001\""));
}
END_TEST

UNIT_MAIN("status-document", UNIT(every_field_has_its_place),
	  UNIT(what_is_not_to_be_had_is_null_and_an_empty_list_is_there), UNIT(any_text_is_json))
