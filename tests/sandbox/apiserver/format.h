/* SPDX-License-Identifier: MIT */
#pragma once

#include "tests/sandbox/apiserver/kind.h"

struct buf;
struct req;

/* How an object is shown: whole, its metadata only, or as the row of a table for kubectl. */
enum format { FORMAT_WHOLE, FORMAT_PARTIAL, FORMAT_TABLE };

/* Metadata alone is asked for by one name for a list, and by another for an object. */
enum format_what { FORMAT_OF_OBJECT, FORMAT_OF_LIST, FORMAT_OF_WATCH };

enum format_objects { FORMAT_OBJECTS_META, FORMAT_OBJECTS_WHOLE, FORMAT_OBJECTS_NONE };

struct format_spec {
	enum format format;
	enum format_objects objects; /* what the rows of a table carry */
	int64_t now;		     /* for ages */
};

/* From the Accept header; NULL, or a 406 Status that the caller owns. */
json_t *format_choose(const struct req *req, const struct kind *k, enum format_what what,
		      struct format_spec *out);

void format_object(struct buf *b, const struct format_spec *f, const struct kind *k,
		   struct version *v);
/* The same for an object that is in no store, or is not shown as it is stored. */
void format_json(struct buf *b, const struct format_spec *f, const struct kind *k, json_t *obj,
		 bool with_columns);

struct format_list {
	struct version **items;
	size_t n;
	uint64_t rv;
	const char *next;  /* the continue token, or "" */
	int64_t remaining; /* negative: not said */
};
void format_list(struct buf *b, const struct format_spec *f, const struct kind *k,
		 const struct format_list *list);
/* An object that only says how far the watch is; `end_of_initial` marks the end of the first part. */
void format_bookmark(struct buf *b, const struct format_spec *f, const struct kind *k, uint64_t rv,
		     bool end_of_initial);
