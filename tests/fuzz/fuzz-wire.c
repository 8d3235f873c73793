/* SPDX-License-Identifier: MIT */

/* Messages of the socketpair: what is taken is in range and comes back the same; else nothing is. */

#include "iptables/spoof_rules.h"
#include "iptables/wire.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <stdlib.h>
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
	assert(size == sizeof(again) && memcmp(data, again, 32) == 0);
	assert(strcmp((const char *)again + 32, status.why) == 0);
}

/* Then into rules, whatever it says: one that passes the check stands there in quotes, and nothing else. */
static void try_ports(const uint8_t *data, size_t size)
{
	static struct redirect_port ports[REDIRECT_PORTS_MAX];
	static uint8_t again[WIRE_DOWN_MAX];
	size_t n = 7, quotes = 0;

	ports[0].link[0] = 'o';
	if (wire_get_ports(data, size, ports, &n, NULL) < 0) {
		assert(n == 7 && ports[0].link[0] == 'o');
		return;
	}
	assert(wire_is_ports(data, size) && n <= REDIRECT_PORTS_MAX);
	wire_put_ports(ports, n, again);
	assert(size == WIRE_PORTS_BYTES(n) && memcmp(data, again, size) == 0);
	if (spoof_rules_check(ports, n, NULL) < 0)
		return;
	for (char *text = spoof_rules_print_change(ports, n), *p = text;; p++) {
		quotes += *p == '"';
		assert(!*p || *p == '\n' || (*p >= 0x20 && *p < 0x7f));
		assert(*p != '*' && *p != '\\' && *p != ';' && *p != '$');
		if (*p)
			continue;
		free(text);
		break;
	}
	assert(quotes == n * 4);
}

static void try_tests(const uint8_t *data, size_t size)
{
	struct redirect_test t = { .status = 7 };
	uint8_t again[WIRE_TESTED_BYTES], nonce[REDIRECT_NONCE_BYTES];
	uint32_t seq = 7;

	if (wire_get_try(data, size, &seq, nonce, NULL) == 0) {
		wire_put_try(seq, nonce, again);
		assert(size == WIRE_TRY_BYTES && memcmp(data, again, size) == 0);
		return;
	}
	assert(seq == 7);
	if (wire_get_tested(data, size, &seq, &t, NULL) < 0) {
		assert(seq == 7 && t.status == 7);
		return;
	}
	assert((unsigned)t.outcome < REDIRECT_TESTED);
	for (const char *p = t.text; *p; p++)
		assert(*p >= 0x20 && *p < 0x7f);
	wire_put_tested(seq, &t, again);
	assert(size == sizeof(again) && memcmp(data, again, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_start(data, size);
	try_status(data, size);
	try_ports(data, size);
	try_tests(data, size);
	return 0;
}
