/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/inet.h"
#include "lib/base/str.h"
#include "nmi/handover_msg.h"
#include "nmi/peer_uid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct audit;
struct health;
struct issuer;
struct loop;
struct metrics;
struct proxy;

/*
 * The HTTP surface: the listeners (pods, the host's processes, probes, metrics) on the loop, the routes
 * of routes.c, and the only place that knows libmicrohttpd.
 */
struct front;

/* Which processes of this host are given tokens in a pod's name, at /host/token. */
enum front_host { FRONT_HOST_OFF, FRONT_HOST_ROOT, FRONT_HOST_ANY };

struct front_spec {
	struct inet_ip address; /* of the pods' listener; unspecified: all */
	uint16_t port;
	uint16_t probe_port;   /* 0: no such listener */
	uint16_t metrics_port; /* 0: no such listener */
	bool metadata_header_required;
	bool block_instance_metadata;
	enum front_host host_token;
	peer_uid_fn *peer_uid; /* needed for FRONT_HOST_ROOT */
	struct issuer *issuer;
	struct proxy *proxy;
	const struct health *health;
	struct metrics *metrics;
	struct audit *audit; /* NULL: there is none */
	/* Is this the nonce of a self-test under way? NULL: of none. */
	bool (*self_test)(void *ctx, struct str nonce);
	void (*arrived)(void *ctx); /* anything else was asked of the pods' listener; or NULL */
	void *self_test_ctx;
	void (*before_metrics)(void *ctx); /* refresh gauges before they are read; may be NULL */
	void *before_metrics_ctx;
	/*
	 * Gives the fd of a listener like this one that another agent hands over, to be taken, or -EBADF.
	 * Nothing is accepted on it before front_start(). May be NULL.
	 */
	int (*adopt)(void *ctx, const struct handover_listener *want);
	void *adopt_ctx;
};

/* Where the agent asks itself, by way of the metadata address: the nonce follows. */
#define FRONT_SELF_TEST "/nmi/self-test/"
/* The answer to any other nonce begins so. */
#define FRONT_SELF_TEST_OTHER "nmi: no such self-test"

/* What may change while it runs; for requests that come from then on. */
struct front_rules {
	bool metadata_header_required;
	bool block_instance_metadata;
	/* With FRONT_HOST_OFF at the start there is no listener for it, and nothing that would change that. */
	enum front_host host_token;
};

struct front *front_new(struct loop *l, const struct front_spec *spec, struct err *err);
void front_set_rules(struct front *f, const struct front_rules *rules);
/* Accepts on everything from now on; again is fine. */
void front_start(struct front *f);
/*
 * Takes no new connections; those with a request under way are finished. Idle ones end soon if `cut_idle`,
 * else behind their next answer.
 */
void front_drain(struct front *f, bool cut_idle);

/* What there is to hand over; the fds stay the front's. */
size_t front_listeners(struct front *f,
		       struct handover_listener out[static HANDOVER_LISTENERS_MAX]);
/* Stops accepting on these, one bit each; the fds are kept, so that nothing that waits there is lost. */
void front_hand_over(struct front *f, uint32_t roles);
/* Accepts on them again. */
void front_take_back(struct front *f);
/* They will not be taken back: closed. */
void front_settle(struct front *f);
/*
 * Ends the connections from that address that belong to this pod: it has the address no longer. At once
 * nothing more is sent on them; requests under way are cancelled from the loop. Those of which it has not
 * been decided whose they are stay: the address's next pod may have made them. May be called from anywhere.
 */
void front_close_peer(struct front *f, const struct inet_ip *ip, const char *pod_uid);
size_t front_connections(const struct front *f); /* of pods and the host, of all times */
struct front *front_free(struct front *f);	 /* ends what is under way */
DEFINE_CLEANUP(struct front, front_free);

/* The route table, one row a line, tab-separated: listener, methods, path, summary. */
void front_print_routes(FILE *out);
