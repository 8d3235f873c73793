/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/base/opt.h"
#include "lib/base/opt_file.h"
#include "tests/unit/unit.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct config {
	bool on, old_bool;
	uint16_t port;
	unsigned level, sweep, wait;
	const char *name, *mode, *ignored, *ignored_bool;
};

#define AT(field) offsetof(struct config, field)

/* clang-format off */
static const struct opt opts[] = {
	{ "on",       0,   OPT_BOOL,   AT(on),       NULL,       "false", NULL,       "First",   "A switch" },
	{ "oldBool",  0,   OPT_BOOL,   AT(old_bool), NULL,       "false", "OLD_BOOL", "First",   "With a variable that users know" },
	{ "port",     'p', OPT_U16,    AT(port),     "PORT",     "80",    NULL,       "First",   "A port, with a help text that is so long that it has to be wrapped into lines" },
	{ "v",        'v', OPT_UINT,   AT(level),    "LEVEL",    "0",     NULL,       "Second",  "A level" },
	{ "sweep",    0,   OPT_SEC,    AT(sweep),    "SECONDS",  "60",    NULL,       "Second",  "Seconds" },
	{ "wait",     0,   OPT_MSEC,   AT(wait),     "TIME",     "10s",   NULL,       "Second",  "A duration" },
	{ "name",     0,   OPT_STR,    AT(name),     "NAME",     "",      "OLD_NAME", "Second",  "A name" },
	{ "a-mode",   0,   OPT_CHOICE, AT(mode),     "auto|off", "auto",  NULL,       "Second",  "One of a few words" },
	{ "gone",     0,   OPT_IGNORED, AT(ignored), "N",        "",      NULL,       "Ignored", "Was once" },
	{ "gone_bool", 0,  OPT_IGNORED, AT(ignored_bool), NULL,  "",      NULL,       "Ignored", "Was once" },
};
/* clang-format on */

static const struct opt_table table = {
	.opts = opts,
	.n = ARRAY_SIZE(opts),
	.prog = "prog",
	.usage = "prog [SETTING]...",
	.intro = "Tests settings.",
};

#define ARGS_MAX 8

/* Result, config and error of one command line; words after the program's name, up to a NULL. */
static int parse(const char *const *words, struct config *c, enum opt_result *result,
		 struct err *err)
{
	char *argv[ARGS_MAX + 2] = { (char *)(uintptr_t) "prog" };
	int argc = 1;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	return opt_parse(&table, c, argc, argv, result, err);
}

#define PARSE(c, err, ...)                                                                         \
	parse((const char *const[]){ __VA_ARGS__, NULL }, (c), &(enum opt_result){ OPT_RUN }, (err))

