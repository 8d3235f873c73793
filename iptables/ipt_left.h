/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What an earlier run with the iptables backend left is removed once the rules of another backend stand. A
 * redirector that speaks nftables cannot run programs, so a process is made beforehand that can, and waits.
 */

/* Where it looks as if something were left: the end of a pipe; else -1. In the process that is to be confined. */
int ipt_left_prepare(void);
/* The rules stand: go. Closes it; -1 is nothing. */
void ipt_left_remove(int *fd);
