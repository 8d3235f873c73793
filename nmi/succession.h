/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct front;
struct front_spec;
struct health;
struct loop;

/*
 * The agent's place in the line of agents of this node: it opens the front, with the listeners of the agent
 * before where there is one (handover.h), and gives them to the next.
 */
struct succession;

/* Has an agent left its socket in `dir` ("": there is no directory)? Most likely it runs. */
bool succession_is_expected(const char *dir);

/* What pods ask comes to this agent, from now on, or no longer. */
typedef void succession_charge_fn(void *ctx, bool in_charge);

/* `dir`: of the socket, must outlive it; NULL: no line. */
struct succession *succession_new(struct loop *l, const char *dir, const struct health *health,
				  succession_charge_fn *charge, void *ctx);
/* The front goes first. */
struct succession *succession_free(struct succession *s);
DEFINE_CLEANUP(struct succession, succession_free);

/*
 * Opens the front, which is the caller's. A port in use is tried again for LIMIT_LISTEN_WAIT_MSEC, with
 * turns of the loop meanwhile; `stopping`, changed by them, ends that.
 */
struct front *succession_open(struct succession *s, const struct front_spec *spec,
			      const bool *stopping, struct err *err);
/* Takes over when the checks of `health` that need no traffic pass, and accepts from then on. */
void succession_start(struct succession *s);
/* Stops accepting. True: another agent accepts in our place. */
bool succession_stop(struct succession *s);
/* Of health_add_traffic(). `ctx` is the succession. */
bool succession_check(void *ctx, char *why, size_t size);
