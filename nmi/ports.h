/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"
#include "lib/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct loop;
struct pod_store;

/*
 * Tells the redirector which port of a bridge each pod's address belongs to, as the pod store learns it.
 * Owned by the agent; freed before the store is.
 */
struct ports;

struct ports_spec {
	struct pod_store *store;
	/* The name of a link, NULL when it is gone; borrowed until the next call. */
	const char *(*name)(void *ctx, uint32_t link);
	/* redirect_set_ports() */
	int (*set)(void *ctx, const struct redirect_port *ports, size_t n, struct err *err);
	void *ctx;
};

struct ports *ports_new(struct loop *l, const struct ports_spec *spec);
struct ports *ports_free(struct ports *p);
DEFINE_CLEANUP(struct ports, ports_free);
