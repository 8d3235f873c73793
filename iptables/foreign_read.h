/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/foreign.h"
#include "lib/base/err.h"

/*
 * Reads that from the kernel, in this process, which needs CAP_NET_ADMIN for it and may be held up for some
 * milliseconds; changes nothing, loads no module. Names of all chains, the rules of a few. On an error the
 * struct has what was seen until then.
 */
int foreign_read(struct foreign *out, struct err *err);
