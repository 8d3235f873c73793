/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

struct health;
struct kube_client;
struct loop;

/*
 * The taint that a node is born with, so that no pod is put on it before there is an agent: taken off the
 * agent's own Node, once, when the agent is ready for the first time. Whatever its effect. It is never put on
 * again, by anybody's restart either; and if somebody else does, it stays until the next agent is ready.
 *
 * Needs get and patch on nodes. Never in the way of serving: what fails is told, and tried again ever more
 * slowly. Strings and `health` are borrowed and outlive it.
 */
struct taint;

struct taint *taint_new(struct loop *l, struct kube_client *client, const struct health *health,
			const char *node, const char *key);
struct taint *taint_free(struct taint *t);
DEFINE_CLEANUP(struct taint, taint_free);
