/* SPDX-License-Identifier: MIT */

/* A duration: refused with the output untouched, or a number of a unit that says it again. */

#include "lib/base/opt.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#define UNTOUCHED 123456789u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = { 0 };
	unsigned msec = UNTOUCHED, again = 0;
	char text[64], said[32];

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';

	if (opt_parse_msec(text, &msec, &err) < 0) {
		if (msec != UNTOUCHED || err.kind != ERR_INPUT || !err.msg[0])
			abort();
		return 0;
	}
	snprintf(said, sizeof(said), "%ums", msec);
	if (opt_parse_msec(said, &again, NULL) < 0 || again != msec)
		abort();
	return 0;
}
