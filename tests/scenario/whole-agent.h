/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/health.h"
#include "tests/scenario/world.h"
#include "tests/unit/fake-http.h"
#include "tests/unit/raw-client.h"

#include <stdint.h>

struct front;
struct imds_source;
struct metrics;
struct proxy;

/*
 * A world (world.h) with the front before it and the real source of IMDS behind it: all that is between a pod's
 * socket and the request to IMDS, which is the test's to answer. As root, in a network of this process's own.
 */
struct whole_agent {
	struct world w;
	struct http_client http;
	struct imds_source *imds;
	struct proxy *proxy;
	struct metrics *metrics;
	struct health health;
	struct front *front;
	uint16_t port;
};

void whole_agent_init(struct whole_agent *a, void (*init)(struct world *w));
void whole_agent_deinit(struct whole_agent *a);
/* A connection of the pod with that address, of 10.0.0.0/8. */
struct client *whole_agent_pod(struct whole_agent *a, const char *ip);
/* IMDS answers all that waits for it. `retry_after`: or NULL. */
void whole_agent_imds_says(struct whole_agent *a, long status, const char *body,
			   const char *retry_after);
