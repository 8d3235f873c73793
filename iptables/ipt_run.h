/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/str.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Runs a program of iptables and waits for it, a few seconds at most; then it is killed. No shell, no
 * environment but a search path and LC_ALL=C, no file of ours, and of capabilities only those two that
 * iptables can need, if we have them. The process ignores SIGPIPE, as each of ours does.
 */
#define IPT_PATH_MAX 64
#define IPT_RUN_MSEC                                                                               \
	8000 /* iptables-restore -w 5 waits for the lock that long; 50,000 rules take 2 s to list */

typedef void ipt_line_fn(void *ctx, struct str line);

struct ipt_run {
	const char *path;
	const char *const *argv; /* its own name first, NULL last */
	const char *in;		 /* NULL: nothing */
	ipt_line_fn *line;	 /* each line of its output; NULL: not read */
	void *ctx;
	unsigned msec; /* how long it may take; 0: IPT_RUN_MSEC */
};

/*
 * ERR_REFUSED: it ended with another status than 0; ERR_TIMEOUT; ERR_LIMIT: it says too much; ERR_OS: it could not
 * be run. The message has the first line of its stderr. `out_cpu_usec`, unless NULL, is set in any case.
 */
int ipt_run(const struct ipt_run *r, uint64_t *out_cpu_usec, struct err *err);

/* In the directories where a distribution puts it, and nowhere else; ERR_UNAVAILABLE: it is not there. */
int ipt_run_find(const char *name, char path[static IPT_PATH_MAX], struct err *err);
