/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/*
 * Bytes that must not leak: tokens, client secrets, assertions. Not a char *, so that it cannot reach
 * a log macro by accident; wiped when freed. Embedded; all-zero is empty.
 * A local one is declared with _cleanup_(secret_deinit).
 */
struct secret {
	unsigned char *p;
	size_t n;
};

void secret_set(struct secret *s, const void *p, size_t n); /* copies; wipes what was there */
void secret_deinit(struct secret *s);			    /* wipes and frees; again is fine */

/*
 * An allocator for libraries through whose hands secrets go: what is freed or moved is wiped first.
 * Running out of memory ends the process, as everywhere (mem.h).
 */
void *secret_malloc(size_t n);
void *secret_calloc(size_t n, size_t size);
void *secret_realloc(void *p, size_t n);
char *secret_strdup(const char *s);
void secret_free(void *p);
