/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"

/*
 * What crosses the socketpair: one message down, then statuses up, each a datagram of fixed size.
 * Pure. The readers trust nothing: nmi meets hostile HTTP, and the redirector has a capability.
 */
#define WIRE_START_BYTES  48
#define WIRE_STATUS_BYTES 216

void wire_put_start(const struct redirect_spec *spec, uint8_t out[static WIRE_START_BYTES]);
int wire_get_start(const void *p, size_t n, struct redirect_spec *out, struct err *err);
void wire_put_status(const struct redirect_status *s, uint8_t out[static WIRE_STATUS_BYTES]);
int wire_get_status(const void *p, size_t n, struct redirect_status *out, struct err *err);
