/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/log.h"

#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What was logged since log_lines_start(), which is kept until log_lines_end(). */
static int log_lines_fd = -1;

static inline void log_lines_start(void)
{
	log_lines_fd = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(log_lines_fd, 0);
	log_set_fd(log_lines_fd);
}

static inline const char *log_lines(void)
{
	static char text[65536];
	ssize_t n = pread(log_lines_fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static inline const char *log_lines_end(void)
{
	const char *text = log_lines();

	log_set_fd(STDERR_FILENO);
	close(log_lines_fd);
	return text;
}

static inline unsigned log_lines_count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}
