/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"

/*
 * The process that connects to the metadata address as a pod would: see tester.c. Its messages are
 * datagrams on a socketpair with the redirector: a job down; from the child that does it TESTER_READY, down
 * its network; up TESTER_JOINED, down TESTER_GO, and up the outcome, as wire.h has it. No struct has padding.
 */
#define TESTER_READY  'r'
#define TESTER_JOINED 'j'
#define TESTER_GO     'g'

struct tester_job {
	uint8_t metadata_ip[4];
	uint16_t metadata_port;
	uint8_t nonce[REDIRECT_NONCE_BYTES];
};

#define TEST_LINK_MAX 16 /* the kernel's limit, with the NUL */
#define TEST_MAC      6

/* Two ends of a veth, and the test's address. */
struct test_net {
	char link[TEST_LINK_MAX]; /* of the node's end; the other one is TEST_PEER */
	uint8_t ip[4], mac[TEST_MAC], peer_mac[TEST_MAC];
};
#define TEST_PEER "eth0"

/* Longer than a handshake with one lost packet takes; a pod is microseconds away. */
#define TESTER_ANSWER_MSEC 2000
/* The kernel ends a child that is stuck. */
#define TESTER_CHILD_SEC 4
/* Then the redirector does not wait any longer: the child has ended, whatever it did. */
#define TESTER_WAIT_MSEC 4500

/* Forks it; `*fd` is the channel to it, which knows who writes (SO_PASSCRED). */
int tester_spawn(int *fd, struct err *err);

/* test_child.c: one job, in a process of its own, which it ends. */
_Noreturn void test_child(int fd, const struct tester_job *job);

/* test_answer.c: what an HTTP server, or whoever else, has answered. Pure. */
void test_answer_parse(const void *p, size_t n, struct redirect_test *out);
