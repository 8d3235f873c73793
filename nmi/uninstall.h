/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

/* `nmi uninstall`: every trace of nmi on this node but its program: packet rules, sockets. */
int uninstall_command(int argc, char **argv);

/*
 * The sockets of `dir`, those that agents that died left behind too, and the directory if nothing else is
 * in it. A directory that is not there is success; on failure the message says what is left.
 */
int uninstall_sockets(const char *dir, struct err *err);
