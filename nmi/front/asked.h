/* SPDX-License-Identifier: MIT */
#pragma once

#include "mic-client/match.h"
#include "nmi/front/query.h"

#include <stdbool.h>

struct metric_series;
struct route;

/*
 * What the target of a connection's last request was read as. An SDK asks for the same with every request, and
 * reading is pure: the same bytes mean the same. It is for a connection by itself, so nobody can push out what is
 * another's. Only the target: headers, method, and what the asker may have, are looked at each time.
 */
struct asked {
	const struct route *route;
	const char *resource;
	struct selector selector;
	bool bypass_cache;
	/*
	 * What a grant of it counts in, once there was one; NULL: none. The labels are the same as long as the
	 * connection is one pod's.
	 */
	struct metric_series *granted;
	char text[]; /* of resource and selector */
};

/* One piece of the heap: free() it. */
struct asked *asked_new(const struct route *route, const struct query *q);
