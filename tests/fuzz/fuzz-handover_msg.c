/* SPDX-License-Identifier: MIT */

/* Messages between agents: what is taken comes back the same; else nothing is written. */

#include "nmi/handover_msg.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handover_msg m = { .roles = 7, .n = 99 };
	uint8_t again[HANDOVER_MSG_BYTES];

	if (handover_msg_parse(data, size, &m, NULL) < 0) {
		assert(m.roles == 7 && m.n == 99);
		return 0;
	}
	assert(m.kind >= HANDOVER_HELLO && m.kind < HANDOVER_KINDS &&
	       m.n <= HANDOVER_LISTENERS_MAX);
	for (size_t i = 0; i < m.n; i++)
		assert(m.listeners[i].fd < 0 && m.listeners[i].role < 32 && m.listeners[i].port);
	handover_msg_print(&m, again);
	assert(size == sizeof(again) && memcmp(data, again, size) == 0);
	return 0;
}
