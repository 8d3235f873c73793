/* SPDX-License-Identifier: MIT */
#pragma once

/* What server.c needs of a response; see server.h for the rest. */

#include <stdbool.h>
#include <stddef.h>

struct MHD_Response;

struct response {
	unsigned refs;
	unsigned status;
	bool is_dated;
	struct MHD_Response *mhd;
	char *body;
	size_t body_len;
	void (*free_body)(char *body, size_t len);
};
