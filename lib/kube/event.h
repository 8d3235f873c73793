/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jval;

/* One line of a watch. Pure: bytes in, struct out. */
enum event_type {
	EVENT_ADDED,
	EVENT_MODIFIED,
	EVENT_DELETED,
	EVENT_BOOKMARK, /* only its version counts; object has no content */
	EVENT_ERROR,	/* object is a Status */
	EVENT_UNKNOWN,	/* of a newer server: to be skipped */
};

struct event {
	struct jval *doc; /* what the rest points into */
	enum event_type type;
	const struct jval *object;
	const char *version; /* resourceVersion; NULL for ERROR and UNKNOWN */
	bool ends_initial;   /* a bookmark after the last object of a streaming list */
	int code;	     /* ERROR: the HTTP status that it stands for, 0 if it does not say */
	const char *message; /* ERROR: never NULL */
};

/* No longer than this: an object has 1.5 MiB at most in etcd, and JSON may need six bytes for one. */
#define EVENT_LINE_MAX ((size_t)16 << 20)

/* On failure (ERR_INPUT, ERR_LIMIT) the output is left alone. */
int event_parse(struct event *out, const char *p, size_t n, struct err *err);
void event_deinit(struct event *e);
