/* SPDX-License-Identifier: MIT */

/* `nmi log`: see log_command.h. Where there is no settings file, the way to see more without a restart. */

#include "nmi/status/log_command.h"

#include "lib/base/mem.h"
#include "nmi/config.h"
#include "nmi/status/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE  2
#define EXIT_NOBODY 3
#define ASK_MSEC    3000

static const char help[] =
	"Usage: nmi log LEVEL [--run-directory=DIR]\n\n"
	"Has the agent of this node log as with --v=LEVEL: from 4 on, every request. It\n"
	"holds until the agent ends, or reads its settings again.\n\n"
	"Root and the agent's own user may.\n\n"
	"  -h, --help                      Show this help\n\n"
	"Exit status: 0 done, 1 the agent refuses, 2 usage, 3 no agent answers.\n";

struct settings {
	const char *run_directory;
	unsigned verbosity;
};

/* The agent's own rows. */
static size_t make_options(struct opt opts[static 2])
{
	opts[0] = nmi_options.opts[NMI_OPTION_run_directory];
	opts[0].offset = offsetof(struct settings, run_directory);
	opts[1] = nmi_options.opts[NMI_OPTION_verbosity];
	opts[1].offset = offsetof(struct settings, verbosity);
	return 2;
}

static int ask(const struct settings *s)
{
	struct status_reply reply;
	char line[32];

	(void)snprintf(line, sizeof(line), "log %u\n", s->verbosity);
	status_ask(s->run_directory, line, ASK_MSEC, &reply);
	(void)jval_free(reply.doc);
	if (reply.answer == STATUS_ANSWERED) {
		printf("the agent logs as with --v=%u\n", s->verbosity);
		return EXIT_SUCCESS;
	}
	fprintf(stderr, "nmi: log: %s\n", reply.err.msg);
	return reply.answer == STATUS_ERROR ? EXIT_FAILURE : EXIT_NOBODY;
}

/* The level is --v without its name; what stands behind it are settings. */
int log_command(int argc, char **argv)
{
	struct opt opts[2];
	const struct opt_table table = { .opts = opts, .n = make_options(opts), .prog = "nmi" };
	struct settings settings = { 0 };
	struct err err = { 0 };
	enum opt_result what;
	char level[32];

	if (argc > 2 && argv[2][0] >= '0' && argv[2][0] <= '9') {
		(void)snprintf(level, sizeof(level), "--v=%.20s", argv[2]);
		argv[2] = level;
	} else if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
		fputs(help, stdout);
		return EXIT_SUCCESS;
	} else {
		fprintf(stderr, "nmi: log: %.64s%sa level is needed, 0 to 9; see nmi log --help\n",
			argc > 2 ? argv[2] : "", argc > 2 ? ": " : "");
		return EXIT_USAGE;
	}
	if (opt_parse(&table, &settings, argc - 1, argv + 1, &what, &err) < 0) {
		fprintf(stderr, "nmi: log: %s\n", err.msg);
		return EXIT_USAGE;
	}
	if (what == OPT_RUN)
		return ask(&settings);
	fputs(help, stdout);
	return EXIT_SUCCESS;
}
