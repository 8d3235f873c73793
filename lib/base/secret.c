/* SPDX-License-Identifier: MIT */

/* Secrets: see secret.h. */

#include "lib/base/secret.h"

#include "lib/base/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void secret_set(struct secret *s, const void *p, size_t n)
{
	unsigned char *copy = xmemdup(p, n);

	secret_deinit(s);
	*s = (struct secret){ copy, n };
}

void secret_deinit(struct secret *s)
{
	if (s->p)
		explicit_bzero(s->p, s->n);
	free(s->p);
	*s = (struct secret){ 0 };
}

void *secret_malloc(size_t n)
{
	return xrealloc(NULL, n ? n : 1);
}

void *secret_calloc(size_t n, size_t size)
{
	return xcalloc(n ? n : 1, size ? size : 1);
}

void secret_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void *secret_realloc(void *p, size_t n)
{
	size_t had = p ? malloc_usable_size(p) : 0;
	void *now = secret_malloc(n);

	if (p)
		memcpy(now, p, had < n ? had : n);
	secret_free(p);
	return now;
}

char *secret_strdup(const char *s)
{
	return xstrdup(s);
}
