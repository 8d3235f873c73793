/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/* What the agent's process gives up, and when; the theory is in isolate.c. */

/* First thing in main(): no core file, no debugger, one malloc arena, files enough for all pods. */
int isolate_early(struct err *err);
/* Once the listeners are open: user, capabilities, no-new-privileges, system calls. `user` "": stay. */
int isolate_late(const char *user, struct err *err);
