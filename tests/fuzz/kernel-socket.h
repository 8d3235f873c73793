/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

/*
 * Sockets to the kernel that are none: linked in place of the C library's, so that what is sent goes nowhere and is
 * checked, and there is always something to be read. What is read, recvmsg() and the like, is the fuzz target's own.
 */
extern uint32_t kernel_socket_port;  /* who we are: as it was bound */
extern uint32_t kernel_socket_asked; /* the last sequence number sent */
