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

/*
 * In place of whatever has the table's name now; one transaction. SNAPSHOT_HELD: until snapshot_free()
 * nobody else can remove or change the table, and it stays when this process ends, however it does. A
 * kernel before 6.9 refuses that (EOPNOTSUPP, before 5.12 EINVAL). EPERM: another socket owns a table of
 * that name.
 */
enum snapshot_mode { SNAPSHOT_PLAIN, SNAPSHOT_HELD };
int snapshot_restore(struct snapshot *s, enum snapshot_mode mode, struct err *err);
