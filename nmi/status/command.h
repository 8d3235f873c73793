/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * `nmi status`: asks the agent of this node, reads the rules from the kernel by itself, and prints both. Needs
 * no agent, no setting and, for what is not to be had otherwise, no privilege.
 */
int status_command(int argc, char **argv);
