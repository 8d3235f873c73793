/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "nmi/settings.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX 6

static char dir[32], path[64], flag[80];

static void write_file(const char *text)
{
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	(void)fclose(f);
}

static void make_file(const char *text)
{
	clearenv();
	snprintf(dir, sizeof(dir), "/tmp/test-settings.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/nmi.yaml", dir);
	snprintf(flag, sizeof(flag), "--config=%s", path);
	write_file(text);
}

static void remove_file(void)
{
	unlink(path);
	rmdir(dir);
}

/* `words`: behind the program's name, up to a NULL. */
static int load(const char *const *words, struct nmi_settings *s, enum opt_result *what,
		struct err *err)
{
	static char *argv[ARGS_MAX + 2] = { (char *)(uintptr_t) "nmi" };
	int argc = 1;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	argv[argc] = NULL;
	*s = (struct nmi_settings){ .argc = argc, .argv = argv };
	return nmi_settings_load(s, what, err);
}

#define LOAD(s, err, ...)                                                                          \
	load((const char *const[]){ __VA_ARGS__, NULL }, (s), &(enum opt_result){ OPT_RUN }, (err))

START_TEST(the_command_line_wins_over_the_environment_over_the_file_over_the_default)
{
	struct nmi_settings s;

	make_file("node: in-file\nnmi-port: 1001\nprometheus-port: 1002\nhttp-probe-port: 1003\n");
	setenv("NMI_PROMETHEUS_PORT", "2002", 1);
	setenv("NMI_HTTP_PROBE_PORT", "2003", 1);
	ck_assert_int_eq(LOAD(&s, NULL, flag, "--http-probe-port=3003"), 0);
	ck_assert_uint_eq(s.config.metadata_port, 80);
	ck_assert_uint_eq(s.config.port, 1001);
	ck_assert_uint_eq(s.config.prometheus_port, 2002);
	ck_assert_uint_eq(s.config.probe_port, 3003);
	ck_assert_str_eq(s.config.node, "in-file");
	ck_assert_int_eq(s.sources[NMI_OPTION_metadata_port], OPT_SOURCE_DEFAULT);
	ck_assert_int_eq(s.sources[NMI_OPTION_port], OPT_SOURCE_FILE);
	ck_assert_int_eq(s.sources[NMI_OPTION_prometheus_port], OPT_SOURCE_ENV);
	ck_assert_int_eq(s.sources[NMI_OPTION_probe_port], OPT_SOURCE_ARGV);
	nmi_settings_deinit(&s);
	/* variables that users know are of the environment too */
	setenv("NODE_NAME", "in-env", 1);
	ck_assert_int_eq(LOAD(&s, NULL, flag), 0);
	ck_assert_str_eq(s.config.node, "in-env");
	ck_assert_int_eq(s.sources[NMI_OPTION_node], OPT_SOURCE_ENV);
	nmi_settings_deinit(&s);
	remove_file();
}
END_TEST

START_TEST(the_file_may_be_named_by_a_variable)
{
	struct nmi_settings s;

	make_file("node: n\n");
	setenv("NMI_CONFIG", path, 1);
	ck_assert_int_eq(LOAD(&s, NULL, "--v=1"), 0);
	ck_assert_str_eq(s.config.node, "n");
	nmi_settings_deinit(&s);
	remove_file();
}
END_TEST

static const struct {
	const char *text, *arg, *says;
} mistakes[] = {
	{ "node: n\nnmi-port: 0\n", "-v0", ":2: --nmi-port must not be 0" },
	{ "pod-wait: 2h\nnode: n\n", "-v0", ":1: --pod-wait: more than an hour" },
	{ "node: N\n", "-v0", ":1: --node: 'N' is not the name of a node" },
	{ "nod: n\n", "-v0", ":1: 'nod': no such setting; did you mean node?" },
	{ "v: many\n", "-v0", ":1: v: 'many' is not a whole number" },
};

START_TEST(a_mistake_in_the_file_has_its_line)
{
	struct nmi_settings s;
	struct err err = { 0 };

	make_file(mistakes[_i].text);
	ck_assert_int_lt(LOAD(&s, &err, flag, mistakes[_i].arg), 0);
	ck_assert_msg(strncmp(err.msg, path, strlen(path)) == 0 &&
			      strncmp(err.msg + strlen(path), mistakes[_i].says,
				      strlen(mistakes[_i].says)) == 0,
		      "said: %s", err.msg);
	nmi_settings_deinit(&s);
	remove_file();
}
END_TEST

