/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "nmi/handover_msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/*
 * One agent takes the place of another on the same node, without a connection that is refused: it gets the
 * listening sockets themselves, and accepts on them when it is ready; the other stops then, and finishes
 * what it has. See docs/decisions/014-listeners-are-handed-over.md, and handover.c for the states.
 */
struct handover;
#define HANDOVER_SOCKET "handover.sock" /* in --run-directory */

/* Why this agent is in charge. */
enum handover_cause {
	HANDOVER_ALONE, /* nobody was */
	HANDOVER_GIVEN, /* the one before handed over */
	HANDOVER_LEFT,	/* the one before ended, without a word */
	HANDOVER_BACK,	/* the one that took over from this one ended */
};

/* All but `listeners` and `is_ready` are called from the loop, or from handover_start(). */
struct handover_spec {
	const char *
		dir; /* of the socket, must outlive it; NULL: nobody is asked, and nobody can take over */
	/* What there is to give; the fds stay the callee's. */
	size_t (*listeners)(void *ctx, struct handover_listener out[static HANDOVER_LISTENERS_MAX]);
	bool (*is_ready)(void *ctx); /* to serve pods? Asked often while another is in charge */
	void (*in_charge)(void *ctx, enum handover_cause cause); /* accept on everything */
	void (*given)(void *ctx, uint32_t roles); /* stop accepting on these; they may come back */
	void (*settled)(void *ctx);		  /* they will not */
	void *ctx;
};

struct handover *handover_new(struct loop *l, const struct handover_spec *spec);
struct handover *handover_free(struct handover *h);
DEFINE_CLEANUP(struct handover, handover_free);

/*
 * Asks who is in charge for his listeners, before the loop runs: waits for at most 2 * LIMIT_HANDOVER_MSEC.
 * Again is fine: what was given before is given up.
 */
enum handover_answer {
	HANDOVER_NOBODY,  /* is there */
	HANDOVER_OFFERED, /* handover_adopt() has them */
	HANDOVER_REFUSED, /* `err` says why: open listeners without him */
};
enum handover_answer handover_ask(struct handover *h, struct err *err);
/* The fd of an offered listener with this role, address and port, now the caller's; or -EBADF. */
int handover_adopt(struct handover *h, const struct handover_listener *want);
/* The listeners are there. Alone, in_charge() is called at once; else when is_ready() or he is gone. */
void handover_start(struct handover *h);

bool handover_is_in_charge(const struct handover *h);
/*
 * This agent stops. One that waits to take over is told to do so now. True: another one accepts on what
 * was handed over, so that nobody who hangs up and comes again is refused.
 */
bool handover_stop(struct handover *h);
