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
