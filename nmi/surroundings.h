/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/foreign.h"
#include "lib/base/cleanup.h"
#include "lib/base/inet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What this node has around the agent, judged once at start: one line for each thing that matters to whether
 * pods come here, what follows, and what to do. Pure; nmi/surroundings_read.c fills what is judged. Nothing
 * depends on it: that pods do come here is what the self-test proves.
 */

/* What was read. All-zero but for the addresses is a node with nothing around. */
struct around {
	struct foreign foreign;
	char cilium_link[16]; /* "": none */
	bool ipvs_link;	      /* kube-ipvs0 */
	bool guest_proxy;     /* 127.0.0.1:3080 is listened on */
	char other_listener
		[INET_IP_PORT_TEXT_MAX]; /* on loopback, where this agent's port is another's */
	char route_localnet[16];	 /* "all", or the link; "": not set */
	bool has_ipv4, has_ipv6;	 /* an address that others can reach */
	bool has_rules;			 /* this agent writes packet rules */
	char unread[200];		 /* why something is missing above; "": nothing is */
};

enum surrounding {
#define X(id, name, level, found, follows, next) SURROUNDING_##id,
#include "nmi/surroundings.def"
#undef X
	SURROUNDING_KINDS
};

/* At most one of each, but for the chains of others. */
#define SURROUNDINGS_MAX ((size_t)SURROUNDING_KINDS + 2 * (size_t)FOREIGN_CHAINS_MAX)

struct surroundings {
	size_t n;
	enum surrounding kind[SURROUNDINGS_MAX];
	char *lines[SURROUNDINGS_MAX]; /* "name: found; follows; next", of printable ASCII */
};

struct surroundings *surroundings_judge(const struct around *a);
struct surroundings *surroundings_free(struct surroundings *s);
DEFINE_CLEANUP(struct surroundings, surroundings_free);

/* A line of the log each: a warning where somebody has to act. */
void surroundings_log(const struct surroundings *s);
const char *surrounding_name(enum surrounding kind);
