/* SPDX-License-Identifier: MIT */

/*
 * The pod store and the kernel's links, put together: see binding.h.
 *
 * The store catches up before each decision. Within one turn of the loop that is done once: the system
 * call would cost a request 6 % of its time, and a turn is much shorter than a plugin needs to give an IP
 * to the next pod. What decides for longer than one answer, where an IP leads to and which link is the
 * newest, is asked anew every time.
 */

#include "nmi/pods/binding.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/pods/link.h"
#include "nmi/pods/store.h"

struct binding {
	struct loop *loop;
	struct pod_store *store;
	struct link_watch *links;
	struct place_source places;
	struct loop_defer turn_ends; /* queued: caught up in this turn */
	bool has_all;		     /* that was all of it */
};

/* what the store asks */

static void on_turn_end(struct loop_defer *d)
{
	(void)d; /* that it is queued no more is all that counts */
}

static bool catch_up(void *ctx)
{
	struct binding *b = ctx;

	if (b->turn_ends.loop)
		return b->has_all;
	loop_defer(b->loop, &b->turn_ends, on_turn_end);
	b->has_all = link_watch_catch_up(b->links);
	return b->has_all;
}

static void find(void *ctx, const struct inet_ip *ip, struct place *out)
{
	const struct binding *b = ctx;

	link_watch_find(b->links, ip, out);
}

static uint32_t newest(void *ctx)
{
	const struct binding *b = ctx;

	return link_watch_newest(b->links);
}

static void print(void *ctx, const struct place *p, char buf[PLACE_NAME_MAX])
{
	const struct binding *b = ctx;

	link_watch_print(b->links, p, buf);
}

/* what it is told */

static void on_gone(void *ctx, uint32_t link)
{
	const struct binding *b = ctx;

	pod_store_link_gone(b->store, link);
}

static void on_changed(void *ctx, uint32_t link)
{
	const struct binding *b = ctx;

	pod_store_link_changed(b->store, link);
}

static void on_moved(void *ctx, const struct inet_ip *prefix, unsigned bits)
{
	const struct binding *b = ctx;

	pod_store_moved(b->store, prefix, bits);
}

static const struct link_ops ops = { .gone = on_gone, .changed = on_changed, .moved = on_moved };

struct binding *binding_new(struct loop *l, struct pod_store *store, struct err *err)
{
	struct binding *b = xnew(struct binding);

	b->loop = l;
	b->store = store;
	b->links = link_watch_new(l, &ops, b, err);
	if (!b->links)
		return binding_free(b);
	b->places = (struct place_source){ .catch_up = catch_up,
					   .find = find,
					   .newest = newest,
					   .print = print,
					   .ctx = b,
					   .unclaimed = link_watch_unclaimed(b->links) };
	pod_store_bind(store, &b->places);
	return b;
}

/* The store goes on by IP alone, so nobody may ask it any more. */
struct binding *binding_free(struct binding *b)
{
	if (!b)
		return NULL;
	pod_store_bind(b->store, NULL);
	loop_defer_del(&b->turn_ends);
	b->links = link_watch_free(b->links);
	free(b);
	return NULL;
}

const char *binding_link_name(const struct binding *b, uint32_t link)
{
	return link_watch_name(b->links, link);
}
