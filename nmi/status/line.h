/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/str.h"

/*
 * The agent's socket: who connects sends one line, a command and what it is about, and is given one JSON
 * document and the end of the stream.
 */
#define STATUS_SOCKET "nmi.sock" /* in --run-directory */
/* With its end. Room for a namespace and a name, which are 253 bytes at most each (RFC 1123). */
#define STATUS_LINE_MAX 600

enum status_line {
	STATUS_LINE_WHOLE,
	STATUS_LINE_PART, /* more is to come */
	STATUS_LINE_BAD,  /* too long, or not printable ASCII */
};

/*
 * What was received until now; `ended`: nothing more comes. Of a whole line `command` and `args` (which may
 * be empty) are borrowed from `p`; what is behind its end is ignored.
 */
enum status_line status_line_parse(const char *p, size_t n, bool ended, struct str *out_command,
				   struct str *out_args);
