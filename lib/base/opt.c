/* SPDX-License-Identifier: MIT */

/*
 * Settings from one table: see opt.h.
 *
 * getopt_long(3) is not used: it takes abbreviations, keeps global state, and refuses the forms that
 * manifests written for Go's pflag contain ("-v=5").
 */

#include "lib/base/opt.h"

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
static int set_from_env(const struct opt_table *t, const struct opt *o, void *config,
			struct err *err)
{
	char name[ENV_NAME_MAX];
	const char *v = o->variable ? getenv(o->variable) : NULL;

	if (v && *v && o->type == OPT_BOOL)
		v = strcmp(v, "true") == 0 ? "true" : "false";
	if (v && *v && set_field(o, config, v, err) < 0)
		return err_wrap(err, "%s", o->variable);
	env_name(name, t->prog, o->name);
	v = getenv(name);
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

/* One argument, and the next one where it is the value. Returns how many were used, or an error. */
static int take(const struct opt_table *t, void *config, const char *arg, const char *next,
		struct err *err)
{
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
	return used;
}

int opt_parse(const struct opt_table *t, void *config, int argc, char **argv,
	      enum opt_result *out_result, struct err *err)
{
	enum opt_result result = find_early_action(argc, argv);
	int r = 0;

	if (result != OPT_RUN) {
		*out_result = result;
		return 0;
	}
	r = set_defaults(t, config, err);
	for (size_t i = 0; r >= 0 && i < t->n; i++)
		r = set_from_env(t, &t->opts[i], config, err);
	for (int i = 1; r >= 0 && i < argc; i += r) {
		if (strcmp(argv[i], "--print-config") == 0) {
			result = OPT_PRINT_CONFIG;
			r = 1;
		} else {
			r = take(t, config, argv[i], i + 1 < argc ? argv[i + 1] : NULL, err);
		}
	}
	if (r < 0)
		return r;
	*out_result = result;
	return 0;
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

static void print_help_row(const struct opt *o, FILE *f)
{
	char left[96], right[256];
	int n;

	n = snprintf(left, sizeof(left), "  %s%c%c --%s%s%s", o->letter ? "-" : " ",
		     o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name,
		     o->metavar ? "=" : "", o->metavar ? o->metavar : "");
	snprintf(right, sizeof(right), "%s%s%s%s", o->help, *o->dflt ? " [" : "", o->dflt,
		 *o->dflt ? "]" : "");
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
		print_help_row(&t->opts[i], f);
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
	fputs(".\n\n", f);
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

static void print_value(const struct opt *o, const void *field, FILE *f)
{
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
		fputs(*(const char *const *)field, f);
		return;
	case OPT_IGNORED:
		return;
	}
}

void opt_print_config(const struct opt_table *t, const void *config, FILE *f)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct opt *o = &t->opts[i];

		if (o->type == OPT_IGNORED)
			continue;
		fprintf(f, "%s=", o->name);
		print_value(o, (const char *)config + o->offset, f);
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
