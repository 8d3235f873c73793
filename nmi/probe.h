/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct health;
struct loop;

/*
 * `nmi probe`: is the agent of this container alive, or ready? While one agent replaces another, both are on the
 * host's network and share the port of /readyz, so that a probe over HTTP may be answered by the other one.
 * Here each has a socket of its own in --run-directory, named after the two things that tell them apart and
 * that `kubectl exec`, as the kubelet does it, has in common with the agent: the mount namespace of its
 * container, and its pid as it is seen there. (The network namespace, and so an abstract name, is shared.)
 */
struct probe;

/* Answers from now on. Names that agents left which are gone are removed. */
struct probe *probe_new(struct loop *l, const char *dir, const struct health *health,
			struct err *err);
struct probe *probe_free(struct probe *p);
DEFINE_CLEANUP(struct probe, probe_free);

/*
 * Asks the agent of this mount namespace with that pid; 0: whichever there is, and more than one is
 * ERR_INPUT. `ready` and the lines of its checks are written on success. ERR_UNAVAILABLE: none answers.
 * Waits for LIMIT_HANDOVER_MSEC at most.
 */
#define PROBE_TEXT_MAX 4096
int probe_ask(const char *dir, pid_t pid, bool *ready, char text[static PROBE_TEXT_MAX],
	      struct err *err);
