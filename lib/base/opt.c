/* SPDX-License-Identifier: MIT */

/*
 * Settings from one table: see opt.h.
 *
 * getopt_long(3) is not used: it takes abbreviations, keeps global state, and refuses the forms that
 * manifests written for Go's pflag contain ("-v=5").
 */

#include "lib/base/opt.h"

#include "lib/base/opt_file.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENV_NAME_MAX 128

/* Duration: a decimal number and one of ms, s, m, h; the unit is never implied. */
int opt_parse_msec(const char *s, unsigned *out_msec, struct err *err)
{
	static const struct {
		const char *unit;
		unsigned msec;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
	unsigned v = 0, msec;
	const char *p;

	for (p = s; isdigit((unsigned char)*p); p++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (unsigned)(*p - '0'), &v))
			return err_set(err, ERR_INPUT, "duration '%.32s' is too large", s);
	}
	if (p == s)
		return err_set(err, ERR_INPUT, "duration '%.32s' does not start with a number", s);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(p, units[i].unit) != 0)
			continue;
		if (__builtin_mul_overflow(v, units[i].msec, &msec))
			return err_set(err, ERR_INPUT, "duration '%.32s' is too large", s);
		*out_msec = msec;
		return 0;
	}
	return err_set(err, ERR_INPUT, "duration '%.32s' needs a unit: ms, s, m or h", s);
}

static int parse_number(const char *s, unsigned max, unsigned *out, struct err *err)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(s, &end, 10);
	if (!isdigit((unsigned char)*s) || *end || errno || n > max)
		return err_set(err, ERR_INPUT, "'%.64s' is not a whole number from 0 to %u", s,
			       max);
	*out = (unsigned)n;
	return 0;
}

/* What Go's strconv.ParseBool takes. */
static int parse_bool(const char *s, bool *out, struct err *err)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
			*out = strcmp(s, yes[i]) == 0;
			return 0;
		}
	}
	return err_set(err, ERR_INPUT, "'%.64s' is neither true nor false", s);
}

/* `s` must be one of the words of `list` ("auto|nft|none"); kept as it is, compared without case. */
static int parse_choice(const char *list, const char *s, const char **out, struct err *err)
{
	size_t n = strlen(s);

	for (const char *p = list; *p;) {
		size_t k = strcspn(p, "|");

		if (k == n && strncasecmp(p, s, n) == 0) {
			*out = s;
			return 0;
		}
		p += k + (p[k] == '|');
	}
	return err_set(err, ERR_INPUT, "'%.64s' is not one of %s", s, list);
}

static int set_field(const struct opt *o, void *config, const char *value, struct err *err)
{
	void *field = (char *)config + o->offset;
	unsigned n = 0;
	int r;

	switch (o->type) {
	case OPT_BOOL:
		return parse_bool(value, field, err);
	case OPT_U16:
		r = parse_number(value, UINT16_MAX, &n, err);
		if (r == 0)
			*(uint16_t *)field = (uint16_t)n;
		return r;
	case OPT_UINT:
	case OPT_SEC:
		return parse_number(value, 1000000, field, err);
	case OPT_MSEC:
		return opt_parse_msec(value, field, err);
	case OPT_CHOICE:
		return parse_choice(o->metavar, value, field, err);
	case OPT_STR:
	case OPT_IGNORED:
		*(const char **)field = value;
		return 0;
	}
	return err_set(err, ERR_INPUT, "no such type");
}

/*
 * The prefix stands also before a name that begins with it: NMI_PORT, say, is set by Kubernetes to
 * "tcp://..." in every pod beside a Service of the name nmi; NMI_NMI_PORT is not.
 */
static void env_name(char buf[static ENV_NAME_MAX], const char *prog, const char *name)
{
	snprintf(buf, ENV_NAME_MAX, "%s_%s", prog, name);
	for (char *p = buf; *p; p++)
		*p = (char)(*p == '-' ? '_' : toupper((unsigned char)*p));
}

/*
 * A variable that is empty counts as not set. A boolean in a variable of the old agent is true only
 * when it is exactly "true", and never a mistake (manifests set FORCENAMESPACED to all sorts of
 * things); our own variables are as strict as flags.
 */
static int set_from_env(const struct opt_table *t, const struct opt *o, void *config, bool *out_set,
			struct err *err)
{
	char name[ENV_NAME_MAX];
	const char *v = o->variable ? getenv(o->variable) : NULL;

	*out_set = v && *v;

