/* SPDX-License-Identifier: MIT */

/* Accept headers: an answer always, and what stands before or behind in the list is told apart by its quality alone. */

#include "nmi/front/accept.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static enum metric_format with(const char *before, const uint8_t *data, size_t size,
			       const char *behind)
{
	size_t b = strlen(before), e = strlen(behind);
	char *text = malloc(b + size + e + 1);
	enum metric_format format;

	if (!text)
		abort();
	memcpy(text, before, b);
	if (size)
		memcpy(text + b, data, size);
	memcpy(text + b + size, behind, e);
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
