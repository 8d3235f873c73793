/* SPDX-License-Identifier: MIT */

/*
 * What a soak is to find: for LD_PRELOAD before the agent as it is shipped. NMI_LEAKY says what goes wrong as
 * it accepts connections:
 *
 *	m	memory is left, 8 KiB each second time
 *	s	a little of it, 200 bytes each time
 *	f	a descriptor is left open, each 25th time
 *	d	each 300th time
 *	l	a line of 1 KiB is logged
 *	r	a connection is closed before it is served, each 100th time
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEMORY 8192
#define LITTLE 200
#define LINE   1024

static bool is_due(const char *what, unsigned n, unsigned each)
{
	const char *faults = getenv("NMI_LEAKY");

	return faults && strstr(faults, what) && n % each == 0;
}

static void leave_memory(size_t n)
{
	static void *kept;
	void **p = malloc(n);

	if (!p)
		abort();
	memset(p, 1, n);
	*p = kept; /* so that nobody may think it away */
	kept = p;
}

static void say_much(void)
{
	static char line[LINE];

	memset(line, 'x', LINE - 1);
	line[LINE - 1] = '\n';
	if (write(STDERR_FILENO, line, LINE) < 0)
		abort();
}

/* the linker is to find it, in place of the C library's */
#pragma GCC visibility push(default)
int accept4(int fd, __SOCKADDR_ARG from, socklen_t *from_n, int flags)
{
	static unsigned n;
	int (*fn)(int, __SOCKADDR_ARG, socklen_t *, int);
	int s;

	*(void **)&fn = dlsym(RTLD_NEXT, "accept4");
	s = fn(fd, from, from_n, flags);
	if (s < 0)
		return s;
	n++;
	if (is_due("m", n, 2))
		leave_memory(MEMORY);
	if (is_due("s", n, 1))
		leave_memory(LITTLE);
	if ((is_due("f", n, 25) || is_due("d", n, 300)) && fcntl(s, F_DUPFD_CLOEXEC, 0) < 0)
		abort();
	if (is_due("l", n, 1))
		say_much();
	if (is_due("r", n, 100))
		(void)shutdown(s, SHUT_RDWR);
	return s;
}
#pragma GCC visibility pop
