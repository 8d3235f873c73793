/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* An upstream's answer as input: a line "status[ retry-after]", and a body. */
struct fuzz_answer {
	char head[64];
	long status;
	const char *retry_after; /* inside head; "" when there is none */
	struct str body;
};

/* False: there is no such line. */
static inline bool fuzz_answer_read(struct fuzz_answer *a, const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *eol = memchr(text, '\n', size);
	char *rest;

	*a = (struct fuzz_answer){ 0 };
	if (!eol || (size_t)(eol - text) >= sizeof(a->head))
		return false;
	memcpy(a->head, text, (size_t)(eol - text));
	a->status = strtol(a->head, &rest, 10);
	a->retry_after = *rest == ' ' ? rest + 1 : rest;
	a->body = (struct str){ eol + 1, size - (size_t)(eol + 1 - text) };
	return true;
}
