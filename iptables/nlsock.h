/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <netlink/netlink.h>

/* What every user of libnl here shares: a connected NETLINK_NETFILTER socket, and its errors in words. */
struct nl_sock *nlsock_new(struct err *err);
struct nl_sock *nlsock_free(struct nl_sock *sk);
DEFINE_CLEANUP(struct nl_sock, nlsock_free);

/* `code` is libnl's, negative. */
int nlsock_error(struct err *err, int code, const char *doing);
