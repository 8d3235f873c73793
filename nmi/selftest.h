/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct metrics;

/*
 * Does a connection to the metadata address reach this agent? Asks the redirector to try, again and again,
 * and says by what came of it whether the node may be called ready. Owned by the agent.
 */
struct selftest;

enum selftest_kind {
	SELFTEST_OFF,	 /* --self-test=off: the rules are read back, and that is all */
	SELFTEST_RULES,	 /* rules of ours bring the traffic */
	SELFTEST_PLUGIN, /* somebody else does: --redirect-backend=none */
};

struct selftest_spec {
	enum selftest_kind kind;
	struct inet_ip metadata_ip; /* what is asked, for the texts */
	uint16_t metadata_port;
	uint16_t agent_port;
	/* redirect_try(); selftest_done() is called once, later, if it returns 0. */
	int (*try)(void *ctx, const uint8_t nonce[static REDIRECT_NONCE_BYTES], struct err *err);
	void *ctx;
	struct metrics *metrics; /* or NULL */
};

struct selftest *selftest_new(struct loop *l, const struct selftest_spec *spec);
/* The rules are in place, for the first time or once more. */
void selftest_start(struct selftest *s);
/* While another agent has the listener, or this one gives it away, nothing is tried; then at once. */
void selftest_pause(struct selftest *s);
void selftest_resume(struct selftest *s);
void selftest_done(struct selftest *s, const struct redirect_test *t);
/* The pods' listener was asked for this nonce; false: it is not one of this agent's test. */
bool selftest_asked(struct selftest *s, struct str nonce);
/* A pod asked for something else: with SELFTEST_PLUGIN that proves as much. */
void selftest_arrived(struct selftest *s);
/* The check of health.h; `why` says what came instead, and the next step. */
bool selftest_check(void *selftest, char *why, size_t size);
/* What came of the last one, for a person. */
#define SELFTEST_TEXT_MAX 320
void selftest_print(const struct selftest *s, char out[static SELFTEST_TEXT_MAX]);
/* Sets the gauges. */
void selftest_measure(const struct selftest *s);
struct selftest *selftest_free(struct selftest *s);
DEFINE_CLEANUP(struct selftest, selftest_free);
