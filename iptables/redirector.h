/* SPDX-License-Identifier: MIT */
#pragma once

/* The life of the redirector's process; `fd` is its end of the socketpair. Never returns. */
_Noreturn void redirector_main(int fd);
