/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/log.h"
#include "lib/loop/loop.h"

#include <stdbool.h>
#include <sys/socket.h>

/*
 * Accepts the connections of a socket that listens, a few in each turn of the loop, so that those that there are
 * already are served meanwhile. It rests while there is no room for one more, and while there is no file, or no memory
 * of the kernel's, for it; then it is as if nobody listened, and who comes waits in the socket's queue.
 *
 * Embedded in its owner; all-zero is stopped. The call-backs are called from the loop, and from acceptor_all(); none may
 * stop or free it.
 */
struct acceptor_use {
	bool (*has_room)(void *ctx); /* for one more; if not, acceptor_wake() tells when */
	/* Takes the fd, which does not block and is close-on-exec. */
	void (*take)(void *ctx, int fd, const struct sockaddr *peer, socklen_t n);
	/*
	 * Somebody waits and there is no file for it: true if one, that of a connection that is needed less, has been closed
	 * when it returns.
	 */
	bool (*spare)(void *ctx);
};

struct acceptor {
	struct loop *loop; /* NULL: stopped */
	const struct acceptor_use *use;
	void *ctx;
	int fd;
	bool rests;	       /* not in the loop: `again`, or acceptor_wake(), ends it */
	struct loop_fd source; /* while it does not rest */
	struct loop_timer again;
	struct log_limit said;
};

/* The fd stays the caller's, and is open until acceptor_stop(). ctx is what the call-backs are given. */
int acceptor_start(struct acceptor *a, struct loop *l, int fd, const struct acceptor_use *use,
		   void *ctx, struct err *err);
void acceptor_stop(struct acceptor *a); /* again is fine */
/* Something has ended that may have made room, or freed a file: it is looked in the next turn. From anywhere. */
void acceptor_wake(struct acceptor *a);
/* All that wait, as far as there is room: before the socket is closed, which resets them. */
void acceptor_all(struct acceptor *a);
