/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "nmi/settings.h"

struct loop;
struct metrics;

/*
 * Reads the settings again while the agent runs: when it is told to, and when the file of --config changes. That is
 * seen by a watch of its directory, since editors rename, and ConfigMap volumes swap the link `..data`.
 *
 * All or nothing: one mistake, and the settings stay as they are, which is logged. Else what is live (reload.def)
 * changes at once, and what needs a restart is named in the log and in reload_waiting().
 */
struct reload;

struct reload_spec {
	struct nmi_settings *settings; /* in use: `config` is changed in place; must outlive this */
	/*
	 * Something live has changed in `config`. Each string of a live setting is another one now, and the one
	 * before is freed afterwards: whoever keeps one has to take the new one.
	 */
	void (*apply)(void *ctx);
	void *ctx;
	struct metrics *metrics; /* or NULL */
};

/* Without --config there is nothing to watch. The directory is opened now, so before privileges are dropped. */
struct reload *reload_new(struct loop *l, const struct reload_spec *spec);
/*
 * Once it is known as whom we read: warns if that will not do. What has changed between the first reading and the
 * watch is seen here.
 */
void reload_check(struct reload *r);
/* `why` is for the log: "SIGHUP". */
void reload_now(struct reload *r, const char *why);
/* Names of changed settings that wait for a restart; NULL: none. Borrowed until the next turn of the loop. */
const char *reload_waiting(const struct reload *r);
struct reload *reload_free(struct reload *r);
DEFINE_CLEANUP(struct reload, reload_free);
