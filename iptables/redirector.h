/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"

/* The life of the redirector's process; `fd` is its end of the socketpair. Never returns. */
_Noreturn void redirector_main(int fd, enum redirect_backend wanted);
