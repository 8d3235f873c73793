/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/log.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* The log of this process, for a test to read: from log_to_memory() to log_to_stderr(). */
static int log_fd = -1;

static inline void log_to_memory(enum log_level level)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	log_setup(LOG_FORMAT_TEXT, level);
	log_set_fd(log_fd);
}

static inline const char *log_text(void)
{
	static char text[65536];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static inline void log_to_stderr(void)
{
	log_set_fd(STDERR_FILENO);
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	close(log_fd);
}

static inline unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}
