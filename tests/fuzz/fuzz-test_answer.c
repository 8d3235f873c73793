/* SPDX-License-Identifier: MIT */

/* Whatever answers a self-test: one line of printable text each, that passes the redirector's own check. */

#include "iptables/tester.h"
#include "iptables/wire.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t msg[WIRE_TESTED_BYTES], again[WIRE_TESTED_BYTES];
	struct redirect_test t, read;
	uint32_t seq;

	test_answer_parse(data, size, &t);
	assert((t.outcome == REDIRECT_TEST_MUTE) == !size);
	assert((t.outcome == REDIRECT_TEST_ANSWERED) == (t.status > 0));
	wire_put_tested(3, &t, msg);
	assert(wire_get_tested(msg, sizeof(msg), &seq, &read, NULL) == 0 && seq == 3);
	assert(!strcmp(t.text, read.text) && !strcmp(t.server, read.server) &&
	       !strcmp(t.body, read.body));
	wire_put_tested(3, &read, again);
	assert(memcmp(msg, again, sizeof(msg)) == 0);
	return 0;
}
