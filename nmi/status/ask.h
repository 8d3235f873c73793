/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/jval.h"

#include <stddef.h>
#include <sys/types.h>

/* The other end of the agent's socket: for the commands of nmi, which may wait, but never for long. */

enum status_answer {
	STATUS_ANSWERED,
	STATUS_NOBODY,	/* there is no socket, or nobody listens at it */
	STATUS_DENIED,	/* it is not for this user */
	STATUS_SILENT,	/* an agent has it, and does not answer within the time */
	STATUS_GARBLED, /* what came is no answer of ours */
	STATUS_ERROR,	/* the agent understood, and says no */
};

struct status_reply {
	enum status_answer answer;
	struct jval *doc; /* of STATUS_ANSWERED; jval_free() */
	pid_t pid;	  /* of whoever has the socket, in our PID namespace; 0: not known */
	struct err err;	  /* else: in words, with the next step */
};

/* A document is under 16 KiB; a peer that sends without end is not believed. */
#define STATUS_REPLY_MAX ((size_t)1024 * 1024)

/* Asks in `dir`; never longer than `msec`. */
void status_ask(const char *dir, const char *line, unsigned msec, struct status_reply *out);

/* Pure: what was received, to its end. */
enum status_answer status_reply_parse(const char *p, size_t n, struct jval **out, struct err *err);
/* Text of somebody else, in place: what a terminal would obey is '?'. */
void status_clean(char *text);
