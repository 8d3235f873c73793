/* SPDX-License-Identifier: MIT */

/* Not a parser of ours, but a fault that a fuzzer has to find: tests/fuzz/libfuzzer.sh sees that ours would. */

#include "tests/fuzz/fuzz.h"

#include <string.h>

static volatile char sink; /* or the compiler would leave it all out */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = calloc(1, 16);

	/* the overflow: nobody looks whether what follows the word fits */
	if (copy && size > 4 && memcmp(data, "NMI:", 4) == 0)
		memcpy(copy, data + 4, size - 4);
	sink = copy ? copy[0] : '\0';
	free(copy);
	return 0;
}
