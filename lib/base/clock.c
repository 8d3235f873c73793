/* SPDX-License-Identifier: MIT */

/* Time as text: see clock.h. */

#include "lib/base/clock.h"

#include <time.h>

char *wall_print(struct wall t, char buf[static WALL_TEXT_MAX])
{
	time_t s = t.s;
	struct tm tm;

	if (!gmtime_r(&s, &tm) || !strftime(buf, WALL_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
		buf[0] = '\0';
	return buf;
}
