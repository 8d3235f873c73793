/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <jansson.h>
#include <stddef.h>

/* The whole file with a NUL behind it, on the heap; NULL with an error. */
char *file_read(const char *path, size_t limit, size_t *out_n, struct err *err);
/* Documents of YAML, of which JSON is a part, as an array; NULL with an error. */
json_t *yaml_parse(const char *text, size_t n, struct err *err);
