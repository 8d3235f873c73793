/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <stdint.h>

/*
 * The kernel's generation number of nftables: each commit, by whomever, adds one. Asking for it is
 * also the cheapest proof that this kernel has nftables and that we may use it. Blocks briefly.
 */
int generation_read(uint32_t *out, struct err *err);
