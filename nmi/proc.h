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
