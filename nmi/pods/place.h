/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct inet_ip;
struct unclaimed;

/*
 * Where an IP leads to on this host, as a plain value. Links are numbered as we see them come: a number
 * is one life of one link and is never given again, whatever becomes of its name and its ifindex.
 */
enum place_kind {
	PLACE_NOWHERE, /* there is no route to it, or `link` is a bridge that knows no port for it now */
	PLACE_LINK,    /* to a link that is a pod's alone */
	PLACE_SHARED,  /* to a link of many: the uplink, a tunnel, the host itself */
	PLACE_UNASKED, /* the kernel could not be asked: nothing may be concluded from it */
};

struct place {
	enum place_kind kind;
	uint32_t link; /* the route's; 0: none */
	uint32_t port; /* the port, where that link is a bridge; else 0 */
};

#define PLACE_NAME_MAX 48 /* "cbr0 port veth12345678" */

static inline bool place_is_same(const struct place *a, const struct place *b)
{
	return a->kind == b->kind && a->link == b->link && a->port == b->port;
}

/* Is it known where the IP leads to? A bridge may know the port again with the next packet. */
static inline bool place_is_known(const struct place *p)
{
	return p->kind == PLACE_LINK || p->kind == PLACE_SHARED;
}

/* The link that goes when the pod does. */
static inline uint32_t place_own_link(const struct place *p)
{
	return p->port ? p->port : p->link;
}

/*
 * Who knows places: binding.c, or a test. catch_up() tells the store (store.h, "places") whatever has
 * happened until this turn of the loop; the others are true at the moment, and tell the store later.
 */
struct place_source {
	bool (*catch_up)(void *ctx); /* false: not all of it, so that find() may know better */
	void (*find)(void *ctx, const struct inet_ip *ip, struct place *out);
	uint32_t (*newest)(void *ctx); /* the number of the link that came last */
	void (*print)(void *ctx, const struct place *p, char buf[PLACE_NAME_MAX]);
	void *ctx;
	struct unclaimed
		*unclaimed; /* links that went without a pod; NULL: nothing is known of them */
};
