/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/*
 * On kubenet all pods share a bridge, and a pod can borrow its neighbour's address (CVE-2021-1677), so
 * the agent does not start there unless addresses can be tied to ports, or it was told to start.
 *
 * ERR_REFUSED when `path` names kubenet, and `probe`, whether addresses can be tied to ports, fails or is
 * NULL: that is switched off. A file that cannot be read is no kubenet, as clusters without it have no
 * such file.
 */
int kubenet_check(const char *path, int (*probe)(struct err *err), struct err *err);
