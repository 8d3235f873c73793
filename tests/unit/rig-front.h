/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/metric.h"
#include "lib/loop/loop.h"
#include "nmi/front/front.h"
#include "nmi/health.h"
#include "nmi/proxy.h"
#include "tests/unit/fake-http.h"
#include "tests/unit/fake-issue.h"
#include "tests/unit/raw-client.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A front on a loop with a fake clock, real loopback sockets, a fake issuer and a fake IMDS, and
 * clients that speak raw bytes to it. Everything happens in one thread: reading turns the loop.
 */
struct rig {
	struct loop *loop;
	struct front *front;
	struct front_spec spec;
	bool any_address; /* listen on "::", rather than on 127.0.0.1 where none is set */
	struct issuer issuer;
	struct token token;
	struct http_client http;
	struct proxy *proxy;
	struct health health;
	struct metrics *metrics;
};

void rig_start(struct rig *r); /* what is set in r->spec before is kept */
void rig_stop(struct rig *r);
/* Turn the loop until nothing happens any more. */
void rig_settle(struct rig *r);
uint16_t rig_free_port(void);

struct client *client_open(struct rig *r, uint16_t port);
/* From `from` to `to`, of loopback; `from` NULL: as the kernel chooses. */
struct client *client_open_at(struct rig *r, const char *from, const char *to);
/* One request on a connection of its own to the pods' listener. */
struct answer ask(struct rig *r, const char *request);
/* GET of a target with Host and Metadata. */
struct answer ask_target(struct rig *r, const char *target);
struct answer ask_port(struct rig *r, uint16_t port, const char *request);

#define BODY "{\"access_token\":\"not-a-token\",\"token_type\":\"Bearer\"}"
