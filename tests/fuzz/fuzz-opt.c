/* SPDX-License-Identifier: MIT */

/* A command line, one word a line: refused in words, or settings that print and read back the same. */

#include "lib/base/mem.h"
#include "lib/base/opt.h"
#include "lib/base/opt_file.h"
#include "tests/fuzz/fuzz.h"

#include <stddef.h>
#include <string.h>

struct config {
	bool on;
	uint16_t port;
	unsigned level, sec, msec;
	const char *name, *mode, *ignored;
};

#define AT(field) offsetof(struct config, field)

static const struct opt opts[] = {
	{ "on", 0, OPT_BOOL, AT(on), NULL, "false", NULL, "A", "x" },
	{ "port", 'p', OPT_U16, AT(port), "PORT", "80", NULL, "A", "x" },
	{ "level", 'v', OPT_UINT, AT(level), "N", "0", NULL, "A", "x" },
	{ "sec", 0, OPT_SEC, AT(sec), "SECONDS", "60", NULL, "A", "x" },
	{ "msec", 0, OPT_MSEC, AT(msec), "TIME", "10s", NULL, "A", "x" },
	{ "name", 0, OPT_STR, AT(name), "NAME", "", NULL, "A", "x" },
	{ "mode", 0, OPT_CHOICE, AT(mode), "auto|off", "auto", NULL, "A", "x" },
	{ "gone", 0, OPT_IGNORED, AT(ignored), "N", "", NULL, "A", "x" },
};

static const struct opt_table table = {
	.opts = opts, .n = ARRAY_SIZE(opts), .prog = "fuzz", .usage = "", .intro = ""
};

#define WORDS_MAX 16

/* `text` is cut at its newlines into words behind a program's name. */
static int split(char *text, char *argv[static WORDS_MAX + 2])
{
	char *save = NULL;
	int argc = 0;

	argv[argc++] = (char *)(uintptr_t) "fuzz";
	for (char *w = strtok_r(text, "\n", &save); w && argc <= WORDS_MAX;
	     w = strtok_r(NULL, "\n", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	return argc;
}

static char *print(const struct config *c)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	opt_print_config(&table, c, NULL, f);
	(void)fclose(f);
	return text;
}

/* What --print-config shows of a config is a settings file that makes it again; YAML is Unicode, a flag need not be. */
static void check_round_trip(const struct config *c)
{
	char *text = print(c), *again_text, *argv[] = { (char *)(uintptr_t) "fuzz", NULL };
	struct opt_file file = { 0 };
	const struct opt_input in = { .argc = 1, .argv = argv, .file = &file };
	struct config again = { 0 };
	enum opt_result result;

	for (const char *p = c->name; *p; p++) {
		if (*p & 0x80) {
			free(text);
			return;
		}
	}
	if (opt_file_parse(&file, &table, "f", text, strlen(text), NULL) < 0 ||
	    opt_parse_input(&table, &again, &in, &result, NULL) < 0)
		abort();
	again_text = print(&again);
	if (strcmp(text, again_text) != 0)
		abort();
	opt_file_deinit(&file);
	free(text);
	free(again_text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = xcalloc(1, size + 1);
	char *argv[WORDS_MAX + 2];
	enum opt_result result = OPT_PRINT_RST;
	struct config c = { 0 };
	struct err err = { 0 };
	int argc;

	if (size)
		memcpy(line, data, size);
	argc = split(line, argv);
	if (opt_parse(&table, &c, argc, argv, &result, &err) < 0) {
		if (err.kind != ERR_INPUT || !err.msg[0])
			abort();
	} else if (result == OPT_RUN || result == OPT_PRINT_CONFIG) {
		if (c.level > 1000000 || c.sec > 1000000 || !c.name || !c.mode)
			abort();
		check_round_trip(&c);
	}
	free(line);
	return 0;
}
