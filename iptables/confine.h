/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <stdbool.h>

/* What it keeps open, beside stderr; negative: there is none. They get other numbers. */
struct confine_files {
	int channel; /* its end of the socketpair */
	int tester;  /* that to nmi-selftest */
	int left;    /* that to whoever removes rules of an earlier run: see ipt_left.h */
};

/*
 * What the redirector gives up before it reads its first message: see confine.c. `runs_programs`: it is to
 * run those of iptables; else there is nothing that it may execute, or be by that.
 */
int confine(struct confine_files *files, bool runs_programs, struct err *err);

/* One that runs programs has it, if it was given. */
bool confine_has_raw(void);
/* In a child that is about to execute a program: that program gets what we have. */
void confine_hand_on(void);
