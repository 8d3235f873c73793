/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/*
 * On kubenet all pods share a bridge, and a pod can borrow its neighbour's address (CVE-2021-1677), so
 * the agent does not start there unless it was told to. ERR_REFUSED when `path` names kubenet; a file
 * that cannot be read is no kubenet, as clusters without it have no such file.
 */
int kubenet_check(const char *path, struct err *err);
