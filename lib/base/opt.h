/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct opt_file;

/*
 * One table describes a program's settings; the command line, the environment, --help, --print-config,
 * the manual page and the reference in docs/ are all read from it, so they cannot disagree.
 *
 * The command line is read as pflag reads it, since old manifests are written for that: --name=value,
 * --name value, bare --name for a boolean, -v5, -v 5 and -v=5; no abbreviations.
 */
enum opt_type {
	OPT_BOOL,
	OPT_U16,
	OPT_UINT,
	OPT_SEC,    /* a whole number of seconds */
	OPT_MSEC,   /* a duration with a unit: 500ms, 10s, 2m, 1h */
	OPT_STR,    /* borrowed from argv, the environment or the file */
	OPT_CHOICE, /* a word of metavar's list ("a|b"), in any case; compare with strcasecmp() */
	OPT_IGNORED, /* accepted for old manifests: stores the value given, else NULL; no metavar: a bool */
};

struct opt {
	const char *name; /* long option, and with the program's prefix the variable */
	char letter;	  /* 0: none */
	enum opt_type type;
	size_t offset; /* of the field in the program's config struct */
	const char *metavar;
	const char *dflt;     /* as on the command line; "" for an ignored one */
	const char *variable; /* a further environment variable, or NULL */
	const char *group;
	const char *help;
};

struct opt_table {
	const struct opt *opts;
	size_t n;
	/* Is a change in the settings file taken up without a restart? NULL: there is no such file. */
	bool (*is_live)(const struct opt *o);
	const char *prog;  /* "nmi": also the prefix of variables, NMI_ */
	const char *usage; /* what follows "Usage: " */
	const char *intro; /* a paragraph under it, lines under 80 columns */
};

/* Where a value came from; a later one wins. */
enum opt_source { OPT_SOURCE_DEFAULT, OPT_SOURCE_FILE, OPT_SOURCE_ENV, OPT_SOURCE_ARGV };

/* What settings are read from. */
struct opt_input {
	int argc;
	char **argv;
	const struct opt_file *file; /* NULL: none */
	/* Filled with one opt_source a row of the table; NULL: nobody asks. */
	unsigned char *sources;
};

enum opt_result { OPT_RUN, OPT_HELP, OPT_VERSION, OPT_PRINT_CONFIG, OPT_PRINT_RST };

/*
 * Defaults, then environment, then argv. The result says what the caller asked for; nothing is
 * printed here. --help, --version and --print-options-rst win over anything else, mistakes included,
 * and leave `config` alone. An error names the setting and what it takes; `config` is then half set.
 */
int opt_parse(const struct opt_table *t, void *config, int argc, char **argv,
	      enum opt_result *out_result, struct err *err);
/* The same, with a settings file between the defaults and the environment. */
int opt_parse_input(const struct opt_table *t, void *config, const struct opt_input *in,
		    enum opt_result *out_result, struct err *err);
void opt_print_help(const struct opt_table *t, FILE *f);
void opt_print_rst(const struct opt_table *t, FILE *f);
/* As a settings file; `sources`, which may be NULL, are told in comments. */
void opt_print_config(const struct opt_table *t, const void *config, const unsigned char *sources,
		      FILE *f);
/* Calls fn for each ignored setting that was given. */
void opt_each_ignored(const struct opt_table *t, const void *config,
		      void (*fn)(const struct opt *o, const char *value));
/* One setting of two configs: is it the same, and make it the same. A string is then borrowed by both. */
bool opt_is_same(const struct opt *o, const void *a, const void *b);
void opt_copy(const struct opt *o, void *to, const void *from);
/* As it stands in a settings file. */
void opt_print_value(const struct opt *o, const void *config, FILE *f);
const char *opt_source_name(enum opt_source s);
int opt_parse_msec(const char *s, unsigned *out_msec, struct err *err);
