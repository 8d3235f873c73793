/* SPDX-License-Identifier: MIT */

/* nmi: the node agent's entry point. Settings in, exit status out; nothing else happens here. */

#include "iptables/redirect.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/pipe.h"
#include "nmi/agent.h"
#include "nmi/config.h"
#include "nmi/isolate.h"
#include "nmi/kubenet.h"
#include "nmi/probe_command.h"
#include "nmi/settings.h"
#include "nmi/status/command.h"
#include "nmi/status/log_command.h"
#include "nmi/uninstall.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Settings that are wrong: nothing was begun. */
#define EXIT_USAGE 2

static void tell_ignored(const struct opt *o, const char *value)
{
	log_info("--%s is accepted for old manifests and has no meaning here: %s", o->name,
		 o->help);
}

static int check_network(const struct nmi_config *config, struct err *err)
{
	bool is_on = nmi_config_binds_links(config) && nmi_config_has_rules(config);

	if (config->allow_kubenet)
		return 0;
	return kubenet_check(config->kubelet_config, is_on ? redirect_probe_ports : NULL, err);
}

static int run(struct nmi_settings *settings, struct err *err)
{
	const struct nmi_config *config = &settings->config;
	_cleanup_(redirect_freep) struct redirect *redirect = NULL;
	_cleanup_(agent_freep) struct agent *agent = NULL;
	enum redirect_backend backend;

	/* where it cannot be, a line that finds room may still wait for it: see put() of log.c */
	(void)pipe_own(STDOUT_FILENO);
	(void)pipe_own(STDERR_FILENO);
	nmi_config_set_log(config);
	log_info("nmi %s starting", NMI_VERSION);
	opt_each_ignored(&nmi_options, config, tell_ignored);
	nmi_config_warn(config);
	if (check_network(config, err) < 0)
		return -(int)err->kind;
	closefrom(STDERR_FILENO + 1); /* what whoever started us left open is not ours to have */
	if (isolate_early(err) < 0)
		return -(int)err->kind;
	if (redirect_backend_parse(config->redirect_backend, &backend, err) < 0)
		return err_wrap(err, "--redirect-backend");
	redirect = redirect_spawn(backend, err);
	if (!redirect)
		return err_wrap(err, "starting the redirector");
	agent = agent_new_take(settings, steal_ptr(redirect), err);
	return agent ? agent_run(agent, err) : -(int)err->kind;
}

static int begin(int argc, char **argv)
{
	_cleanup_(nmi_settings_deinit) struct nmi_settings settings = { .argc = argc,
									.argv = argv };
	struct err err = { 0 };
	enum opt_result what;
	int r;

	r = nmi_settings_load(&settings, &what, &err);
	if (r < 0) {
		fprintf(stderr, "nmi: %s\n", err.msg);
		return EXIT_USAGE;
	}
	switch (what) {
	case OPT_HELP:
		opt_print_help(&nmi_options, stdout);
		return EXIT_SUCCESS;
	case OPT_VERSION:
		printf("NMI Version: %s\n", NMI_VERSION);
		return EXIT_SUCCESS;
	case OPT_PRINT_CONFIG:
		nmi_settings_print(&settings, stdout);
		return EXIT_SUCCESS;
	case OPT_PRINT_RST:
		opt_print_rst(&nmi_options, stdout);
		return EXIT_SUCCESS;
	case OPT_RUN:
		break;
	}
	r = run(&settings, &err);
	if (r >= 0)
		return r;
	log_err("%s", err.msg);
	/* what a setting names is wrong: a file, a user */
	return err.kind == ERR_INPUT ? EXIT_USAGE : EXIT_FAILURE;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
#define X(name, args, function, what) { name, function },
#include "nmi/commands.def"
#undef X
};

int main(int argc, char **argv)
{
	/* a peer that hangs up is an error of one write, not of the process */
	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc, argv);
	return begin(argc, argv);
}
