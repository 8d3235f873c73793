/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/hmap.h"
#include "lib/base/inet.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * How the connections of one listener are shared out among the addresses that they come from. While there is
 * room, whoever comes may stay. When it is short, who has the most makes room for who has less: so whatever
 * some addresses do, another one that has few connections gets one more, and keeps those that it uses.
 *
 * It decides only. Who accepts asks crowd_admits() first, then crowd_enter(), then ends whom crowd_excess()
 * names. A place is embedded in the connection that it is of, and all-zero while it is nobody's.
 */
struct crowd {
	struct hmap peers;
	size_t n;	   /* places that are taken */
	unsigned full_at;  /* from so many on room is short; 0: never */
	unsigned peer_max; /* places of one address, room or not; 0: any number */
};

struct crowd_place {
	struct crowd_peer *peer;
	struct crowd_place *prev, *next; /* of the same address; the longest unused first */
};

bool crowd_admits(const struct crowd *c, const struct inet_ip *ip);
void crowd_enter(struct crowd *c, struct crowd_place *p, const struct inet_ip *ip);
void crowd_use(struct crowd_place *p);			  /* a request came on it */
void crowd_leave(struct crowd *c, struct crowd_place *p); /* again is fine */
/* Who has to go: the longest unused of who has the most. NULL: there is room. */
struct crowd_place *crowd_excess(const struct crowd *c);
