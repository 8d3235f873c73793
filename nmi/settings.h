/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/opt_file.h"
#include "nmi/config.h"

#include <stdio.h>

/*
 * The agent's settings with what they were made of: defaults, the file of --config, the environment, the command
 * line, each stronger than what stands before it. Strings of `config` are borrowed from the others.
 */
struct nmi_settings {
	int argc;    /* as main() has them; set before nmi_settings_load() */
	char **argv; /* likewise */
	struct nmi_config config;
	struct opt_file file;		    /* all-zero: there is none */
	unsigned char sources[NMI_OPTIONS]; /* enum opt_source */
};

/*
 * Reads all of them and checks what must hold between them; after OPT_HELP and the like nothing was read. A mistake
 * in the file is told with its line.
 */
int nmi_settings_load(struct nmi_settings *s, enum opt_result *out_what, struct err *err);
void nmi_settings_print(const struct nmi_settings *s, FILE *f); /* as a file that says the same */
void nmi_settings_deinit(struct nmi_settings *s);
struct nmi_settings *nmi_settings_free(struct nmi_settings *s);
DEFINE_CLEANUP(struct nmi_settings, nmi_settings_free);
