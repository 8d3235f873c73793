/* SPDX-License-Identifier: MIT */

/* Secrets: see secret.h. */

#include "lib/base/secret.h"

#include "lib/base/mem.h"

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
