/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Small allocations of a fixed size. Inside a memory cgroup the kernel kills us rather than return
 * NULL, so running out is not a path that callers could test: these log and exit. Whatever is sized
 * by input has a named limit, checked before it comes here.
 */
void out_of_memory(void) __attribute__((noreturn)); /* for libraries' failures of the same kind */
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
void *xmemdup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull)); /* up to a NUL */
char *xasprintf(const char *fmt, ...)
	__attribute__((malloc, returns_nonnull, format(printf, 1, 2)));
char *xvasprintf(const char *fmt, va_list ap)
	__attribute__((malloc, returns_nonnull, format(printf, 1, 0)));

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The object that holds `member`, from a pointer to the member. */
#define container_of(ptr, type, member)                                                            \
	__extension__({                                                                            \
		const __typeof__(((type *)0)->member) *member_ = (ptr);                            \
		(type *)(void *)((char *)(uintptr_t)member_ - offsetof(type, member));             \
	})
