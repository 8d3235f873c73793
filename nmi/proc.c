/* SPDX-License-Identifier: MIT */

/* What a process costs: see proc.h. */

#include "nmi/proc.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
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

/* Ticks since the machine came up, the 22nd field; the 2nd, a name in brackets, may have any character. */
static double start_of(const char *stat)
{
	const char *p = strrchr(stat, ')');
	unsigned long long ticks;

	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
	if (!p || sscanf(p,
			 ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			 "%*d %*d %llu",
			 &ticks) != 1)
		return -1;
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static double seconds_of(clockid_t clock)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(clock, &ts); /* these clocks are always there */
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static size_t read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;

	if (f) {
		n = fread(line, 1, size - 1, f);
		(void)fclose(f); /* it was only read */
	}
	line[n] = '\0';
	return n;
}

void proc_self(struct proc_self *out)
{
	char line[1024];
	long long pages;
	struct rlimit limit;
	struct rusage used;
	struct proc_usage u;

	*out = (struct proc_self){ -1, 0, -1, -1, -1, -1 };
	proc_usage(getpid(), &u);
	out->files = (double)u.files;
	if (u.resident_kib >= 0)
		out->resident = (double)u.resident_kib * 1024;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
	if (read_line("/proc/self/statm", line, sizeof(line)) && sscanf(line, "%lld", &pages) == 1)
		out->virtual = (double)pages * (double)sysconf(_SC_PAGESIZE);
	if (read_line("/proc/self/stat", line, sizeof(line)) && start_of(line) >= 0)
		out->started = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME) +
			       start_of(line);
	if (getrusage(RUSAGE_SELF, &used) == 0)
		out->cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
			   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		out->files_max = (double)limit.rlim_cur;
}
