/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/tester.h"

#include <sys/types.h>

/*
 * The network of a self-test, laid as Azure CNI lays a pod's: the node's end of the veth has no IPv4
 * address, a /32 route leads to the test's, and whatever is needed to know a neighbour is given, so that
 * nobody asks by ARP. No step waits for the network; all is gone with the namespace of `pid`.
 */

/* A name and an address that nobody has yet, as far as can be guessed. */
int test_net_choose(struct test_net *out, struct err *err);
/*
 * On the node: the veth, whose other end is in the network namespace of `pid`. ERR_LIMIT: the name is taken,
 * choose another.
 */
int test_net_make(const struct test_net *net, pid_t pid, struct err *err);
/*
 * Once the other end is up: the node's end, and the route. In this order the node's end passes packets when
 * the call returns; the kernel lets the end that is up first wait for a work queue (linkwatch), up to which
 * it drops what is sent.
 */
int test_net_open(const struct test_net *net, struct err *err);
/* In that namespace: address and route. `ifindex` is TEST_PEER's. */
int test_net_join(const struct test_net *net, unsigned ifindex, struct err *err);
/* There, once the node's end is open: until that end passes packets, too, or so many milliseconds are over. */
void test_net_await(unsigned ifindex, unsigned msec);
