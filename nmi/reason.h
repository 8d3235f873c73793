/* SPDX-License-Identifier: MIT */
#pragma once

/* Why a request was refused; the rows and their meaning are in reasons.def. */
enum reason {
	REASON_NONE, /* it was granted */
#define X(name, code, status, error, retry_after) REASON_##name,
#include "nmi/reasons.def"
#undef X
	REASONS,
};

/* How Entra calls a request that it refused, and when that was: what its support asks for. "": not said. */
#define UPSTREAM_CODES_MAX 4

struct upstream_trace {
	unsigned codes[UPSTREAM_CODES_MAX]; /* AADSTS numbers */
	unsigned n_codes;
	char trace_id[40], correlation_id[40], timestamp[32];
};
