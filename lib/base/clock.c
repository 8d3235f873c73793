/* SPDX-License-Identifier: MIT */

/* Time as text: see clock.h. */

#include "lib/base/clock.h"

#include <stdio.h>
#include <time.h>

char *wall_print(struct wall t, char buf[static WALL_TEXT_MAX])
{
	time_t s = t.s;
	struct tm tm;

	if (!gmtime_r(&s, &tm) || !strftime(buf, WALL_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
		buf[0] = '\0';
	return buf;
}

/* Not strftime(): the names are English in every locale. */
char *wall_print_http(struct wall t, char buf[static WALL_HTTP_MAX])
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t s = t.s;
	struct tm tm;

	buf[0] = '\0';
	/* the year has four digits */
	if (gmtime_r(&s, &tm) && tm.tm_year >= -1900 && tm.tm_year <= 9999 - 1900)
		(void)snprintf(buf, WALL_HTTP_MAX, "%s, %02d %s %04d %02d:%02d:%02d GMT",
			       days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
			       tm.tm_hour, tm.tm_min, tm.tm_sec);
	return buf;
}