START_TEST(a_mistake_elsewhere_is_not_blamed_on_the_file)
{
	struct nmi_settings s;
	struct err err = { 0 };

	make_file("node: n\nnmi-port: 1\n");
	ck_assert_int_lt(LOAD(&s, &err, flag, "--nmi-port=0"), 0);
	ck_assert_str_eq(err.msg, "--nmi-port must not be 0");
	nmi_settings_deinit(&s);
	ck_assert_int_lt(LOAD(&s, &err, flag, "--pod-wait=2h"), 0);
	ck_assert_str_eq(err.msg, "--pod-wait: more than an hour");
	nmi_settings_deinit(&s);
	ck_assert_int_lt(LOAD(&s, &err, "--config=/no/such", "--node=n"), 0);
	ck_assert_str_eq(err.msg, "settings file /no/such: No such file or directory");
	nmi_settings_deinit(&s);
	remove_file();
}
END_TEST

START_TEST(help_does_not_read_the_file)
{
	struct nmi_settings s;
	enum opt_result what;

	clearenv();
	ck_assert_int_eq(load((const char *const[]){ "--config=/no/such", "--help", NULL }, &s,
			      &what, NULL),
			 0);
	ck_assert_int_eq(what, OPT_HELP);
	nmi_settings_deinit(&s);
}
END_TEST

/* To the first newline behind `line`. */
static void without_first_line(char *text)
{
	memmove(text, strchr(text, '\n') + 1, strlen(strchr(text, '\n')));
}

static char *print(const struct nmi_settings *s)
{
	static char *text;
	static size_t n;
	FILE *f = open_memstream(&text, &n);

	nmi_settings_print(s, f);
	(void)fclose(f);
	return text;
}

START_TEST(what_is_printed_is_a_file_that_says_the_same)
{
	struct nmi_settings s, again;
	char *text, *text_again, want[100];

	make_file("node: n\npod-wait: 1500ms\n");
	ck_assert_int_eq(LOAD(&s, NULL, flag, "--host-token=off", "--startup-taint=a/b"), 0);
	text = print(&s);
	snprintf(want, sizeof(want), "# settings file: \"%s\"\n", path);
	ck_assert_int_eq(strncmp(text, want, strlen(want)), 0);
	ck_assert_ptr_nonnull(strstr(text, "\nhost-token: \"off\" # command line\n"));
	ck_assert_ptr_nonnull(strstr(text, "\npod-wait: 1500ms # file\n"));
	ck_assert_ptr_null(strstr(text, "\nconfig:"));
	write_file(text);
	ck_assert_int_eq(LOAD(&again, NULL, flag), 0);
	for (size_t i = 0; i < NMI_OPTIONS; i++)
		ck_assert_msg(opt_is_same(&nmi_options.opts[i], &s.config, &again.config), "%s",
			      nmi_options.opts[i].name);
	nmi_settings_deinit(&again);
	/* and without a file the first line is not there */
	unlink(path);
	ck_assert_int_eq(LOAD(&again, NULL, "--node=n", "--host-token=off", "--startup-taint=a/b",
			      "--pod-wait=1500ms"),
			 0);
	text_again = print(&again);
	without_first_line(text);
	ck_assert_uint_eq(strcspn(text, " "), strcspn(text_again, " "));
	nmi_settings_deinit(&again);
	nmi_settings_deinit(&s);
	free(text);
	free(text_again);
	rmdir(dir);
}
END_TEST

UNIT_MAIN("settings",
	  UNIT(the_command_line_wins_over_the_environment_over_the_file_over_the_default),
	  UNIT(the_file_may_be_named_by_a_variable),
	  UNIT_LOOP(a_mistake_in_the_file_has_its_line, mistakes),
	  UNIT(a_mistake_elsewhere_is_not_blamed_on_the_file), UNIT(help_does_not_read_the_file),
	  UNIT(what_is_printed_is_a_file_that_says_the_same))
