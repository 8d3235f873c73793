/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/pods/place.h"
#include "tests/scenario/world.h"

#include <stdbool.h>
#include <stdint.h>

/* What test-interleavings.c knows of a node: what is so, what the API server has, what the agent has seen. */

#define IPS	 3
#define PODS	 24 /* in one run, one after the other */
#define LABELS	 4
#define ASKS	 6
#define EVENTS	 128
#define LONG_MAX 4 /* long waits in one run: each may ask the API server for each IP */

/* A version of a pod's object. */
struct version {
	bool exists, has_ip, ended, deleting;
	int label;
	int64_t ran; /* when its container was started; 0: not yet */
};

struct mpod {
	char uid[8];
	int ip;
	uint32_t link;
	bool has_net;	 /* the link stands */
	bool was_unseen; /* the link has gone before the agent knew the IP */
	int64_t started;
	bool was_disturbed; /* its route led to another pod's link, or it was deleted: need not be served */
	struct version api;  /* at the API server */
	struct version seen; /* by the agent */
	bool was_removed;    /* as far as the agent has seen */
	unsigned vouched;    /* labels (bits) that it had when the API server was asked directly */
};

struct event {
	int pod;
	struct version now;
};

struct news {
	enum { NEWS_GONE, NEWS_MOVED } what;
	uint32_t link;
	int ip;
};

struct ask {
	struct told told;
	int ip;
	unsigned calls;
};

enum kind { POD, LINK, BINDING, IDENTITY, REQUEST, KINDS };

struct model {
	struct world *w;
	bool is_random;		  /* what happens now is by chance */
	unsigned happened[KINDS]; /* by chance */
	unsigned state;		  /* of the random numbers */
	struct mpod pods[PODS];
	int n_pods;
	uint32_t route[IPS]; /* the link, or 0 */
	uint32_t newest;
	int binding[LABELS]; /* which identity, or -1 */
	unsigned version[LABELS];
	int last_label[IPS];
	struct event events[EVENTS];
	int n_events, next_event;
	struct news news[EVENTS];
	int n_news;
	struct ask asks[ASKS];
	int longs;
	bool was_restarted; /* what this agent has not seen it cannot know */
	unsigned granted, unseen;
	char log[16384];
	struct place_source source;
	struct unclaimed *unclaimed;
};
