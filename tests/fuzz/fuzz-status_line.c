/* SPDX-License-Identifier: MIT */

/* What anybody may send to the agent's socket: a whole line is printable, and the same however it comes. */

#include "nmi/status/line.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>

static void check_word(const uint8_t *data, size_t size, struct str s)
{
	assert(s.p >= (const char *)data && s.p + s.n <= (const char *)data + size);
	for (size_t i = 0; i < s.n; i++)
		assert(s.p[i] >= ' ' && s.p[i] <= '~');
	assert(!s.n || (s.p[0] != ' ' && s.p[s.n - 1] != ' '));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str command = { 0 }, args = { 0 }, again = { 0 }, rest = { 0 };
	const char *p = (const char *)data;
	enum status_line what = status_line_parse(p, size, false, &command, &args);

	switch (what) {
	case STATUS_LINE_WHOLE:
		check_word(data, size, command);
		check_word(data, size, args);
		assert(!memchr(command.p, ' ', command.n));
		/* its end makes no difference to what is before it */
		assert(status_line_parse(p, size, true, &again, &rest) == what);
		assert(str_eq(command, again) && str_eq(args, rest));
		break;
	case STATUS_LINE_PART:
		assert(size < STATUS_LINE_MAX && !(size && memchr(p, '\n', size)));
		break;
	case STATUS_LINE_BAD:
		assert(!command.p && !args.p);
		assert(status_line_parse(p, size, true, &again, &rest) == STATUS_LINE_BAD);
		break;
	}
	return 0;
}
