/* SPDX-License-Identifier: MIT */

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>

struct owner {
	int first;
	char member;
	long last;
};

START_TEST(container_of_finds_the_owner_from_any_member)
{
	struct owner o = { 1, 'x', 3 };
	const char *member = &o.member;

	ck_assert_ptr_eq(container_of(&o.first, struct owner, first), &o);
	ck_assert_ptr_eq(container_of(member, struct owner, member), &o);
	ck_assert_ptr_eq(container_of(&o.last, struct owner, last), &o);
}
END_TEST

START_TEST(new_memory_is_zero)
{
	struct owner *o = xnew(struct owner);
	const char zero[sizeof(*o)] = { 0 };

	ck_assert_mem_eq(o, zero, sizeof(*o));
	free(o);
}
END_TEST

START_TEST(copies_are_equal_and_apart)
{
	char text[] = "abc";
	char *a = xstrdup(text), *b = xstrndup(text, 2), *c = xmemdup(text, 4);

	text[0] = 'X';
	ck_assert_str_eq(a, "abc");
	ck_assert_str_eq(b, "ab");
	ck_assert_mem_eq(c, "abc", 4);
	free(a);
	free(b);
	free(c);
}
END_TEST

START_TEST(nothing_is_an_object_too)
{
	void *p = xmemdup(NULL, 0), *q = xrealloc(xcalloc(1, 8), 0);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(q);
	free(p);
	free(q);
}
END_TEST

START_TEST(growing_keeps_the_bytes)
{
	char *p = xrealloc(NULL, 4);

	memcpy(p, "abc", 4);
	p = xrealloc(p, 100000);
	ck_assert_str_eq(p, "abc");
	free(p);
}
END_TEST

START_TEST(text_is_formatted_whole)
{
	char *s = xasprintf("%0500d|%s", 7, "end");

	ck_assert_uint_eq(strlen(s), 504);
	ck_assert_str_eq(s + 500, "|end");
	free(s);
}
END_TEST

START_TEST(memory_that_cannot_be_had_ends_the_process)
{
	volatile size_t n = SIZE_MAX / 2; /* volatile: the compiler would see that it cannot be */

	free(xcalloc(n, 4));
}
END_TEST

START_TEST(stealing_leaves_nothing_to_free)
{
	_cleanup_free_ char *p = xstrdup("x");
	char *q = steal_ptr(p);

	ck_assert_ptr_null(p);
	ck_assert_str_eq(q, "x");
	free(q);
}
END_TEST

START_TEST(an_fd_is_closed_at_the_end_of_its_scope_unless_stolen)
{
	int closed, kept;

	{
		_cleanup_close_ int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
		_cleanup_close_ int b = open("/dev/null", O_RDONLY | O_CLOEXEC);

		ck_assert_int_ge(a, 0);
		ck_assert_int_ge(b, 0);
		closed = a;
		kept = steal_fd(&b);
		ck_assert_int_eq(b, -EBADF);
	}
	ck_assert_int_eq(fcntl(closed, F_GETFD), -1);
	ck_assert_int_ge(fcntl(kept, F_GETFD), 0);
	close(kept);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT(container_of_finds_the_owner_from_any_member),
		UNIT(new_memory_is_zero),
		UNIT(copies_are_equal_and_apart),
		UNIT(nothing_is_an_object_too),
		UNIT(growing_keeps_the_bytes),
		UNIT(text_is_formatted_whole),
		UNIT(stealing_leaves_nothing_to_free),
		UNIT(an_fd_is_closed_at_the_end_of_its_scope_unless_stolen),
		UNIT_EXIT(memory_that_cannot_be_had_ends_the_process, EXIT_FAILURE),
	};

	return unit_run("mem", cases, sizeof(cases) / sizeof(cases[0]));
}
