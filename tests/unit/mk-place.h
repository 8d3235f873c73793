/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/inet.h"
#include "nmi/pods/place.h"
#include "nmi/pods/store.h"

#include <stdio.h>
#include <string.h>

/*
 * The links and routes of a node as the test says. The store is told of nothing until the test does,
 * as by news that come later; what it asks is always true.
 */
#define MK_ROUTES 8

struct mk_links {
	struct place_source source;
	struct {
		struct inet_ip ip;
		struct place place;
	} routes[MK_ROUTES];
	size_t n_routes;
	uint32_t newest;
	unsigned asked, caught_up;
	bool is_behind; /* catching up leaves news for later */
};

static inline bool mk_catch_up(void *ctx)
{
	struct mk_links *l = ctx;

	l->caught_up++;
	return !l->is_behind;
}

static inline void mk_find(void *ctx, const struct inet_ip *ip, struct place *out)
{
	struct mk_links *l = ctx;

	l->asked++;
	*out = (struct place){ .kind = PLACE_NOWHERE };
	for (size_t i = 0; i < l->n_routes; i++) {
		if (inet_ip_eq(&l->routes[i].ip, ip))
			*out = l->routes[i].place;
	}
}

static inline uint32_t mk_newest(void *ctx)
{
	const struct mk_links *l = ctx;

	return l->newest;
}

static inline void mk_print(void *ctx, const struct place *p, char buf[PLACE_NAME_MAX])
{
	(void)snprintf(buf, PLACE_NAME_MAX, "veth%u", p->link);
}

static inline void mk_links_init(struct mk_links *l, struct pod_store *s)
{
	*l = (struct mk_links){ .source = { mk_catch_up, mk_find, mk_newest, mk_print, l } };
	pod_store_bind(s, &l->source);
}

/* A route, or another one in its place; a link that was not there before is the newest now. */
static inline void mk_route(struct mk_links *l, const char *ip, struct place place)
{
	struct inet_ip key;
	size_t i = 0;

	if (inet_ip_parse(ip, &key, NULL) < 0)
		abort();
	while (i < l->n_routes && !inet_ip_eq(&l->routes[i].ip, &key))
		i++;
	if (i == MK_ROUTES)
		abort();
	if (i == l->n_routes)
		l->n_routes++;
	l->routes[i].ip = key;
	l->routes[i].place = place;
	if (place_own_link(&place) > l->newest)
		l->newest = place_own_link(&place);
}

#define MK_LINK(n)     ((struct place){ .kind = PLACE_LINK, .link = (n) })
#define MK_PORT(br, n) ((struct place){ .kind = PLACE_LINK, .link = (br), .port = (n) })
#define MK_SHARED(n)   ((struct place){ .kind = PLACE_SHARED, .link = (n) })
#define MK_NOWHERE     ((struct place){ .kind = PLACE_NOWHERE })
#define MK_UNASKED     ((struct place){ .kind = PLACE_UNASKED })
