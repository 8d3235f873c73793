/* SPDX-License-Identifier: MIT */

/* Pipes that are shared with others: see pipe.h. */

#include "lib/base/pipe.h"

#include "lib/base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool pipe_own(int fd)
{
	_cleanup_close_ int own = -1;
	char path[32];
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return false;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return own >= 0 && dup3(own, fd, 0) == fd;
}
