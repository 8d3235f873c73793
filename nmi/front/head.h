/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define GUID_LEN STR_GUID_LEN

/*
 * What the header block of a request says, gathered one header at a time. Pure. It is stricter than
 * the HTTP library: whatever two readers could understand differently is a fault.
 */
struct head {
	const char
		*fault; /* the first thing that is wrong, a sentence without a full stop; or NULL */
	unsigned hosts, lengths, encodings;
	unsigned metadata;  /* headers of that name */
	bool metadata_true; /* one of them is exactly "true" */
	bool forwarded_for;
	uint64_t content_length;
	char client_request_id[GUID_LEN + 1]; /* x-ms-client-request-id if it is a GUID, else "" */
};

/* A header as the HTTP library gave it: the name is not trusted to be one. */
void head_add(struct head *h, struct str name, struct str value);
/* After the last one; `version` is the request line's. */
void head_end(struct head *h, const char *version);
/* Metadata: true, exactly once. */
static inline bool head_has_metadata(const struct head *h)
{
	return h->metadata == 1 && h->metadata_true;
}
