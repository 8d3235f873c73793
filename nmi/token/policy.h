/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"
#include "nmi/token/source.h"

#include <stdint.h>

/*
 * When a token is good to hand out, when it is renewed, and how long a failure is believed. Pure; the
 * cache asks, and each figure stands in policy.c with its reason.
 */

/* The last moment at which a token that came at `got` may be answered from memory. */
struct wall policy_usable_until(struct wall got, struct wall expires_on);
/* When to renew it, if it is in use; `dice` is any number, what makes the jitter. */
struct wall policy_renew_at(struct wall got, struct wall usable_until, uint32_t dice);
/* How long such a failure is answered again without asking the upstream. */
unsigned policy_remember_msec(const struct token_failure *fail);

/* A renewal that failed is tried again after a wait between these (backoff.h). */
#define POLICY_RENEW_RETRY_MIN_MSEC 5000
#define POLICY_RENEW_RETRY_MAX_MSEC 300000
/* A renewal may be answered with the very token that is here; it is not asked for again before this. */
#define POLICY_RENEW_MIN_SEC 30
/* Longest wait that an upstream may ask for; more would outlast whatever made it say so. */
#define POLICY_RETRY_AFTER_MAX_SEC 3600
