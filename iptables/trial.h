/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"
#include "lib/base/cleanup.h"

#include <stdbool.h>

struct loop;

/*
 * The redirector's part in a self-test: it lays the network of it, and passes on what came of it. `fd` is
 * the channel of tester_spawn(), taken; negative: there is none, and each test is told to be impossible.
 */
struct trial;

struct trial *trial_new(struct loop *l, int fd, redirect_tested_fn *fn, void *ctx);
/* One that is under way is forgotten. */
bool trial_is_under_way(const struct trial *s);
void trial_try(struct trial *s, const struct redirect_spec *spec,
	       const uint8_t nonce[static REDIRECT_NONCE_BYTES]);
struct trial *trial_free(struct trial *s);
DEFINE_CLEANUP(struct trial, trial_free);
