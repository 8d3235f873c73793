/* SPDX-License-Identifier: MIT */

/* Listings of our tables hold whatever others wrote into them: two of them, split at a NUL. */

#include "iptables/ruleset.h"
#include "lib/base/mem.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *a = xstrndup((const char *)data, size);
	size_t n = strlen(a);
	_cleanup_free_ char *b = n < size ? xstrndup((const char *)data + n + 1, size - n - 1)
					  : xstrdup("");
	_cleanup_free_ char *twice = NULL;
	char why[RULESET_WHY_MAX] = "";

	ruleset_normalise(a);
	ruleset_normalise(b);
	assert(strlen(a) <= n && !strstr(a, " # progname "));
	twice = xstrdup(a);
	ruleset_normalise(twice);
	assert(strcmp(a, twice) == 0);
	assert(ruleset_same(RULESET_KEPT, a, a, why) && !*why);
	if (ruleset_same(RULESET_KEPT, a, b, why)) {
		assert(strcmp(a, b) == 0);
		return 0;
	}
	assert(strcmp(a, b) != 0 && memchr(why, '\0', sizeof(why)) &&
	       strstr(why, "table nmi is altered"));
	for (const char *p = why; *p; p++)
		assert(*p >= 0x20 && *p < 0x7f);
	return 0;
}
