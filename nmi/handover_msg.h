/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/inet.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What two agents of a node say to each other when one takes the other's place (handover.h). Pure.
 *
 *	the newcomer				the one in charge
 *	HELLO				─▶
 *					◀─	OFFER, with the fd of each listener; or BUSY: another has it
 *	TAKE, when it is ready		─▶	stops accepting
 *					◀─	YOURS; also unasked, when it has to stop
 *	SETTLED, when it has given	─▶	will not have to take them back
 *	  them to a third
 *
 * The first eight bytes are for ever; HANDOVER_VERSION counts what changes behind them. Agents of different
 * versions tell it from there, and do without: they can be of any age.
 */
#define HANDOVER_VERSION	1
#define HANDOVER_LISTENERS_MAX	8
#define HANDOVER_LISTENER_BYTES 20
#define HANDOVER_MSG_BYTES	(16 + HANDOVER_LISTENERS_MAX * HANDOVER_LISTENER_BYTES)

enum handover_kind {
	HANDOVER_HELLO = 1,
	HANDOVER_OFFER,
	HANDOVER_BUSY,
	HANDOVER_TAKE,
	HANDOVER_YOURS,
	HANDOVER_SETTLED,
	HANDOVER_KINDS
};

/* As its owner was told to listen: `ip` may be :: where the socket has 0.0.0.0, on a node without IPv6. */
struct handover_listener {
	uint8_t role; /* what it is for: of the front; < 32 */
	struct inet_ip ip;
	uint16_t port;
	int fd; /* not in the message's bytes: it travels beside them */
};

struct handover_msg {
	enum handover_kind kind;
	uint32_t roles; /* TAKE: those that are taken, one bit each; else 0 */
	size_t n;	/* OFFER; else 0 */
	struct handover_listener listeners[HANDOVER_LISTENERS_MAX];
};

void handover_msg_print(const struct handover_msg *m, uint8_t out[static HANDOVER_MSG_BYTES]);
/* fds are -EBADF then. ERR_UNAVAILABLE: of another version, which the message names; ERR_INPUT: it is none. */
int handover_msg_parse(const void *p, size_t n, struct handover_msg *out, struct err *err);
