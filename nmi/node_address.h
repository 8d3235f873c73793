/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/inet.h"

/*
 * An IPv4 address of this node for pods to be redirected to: the one that the kernel would use to talk
 * to `peer`, else the first global one of an interface that is up. ERR_UNAVAILABLE says what to set.
 */
int node_address_find(const struct inet_ip *peer, struct inet_ip *out, struct err *err);