static void without_environment(void)
{
	static const char *const names[] = { "PROG_ON",	  "PROG_OLDBOOL", "PROG_PORT", "PROG_V",
					     "PROG_NAME", "PROG_A_MODE",  "OLD_BOOL",  "OLD_NAME",
					     "PROG_WAIT", "PROG_GONE" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

static const struct {
	const char *text;
	int r;
	unsigned msec;
} durations[] = {
	{ "0ms", 0, 0 },
	{ "1ms", 0, 1 },
	{ "10s", 0, 10000 },
	{ "2m", 0, 120000 },
	{ "1h", 0, 3600000 },
	{ "007s", 0, 7000 },
	{ "4294967295ms", 0, UINT32_MAX },
	{ "4294967296ms", -ERR_INPUT, 0 },
	{ "1193h", 0, 4294800000 },
	{ "1194h", -ERR_INPUT, 0 },
	{ "", -ERR_INPUT, 0 },
	{ "10", -ERR_INPUT, 0 },
	{ "s", -ERR_INPUT, 0 },
	{ "-1s", -ERR_INPUT, 0 },
	{ "+1s", -ERR_INPUT, 0 },
	{ "10 s", -ERR_INPUT, 0 },
	{ "10S", -ERR_INPUT, 0 },
	{ "1d", -ERR_INPUT, 0 },
	{ "1m30s", -ERR_INPUT, 0 },
	{ "1.5s", -ERR_INPUT, 0 },
	{ "99999999h", -ERR_INPUT, 0 },
	{ "99999999999999999999s", -ERR_INPUT, 0 },
};

START_TEST(a_duration_is_read_or_refused_and_then_nothing_is_written)
{
	struct err err = { 0 };
	unsigned msec = 7;

	ck_assert_int_eq(opt_parse_msec(durations[_i].text, &msec, &err), durations[_i].r);
	ck_assert_uint_eq(msec, durations[_i].r ? 7 : durations[_i].msec);
	ck_assert_int_eq(err.msg[0] != '\0', durations[_i].r < 0);
}
END_TEST

START_TEST(without_arguments_every_setting_has_its_default)
{
	struct config c;
	enum opt_result result = OPT_HELP;

	memset(&c, 0xff, sizeof(c));
	without_environment();
	ck_assert_int_eq(parse((const char *const[]){ NULL }, &c, &result, NULL), 0);
	ck_assert_int_eq(result, OPT_RUN);
	ck_assert(!c.on);
	ck_assert_uint_eq(c.port, 80);
	ck_assert_uint_eq(c.level, 0);
	ck_assert_uint_eq(c.sweep, 60);
	ck_assert_uint_eq(c.wait, 10000);
	ck_assert_str_eq(c.name, "");
	ck_assert_str_eq(c.mode, "auto");
	ck_assert_ptr_null(c.ignored);
	ck_assert_ptr_null(c.ignored_bool);
}
END_TEST

/* Every form of pflag's that manifests use, each saying the same. */
static const struct {
	const char *words[ARGS_MAX];
	bool on;
	unsigned level, port;
	const char *name;
} forms[] = {
	{ { "--on", "--v=5", "--port=81", "--name=x" }, true, 5, 81, "x" },
	{ { "--on=true", "--v", "5", "--port", "81" }, true, 5, 81, "" },
	{ { "--on=1", "-v5", "-p81" }, true, 5, 81, "" },
	{ { "--on=T", "-v=5", "-p=81" }, true, 5, 81, "" },
	{ { "--on=TRUE", "-v", "5", "-p", "81" }, true, 5, 81, "" },
	{ { "--on", "--on=false", "-v1", "-v2" }, false, 2, 80, "" },
	{ { "--on=F", "--name=" }, false, 0, 80, "" },
	{ { "--name", "" }, false, 0, 80, "" },
	{ { "--name", "--on" }, false, 0, 80, "--on" },
	{ { "--name=a=b" }, false, 0, 80, "a=b" },
	{ { "--port=65535" }, false, 0, 65535, "" },
	{ { "--gone=5", "--gone", "6", "--gone_bool", "--gone_bool=false" }, false, 0, 80, "" },
};

START_TEST(the_command_line_is_read_as_pflag_reads_it)
{
	struct config c = { 0 };
	struct err err = { 0 };
	enum opt_result result;

	without_environment();
	ck_assert_msg(parse(forms[_i].words, &c, &result, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(result, OPT_RUN);
	ck_assert_int_eq(c.on, forms[_i].on);
	ck_assert_uint_eq(c.level, forms[_i].level);
	ck_assert_uint_eq(c.port, forms[_i].port);
	ck_assert_str_eq(c.name, forms[_i].name);
}
END_TEST

static const struct {
	const char *words[ARGS_MAX];
	const char *says;
} mistakes[] = {
	{ { "--nosuch" }, "--nosuch: no such setting; see prog --help" },
	{ { "--nam=x" }, "--nam=x: no such setting" },
	{ { "--names=x" }, "--names=x: no such setting" },
	{ { "-x" }, "-x: no such setting" },
	{ { "-name=x" }, "-name=x: no such setting" },
	{ { "-" }, "-: no such setting" },
	{ { "--" }, "--: no such setting" },
	{ { "" }, ": no such setting" },
	{ { "stray" }, "stray: no such setting" },
	{ { "--on", "false" }, "false: no such setting" },
	{ { "--on=yes" }, "--on: 'yes' is neither true nor false" },
	{ { "--on=" }, "--on: '' is neither true nor false" },
	{ { "--port" }, "--port needs a value: PORT" },
	{ { "-v" }, "--v needs a value: LEVEL" },
	{ { "--port=" }, "--port: '' is not a whole number from 0 to 65535" },
	{ { "--port=65536" }, "--port: '65536' is not a whole number from 0 to 65535" },
	{ { "--port=-1" }, "--port: '-1' is not a whole number" },
	{ { "--port=+1" }, "--port: '+1' is not a whole number" },
	{ { "--port= 1" }, "--port: ' 1' is not a whole number" },
	{ { "--port=1 " }, "--port: '1 ' is not a whole number" },
	{ { "--port=0x50" }, "--port: '0x50' is not a whole number" },
	{ { "-vv" }, "--v: 'v' is not a whole number" },
	{ { "--sweep=1m" }, "--sweep: '1m' is not a whole number" },
	{ { "--sweep=99999999999999999999" }, "--sweep: '99999999999999999999' is not a whole" },
	{ { "--wait=10" }, "--wait: duration '10' needs a unit: ms, s, m or h" },
	{ { "--a-mode=on" }, "--a-mode: 'on' is not one of auto|off" },
	{ { "--a-mode=" }, "--a-mode: '' is not one of auto|off" },
	{ { "--a-mode=auto|off" }, "--a-mode: 'auto|off' is not one of auto|off" },
	{ { "--a-mode=aut" }, "--a-mode: 'aut' is not one of auto|off" },
	{ { "--gone" }, "--gone needs a value: N" },
};

START_TEST(a_mistake_names_the_setting_and_what_it_takes)
{
	struct config c = { 0 };
	struct err err = { 0 };
	enum opt_result result = OPT_VERSION;

	without_environment();
	ck_assert_int_eq(parse(mistakes[_i].words, &c, &result, &err), -ERR_INPUT);
	ck_assert_msg(strncmp(err.msg, mistakes[_i].says, strlen(mistakes[_i].says)) == 0,
		      "said: %s", err.msg);
	ck_assert_int_eq(result, OPT_VERSION);
}
END_TEST

START_TEST(a_choice_is_taken_in_any_case)
{
	struct config c = { 0 };

	without_environment();
	ck_assert_int_eq(PARSE(&c, NULL, "--a-mode=OFF"), 0);
	ck_assert_str_eq(c.mode, "OFF");
}
END_TEST

START_TEST(the_command_line_wins_over_our_variable_over_the_old_one_over_the_default)
{
	struct config c = { 0 };

	without_environment();
	setenv("OLD_NAME", "old", 1);
	ck_assert_int_eq(PARSE(&c, NULL, "-v0"), 0);
	ck_assert_str_eq(c.name, "old");
	setenv("PROG_NAME", "ours", 1);
	ck_assert_int_eq(PARSE(&c, NULL, "-v0"), 0);
	ck_assert_str_eq(c.name, "ours");
	ck_assert_int_eq(PARSE(&c, NULL, "--name=line"), 0);
	ck_assert_str_eq(c.name, "line");
	setenv("PROG_NAME", "", 1); /* empty is not set */
	ck_assert_int_eq(PARSE(&c, NULL, "-v0"), 0);
	ck_assert_str_eq(c.name, "old");
	without_environment();
}
END_TEST

START_TEST(a_variable_is_the_name_in_capitals_with_underscores)
{
	struct config c = { 0 };

	without_environment();
	setenv("PROG_A_MODE", "off", 1);
	setenv("PROG_WAIT", "3ms", 1);
	setenv("PROG_GONE", "5", 1);
	ck_assert_int_eq(PARSE(&c, NULL, "-v0"), 0);
	ck_assert_str_eq(c.mode, "off");
	ck_assert_uint_eq(c.wait, 3);
	ck_assert_str_eq(c.ignored, "5");
	without_environment();
}
END_TEST

START_TEST(a_mistake_in_a_variable_names_the_variable)
{
	struct config c = { 0 };
	struct err err = { 0 };

	without_environment();
	setenv("PROG_PORT", "high", 1);
	ck_assert_int_eq(PARSE(&c, &err, "--port=1"), -ERR_INPUT);
	ck_assert_str_eq(err.msg, "PROG_PORT: 'high' is not a whole number from 0 to 65535");
	without_environment();
}
END_TEST

static const struct {
	const char *value;
	bool on;
} old_bools[] = { { "true", true }, { "TRUE", false },	{ "True", false },  { "1", false },
		  { "yes", false }, { "false", false }, { " true", false }, { "", false } };

START_TEST(an_old_boolean_variable_is_true_only_when_exactly_true_and_never_a_mistake)
{
	struct config c = { 0 };
	struct err err = { 0 };

	without_environment();
	setenv("OLD_BOOL", old_bools[_i].value, 1);
	ck_assert_int_eq(PARSE(&c, &err, "-v0"), 0);
	ck_assert_int_eq(c.old_bool, old_bools[_i].on);
	/* the variable of ours is as strict as the flag */
	setenv("PROG_OLDBOOL", "yes", 1);
	ck_assert_int_eq(PARSE(&c, &err, "-v0"), -ERR_INPUT);
	ck_assert_int_eq(strncmp(err.msg, "PROG_OLDBOOL: ", 14), 0);
	without_environment();
}
END_TEST

static const struct {
	const char *words[ARGS_MAX];
	enum opt_result result;
} actions[] = {
	{ { "--help" }, OPT_HELP },
	{ { "-h" }, OPT_HELP },
	{ { "--version" }, OPT_VERSION },
	{ { "--print-options-rst" }, OPT_PRINT_RST },
	{ { "--print-config" }, OPT_PRINT_CONFIG },
	{ { "--print-config", "--on" }, OPT_PRINT_CONFIG },
	{ { "--nosuch", "--help" }, OPT_HELP },
	{ { "--port=x", "--version" }, OPT_VERSION },
	{ { "--print-config", "--help" }, OPT_HELP },
};

START_TEST(an_action_is_what_the_caller_is_told_to_do)
{
	struct config c = { 0 };
	enum opt_result result = OPT_RUN;

	without_environment();
	ck_assert_int_eq(parse(actions[_i].words, &c, &result, NULL), 0);
	ck_assert_int_eq(result, actions[_i].result);
}
END_TEST

START_TEST(help_comes_even_when_the_environment_is_wrong)
{
	struct config c = { 0 };
	enum opt_result result = OPT_RUN;

	without_environment();
	setenv("PROG_PORT", "high", 1);
	ck_assert_int_eq(parse((const char *const[]){ "--help", NULL }, &c, &result, NULL), 0);
	ck_assert_int_eq(result, OPT_HELP);
	ck_assert_int_lt(parse((const char *const[]){ "--print-config", NULL }, &c, &result, NULL),
			 0);
	without_environment();
}
END_TEST

/* What a printing function prints, on the heap. */
static char *printed_help(void)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	opt_print_help(&table, f);
	(void)fclose(f);
	return text;
}

START_TEST(help_fits_80_columns_and_names_every_setting)
{
	char *text = printed_help();

	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		ck_assert_msg(strcspn(line, "\n") < 80, "too long: %s", line);
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		char name[64];

		snprintf(name, sizeof(name), "--%s", opts[i].name);
		ck_assert_msg(strstr(text, name), "%s is not in --help", name);
	}
	ck_assert(strstr(text, "\n  -p, --port=PORT                 A port"));
	ck_assert(strstr(text, "\n      --on                        A switch [false]\n"));
	ck_assert(strstr(text, "\nIgnored:\n"));
	ck_assert(strstr(text, "PROG_ and its name"));
	ck_assert(strstr(text, "--help") && strstr(text, "--version") &&
		  strstr(text, "--print-config"));
	free(text);
}
END_TEST

START_TEST(the_reference_names_default_words_and_variables)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	opt_print_rst(&table, f);
	(void)fclose(f);
	ck_assert_int_eq(strncmp(text, "First\n-----\n\n--on\n    A switch.", 31), 0);
	ck_assert(strstr(text, "\n-p PORT, --port=PORT\n    A port"));
	ck_assert(strstr(text, "\n--a-mode=WORD\n    One of a few words. One of ``auto|off``. "
			       "Default: ``auto``. Environment: ``PROG_A_MODE``.\n"));
	ck_assert(strstr(text, "Environment: ``PROG_NAME``, ``OLD_NAME``.\n"));
	free(text);
}
END_TEST

START_TEST(what_print_config_says_is_a_file_that_says_it_again_and_tells_where_from)
{
	struct config c = { 0 }, again = { 0 };
	unsigned char sources[ARRAY_SIZE(opts)];
	char *argv[] = { (char *)(uintptr_t) "prog",
			 (char *)(uintptr_t) "--on",
			 (char *)(uintptr_t) "--wait=1500ms",
			 (char *)(uintptr_t) "--gone=5",
			 (char *)(uintptr_t) "--name=a \"b\\\n=c: # d",
			 NULL };
	struct opt_file file = { 0 }, second = { 0 };
	struct opt_input in = { .argc = 5, .argv = argv, .file = &file, .sources = sources };
	enum opt_result result;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	without_environment();
	setenv("PROG_PORT", "81", 1);
	ck_assert_int_eq(opt_file_parse(&file, &table, "f", "port: 1\na-mode: off\n", 20, NULL), 0);
	ck_assert_int_eq(opt_parse_input(&table, &c, &in, &result, NULL), 0);
	opt_print_config(&table, &c, sources, f);
	(void)fclose(f);
	ck_assert_str_eq(text, "on: true # command line\noldBool: false # default\n"
			       "port: 81 # environment\nv: 0 # default\nsweep: 60 # default\n"
			       "wait: 1500ms # command line\n"
			       "name: \"a \\\"b\\\\\\x0a=c: # d\" # command line\n"
			       "a-mode: \"off\" # file\n");
	without_environment();
	ck_assert_int_eq(opt_file_parse(&second, &table, "f", text, n, NULL), 0);
	in.argc = 1;
	in.file = &second;
	ck_assert_int_eq(opt_parse_input(&table, &again, &in, &result, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		ck_assert_msg(opt_is_same(&opts[i], &c, &again), "%s differs", opts[i].name);
		ck_assert_int_eq(sources[i], opts[i].type == OPT_IGNORED ? OPT_SOURCE_DEFAULT
									 : OPT_SOURCE_FILE);
	}
	ck_assert_str_eq(again.name, "a \"b\\\n=c: # d");
	opt_file_deinit(&file);
	opt_file_deinit(&second);
	free(text);
}
END_TEST

START_TEST(a_setting_that_differs_is_seen_and_copied)
{
	struct config a = { .name = "n", .mode = "auto" };
	struct config b = { true, true, 1, 1, 1, 1, "m", "off", NULL, NULL };

	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		bool is_ignored = opts[i].type == OPT_IGNORED;

		ck_assert_int_eq(opt_is_same(&opts[i], &a, &b), is_ignored);
		opt_copy(&opts[i], &a, &b);
		ck_assert_msg(opt_is_same(&opts[i], &a, &b), "%s", opts[i].name);
	}
	a.mode = "OFF"; /* as it is compared by who reads it */
	ck_assert(opt_is_same(&opts[7], &a, &b));
}
END_TEST

static bool only_port(const struct opt *o)
{
	return strcmp(o->name, "port") == 0;
}

START_TEST(what_is_live_is_marked_where_there_is_a_file)
{
	struct opt_table live = table;
	char *help = NULL, *rst = NULL;
	size_t n;
	FILE *f = open_memstream(&help, &n);

	live.is_live = only_port;
	opt_print_help(&live, f);
	(void)fclose(f);
	f = open_memstream(&rst, &n);
	opt_print_rst(&live, f);
	(void)fclose(f);
	for (const char *line = help; *line; line += strcspn(line, "\n") + 1)
		ck_assert_msg(strcspn(line, "\n") < 80, "too long: %s", line);
	ck_assert(strstr(help, "[80] (live)\n") && strstr(help, "file of --config"));
	ck_assert_ptr_null(strstr(help, "[0] (live)"));
	ck_assert(strstr(rst, "``PROG_PORT``. Live.\n\n"));
	ck_assert_ptr_null(strstr(rst, "``PROG_V``. Live"));
	free(help);
	free(rst);
	help = printed_help();
	ck_assert_ptr_null(strstr(help, "(live)"));
	free(help);
}
END_TEST

static unsigned told;

static void tell(const struct opt *o, const char *value)
{
	ck_assert_str_eq(o->name, told ? "gone_bool" : "gone");
	ck_assert_str_eq(value, told ? "true" : "5");
	told++;
}

START_TEST(ignored_settings_are_told_only_when_given)
{
	struct config c = { 0 };

	without_environment();
	told = 0;
	ck_assert_int_eq(PARSE(&c, NULL, "-v0"), 0);
	opt_each_ignored(&table, &c, tell);
	ck_assert_uint_eq(told, 0);
	ck_assert_int_eq(PARSE(&c, NULL, "--gone=5", "--gone_bool"), 0);
	opt_each_ignored(&table, &c, tell);
	ck_assert_uint_eq(told, 2);
}
END_TEST

UNIT_MAIN("opt", UNIT_LOOP(a_duration_is_read_or_refused_and_then_nothing_is_written, durations),
	  UNIT(without_arguments_every_setting_has_its_default),
	  UNIT_LOOP(the_command_line_is_read_as_pflag_reads_it, forms),
	  UNIT_LOOP(a_mistake_names_the_setting_and_what_it_takes, mistakes),
	  UNIT(a_choice_is_taken_in_any_case),
	  UNIT(the_command_line_wins_over_our_variable_over_the_old_one_over_the_default),
	  UNIT(a_variable_is_the_name_in_capitals_with_underscores),
	  UNIT(a_mistake_in_a_variable_names_the_variable),
	  UNIT_LOOP(an_old_boolean_variable_is_true_only_when_exactly_true_and_never_a_mistake,
		    old_bools),
	  UNIT_LOOP(an_action_is_what_the_caller_is_told_to_do, actions),
	  UNIT(help_comes_even_when_the_environment_is_wrong),
	  UNIT(help_fits_80_columns_and_names_every_setting),
	  UNIT(the_reference_names_default_words_and_variables),
	  UNIT(what_print_config_says_is_a_file_that_says_it_again_and_tells_where_from),
	  UNIT(a_setting_that_differs_is_seen_and_copied),
	  UNIT(what_is_live_is_marked_where_there_is_a_file),
	  UNIT(ignored_settings_are_told_only_when_given))
