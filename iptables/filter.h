/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <stdbool.h>

/*
 * The system calls that are left to the redirector: see filter.c. For good, and for what it starts.
 * `may_exec`: it has to run other programs (iptables-restore), so that only a list of calls is refused.
 * Filters add up: called with true first, then with false, it is as strict as with false. ERR_OS: the kernel
 * has no seccomp, or memory is short.
 */
int filter_redirector(bool may_exec, struct err *err);
