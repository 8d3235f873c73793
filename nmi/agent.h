/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

struct nmi_settings;
struct redirect;

/*
 * The agent: it owns every part and is the only one that knows them all. agent_new() makes them in
 * the order in which they need each other, agent_free() is that order backwards.
 */
struct agent;

/*
 * Takes the redirector, which was forked first. `settings` must outlive the agent, which changes those of them
 * that are live when their file changes.
 */
struct agent *agent_new_take(struct nmi_settings *settings, struct redirect *redirect,
			     struct err *err);
/* Until a signal asks to stop; the exit status, or an error. */
int agent_run(struct agent *a, struct err *err);
struct agent *agent_free(struct agent *a);
DEFINE_CLEANUP(struct agent, agent_free);
