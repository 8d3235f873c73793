/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

/*
 * The Unix sockets of the agent, in its run directory (run_dir.h): `nmi status`, `nmi probe` and the
 * hand-over each have one, see unix(7).
 *
 * A socket is bound to a name that nobody knows and then renamed, so that there is no moment without one that
 * answers, and so that what an agent that died left behind is replaced without being asked. When the agent
 * ends, the name may be another's by then: the inode tells.
 */
struct local_listener;
struct loop;

/* A connection: non-blocking, to be closed by the callee. */
typedef void local_accept_fn(void *ctx, int fd);

/*
 * `type`: SOCK_STREAM or SOCK_SEQPACKET. The socket is the directory's owner's, whom the agent may be about to
 * become. Where there is no file descriptor left to accept with, it rests for a second. ERR_INPUT,
 * ERR_LIMIT: as local_address().
 */
struct local_listener *local_listener_new(struct loop *l, const char *dir, const char *name,
					  int type, local_accept_fn *fn, void *ctx,
					  struct err *err);
/* Its name is removed if it is still ours. */
struct local_listener *local_listener_free(struct local_listener *x);
DEFINE_CLEANUP(struct local_listener, local_listener_free);
/* The same, but the name stays, for another one to replace. */
struct local_listener *local_listener_leave(struct local_listener *x);

/* ERR_INPUT: the directory is empty; ERR_LIMIT: the name is too long. */
int local_address(struct sockaddr_un *out, const char *dir, const char *name, struct err *err);
/* Connected, and no send or receive takes longer than `msec`; -errno otherwise. */
int local_connect(const struct sockaddr_un *sun, int type, unsigned msec);
/* Root or our own kind; `owner`: or that user. Who it is comes out in any case, (uid_t)-1: not known. */
bool local_peer_is_ours(int fd, uid_t owner, uid_t *out);
