/* SPDX-License-Identifier: MIT */
#pragma once

/* What server.c needs of a response; see server.h for the rest. */
struct MHD_Response;

struct response {
	unsigned refs;
	unsigned status;
	struct MHD_Response *mhd;
	char *body;
	size_t body_len;
	void (*free_body)(char *body, size_t len);
};
