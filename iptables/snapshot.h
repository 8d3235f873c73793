/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

/*
 * A table as the kernel holds it, ready to be put back with one system call: see snapshot.c for why.
 */
struct snapshot;

struct snapshot *snapshot_take(const char *table, struct err *err);
struct snapshot *snapshot_free(struct snapshot *s);
DEFINE_CLEANUP(struct snapshot, snapshot_free);

/* In place of whatever has the table's name now; one transaction. */
int snapshot_restore(struct snapshot *s, struct err *err);
