/* SPDX-License-Identifier: MIT */
#pragma once

#include <microhttpd.h>

struct head;

/*
 * The header lines of a request, as libmicrohttpd has read them, go into `head`; and what it has passed over is seen:
 * RFC 9112, 2.2 and 5, allows less than it takes.
 *
 * `method` and `version` are the ones that the access handler is called with, since they point into the block that
 * was read. Returns what is wrong with the lines before they are understood, a literal, or NULL.
 */
const char *lines_read(struct MHD_Connection *mhd, const char *method, const char *version,
		       struct head *head);
/* Those behind a chunked body. */
void lines_read_trailers(struct MHD_Connection *mhd, struct head *head);
