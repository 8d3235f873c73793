/* SPDX-License-Identifier: MIT */

/* `nmi status`: see command.h. */

#include "nmi/status/command.h"

#include "iptables/redirect.h"
#include "lib/base/mem.h"
#include "nmi/config.h"
#include "nmi/status/ask.h"
#include "nmi/status/view.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define EXIT_USAGE 2
/* An agent answers within a millisecond, a loaded one in tens. */
#define ASK_MSEC 3000

struct settings {
	const char *run_directory, *output;
};

/* The agent's own row about its directory, and ours. */
static void make_options(struct opt opts[static 2])
{
	for (size_t i = 0; i < nmi_options.n; i++)
		if (strcmp(nmi_options.opts[i].name, "run-directory") == 0)
			opts[0] = nmi_options.opts[i];
	opts[0].offset = offsetof(struct settings, run_directory);
	opts[0].group = "Settings";
	opts[1] = (struct opt){ .name = "output",
				.type = OPT_CHOICE,
				.offset = offsetof(struct settings, output),
				.metavar = "text|json",
				.dflt = "text",
				.group = "Settings",
				.help = "For people, or for machines (docs/status.rst)" };
}

static int show(const struct settings *settings)
{
	struct status_reply reply;
	struct status_view view = { 0 };
	_cleanup_free_ char *rules = NULL, *text = NULL;
	struct err err = { 0 };
	int exit_status;

	status_ask(settings->run_directory, "status\n", ASK_MSEC, &reply);
	if (redirect_list(&rules, &err) == 0) {
		view.rules = rules;
		view.guards = redirect_listing_guards(rules);
	}
	view.rules_error = err.msg;
	view.agent = reply.doc;
	view.agent_error = reply.err.msg;
	text = strcasecmp(settings->output, "json") == 0 ? status_view_json(&view)
							 : status_view_text(&view);
	fputs(text, stdout);
	exit_status = (int)status_view_exit(&view);
	(void)jval_free(reply.doc);
	return exit_status;
}

int status_command(int argc, char **argv)
{
	struct opt opts[2] = { 0 };
	const struct opt_table table = {
		.opts = opts,
		.n = ARRAY_SIZE(opts),
		.prog = "nmi",
		.usage = "nmi status [--run-directory=DIR] [--output=text|json]",
		.intro = "Is this node protected, is the agent ready, and if not, why. Then what "
			 "the\n"
			 "agent knows of itself, and the packet rules as the kernel has them, "
			 "which are\n"
			 "shown when no agent answers as well.\n\n"
			 "Reading the rules needs CAP_NET_ADMIN in the network namespace of the "
			 "node;\n"
			 "asking the agent, its user or root.\n\n"
			 "Exit status: 0 the agent is ready, 1 it is not, 2 usage, 3 no agent "
			 "answers.",
	};
	struct settings settings = { 0 };
	struct err err = { 0 };
	enum opt_result what;

	make_options(opts);
	if (opt_parse(&table, &settings, argc - 1, argv + 1, &what, &err) < 0) {
		fprintf(stderr, "nmi: status: %s\n", err.msg);
		return EXIT_USAGE;
	}
	switch (what) {
	case OPT_HELP:
		opt_print_help(&table, stdout);
		return 0;
	case OPT_VERSION:
		puts("NMI Version: " NMI_VERSION);
		return 0;
	case OPT_PRINT_CONFIG:
		opt_print_config(&table, &settings, NULL, stdout);
		return 0;
	case OPT_PRINT_RST:
		opt_print_rst(&table, stdout);
		return 0;
	case OPT_RUN:
		break;
	}
	return show(&settings);
}
