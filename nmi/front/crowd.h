/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/hmap.h"
#include "lib/base/inet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How the connections of one listener are shared out among the addresses that they come from. While there is
 * room, whoever comes may stay. When it is short, who has the most makes room for who has less: so whatever
 * some addresses do, another one that has few connections gets one more, and keeps those that it uses.
 *
 * So are turns: of what comes from several addresses within one round of the server, each address has only so many
 * requests begun, however many connections it sends them on, and the rest wait for the rounds that follow.
 *
 * It decides only. Who accepts asks crowd_admits() first, then crowd_enter(), then ends whom crowd_excess()
 * names. A place is embedded in the connection that it is of, and all-zero while it is nobody's.
 */
struct crowd {
	struct hmap peers;
	size_t n;	   /* places that are taken */
	unsigned full_at;  /* from so many on room is short; 0: never */
	unsigned peer_max; /* places of one address, room or not; 0: any number */
	unsigned turns;	   /* of one address in a round, where there are others; 0: any number */
	bool turns_always; /* also of an address that is alone */
	uint64_t round;
	struct crowd_peer *waiting; /* for a turn of one of their places */
};

struct crowd_place {
	struct crowd_peer *peer;
	struct crowd_place *prev, *next; /* of the same address; the longest unused first */
	struct crowd_place *prev_turn, *next_turn;
	enum crowd_turn { CROWD_NO_TURN, CROWD_WAITS, CROWD_TURN } turn;
};

bool crowd_admits(const struct crowd *c, const struct inet_ip *ip);
void crowd_enter(struct crowd *c, struct crowd_place *p, const struct inet_ip *ip);
void crowd_use(struct crowd_place *p);			  /* a request came on it */
void crowd_leave(struct crowd *c, struct crowd_place *p); /* again is fine */
/* May a request on it begin in this round? If not, it waits until crowd_next() names it, and then may. */
bool crowd_turn(struct crowd *c, struct crowd_place *p);
void crowd_round(struct crowd *c); /* another one begins */
/* Whose turn it is in this round of those that wait; NULL: nobody's, any more. */
struct crowd_place *crowd_next(struct crowd *c);
/* Since when it is not in use, in any unit; 0: it is in use. */
typedef uint64_t crowd_unused_fn(const struct crowd_place *p);
/*
 * Who can go most easily, of those that are not in use: of the address that has the most connections of all that have
 * such a one, the longest unused; where several have as many, the longest unused of all of these. NULL: all are in use.
 */
struct crowd_place *crowd_spare(const struct crowd *c, crowd_unused_fn *unused_since);
/* The same of two that it gave, of whatever crowds; either may be NULL. */
bool crowd_is_easier(const struct crowd_place *p, const struct crowd_place *than,
		     crowd_unused_fn *unused_since);
/* Who has to go: the longest unused of who has the most. NULL: there is room. */
struct crowd_place *crowd_excess(const struct crowd *c);