	if (v && *v && o->type == OPT_BOOL)
		v = strcmp(v, "true") == 0 ? "true" : "false";
	if (v && *v && set_field(o, config, v, err) < 0)
		return err_wrap(err, "%s", o->variable);
	env_name(name, t->prog, o->name);
	v = getenv(name);
	*out_set |= v && *v;
	if (v && *v && set_field(o, config, v, err) < 0)
		return err_wrap(err, "%s", name);
	return 0;
}

static int set_defaults(const struct opt_table *t, void *config, struct err *err)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct opt *o = &t->opts[i];
		int r;

		r = set_field(o, config, o->type == OPT_IGNORED ? NULL : o->dflt, err);
		if (r < 0)
			return err_wrap(err, "default of --%s", o->name);
	}
	return 0;
}

static const struct opt *find(const struct opt_table *t, const char *arg, size_t n)
{
	bool is_long = n > 2 && arg[0] == '-' && arg[1] == '-';

	for (size_t i = 0; i < t->n; i++) {
		const struct opt *o = &t->opts[i];

		if (is_long && strlen(o->name) == n - 2 && memcmp(o->name, arg + 2, n - 2) == 0)
			return o;
		if (!is_long && o->letter && arg[1] == o->letter)
			return o;
	}
	return NULL;
}

/* What wins over everything else; the first of these wins among themselves. */
static enum opt_result find_early_action(int argc, char **argv)
{
	static const struct {
		const char *arg;
		enum opt_result result;
	} actions[] = {
		{ "--help", OPT_HELP },
		{ "-h", OPT_HELP },
		{ "--version", OPT_VERSION },
		{ "--print-options-rst", OPT_PRINT_RST },
	};

	for (int i = 1; i < argc; i++) {
		for (size_t k = 0; k < sizeof(actions) / sizeof(actions[0]); k++) {
			if (strcmp(argv[i], actions[k].arg) == 0)
				return actions[k].result;
		}
	}
	return OPT_RUN;
}

static int set_from_file(const struct opt_file *file, void *config, struct err *err)
{
	for (size_t i = 0; i < file->n; i++) {
		const struct opt_file_entry *e = &file->entries[i];

		if (set_field(e->opt, config, e->value, err) < 0)
			return err_wrap(err, "%s:%zu: %s", file->path, e->line, e->opt->name);
	}
	return 0;
}

/* One argument, and the next one where it is the value. Returns how many were used, or an error. */
static int take(const struct opt_table *t, void *config, char **argv, const struct opt **out,
		struct err *err)
{
	const char *arg = argv[0], *next = argv[1];
	bool is_long = strncmp(arg, "--", 2) == 0;
	size_t n = is_long ? strcspn(arg, "=") : 2;
	const struct opt *o = arg[0] == '-' && arg[1] ? find(t, arg, n) : NULL;
	const char *value = NULL;
	int used = 1;

	if (!o)
		return err_set(err, ERR_INPUT, "%.80s: no such setting; see %s --help", arg,
			       t->prog);
	if (arg[n] == '=')
		value = arg + n + 1;
	else if (arg[n])
		value = arg + n; /* -v5 */
	else if (o->type == OPT_BOOL || (o->type == OPT_IGNORED && !o->metavar))
		value = "true";
	else if (next) {
		value = next;
		used = 2;
	} else
		return err_set(err, ERR_INPUT, "--%s needs a value: %s", o->name, o->metavar);
	if (set_field(o, config, value, err) < 0)
		return err_wrap(err, "--%s", o->name);
	*out = o;
	return used;
}

static void came_from(const struct opt_table *t, const struct opt_input *in, const struct opt *o,
		      enum opt_source source)
{
	if (in->sources)
		in->sources[o - t->opts] = (unsigned char)source;
}

/* All but the command line. */
static int set_below(const struct opt_table *t, void *config, const struct opt_input *in,
		     struct err *err)
{
	int r = set_defaults(t, config, err);

	for (size_t i = 0; i < t->n; i++)
		came_from(t, in, &t->opts[i], OPT_SOURCE_DEFAULT);
	if (r >= 0 && in->file)
		r = set_from_file(in->file, config, err);
	for (size_t i = 0; r >= 0 && in->file && i < in->file->n; i++)
		came_from(t, in, in->file->entries[i].opt, OPT_SOURCE_FILE);
	for (size_t i = 0; r >= 0 && i < t->n; i++) {
		bool is_set;

		r = set_from_env(t, &t->opts[i], config, &is_set, err);
		if (r >= 0 && is_set)
			came_from(t, in, &t->opts[i], OPT_SOURCE_ENV);
	}
	return r;
}

