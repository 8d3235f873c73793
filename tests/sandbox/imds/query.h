/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * A request target taken apart as leniently as the real service does: percent-encoding, backslashes,
 * doubled slashes and dot segments all lead to the same place. What a proxy in front of it should have
 * refused is thus answered here, and a test sees the leak.
 */
#define QUERY_PARAMS_MAX 32

struct query {
	char *path; /* canonical: begins with '/', no empty or dot segments */
	size_t n;
	struct {
		char *name, *value;
	} params[QUERY_PARAMS_MAX];
};

/* False when it has more parameters than are kept. */
bool query_parse(struct query *q, const char *target);
void query_deinit(struct query *q);
const char *query_get(const struct query *q, const char *name); /* NULL when absent */
/* The name of a parameter that stands there twice, or NULL. */
const char *query_duplicate(const struct query *q);
