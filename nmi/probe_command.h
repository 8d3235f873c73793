/* SPDX-License-Identifier: MIT */
#pragma once

/* The command `nmi probe`, with the arguments of main(); its exit status. See probe.h for what it asks. */
int probe_command(int argc, char **argv);
