/* SPDX-License-Identifier: MIT */

#include "lib/kube/event.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event e = { 0 };
	struct err err = { 0 };

	if (event_parse(&e, (const char *)data, size, &err) < 0) {
		if (!err.kind || e.doc || e.object || e.version)
			abort();
		return 0;
	}
	if (!e.doc || !e.object || (e.type == EVENT_ERROR) != !!e.message)
		abort();
	if (e.type < EVENT_ERROR ? !e.version || !*e.version : !!e.version)
		abort();
	if (e.ends_initial && e.type != EVENT_BOOKMARK)
		abort();
	event_deinit(&e);
	return 0;
}
