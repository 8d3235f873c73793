/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/* What the agent's process gives up, and when; the theory is in isolate.c. */

/* First thing in main(): no core file, no debugger, one malloc arena, files enough for all pods. */
int isolate_early(struct err *err);
/*
 * Once the listeners are open: user, capabilities, no-new-privileges, files, system calls. `user` "": stay.
 * `run_dir`: where files may still be made and removed; NULL: nowhere.
 */
int isolate_late(const char *user, const char *run_dir, struct err *err);
