/* SPDX-License-Identifier: MIT */

#include "lib/base/clock.h"
#include "tests/unit/unit.h"

static const struct {
	uint64_t from_ns, to_ns, msec;
} spans[] = {
	{ 0, 0, 0 },
	{ 5, 4, 0 },
	{ 0, 1, 1 },
	{ 0, NSEC_PER_MSEC, 1 },
	{ 0, NSEC_PER_MSEC + 1, 2 },
	{ NSEC_PER_SEC, 3 * NSEC_PER_SEC, 2000 },
	{ 0, UINT64_MAX, UINT64_MAX / NSEC_PER_MSEC + 1 },
	{ UINT64_MAX, 0, 0 },
};

START_TEST(milliseconds_until_a_moment_are_rounded_up_and_never_negative)
{
	struct mono from = { spans[_i].from_ns }, to = { spans[_i].to_ns };

	ck_assert_uint_eq(mono_msec_until(from, to), spans[_i].msec);
}
END_TEST

START_TEST(adding_stops_at_the_end_of_time)
{
	struct mono t = { 5 };

	ck_assert_uint_eq(mono_add_msec(t, 2).ns, 2000005);
	ck_assert_uint_eq(mono_add_msec(t, UINT64_MAX).ns, UINT64_MAX);
	ck_assert_uint_eq(mono_add_msec(t, UINT64_MAX / NSEC_PER_MSEC).ns,
			  UINT64_MAX / NSEC_PER_MSEC * NSEC_PER_MSEC + 5);
	ck_assert_uint_eq(mono_add_msec((struct mono){ UINT64_MAX - 1 }, 1).ns, UINT64_MAX);
}
END_TEST

START_TEST(before_is_strict)
{
	struct mono a = { 1 }, b = { 2 };

	ck_assert(mono_before(a, b));
	ck_assert(!mono_before(b, a));
	ck_assert(!mono_before(a, a));
}
END_TEST

START_TEST(seconds_between_are_fractions_and_never_negative)
{
	struct mono a = { NSEC_PER_SEC }, b = { NSEC_PER_SEC * 5 / 2 };

	ck_assert_double_eq_tol(mono_seconds_between(a, b), 1.5, 1e-12);
	ck_assert_double_eq(mono_seconds_between(b, a), 0);
}
END_TEST

static const struct {
	int64_t s;
	const char *text;
} stamps[] = {
	{ 0, "1970-01-01T00:00:00Z" },
	{ 1767323045, "2026-01-02T03:04:05Z" },
	{ 253402300799, "9999-12-31T23:59:59Z" },
	{ INT64_MAX, "" },
};

START_TEST(a_wall_time_is_printed_as_rfc_3339)
{
	char text[WALL_TEXT_MAX];

	ck_assert_str_eq(wall_print((struct wall){ stamps[_i].s }, text), stamps[_i].text);
}
END_TEST

static const struct {
	int64_t s;
	const char *text;
} dates[] = {
	{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
	{ 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" }, /* the RFC's own example */
	{ 1767323045, "Fri, 02 Jan 2026 03:04:05 GMT" },
	{ 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" },
	{ 253402300800, "" },
	{ -62167219201, "" },
	{ INT64_MAX, "" },
};

START_TEST(a_wall_time_is_printed_as_http_dates_are)
{
	char text[WALL_HTTP_MAX];

	ck_assert_str_eq(wall_print_http((struct wall){ dates[_i].s }, text), dates[_i].text);
}
END_TEST

UNIT_MAIN("clock", UNIT_LOOP(a_wall_time_is_printed_as_rfc_3339, stamps),
	  UNIT_LOOP(a_wall_time_is_printed_as_http_dates_are, dates),
	  UNIT_LOOP(milliseconds_until_a_moment_are_rounded_up_and_never_negative, spans),
	  UNIT(adding_stops_at_the_end_of_time), UNIT(before_is_strict),
	  UNIT(seconds_between_are_fractions_and_never_negative))
