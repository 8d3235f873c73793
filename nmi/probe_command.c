/* SPDX-License-Identifier: MIT */

/* `nmi probe`: see probe_command.h. Words in, exit status out; the asking is probe.c's. */

#include "nmi/probe_command.h"

#include "nmi/config.h"
#include "nmi/probe.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

static const char probe_help[] =
	"Usage: nmi probe [ready|live] [PID] [SETTING]...\n\n"
	"Asks the agent of this container, or the one with that pid, whether it is\n"
	"ready to serve pods (the default), or alive, and prints its checks. For exec\n"
	"probes: while an agent replaces another, the port of /readyz is both's. Of the\n"
	"settings, --run-directory matters.\n\n"
	"  -h, --help                      Show this help\n\n"
	"Exit status: 0 yes, 1 no, or nobody answers, 2 usage.\n";

/* What stands behind the words of `nmi probe` are settings. */
static int probe_settings(int argc, char **argv, int words, struct nmi_config *config)
{
	struct err err = { 0 };
	enum opt_result what;

	argv[words - 1] = argv[0];
	if (opt_parse(&nmi_options, config, argc - words + 1, argv + words - 1, &what, &err) < 0) {
		fprintf(stderr, "nmi: probe: %s\n", err.msg);
		return EXIT_USAGE;
	}
	if (what == OPT_RUN)
		return -1;
	fputs(probe_help, stdout);
	return EXIT_SUCCESS;
}

int probe_command(int argc, char **argv)
{
	bool live = argc > 2 && strcmp(argv[2], "live") == 0, ready = false;
	struct nmi_config config = { 0 };
	char text[PROBE_TEXT_MAX] = "", *end;
	struct err err = { 0 };
	long pid = 0;
	int words = 2, r;

	if (live || (argc > 2 && strcmp(argv[2], "ready") == 0))
		words++;
	if (argc > words && *argv[words] >= '1' && *argv[words] <= '9') {
		pid = strtol(argv[words++], &end, 10);
		if (*end || pid > INT32_MAX) {
			fprintf(stderr, "nmi: probe: '%.40s' is not a pid\n", argv[words - 1]);
			return EXIT_USAGE;
		}
	}
	r = probe_settings(argc, argv, words, &config);
	if (r >= 0)
		return r;
	if (probe_ask(config.run_directory, (pid_t)pid, &ready, text, &err) < 0) {
		fprintf(stderr, "nmi: probe: %s\n", err.msg);
		return err.kind == ERR_INPUT ? EXIT_USAGE : EXIT_FAILURE;
	}
	fputs(live ? "alive\n" : text, stdout);
	return live || ready ? EXIT_SUCCESS : EXIT_FAILURE;
}
