/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/mem.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* A file of golden/, beside this one; on the heap. */
static char *golden(const char *name)
{
	char path[512], text[8192];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%.*sgolden/%s",
		       (int)(strrchr(__FILE__, '/') - __FILE__ + 1), __FILE__, name);
	f = fopen(path, "re");
	ck_assert_msg(f != NULL, "%s", path);
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	return xstrndup(text, n);
}
