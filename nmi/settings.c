/* SPDX-License-Identifier: MIT */

/* The agent's settings and where they came from: see settings.h. */

#include "nmi/settings.h"

#include "lib/base/mem.h"

#include <string.h>

/* A check names a setting as a flag; where its value is from the file, that is where to look. */
static int name_line(const struct nmi_settings *s, struct err *err)
{
	const char *name = strncmp(err->msg, "--", 2) == 0 ? err->msg + 2 : "";
	size_t n = strcspn(name, ":= ");

	for (size_t i = 0; i < NMI_OPTIONS; i++) {
		const struct opt *o = &nmi_options.opts[i];
		const struct opt_file_entry *e = opt_file_find(&s->file, o);

		if (strlen(o->name) == n && memcmp(o->name, name, n) == 0 && e &&
		    s->sources[i] == OPT_SOURCE_FILE)
			return err_wrap(err, "%s:%zu", s->file.path, e->line);
	}
	return -(int)err->kind;
}

static int read_layers(struct nmi_settings *s, enum opt_result *out_what, struct err *err)
{
	struct opt_input in = { .argc = s->argc, .argv = s->argv, .sources = s->sources };
	const char *path;
	int r = opt_parse_input(&nmi_options, &s->config, &in, out_what, err);

	if (r < 0 || (*out_what != OPT_RUN && *out_what != OPT_PRINT_CONFIG))
		return r;
	/* the environment and the command line name the file: once more, with what stands in it */
	path = s->config.config_file;
	if (!*path)
		return 0;
	r = opt_file_read(&s->file, &nmi_options, path, err);
	if (r < 0)
		return r;
	in.file = &s->file;
	return opt_parse_input(&nmi_options, &s->config, &in, out_what, err);
}

int nmi_settings_load(struct nmi_settings *s, enum opt_result *out_what, struct err *err)
{
	struct err local = { 0 };
	int r;

	err = err ? err : &local;
	r = read_layers(s, out_what, err);
	if (r < 0 || (*out_what != OPT_RUN && *out_what != OPT_PRINT_CONFIG))
		return r;
	return nmi_config_check(&s->config, err) < 0 ? name_line(s, err) : 0;
}

void nmi_settings_print(const struct nmi_settings *s, FILE *f)
{
	if (*s->config.config_file) {
		fputs("# settings file: ", f);
		opt_print_value(&nmi_options.opts[NMI_OPTION_config_file], &s->config, f);
		fputc('\n', f);
	}
	opt_print_config(&nmi_options, &s->config, s->sources, f);
}

void nmi_settings_deinit(struct nmi_settings *s)
{
	opt_file_deinit(&s->file);
}

struct nmi_settings *nmi_settings_free(struct nmi_settings *s)
{
	if (s)
		nmi_settings_deinit(s);
	free(s);
	return NULL;
}
