/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/inet.h"

#include <stdint.h>
#include <sys/types.h>

/* The two ends of a TCP connection within this network namespace, as its server sees them. */
struct tcp_ends {
	struct inet_ip client, server;
	uint16_t client_port, server_port;
};

/*
 * Whose process holds the client's end, as the kernel has it. An error means that it is not known, which
 * is never a reason to trust: ERR_UNAVAILABLE, or what went wrong. Does not block, and needs no
 * capability.
 */
int peer_uid_find(const struct tcp_ends *ends, uid_t *out, struct err *err);
typedef int peer_uid_fn(const struct tcp_ends *ends, uid_t *out, struct err *err);
