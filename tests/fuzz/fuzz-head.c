/* SPDX-License-Identifier: MIT */

/* Header blocks, one "name: value" a line: what has no fault is unambiguous. */

#include "nmi/front/head.h"
#include "tests/fuzz/fuzz.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size };
	struct head h = { 0 };

	while (rest.n) {
		const char *end = memchr(rest.p, '\n', rest.n);
		struct str name = { rest.p, end ? (size_t)(end - rest.p) : rest.n },
			   value = STR("");
		const char *colon = memchr(name.p, ':', name.n);

		rest.p += name.n + (end ? 1 : 0);
		rest.n -= name.n + (end ? 1 : 0);
		if (colon) {
			value = (struct str){ colon + 1, name.n - (size_t)(colon - name.p) - 1 };
			name.n = (size_t)(colon - name.p);
		}
		head_add(&h, name, value);
	}
	head_end(&h, "HTTP/1.1");
	if (!h.fault)
		check(h.hosts == 1 && h.lengths <= 1 && h.encodings <= 1 &&
		      !(h.lengths && h.encodings));
	check(!head_has_metadata(&h) || h.metadata == 1);
	check(h.client_request_id[0] == '\0' || strlen(h.client_request_id) == GUID_LEN);
	check(!strpbrk(h.client_request_id, "\"\\<>\r\n"));
	return 0;
}
