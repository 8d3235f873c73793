/* SPDX-License-Identifier: MIT */

#include "iptables/tester.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *bytes;
	enum redirect_tested outcome;
	unsigned status;
	const char *text, *server, *body;
} rows[] = {
	{ "", REDIRECT_TEST_MUTE, 0, "", "", "" },
	{ "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody\nmore", REDIRECT_TEST_ANSWERED, 200,
	  "HTTP/1.1 200 OK", "x", "body" },
	{ "HTTP/1.1 404 Not Found\r\nserver:\t IMDS/150.870.65.1\r\nA: b\r\n\r\n",
	  REDIRECT_TEST_ANSWERED, 404, "HTTP/1.1 404 Not Found", "IMDS/150.870.65.1", "" },
	/* the first of two, and none that stands in the body */
	{ "HTTP/1.0 403 No\nServer: a\nServer: b\n\nServer: c", REDIRECT_TEST_ANSWERED, 403,
	  "HTTP/1.0 403 No", "a", "Server: c" },
	{ "HTTP/1.1 204\r\n\r\n", REDIRECT_TEST_ANSWERED, 204, "HTTP/1.1 204", "", "" },
	{ "HTTP/1.1 404 Not Found\r\n\r\nnmi: no such self-test.\n", REDIRECT_TEST_ANSWERED, 404,
	  "HTTP/1.1 404 Not Found", "", "nmi: no such self-test." },
	{ "SSH-2.0-OpenSSH_9.2\r\n", REDIRECT_TEST_GARBLED, 0, "SSH-2.0-OpenSSH_9.2", "", "" },
	{ "HTTP/1.1 2", REDIRECT_TEST_GARBLED, 0, "HTTP/1.1 2", "", "" },
	{ "HTTP/1.1 000 x\r\n", REDIRECT_TEST_GARBLED, 0, "HTTP/1.1 000 x", "", "" },
	{ "HTTP/1.1 2000\r\n", REDIRECT_TEST_GARBLED, 0, "HTTP/1.1 2000", "", "" },
	{ "HTTP/2 200 OK\r\n", REDIRECT_TEST_GARBLED, 0, "HTTP/2 200 OK", "", "" },
	{ "\n", REDIRECT_TEST_GARBLED, 0, "", "", "" },
	{ "\x1b[31m\"\n", REDIRECT_TEST_GARBLED, 0, "\\u001b[31m\\\"", "", "" },
};

START_TEST(an_answer_is_told_by_its_first_lines)
{
	struct redirect_test t;

	test_answer_parse(rows[_i].bytes, strlen(rows[_i].bytes), &t);
	ck_assert_int_eq(t.outcome, rows[_i].outcome);
	ck_assert_uint_eq(t.status, rows[_i].status);
	ck_assert_str_eq(t.text, rows[_i].text);
	ck_assert_str_eq(t.server, rows[_i].server);
	ck_assert_str_eq(t.body, rows[_i].body);
}
END_TEST

START_TEST(what_is_too_long_is_cut)
{
	static char bytes[8192];
	struct redirect_test t;

	memset(bytes, 'x', sizeof(bytes));
	(void)snprintf(bytes, sizeof(bytes), "HTTP/1.1 200 ");
	bytes[strlen(bytes)] = 'x';
	test_answer_parse(bytes, sizeof(bytes), &t);
	ck_assert_int_eq(t.outcome, REDIRECT_TEST_ANSWERED);
	ck_assert_uint_eq(strlen(t.text), sizeof(t.text) - 1);
}
END_TEST

UNIT_MAIN("test_answer", UNIT_LOOP(an_answer_is_told_by_its_first_lines, rows),
	  UNIT(what_is_too_long_is_cut))
