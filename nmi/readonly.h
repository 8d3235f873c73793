/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/*
 * From now on this process can make, change, rename and remove no file, whoever it belongs to, but those in
 * directory `but`, open in any way (-1: nowhere). Files that are open stay as they are. For good; needs no-new-privileges.
 * Returns 1, or 0 where the kernel has no Landlock (before 5.13, or switched off); ERR_OS.
 */
int readonly_but(int but, struct err *err);
