/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <stdbool.h>

struct culprits;
struct loop;

/*
 * Tells when someone, ourselves included, changed a table of ours, or when the kernel had to drop
 * news and so may have changed it. One call for all the news that were waiting; `since` is when the
 * loop woke up for them. `deleted`: the last that was heard of the table that is kept is its end.
 * Also when a chain that is asked before ours came; monitor_take_rival() then has its name, once.
 */
struct monitor;
typedef void monitor_fn(void *ctx, struct mono since, bool deleted);

struct monitor *monitor_new(struct loop *l, monitor_fn *fn, void *ctx, struct err *err);
/* Borrowed. Who made a change is told after the change, so it may not be known when `fn` is called. */
const struct culprits *monitor_culprits(const struct monitor *m);
#define MONITOR_RIVAL_MAX 96
bool monitor_take_rival(struct monitor *m, char out[static MONITOR_RIVAL_MAX]);
/* News of these chains of other tables count too: see struct backend. NULL: of none. */
typedef bool monitor_concerns_fn(const char *table, const char *chain);
void monitor_set_concerns(struct monitor *m, monitor_concerns_fn *concerns);
struct monitor *monitor_free(struct monitor *m);
DEFINE_CLEANUP(struct monitor, monitor_free);
