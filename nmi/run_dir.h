/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/*
 * The directory of the agent's sockets (--run-directory). Who can write there can stand in for the agent:
 * it belongs to root or to us, and nobody else may write. Root takes it from whoever had it.
 */

/*
 * Make it if it is missing, its parent being there, and give it to `user` ("": to us) so that sockets can
 * be made in it after the change of user. An unknown user is left to isolate_late(). ERR_INPUT: what is
 * there is no directory, or others may write to it. ERR_OS: it cannot be had, as on a read-only file system.
 */
int run_dir_prepare(const char *path, const char *user, struct err *err);
