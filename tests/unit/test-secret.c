/* SPDX-License-Identifier: MIT */

#include "lib/base/secret.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define SECRET	 "correct horse battery staple, correct horse battery staple"
#define FREELIST 32 /* what an allocator writes at the start of a freed block */

/* What stands at an address, asked of the kernel: reading freed memory ourselves would be undefined. */
static void peek(uintptr_t at, char *out, size_t n)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, out, n, (off_t)at), (ssize_t)n);
	close(fd);
}

static void assert_wiped(uintptr_t at)
{
	char now[sizeof(SECRET)];

	peek(at, now, sizeof(now));
	for (size_t i = FREELIST; i < sizeof(now); i++)
		ck_assert_msg(now[i] == 0, "byte %zu of the secret is still there", i);
}

START_TEST(a_secret_is_wiped_before_its_memory_goes_back)
{
	struct secret s = { 0 };
	uintptr_t at;
	char before[sizeof(SECRET)];

	mallopt(M_PERTURB, 0); /* else the allocator would wipe it for us */
	secret_set(&s, SECRET, sizeof(SECRET));
	at = (uintptr_t)s.p;
	peek(at, before, sizeof(before));
	ck_assert_mem_eq(before, SECRET, sizeof(SECRET));
	secret_deinit(&s);
	assert_wiped(at);
}
END_TEST

START_TEST(a_replaced_secret_is_wiped_too)
{
	struct secret s = { 0 };
	uintptr_t at;

	mallopt(M_PERTURB, 0);
	secret_set(&s, SECRET, sizeof(SECRET));
	at = (uintptr_t)s.p;
	secret_set(&s, "new", 3);
	ck_assert_uint_ne((uintptr_t)s.p, at);
	assert_wiped(at);
	ck_assert_uint_eq(s.n, 3);
	ck_assert_mem_eq(s.p, "new", 3);
	secret_deinit(&s);
}
END_TEST

START_TEST(it_may_be_set_from_a_part_of_itself)
{
	struct secret s = { 0 };

	secret_set(&s, "abcdef", 6);
	secret_set(&s, s.p + 2, 3);
	ck_assert_uint_eq(s.n, 3);
	ck_assert_mem_eq(s.p, "cde", 3);
	secret_deinit(&s);
	ck_assert_ptr_null(s.p);
	ck_assert_uint_eq(s.n, 0);
	secret_deinit(&s);
}
END_TEST

START_TEST(the_allocator_keeps_what_is_moved)
{
	char *p = secret_malloc(3);

	memcpy(p, "ab", 3);
	p = secret_realloc(p, 100000);
	ck_assert_str_eq(p, "ab");
	p = secret_realloc(p, 2);
	ck_assert_mem_eq(p, "ab", 2);
	secret_free(p);
	p = secret_realloc(NULL, 10);
	secret_free(p);
	p = secret_calloc(2, 4);
	ck_assert_mem_eq(p, "\0\0\0\0\0\0\0\0", 8);
	secret_free(p);
	p = secret_strdup("x");
	ck_assert_str_eq(p, "x");
	secret_free(p);
	secret_free(NULL);
}
END_TEST

START_TEST(the_allocator_wipes_what_is_freed)
{
	char *p = secret_malloc(sizeof(SECRET));
	uintptr_t at = (uintptr_t)p;

	mallopt(M_PERTURB, 0);
	memcpy(p, SECRET, sizeof(SECRET));
	secret_free(p);
	assert_wiped(at);
	p = secret_malloc(sizeof(SECRET));
	at = (uintptr_t)p;
	memcpy(p, SECRET, sizeof(SECRET));
	p = secret_realloc(p, 100000);
	assert_wiped(at);
	ck_assert_mem_eq(p, SECRET, sizeof(SECRET));
	secret_free(p);
}
END_TEST

UNIT_MAIN("secret", UNIT(a_secret_is_wiped_before_its_memory_goes_back),
	  UNIT(a_replaced_secret_is_wiped_too), UNIT(it_may_be_set_from_a_part_of_itself),
	  UNIT(the_allocator_keeps_what_is_moved), UNIT(the_allocator_wipes_what_is_freed))
