/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/loop/loop.h"
#include "nmi/front/server.h"

#include <stddef.h>

/*
 * Connections that the HTTP library is done with and the kernel is not: their last answer is not yet
 * acknowledged. What the kernel still holds of it would be sent again, and again, to whoever has the
 * address next; so their fds are kept until that has happened, and reset when the peer loses its address.
 */
struct lingering { /* `struct linger` is the system's */
	struct loop *loop;
	struct lingerer *list; /* the oldest first */
	struct loop_timer look;
	size_t n;
};

/* Of a connection that is about to be closed: kept, if there is reason to. Takes the name of its pod. */
void linger_begin(struct lingering *g, struct exchange *x, int fd);
void linger_close_peer(struct lingering *g, const struct inet_ip *ip, server_meant_fn *meant,
		       const char *pod_uid);
void linger_deinit(struct lingering *g); /* resets what is left */
/* RST, and nothing that was written is sent any more; the fd stays open. */
void linger_abort(int fd);
