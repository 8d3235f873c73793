/* SPDX-License-Identifier: MIT */

/* Bodies that are not JSON: protobuf where the first byte is 'k', YAML otherwise. */

#include "tests/fuzz/fuzz.h"
#include "tests/sandbox/apiserver/files.h"
#include "tests/sandbox/apiserver/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct err err = { 0 };
	json_t *got;

	got = size && *p == 'k' ? proto_decode(p, size, &err) : yaml_parse(p, size, &err);
	if (!got && (err.kind == ERR_NONE || !err.msg[0]))
		abort();
	if (got && err.kind != ERR_NONE)
		abort();
	json_decref(got);
	return 0;
}
