/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "nmi/issue.h"
#include "nmi/limits.h"

#include <stdbool.h>

/* Parameters in one query; an SDK sends at most five. */
#define QUERY_PARAMS_MAX 32

/*
 * The query of a token request, decoded. Pure. Names are exact, unknown ones ignored; what IMDS
 * refuses is refused: the same name twice, more than one selector, no api-version.
 */
struct query {
	const char *resource;	  /* all strings are in `store`, NUL-terminated, printable ASCII */
	const char *api_version;  /* query_parse_host(): "" where it is absent, and anything else */
	struct selector selector; /* an empty value counts as none */
	bool bypass_cache;
	/* every name and value with its NUL; scratch: undefined after a refusal */
	char store[LIMIT_TARGET_BYTES + 2 * QUERY_PARAMS_MAX];
};

/* ERR_INPUT or ERR_LIMIT say which parameter and what to do; all but `store` is then left alone. */
int query_parse(struct str raw, struct query *out, struct err *err);
/* The same of a request in a pod's name, which needs no api-version. */
int query_parse_host(struct str raw, struct query *out, struct err *err);
/* Nothing but printable ASCII without space, backslash and #: may be forwarded as it is. */
bool query_is_plain(struct str raw);
