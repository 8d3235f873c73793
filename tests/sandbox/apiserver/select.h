/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct kind;

/* Label and field selectors, in the grammar of the real server. */
enum select_op { SELECT_IN, SELECT_NOT_IN, SELECT_EXISTS, SELECT_NOT_EXISTS, SELECT_GT, SELECT_LT };

struct select_term {
	enum select_op op;
	char *key;
	char **values;
	size_t n_values;
};

struct selector {
	struct select_term *labels, *fields;
	size_t n_labels, n_fields;
};

/* Adds the terms of `text` to a selector that is all-zero at first. A refusal leaves it as it was. */
int selector_parse_labels(struct selector *s, const char *text, struct err *err);
int selector_parse_fields(struct selector *s, const char *text, struct err *err);
void selector_deinit(struct selector *s);
static inline void selector_deinitp(struct selector *s)
{
	selector_deinit(s);
}

/* ERR_INPUT for a field that the kind cannot be selected by. */
int selector_check_fields(const struct selector *s, const struct kind *k, struct err *err);
bool selector_is_empty(const struct selector *s);
bool selector_match(const struct selector *s, const json_t *obj);
