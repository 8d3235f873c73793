/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* RFC 4648: the plain alphabet with padding, and the one of URLs without. Results are on the heap. */
char *base64_encode(const void *p, size_t n);
char *base64url_encode(const void *p, size_t n);
/* NULL if it is not that. The result has a NUL after its out_n bytes. */
char *base64url_decode(const char *text, size_t *out_n);
bool base64_is_valid(const char *text);
