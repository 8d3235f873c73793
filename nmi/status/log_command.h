/* SPDX-License-Identifier: MIT */
#pragma once

/* `nmi log LEVEL`: has the agent of this node log more, or less, until its settings are read again. */
int log_command(int argc, char **argv);
