/* SPDX-License-Identifier: MIT */

#include "lib/base/resident.h"
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* KiB in memory of the mapping that has this address; and where that is */
static long held_kib(const char *address, const char **from, const char **to)
{
	static const char mark[] = "Rss:";
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512], *end;
	long held = -1;
	bool is_it = false;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		uintptr_t at = strtoul(line, &end, 16), after;

		if (*end == '-') {
			after = strtoul(end + 1, NULL, 16);
			is_it = at <= (uintptr_t)address && (uintptr_t)address < after;
			*from = is_it ? address - ((uintptr_t)address - at) : *from;
			*to = is_it ? address + (after - (uintptr_t)address) : *to;
		} else if (is_it && strncmp(line, mark, strlen(mark)) == 0) {
			held = strtol(line + strlen(mark), NULL, 10);
		}
	}
	(void)fclose(f);
	ck_assert_int_ge(held, 0);
	return held;
}

static int plus(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* addresses that the loader has written, in what is read-only since; and the same in plain data */
static int (*const written_by_loader[])(const void *, const void *) = { plus, plus };
static int numbers[] = { 3, 1, 2 };

START_TEST(what_only_the_start_has_read_is_no_longer_held)
{
	/* of the C library; one that no sanitizer has taken over */
	const char *text = (const char *)dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
	const char *from = NULL, *to = NULL;
	volatile char seen;

	ck_assert_ptr_nonnull(text);
	(void)held_kib(text, &from, &to);
	for (const char *p = from; p < to; p += 4096)
		seen = *p;
	(void)seen;
	ck_assert_int_eq(held_kib(text, &from, &to), (to - from) / 1024);
	resident_release();
	ck_assert_int_lt(held_kib(text, &from, &to), (to - from) / 1024 - 200);
}
END_TEST

START_TEST(nothing_that_was_written_is_lost)
{
	static char zeroed[8192];
	char *heap = strdup("kept");

	memset(zeroed, 'x', sizeof(zeroed));
	numbers[0] = 7;
	for (int i = 0; i < 3; i++)
		resident_release();
	ck_assert_int_eq(zeroed[4096], 'x');
	ck_assert_int_eq(numbers[0], 7);
	ck_assert_str_eq(heap, "kept");
	ck_assert_ptr_eq(written_by_loader[1], plus);
	qsort(numbers, 3, sizeof(numbers[0]), written_by_loader[0]);
	ck_assert_int_eq(numbers[0], 1);
	free(heap);
}
END_TEST

START_TEST(what_the_allocator_keeps_of_freed_memory_goes_too)
{
	enum { N = 256, BYTES = 65536 };
	char *all[N];
	size_t had;

	for (size_t i = 0; i < N; i++) {
		all[i] = malloc(BYTES);
		memset(all[i], 1, BYTES);
	}
	for (size_t i = 0; i < N - 1; i++)
		free(all[i]);
	had = mallinfo2().fordblks;
	resident_release();
	if (had >= (size_t)(N - 1) * BYTES) { /* else the allocator is a tool's */
		unsigned char there[N * (size_t)BYTES / 4096 / 2] = { 0 };
		size_t n = 0;
		/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
		void *from = (void *)(((uintptr_t)all[0] + 8191) & ~(uintptr_t)4095);

		/* the pages are gone, although the addresses remain: the last one holds them */
		ck_assert_int_eq(mincore(from, sizeof(there) * 4096, there), 0);
		for (size_t i = 0; i < sizeof(there); i++)
			n += there[i] & 1;
		ck_assert_uint_lt(n, sizeof(there) / 8);
	}
	free(all[N - 1]);
}
END_TEST

UNIT_MAIN("resident", UNIT(what_only_the_start_has_read_is_no_longer_held),
	  UNIT(nothing_that_was_written_is_lost),
	  UNIT(what_the_allocator_keeps_of_freed_memory_goes_too))
