/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "nmi/pods/place.h"

struct inet_ip;
struct loop;
struct unclaimed;

/*
 * Which link an IP leads to, and news when that changes, from the kernel (rtnetlink). Needs no
 * capability. Callbacks come from the loop or from inside link_watch_catch_up(); in them, anything here
 * may be asked.
 */
struct link_watch;

struct link_ops {
	/* The link is no more; its number never comes again. */
	void (*gone)(void *ctx, uint32_t link);
	/* IPs of this prefix (of 128 bits) may lead elsewhere now. */
	void (*moved)(void *ctx, const struct inet_ip *prefix, unsigned bits);
	/* Something about the link has changed: IPs that lead to it may lead elsewhere now. */
	void (*changed)(void *ctx, uint32_t link);
};

struct link_watch *link_watch_new(struct loop *l, const struct link_ops *ops, void *ctx,
				  struct err *err);
struct link_watch *link_watch_free(struct link_watch *w);
DEFINE_CLEANUP(struct link_watch, link_watch_free);

/*
 * Tell now what has happened until now, instead of when the loop comes to it. False: of neighbours and the
 * ports of bridges there is more, which is told later; link_watch_find() knows all the same.
 */
bool link_watch_catch_up(struct link_watch *w);
void link_watch_find(struct link_watch *w, const struct inet_ip *ip, struct place *out);
uint32_t link_watch_newest(struct link_watch *w);
/* NULL: it is gone. Borrowed until the next call. */
const char *link_watch_name(const struct link_watch *w, uint32_t link);
/* For a person; also of a link that is just gone, inside gone(). */
void link_watch_print(const struct link_watch *w, const struct place *p, char buf[PLACE_NAME_MAX]);
/* Links that went without a pod; as true as link_watch_find() is. */
struct unclaimed *link_watch_unclaimed(struct link_watch *w);
/* Times that news were lost and everything had to be looked at again. */
unsigned link_watch_losses(const struct link_watch *w);
