/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"
#include "nmi/token/source.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * When a token is good to hand out, when it is renewed, how long a failure is believed, and whether it
 * is worth another try. Pure; the cache asks, and each figure stands in policy.c with its reason.
 *
 * Tries. The SDKs try again by themselves, three to five times (MSAL, azure-core), so what is tried here
 * multiplies theirs. It is worth it all the same, since they do not agree on what to repeat: old ones
 * give up at a 410, JavaScript at a bare 429. It is bounded three times over. A flight is tried at most
 * POLICY_TRIES times, only while a caller waits and the wait fits into that caller's patience: with five
 * SDK attempts that is twenty requests in two minutes for one key, however many callers there are. Once
 * an upstream has given nothing for as long as a hiccup lasts, nothing is tried twice: an outage is the
 * SDKs' to wait out, whose waits are longer. And each try costs its turn in the queue and its share of the
 * budget, as any other request does.
 */

/* The last moment at which a token that came at `got` may be answered from memory, and nobody is asked. */
struct wall policy_usable_until(struct wall got, struct wall expires_on);
/* From then until this moment it is the last resort: given if there is no other to be had. Not before the former. */
struct wall policy_last_until(struct wall usable_until, struct wall expires_on);
/*
 * Does such a failure leave the last resort? It does if it says nothing of the identity: the upstream could not be
 * asked, or gave no sense. A refusal does not, nor does what is wrong with that identity, its credential or the pod.
 */
bool policy_leaves_last(const struct token_failure *fail);
/* Does it end the last resort for good, whatever comes next? All of those but what is of one pod alone. */
bool policy_ends_last(const struct token_failure *fail);
/* When to renew it, if it is in use; `dice` is any number, what makes the jitter. */
struct wall policy_renew_at(struct wall got, struct wall usable_until, uint32_t dice);
/* How long such a failure is answered again without asking the upstream. */
unsigned policy_remember_msec(const struct token_failure *fail);
/*
 * How long to wait before asking once more after the try of this number (from 1) has failed so; 0: do
 * not. `failing_msec`: since when the upstream has given nothing. `dice` is any number.
 */
unsigned policy_retry_msec(const struct token_failure *fail, unsigned tries, uint64_t failing_msec,
			   uint32_t dice);

/* As often as a flight is tried, the first time included. */
#define POLICY_TRIES 4
/* A wait that an upstream asks for is waited out here up to this; longer ones the callers are told. */
#define POLICY_REST_MAX_MSEC 5000
/* At least so long, and up to twice, where the try before took as long as the wait was to be. */
#define POLICY_REST_MIN_MSEC 250
/* A try that a caller could not wait for this long is not made for that caller. */
#define POLICY_TRY_MIN_MSEC 500

/*
 * A request that was taken and is not answered, while later ones are: it was lost on the way, with the server that
 * had it perhaps, and is made once more, beside the first if there is room for both, instead of waiting until that is
 * given up after 15 s. Only once: it may as well be one that takes its time. IMDS and Entra answer within a second.
 */
#define POLICY_LOST_MSEC      3000
#define POLICY_LOST_LOOK_MSEC 500

/*
 * So long a caller waits for a new token where there is a last resort. IMDS and Entra answer within a second: who
 * keeps his token for its whole life, as many a tool does, is better off with the new one. Longer is an upstream
 * that hangs, and what is at hand is good.
 */
#define POLICY_LAST_WAIT_MSEC 1000

/* A renewal that failed is tried again after a wait between these (backoff.h). */
#define POLICY_RENEW_RETRY_MIN_MSEC 5000
#define POLICY_RENEW_RETRY_MAX_MSEC 300000
/* When the upstream answers again, those that wait longer than this for their next try do not. */
#define POLICY_RENEW_HURRY_MSEC 30000
/* A renewal may be answered with the very token that is here; it is not asked for again before this. */
#define POLICY_RENEW_MIN_SEC 30
/* Longest wait that an upstream may ask for; more would outlast whatever made it say so. */
#define POLICY_RETRY_AFTER_MAX_SEC 3600
