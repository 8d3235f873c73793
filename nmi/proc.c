/* SPDX-License-Identifier: MIT */

/* What a process costs: see proc.h. */

#include "nmi/proc.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int64_t count_files(pid_t pid)
{
	char path[64];
	int64_t n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (!d)
		return -1;
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	(void)closedir(d); /* it was only read */
	/* of ourselves, without the one that this took */
	return pid == getpid() ? n - 1 : n;
}

void proc_usage(pid_t pid, struct proc_usage *out)
{
	long long resident, shared;
	char path[64];
	FILE *f;

	*out = (struct proc_usage){ -1, -1, count_files(pid) };
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers, far from the limits of the type */
	if (fscanf(f, "%*s %lld %lld", &resident, &shared) == 2) {
		const int64_t kib = sysconf(_SC_PAGESIZE) / 1024;

		out->resident_kib = resident * kib;
		out->shared_kib = shared * kib;
	}
	(void)fclose(f); /* it was only read */
}
