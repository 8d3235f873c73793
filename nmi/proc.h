/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* What a process of this host costs, from /proc; -1: not to be had. See proc(5). */
struct proc_usage {
	int64_t resident_kib, shared_kib; /* the latter is a part of the former */
	int64_t files; /* open descriptors; those of another user's are not told */
};

void proc_usage(pid_t pid, struct proc_usage *out);

/* The same and more of ourselves; -1: not to be had. */
struct proc_self {
	double started;		  /* seconds since 1970 */
	double cpu;		  /* seconds, user and system; a counter, so never -1 */
	double resident, virtual; /* bytes */
	double files, files_max;  /* the latter is the soft limit */
};

void proc_self(struct proc_self *out);