int opt_parse_input(const struct opt_table *t, void *config, const struct opt_input *in,
		    enum opt_result *out_result, struct err *err)
{
	enum opt_result result = find_early_action(in->argc, in->argv);
	const struct opt *o = NULL;
	int r = 0;

	if (result != OPT_RUN) {
		*out_result = result;
		return 0;
	}
	r = set_below(t, config, in, err);
	for (int i = 1; r >= 0 && i < in->argc; i += r) {
		if (strcmp(in->argv[i], "--print-config") == 0) {
			result = OPT_PRINT_CONFIG;
			r = 1;
			continue;
		}
		r = take(t, config, in->argv + i, &o, err);
		if (r >= 0)
			came_from(t, in, o, OPT_SOURCE_ARGV);
	}
	if (r < 0)
		return r;
	*out_result = result;
	return 0;
}

int opt_parse(const struct opt_table *t, void *config, int argc, char **argv,
	      enum opt_result *out_result, struct err *err)
{
	const struct opt_input in = { .argc = argc, .argv = argv };

	return opt_parse_input(t, config, &in, out_result, err);
}

/* Text at a column, wrapped at 80. `at` is where the line stands now. */
static void print_wrapped(FILE *f, const char *text, int column, int at)
{
	while (*text) {
		int n = (int)strcspn(text, " ");

		if (at > column && at + 1 + n > 79) {
			fprintf(f, "\n%*s", column, "");
			at = column;
		} else if (at > column) {
			fputc(' ', f);
			at++;
		}
		fprintf(f, "%.*s", n, text);
		at += n;
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', f);
}

#define HELP_COLUMN 34

static bool is_live(const struct opt_table *t, const struct opt *o)
{
	return t->is_live && t->is_live(o);
}

static void print_help_row(const struct opt_table *t, const struct opt *o, FILE *f)
{
	char left[96], right[256];
	int n;

	n = snprintf(left, sizeof(left), "  %s%c%c --%s%s%s", o->letter ? "-" : " ",
		     o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name,
		     o->metavar ? "=" : "", o->metavar ? o->metavar : "");
	snprintf(right, sizeof(right), "%s%s%s%s%s", o->help, *o->dflt ? " [" : "", o->dflt,
		 *o->dflt ? "]" : "", is_live(t, o) ? " (live)" : "");
	fputs(left, f);
	if (n + 1 >= HELP_COLUMN) {
		fputc('\n', f);
		n = 0;
	}
	fprintf(f, "%*s", HELP_COLUMN - n, "");
	print_wrapped(f, right, HELP_COLUMN, HELP_COLUMN);
}

void opt_print_help(const struct opt_table *t, FILE *f)
{
	const char *group = "";
	char env[ENV_NAME_MAX];

	fprintf(f, "Usage: %s\n\n%s\n", t->usage, t->intro);
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(group, t->opts[i].group) != 0) {
			group = t->opts[i].group;
			fprintf(f, "\n%s:\n", group);
		}
		print_help_row(t, &t->opts[i], f);
	}
	env_name(env, t->prog, "");
	fprintf(f,
		"\nOther:\n"
		"  -h, --help                      Show this help\n"
		"      --version                   Show the version\n"
		"      --print-config              Show the effective settings and exit\n"
		"      --print-options-rst         Show the settings as reStructuredText\n\n"
		"Each setting can also come from the environment, as %s and its name in\n"
		"capitals, '-' written '_'. The command line wins.\n",
		env);
	if (t->is_live)
		fputs("\nOr it is a line 'name: value' in the file of --config, which is the "
		      "weakest.\n"
		      "What is marked (live) changes with the file; the rest needs a restart.\n",
		      f);
}

/* One item of a docutils option list, whose arguments may not contain '|'. */
static void print_rst_row(const struct opt_table *t, const struct opt *o, FILE *f)
{
	const char *arg = o->type == OPT_CHOICE ? "WORD" : o->metavar;
	char env[ENV_NAME_MAX];

	if (o->letter)
		fprintf(f, "-%c%s%s, ", o->letter, arg ? " " : "", arg ? arg : "");
	fprintf(f, "--%s%s%s\n    %s.", o->name, arg ? "=" : "", arg ? arg : "", o->help);
	if (o->type == OPT_CHOICE)
		fprintf(f, " One of ``%s``.", o->metavar);
	if (*o->dflt)
		fprintf(f, " Default: ``%s``.", o->dflt);
	env_name(env, t->prog, o->name);
	fprintf(f, " Environment: ``%s``", env);
	if (o->variable)
		fprintf(f, ", ``%s``", o->variable);
	fputs(is_live(t, o) ? ". Live.\n\n" : ".\n\n", f);
}

