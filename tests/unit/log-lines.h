/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/log.h"

#include <check.h>
#include <string.h>
#include <unistd.h>

/* What was logged since log_lines_start(), through a pipe of our own. */
static int log_lines_fd[2] = { -1, -1 };

static inline void log_lines_start(void)
{
	ck_assert_int_eq(pipe(log_lines_fd), 0);
	log_set_fd(log_lines_fd[1]);
}

/* Ends it. */
static inline const char *log_lines_end(void)
{
	static char text[16384];
	ssize_t n;

	log_set_fd(STDERR_FILENO);
	close(log_lines_fd[1]);
	n = read(log_lines_fd[0], text, sizeof(text) - 1);
	close(log_lines_fd[0]);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static inline unsigned log_lines_count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}
