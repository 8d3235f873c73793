/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>
#include <stdint.h>

struct kind;

/* The columns that `kubectl get` prints, and one row of them. */
json_t *table_columns(const struct kind *k);
json_t *table_cells(const struct kind *k, const json_t *obj, int64_t now);
