/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/*
 * What the redirector gives up before it reads its first message: see confine.c. `*fd` is its end of
 * the socketpair, `*tester` that of the tester, or negative; they may get other numbers.
 */
int confine(int *fd, int *tester, struct err *err);