/* Option lists under a title for each group: rst2man and the documentation both set them as such. */
void opt_print_rst(const struct opt_table *t, FILE *f)
{
	const char *group = "";

	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(group, t->opts[i].group) != 0) {
			group = t->opts[i].group;
			fprintf(f, "%s\n", group);
			for (size_t k = strlen(group); k; k--)
				fputc('-', f);
			fputs("\n\n", f);
		}
		print_rst_row(t, &t->opts[i], f);
	}
}

const char *opt_source_name(enum opt_source s)
{
	switch (s) {
	case OPT_SOURCE_DEFAULT:
		return "default";
	case OPT_SOURCE_FILE:
		return "file";
	case OPT_SOURCE_ENV:
		return "environment";
	case OPT_SOURCE_ARGV:
		return "command line";
	}
	return "?";
}

/* A double-quoted scalar of YAML, which is a string of JSON but for \x. */
static void print_quoted(const char *s, FILE *f)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

void opt_print_value(const struct opt *o, const void *config, FILE *f)
{
	const void *field = (const char *)config + o->offset;
	unsigned msec;

	switch (o->type) {
	case OPT_BOOL:
		fputs(*(const bool *)field ? "true" : "false", f);
		return;
	case OPT_U16:
		fprintf(f, "%u", *(const uint16_t *)field);
		return;
	case OPT_UINT:
	case OPT_SEC:
		fprintf(f, "%u", *(const unsigned *)field);
		return;
	case OPT_MSEC:
		msec = *(const unsigned *)field;
		fprintf(f, msec % 1000 ? "%ums" : "%us", msec % 1000 ? msec : msec / 1000);
		return;
	case OPT_STR:
	case OPT_CHOICE:
		print_quoted(*(const char *const *)field, f); /* to others, off is a bool */
		return;
	case OPT_IGNORED:
		return;
	}
}

bool opt_is_same(const struct opt *o, const void *a, const void *b)
{
	const void *at_a = (const char *)a + o->offset, *at_b = (const char *)b + o->offset;

	switch (o->type) {
	case OPT_BOOL:
		return *(const bool *)at_a == *(const bool *)at_b;
	case OPT_U16:
		return *(const uint16_t *)at_a == *(const uint16_t *)at_b;
	case OPT_UINT:
	case OPT_SEC:
	case OPT_MSEC:
		return *(const unsigned *)at_a == *(const unsigned *)at_b;
	case OPT_CHOICE:
		return strcasecmp(*(const char *const *)at_a, *(const char *const *)at_b) == 0;
	case OPT_STR:
		return strcmp(*(const char *const *)at_a, *(const char *const *)at_b) == 0;
	case OPT_IGNORED:
		return true;
	}
	return true;
}

void opt_copy(const struct opt *o, void *to, const void *from)
{
	void *at_to = (char *)to + o->offset;
	const void *at_from = (const char *)from + o->offset;

	switch (o->type) {
	case OPT_BOOL:
		*(bool *)at_to = *(const bool *)at_from;
		return;
	case OPT_U16:
		*(uint16_t *)at_to = *(const uint16_t *)at_from;
		return;
	case OPT_UINT:
	case OPT_SEC:
	case OPT_MSEC:
		*(unsigned *)at_to = *(const unsigned *)at_from;
		return;
	case OPT_CHOICE:
	case OPT_STR:
	case OPT_IGNORED:
		*(const char **)at_to = *(const char *const *)at_from;
		return;
	}
}

void opt_print_config(const struct opt_table *t, const void *config, const unsigned char *sources,
		      FILE *f)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct opt *o = &t->opts[i];

		if (!opt_file_takes(o))
			continue;
		fprintf(f, "%s: ", o->name);
		opt_print_value(o, config, f);
		if (sources)
			fprintf(f, " # %s", opt_source_name(sources[i]));
		fputc('\n', f);
	}
}

void opt_each_ignored(const struct opt_table *t, const void *config,
		      void (*fn)(const struct opt *o, const char *value))
{
	for (size_t i = 0; i < t->n; i++) {
		const struct opt *o = &t->opts[i];
		const char *value;

		if (o->type != OPT_IGNORED)
			continue;
		value = *(const char *const *)(const void *)((const char *)config + o->offset);
		if (value)
			fn(o, value);
	}
}
