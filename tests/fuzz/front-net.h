/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;

/*
 * A network of this process alone, for a front that is fuzzed: listeners are event fds, connections are socket
 * pairs, and accept4(), getpeername(), getsockname() say the addresses that they are given here, to libmicrohttpd
 * too. Nothing is asynchronous, so a settled loop has nothing more to do, and random numbers are the same in each
 * run: an input does the same always.
 */

void net_reset(void); /* closes what nobody accepted; the random numbers begin anew */
int net_listen(void); /* an fd for struct front_spec.adopt, which is then the front's */
/* The client's end of a connection from that address, non-blocking. */
int net_connect(int listener, const char *ip);
void net_hang_up(int client);
/* Turns the loop until it is idle; aborts if it does not come to that. */
void net_settle(struct loop *l);
