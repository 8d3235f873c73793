/* SPDX-License-Identifier: MIT */

/* Whatever the bytes, the escape is the inside of a JSON string of plain ASCII, also when it is cut. */

#include "lib/base/jval.h"
#include "lib/base/str.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* The first byte of the input is the room for the rest. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char buf[2 + 255 + 4];
	struct str s = { (const char *)data + 1, size - 1 };
	struct err err = { 0 };
	struct jval *doc;
	size_t room, n;

	if (size == 0 || data[0] == 0)
		return 0;
	room = data[0];
	memset(buf, 'X', sizeof(buf));
	memcpy(buf, "[\"", 2);
	n = str_escape(buf + 2, room, s);
	if (n >= room || buf[2 + n] != '\0' || buf[2 + room] != 'X')
		abort();
	for (size_t i = 0; i < n; i++) {
		if (buf[2 + i] < ' ' || buf[2 + i] >= 0x7f)
			abort();
	}
	if (s.n * STR_ESCAPE_MAX < room && n < s.n) /* it had room for all */
		abort();
	memcpy(buf + 2 + n, "\"]", 2);
	doc = jval_parse(buf, 2 + n + 2, sizeof(buf), &err);
	if (!doc || jval_len(doc) != 1)
		abort();
	jval_free(doc);
	return 0;
}
