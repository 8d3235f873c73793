/* SPDX-License-Identifier: MIT */

/* Accept headers: an answer always, and what else stands in the list changes it by its quality alone. */

#include "nmi/front/accept.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static enum metric_format with(const char *before, const uint8_t *data, size_t size,
			       const char *behind)
{
	size_t b = strlen(before), e = strlen(behind);
	char *text = malloc(b + size + e + !(b + size + e)),
	     *at; /* not a byte too many, for ASan */
	enum metric_format format;

	if (!text)
		abort();
	at = mempcpy(text, before, b);
	if (size)
		at = mempcpy(at, data, size);
	(void)mempcpy(at, behind, e);
	format = accept_format((struct str){ text, b + size + e });
	free(text);
	return format;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum metric_format format = with("", data, size, "");

	if (format != METRIC_TEXT && format != METRIC_OPENMETRICS)
		abort();
	/* nobody can want anything more than this */
	if (with("application/openmetrics-text,", data, size, "") != METRIC_OPENMETRICS ||
	    with("", data, size, ",application/openmetrics-text") != METRIC_OPENMETRICS)
		abort();
	/* what is not wanted, or is unknown, changes nothing */
	if (with("application/openmetrics-text;q=0,text/plain;q=0,a/b,", data, size, "") !=
		    format ||
	    with("", data, size, ",*/*") != format)
		abort();
	return 0;
}
