/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/base/opt_file.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct config {
	bool on;
	uint16_t port;
	const char *host_name, *mode, *file, *ignored;
};

#define AT(field) offsetof(struct config, field)

/* clang-format off */
static const struct opt opts[] = {
	{ "on-and-off", 0, OPT_BOOL,    AT(on),        NULL,       "false", NULL, "A", "x" },
	{ "port",       0, OPT_U16,     AT(port),      "PORT",     "80",    NULL, "A", "x" },
	{ "host-name",  0, OPT_STR,     AT(host_name), "NAME",     "",      NULL, "A", "x" },
	{ "mode",       0, OPT_CHOICE,  AT(mode),      "auto|off", "auto",  NULL, "A", "x" },
	{ "config",     0, OPT_STR,     AT(file),      "FILE",     "",      NULL, "A", "x" },
	{ "gone",       0, OPT_IGNORED, AT(ignored),   "N",        "",      NULL, "A", "x" },
};
/* clang-format on */

static const struct opt_table table = {
	.opts = opts, .n = ARRAY_SIZE(opts), .prog = "prog", .usage = "", .intro = ""
};

static int parse(const char *text, struct opt_file *file, struct err *err)
{
	return opt_file_parse(file, &table, "/etc/f", text, strlen(text), err);
}

static const struct {
	const char *text;
	const char
		*values[4]; /* of the first four settings, as they are written; NULL: not there */
} files[] = {
	{ "", { 0 } },
	{ "# nothing\n\n", { 0 } },
	{ "---\n", { 0 } },
	{ "{}", { 0 } },
	{ "on-and-off: true\nport: 81 # why\nhost-name: a b\nmode: off\n",
	  { "true", "81", "a b", "off" } },
	{ "{\"on-and-off\": false,\n \"port\": 81, \"host-name\": \"\"}", { "false", "81", "" } },
	{ "host-name: \"# \\\"x\\\"\"\n'mode': 'auto'", { NULL, NULL, "# \"x\"", "auto" } },
	{ "%YAML 1.1\n---\nport: '0x50'\n...\n", { NULL, "0x50" } }, /* the table decides, later */
	{ "host-name: ~x\r\nport: 1\r\n", { NULL, "1", "~x" } },
	{ "host-name: \"null\"\n", { NULL, NULL, "null" } },
};

START_TEST(lines_of_name_and_value_are_read)
{
	struct opt_file file = { 0 };
	struct err err = { 0 };
	size_t n = 0;

	ck_assert_msg(parse(files[_i].text, &file, &err) == 0, "%s", err.msg);
	for (size_t i = 0; i < 4; i++) {
		const struct opt_file_entry *e = opt_file_find(&file, &opts[i]);

		ck_assert_int_eq(e != NULL, files[_i].values[i] != NULL);
		if (e)
			ck_assert_str_eq(e->value, files[_i].values[i]);
		n += e != NULL;
	}
	ck_assert_uint_eq(file.n, n);
	opt_file_deinit(&file);
}
END_TEST

static const struct {
	const char *text, *says;
} mistakes[] = {
	{ "port: 1\nprot: 2\n", "/etc/f:2: 'prot': no such setting; did you mean port?" },
	{ "hostName: x\n", "/etc/f:1: 'hostName': no such setting; did you mean host-name?" },
	{ "ON_AND_OF: x\n", "did you mean on-and-off?" },
	{ "elephant: x\n", "/etc/f:1: 'elephant': no such setting; see prog --help" },
	{ "\n\n{port: 1,\n port: 2}", "/etc/f:4: port stands in line 3 already" },
	{ "port:\n", "/etc/f:1: port has no value: PORT; for an empty one write \"\"" },
	{ "on-and-off: ~\n", "on-and-off has no value: true or false; for" },
	{ "on-and-off: yes\n", "/etc/f:1: on-and-off: 'yes' is neither true nor false" },
	{ "on-and-off: True\n", "'True' is neither" },
	{ "on-and-off: 1\n", "'1' is neither" },
	{ "port: [1]\n", "/etc/f:1: port: one value is expected: PORT" },
	{ "mode: {a: b}\n", "/etc/f:1: mode: one value is expected: auto|off" },
	{ "host-name: &a x\n", "host-name: one value is expected" },
	{ "host-name: !!str x\n", "host-name: one value is expected" },
	{ "host-name: *a\n", "host-name: one value is expected" },
	{ "host-name: \"a\\0b\"\n", "host-name: one value is expected" },
	{ "[a]: b\n", "/etc/f:1: the name of a setting is expected" },
	{ "- port: 1\n", "/etc/f:1: lines of 'name: value' are expected" },
	{ "port=1\n", "/etc/f:1: lines of 'name: value' are expected" },
	{ "--- &a {}\n", "lines of 'name: value' are expected" },
	{ "port: 1\n---\nport: 2\n", "/etc/f:2: a second document begins" },
	{ "port: 1\n\tmode: off\n", "/etc/f:2: this is not YAML" },
	{ "port: 1\n mode: off\n", "this is not YAML: mapping values are not allowed" },
	{ "port: 1\nhost-name: \"x\n", "this is not YAML" },
	{ "port: 1\n\nhost-name: \xff\n", "/etc/f:3: this is not YAML: invalid leading UTF-8" },
	{ "port: {{ .Values.port }}\n", "/etc/f:1" },
	{ "config: x\n", "/etc/f:1: config cannot be set in the file that it names: take it out" },
	{ "gone: 1\n", "/etc/f:1: gone has no meaning any more: take it out" },
};

