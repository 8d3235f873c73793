/* SPDX-License-Identifier: MIT */

/*
 * A wall clock that a test sets, for LD_PRELOAD before the agent: NMI_CLOCK names a file of 8 bytes, by how many
 * seconds the clock is off (int64_t, as the machine has it). It is mapped before the agent gives up its rights. The
 * monotonic clocks are left as they are, as they are when somebody sets a real one.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

__attribute__((constructor)) static void map_offset(void)
{
	const char *path = getenv("NMI_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		abort();
	p = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		abort();
	close(fd);
	offset = p;
}

/* the linker is to find them, in place of the C library's */
#pragma GCC visibility push(default)
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	static int (*fn)(clockid_t, struct timespec *);
	int r;

	if (!fn)
		*(void **)&fn = dlsym(RTLD_NEXT, "clock_gettime");
	r = fn(clock, ts);
	if (r == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ts->tv_sec += *offset;
	return r;
}

time_t time(time_t *out)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ ts.tv_sec, ts.tv_nsec / 1000 };
	return 0;
}
#pragma GCC visibility pop
