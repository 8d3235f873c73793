/* SPDX-License-Identifier: MIT */

/* Messages of the socketpair: what is taken is in range and comes back the same; else nothing is. */

#include "iptables/wire.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

static void try_start(const uint8_t *data, size_t size)
{
	struct redirect_spec spec = { .agent_port = 7, .sweep_msec = 7 };
	uint8_t again[WIRE_START_BYTES];

	if (wire_get_start(data, size, &spec, NULL) < 0) {
		assert(spec.agent_port == 7 && spec.sweep_msec == 7 && !spec.metadata_port);
		return;
	}
	assert((unsigned)spec.backend < REDIRECT_BACKENDS);
	wire_put_start(&spec, again);
	assert(size == sizeof(again) && memcmp(data, again, size) == 0);
}

static void try_status(const uint8_t *data, size_t size)
{
	struct redirect_status status = { .repairs = 7, .why = "as it was" };
	uint8_t again[WIRE_STATUS_BYTES];

	if (wire_get_status(data, size, &status, NULL) < 0) {
		assert(status.repairs == 7 && !strcmp(status.why, "as it was"));
		return;
	}
	assert(strnlen(status.why, sizeof(status.why)) < sizeof(status.why));
	wire_put_status(&status, again);
	assert(size == sizeof(again) && memcmp(data, again, 16) == 0);
	assert(strcmp((const char *)again + 16, status.why) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_start(data, size);
	try_status(data, size);
	return 0;
}
