/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/status/fields.h"

/* The status as the JSON document that goes through the socket; compact, on the heap. */
char *status_document_print(const struct status_agent *a, size_t *out_n);