START_TEST(a_mistake_is_told_with_its_line_and_leaves_nothing)
{
	struct opt_file file = { 0 };
	struct err err = { 0 };

	ck_assert_int_eq(parse(mistakes[_i].text, &file, &err), -ERR_INPUT);
	ck_assert_msg(strstr(err.msg, mistakes[_i].says), "said: %s", err.msg);
	ck_assert_msg(strncmp(err.msg, "/etc/f:", 7) == 0, "said: %s", err.msg);
	ck_assert(!file.path && !file.entries && !file.n);
	ck_assert_int_eq(parse(mistakes[_i].text, &file, NULL), -ERR_INPUT);
}
END_TEST

START_TEST(what_a_value_must_be_is_said_with_file_line_and_name)
{
	struct config c = { 0 };
	struct opt_file file = { 0 };
	char *argv[] = { (char *)(uintptr_t) "prog", NULL };
	const struct opt_input in = { .argc = 1, .argv = argv, .file = &file };
	struct err err = { 0 };
	enum opt_result what;

	ck_assert_int_eq(parse("host-name: x\nport: 65536\n", &file, NULL), 0);
	ck_assert_int_eq(opt_parse_input(&table, &c, &in, &what, &err), -ERR_INPUT);
	ck_assert_str_eq(err.msg, "/etc/f:2: port: '65536' is not a whole number from 0 to 65535");
	opt_file_deinit(&file);
}
END_TEST

/* A file of this text in a new directory. */
static void write_file(char path[static 64], const char *text, size_t n, mode_t mode)
{
	char dir[] = "/tmp/test-opt_file.XXXXXX";
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, 64, "%s/f", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void remove_file(char *path)
{
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

START_TEST(a_file_that_anybody_may_write_is_not_believed)
{
	char path[64], want[200];
	struct opt_file file = { 0 };
	struct err err = { 0 };

	write_file(path, "port: 1\n", 8, 0646);
	ck_assert_int_eq(opt_file_read(&file, &table, path, &err), -ERR_INPUT);
	snprintf(want, sizeof(want),
		 "settings file %s: anybody may write it (mode 646), so it is not believed: "
		 "chmod o-w",
		 path);
	ck_assert_str_eq(err.msg, want);
	ck_assert_int_eq(chmod(path, 0664), 0);
	ck_assert_int_eq(opt_file_read(&file, &table, path, &err), 0);
	ck_assert_str_eq(file.path, path);
	opt_file_deinit(&file);
	remove_file(path);
}
END_TEST

START_TEST(a_file_has_at_most_64_kib)
{
	char path[64], *text = malloc(OPT_FILE_MAX + 1);
	struct opt_file file = { 0 };
	struct err err = { 0 };

	memset(text, '#', OPT_FILE_MAX + 1);
	write_file(path, text, OPT_FILE_MAX, 0600);
	ck_assert_int_eq(opt_file_read(&file, &table, path, &err), 0);
	opt_file_deinit(&file);
	remove_file(path);
	write_file(path, text, OPT_FILE_MAX + 1, 0600);
	ck_assert_int_eq(opt_file_read(&file, &table, path, &err), -ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(err.msg, "more than 65536 bytes are no settings"));
	ck_assert_int_eq(opt_file_parse(&file, &table, path, text, OPT_FILE_MAX + 1, &err),
			 -ERR_LIMIT);
	remove_file(path);
	free(text);
}
END_TEST

START_TEST(what_is_no_file_is_refused_and_never_waited_for)
{
	char path[64];
	struct opt_file file = { 0 };
	struct err err = { 0 };

	ck_assert_int_eq(opt_file_read(&file, &table, "/tmp", &err), -ERR_INPUT);
	ck_assert_str_eq(err.msg, "settings file /tmp is not a file");
	ck_assert_int_eq(opt_file_read(&file, &table, "/no/such", &err), -ERR_OS);
	ck_assert_str_eq(err.msg, "settings file /no/such: No such file or directory");
	write_file(path, "", 0, 0600);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(opt_file_read(&file, &table, path, &err), -ERR_INPUT);
	remove_file(path);
}
END_TEST

UNIT_MAIN("opt_file", UNIT_LOOP(lines_of_name_and_value_are_read, files),
	  UNIT_LOOP(a_mistake_is_told_with_its_line_and_leaves_nothing, mistakes),
	  UNIT(what_a_value_must_be_is_said_with_file_line_and_name),
	  UNIT(a_file_that_anybody_may_write_is_not_believed), UNIT(a_file_has_at_most_64_kib),
	  UNIT(what_is_no_file_is_refused_and_never_waited_for))
