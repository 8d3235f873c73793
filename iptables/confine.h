/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/*
 * What the redirector gives up before it reads its first message: see confine.c. `*fd` is its end of
 * the socketpair; it may get another number.
 */
int confine(int *fd, struct err *err);
