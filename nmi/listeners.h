/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/inet.h"
#include "lib/base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Who listens on TCP over IPv4 in this network namespace, from the text of /proc/net/tcp (proc(5)). */
struct listener {
	struct inet_ip ip;
	uint16_t port;
};

/*
 * The first listener of `text`, which afterwards begins behind it. False: there is none in it, up to the
 * last whole line; the rest is left in `text`, for more to be appended. The kernel lists those that listen
 * first: `out_more` is false after a socket that does not.
 */
bool listeners_next(struct str *text, struct listener *out, bool *out_more);

/* Calls `fn` for each, until it says false. Reads this namespace's file, 256 KiB of it at most. */
typedef bool listener_fn(void *ctx, const struct listener *l);
bool listeners_each(listener_fn *fn, void *ctx); /* false: it could not be read */
