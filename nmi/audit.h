/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct loop;

/*
 * The audit log: one JSON object a line for each decision. Owned by the agent, written from the loop's thread.
 *
 * Writing never waits: what a full disk or a stuck reader does not take is dropped and counted, and as soon as
 * there is room a record says how many are missing, and since when. A record is at most PIPE_BUF bytes, so that
 * a pipe takes it whole or not at all; of one that a disk took in part nothing is left. What a record says
 * comes from pods in part, and is escaped, each text within a share of its own. No token, secret or assertion
 * is ever given to this module.
 */
struct audit;

#define AUDIT_VERSION 1

/* The types of audit.def. */
#define AUDIT_TYPE_STR	const char * /* NULL: null */
#define AUDIT_TYPE_INT	int64_t	     /* always there */
#define AUDIT_TYPE_TIME struct wall  /* 0: null */

/* Strings are borrowed for the call. Those of EVERY and DROPPED are audit.c's to fill. */
struct audit_record {
#define X(list, key, kind, member, share, meaning) AUDIT_TYPE_##kind member;
#include "nmi/audit.def"
#undef X
};

/*
 * "-" is stdout, anything else a regular file, made with mode 0640 if it is missing and appended to otherwise,
 * or a FIFO, which may have no reader yet. ERR_INPUT: it is something else, a symbolic link too. The file stays
 * the same for good, since the agent cannot open any other once it has given up its rights (isolate.h).
 */
struct audit *audit_new(struct loop *l, const char *path, struct err *err);
/* Says what is missing, if that can be written. */
struct audit *audit_free(struct audit *a);
DEFINE_CLEANUP(struct audit, audit_free);

void audit_write(struct audit *a, const struct audit_record *r);
/* Records that were not written, since it was made; NULL: 0. */
unsigned long audit_dropped(const struct audit *a);

/* The rows of audit.def, for the reference. */
struct audit_field {
	enum audit_list { AUDIT_EVERY, AUDIT_DECISION, AUDIT_DROPPED } list;
	const char *key;
	enum audit_kind { AUDIT_STR, AUDIT_INT, AUDIT_TIME } kind;
	size_t offset, share;
	const char *meaning;
};
extern const struct audit_field audit_fields[];
extern const size_t n_audit_fields;
