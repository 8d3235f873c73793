/* SPDX-License-Identifier: MIT */

/* A settings file: refused with its line, or at most one value a setting that can be put into a config. */

#include "lib/base/opt_file.h"
#include "nmi/config.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void check(const struct opt_file *file)
{
	char *argv[] = { (char *)(uintptr_t) "fuzz", NULL };
	const struct opt_input in = { .argc = 1, .argv = argv, .file = file };
	struct nmi_config config = { 0 };
	struct err err = { 0 };
	enum opt_result what;

	if (file->n > NMI_OPTIONS)
		abort();
	for (size_t i = 0; i < file->n; i++) {
		const struct opt_file_entry *e = &file->entries[i];

		if (!opt_file_takes(e->opt) || !e->line || opt_file_find(file, e->opt) != e)
			abort();
	}
	if (opt_parse_input(&nmi_options, &config, &in, &what, &err) < 0) {
		if (err.kind != ERR_INPUT || strncmp(err.msg, "f:", 2) != 0)
			abort();
		return;
	}
	/* what is refused between settings is refused in words */
	if (nmi_config_check(&config, &err) < 0 && !err.msg[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct opt_file file = { 0 };
	struct err err = { 0 };
	int r = opt_file_parse(&file, &nmi_options, "f", (const char *)data, size, &err);

	if (r < 0) {
		if (file.path || file.entries || file.n || -r != (int)err.kind)
			abort();
		if (strncmp(err.msg, err.kind == ERR_LIMIT ? "f: more" : "f:", 2) != 0)
			abort();
		return 0;
	}
	check(&file);
	opt_file_deinit(&file);
	return 0;
}
