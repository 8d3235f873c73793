/* SPDX-License-Identifier: MIT */

#include "nmi/status/line.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct {
	const char *sent;
	bool ended;
	enum status_line what;
	const char *command, *args;
} lines[] = {
	{ "status\n", false, STATUS_LINE_WHOLE, "status", "" },
	{ "status\r\n", false, STATUS_LINE_WHOLE, "status", "" },
	{ "status", true, STATUS_LINE_WHOLE, "status", "" },
	{ "  explain   shop/web \n", false, STATUS_LINE_WHOLE, "explain", "shop/web" },
	{ "explain a b\nmore", false, STATUS_LINE_WHOLE, "explain", "a b" },
	{ "\n", false, STATUS_LINE_WHOLE, "", "" },
	{ "", true, STATUS_LINE_WHOLE, "", "" },
	{ "", false, STATUS_LINE_PART, NULL, NULL },
	{ "stat", false, STATUS_LINE_PART, NULL, NULL },
	{ "stat\x01us\n", false, STATUS_LINE_BAD, NULL, NULL },
	{ "status\xff\n", false, STATUS_LINE_BAD, NULL, NULL },
	{ "status\t\n", false, STATUS_LINE_BAD, NULL, NULL },
};

START_TEST(a_line_is_a_command_and_what_it_is_about)
{
	struct str command = { 0 }, args = { 0 };

	ck_assert_int_eq(status_line_parse(lines[_i].sent, strlen(lines[_i].sent), lines[_i].ended,
					   &command, &args),
			 lines[_i].what);
	if (!lines[_i].command) {
		ck_assert_ptr_null(command.p);
		return;
	}
	ck_assert(str_eq(command, str_of(lines[_i].command)));
	ck_assert(str_eq(args, str_of(lines[_i].args)));
}
END_TEST

START_TEST(a_line_has_a_limit)
{
	char text[STATUS_LINE_MAX + 1];
	struct str command, args;

	memset(text, 'x', sizeof(text));
	ck_assert_int_eq(status_line_parse(text, STATUS_LINE_MAX - 1, false, &command, &args),
			 STATUS_LINE_PART);
	ck_assert_int_eq(status_line_parse(text, STATUS_LINE_MAX - 1, true, &command, &args),
			 STATUS_LINE_WHOLE);
	ck_assert_int_eq(status_line_parse(text, STATUS_LINE_MAX, false, &command, &args),
			 STATUS_LINE_BAD);
	ck_assert_int_eq(status_line_parse(text, STATUS_LINE_MAX, true, &command, &args),
			 STATUS_LINE_BAD);
}
END_TEST

UNIT_MAIN("status-line", UNIT_LOOP(a_line_is_a_command_and_what_it_is_about, lines),
	  UNIT(a_line_has_a_limit))
