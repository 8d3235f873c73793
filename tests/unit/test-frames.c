/* SPDX-License-Identifier: MIT */

#include "lib/http/frames.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define TEXT  "{\"a\":1}\n\n{}\r\nlong line of text\nrest"
#define LINES "<{\"a\":1}><{}\r><long line of text>"

static char got[256];
static unsigned lines, stop_at;
static struct frames f;

static int on_line(void *ctx, const char *p, size_t n)
{
	ck_assert_uint_gt(n, 0);
	ck_assert_ptr_null(memchr(p, '\n', n));
	snprintf(got + strlen(got), sizeof(got) - strlen(got), "<%.*s>", (int)n, p);
	if (ctx)
		frames_reset(ctx);
	return ++lines == stop_at ? 7 : 0;
}

static void start(size_t line_max)
{
	f = (struct frames){ .line_max = line_max };
	got[0] = '\0';
	lines = stop_at = 0;
}

static int push(const char *p, size_t n, struct err *err)
{
	return frames_push(&f, p, n, on_line, NULL, err);
}

START_TEST(every_pair_of_cuts_gives_the_same_lines)
{
	const size_t n = sizeof(TEXT) - 1;

	for (size_t a = 0; a <= n; a++) {
		for (size_t b = a; b <= n; b++) {
			start(64);
			ck_assert_int_eq(push(TEXT, a, NULL), 0);
			ck_assert_int_eq(push(TEXT + a, b - a, NULL), 0);
			ck_assert_int_eq(push(TEXT + b, n - b, NULL), 0);
			ck_assert_str_eq(got, LINES);
			ck_assert_uint_eq(frames_pending(&f), 4);
			frames_deinit(&f);
		}
	}
}
END_TEST

START_TEST(a_line_may_be_as_long_as_the_limit_and_no_longer)
{
	for (size_t cut = 0; cut < 5; cut++) {
		struct err err = { 0 };

		start(4);
		ck_assert_int_eq(push("abcd\n", cut, NULL), 0);
		ck_assert_int_eq(push("abcd\n" + cut, 5 - cut, NULL), 0);
		ck_assert_str_eq(got, "<abcd>");
		ck_assert_int_eq(push("ab\nabcd", 7, NULL), 0);
		ck_assert_int_eq(push("e", 1, &err), -ERR_LIMIT);
		ck_assert_int_eq(err.kind, ERR_LIMIT);
		frames_deinit(&f);

		start(4);
		ck_assert_int_eq(push("abcde\n", 6, NULL), -ERR_LIMIT);
		ck_assert_str_eq(got, "");
		frames_deinit(&f);
	}
}
END_TEST

START_TEST(a_receiver_that_stops_is_not_called_again)
{
	start(64);
	stop_at = 2;
	ck_assert_int_eq(push("a\nb\nc\n", 6, NULL), 7);
	ck_assert_str_eq(got, "<a><b>");
	frames_deinit(&f);
}
END_TEST

START_TEST(a_receiver_may_reset)
{
	start(64);
	ck_assert_int_eq(frames_push(&f, "par", 3, on_line, &f, NULL), 0);
	ck_assert_int_eq(frames_push(&f, "t\nnext\n", 7, on_line, &f, NULL), 0);
	ck_assert_str_eq(got, "<part><next>");
	frames_deinit(&f);
}
END_TEST

START_TEST(reset_forgets_the_line_that_has_not_ended)
{
	start(64);
	ck_assert_int_eq(push("old", 3, NULL), 0);
	frames_reset(&f);
	ck_assert_uint_eq(frames_pending(&f), 0);
	ck_assert_int_eq(push("new\n", 4, NULL), 0);
	ck_assert_str_eq(got, "<new>");
	frames_deinit(&f);
}
END_TEST

UNIT_MAIN("frames", UNIT(every_pair_of_cuts_gives_the_same_lines),
	  UNIT(a_line_may_be_as_long_as_the_limit_and_no_longer),
	  UNIT(a_receiver_that_stops_is_not_called_again), UNIT(a_receiver_may_reset),
	  UNIT(reset_forgets_the_line_that_has_not_ended))
