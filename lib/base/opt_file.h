/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/opt.h"

#include <stddef.h>

/*
 * A settings file: lines of `name: value`, YAML 1.1 of which only that much is taken, so that JSON with one
 * object is one too (docs/decisions/020-settings-file.md). Names and values are the flags', whose table
 * decides what a value must be: YAML's own idea of types is not asked, so that `off` is a word.
 *
 * Unknown, repeated and empty settings are refused, as are lists, mappings, anchors, aliases and tags.
 * Messages have the file and the line.
 */
#define OPT_FILE_MAX ((size_t)64 << 10)

struct opt_file_entry {
	const struct opt *opt;
	char *value;
	size_t line; /* from 1 */
};

/* Owns all but the options; fields of a config borrow from it. All-zero is no file. */
struct opt_file {
	char *path; /* for messages */
	struct opt_file_entry *entries;
	size_t n;
};

/* Pure; `out` is written on success only. ERR_LIMIT: too large. */
int opt_file_parse(struct opt_file *out, const struct opt_table *t, const char *path,
		   const char *text, size_t n, struct err *err);
/* The same, read. A file that others than its owner and group may write is refused: ERR_INPUT. */
int opt_file_read(struct opt_file *out, const struct opt_table *t, const char *path,
		  struct err *err);
void opt_file_deinit(struct opt_file *f);
/* False: it has no place in a file, being the one that names it, or without a meaning. */
bool opt_file_takes(const struct opt *o);
/* NULL: the file does not have it. */
const struct opt_file_entry *opt_file_find(const struct opt_file *f, const struct opt *o);
