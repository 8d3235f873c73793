/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

struct loop;

/*
 * Answers questions about the agent on a unix socket of the run directory (line.h says how one asks). Only
 * root and our own user may, as the kernel names them. A few connections at a time, each for a moment; past
 * that the oldest makes room, so that those who say nothing keep nobody out.
 *
 * Of several agents on a node, as during an upgrade, the one that came last has the name.
 */
struct status_server;

/* Commands are the caller's. The answer is a JSON document on the heap; called from the loop. */
struct status_command {
	const char *name;
	char *(*answer)(void *ctx, struct str args, size_t *out_n);
};

/*
 * `commands` must outlive the server. Done while there are privileges: the socket is given to whoever the
 * directory belongs to. ERR_OS: it cannot be had.
 */
struct status_server *status_server_new(struct loop *l, const char *dir,
					const struct status_command *commands, size_t n, void *ctx,
					struct err *err);
/* The name goes, unless another agent has taken it. */
struct status_server *status_server_free(struct status_server *s);
DEFINE_CLEANUP(struct status_server, status_server_free);
