/* SPDX-License-Identifier: MIT */

/* The pod store and the kernel's links, put together: see binding.h. */

#include "nmi/pods/binding.h"

#include "lib/base/mem.h"
#include "nmi/pods/link.h"
#include "nmi/pods/store.h"

struct binding {
	struct pod_store *store;
	struct link_watch *links;
	struct place_source places;
};

/* what the store asks */

static void catch_up(void *ctx)
{
	link_watch_catch_up(ctx);
}

static void find(void *ctx, const struct inet_ip *ip, struct place *out)
{
	link_watch_find(ctx, ip, out);
}

static uint32_t newest(void *ctx)
{
	return link_watch_newest(ctx);
}

static void print(void *ctx, const struct place *p, char buf[PLACE_NAME_MAX])
{
	link_watch_print(ctx, p, buf);
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

	b->store = store;
	b->links = link_watch_new(l, &ops, b, err);
	if (!b->links)
		return binding_free(b);
	b->places = (struct place_source){ .catch_up = catch_up,
					   .find = find,
					   .newest = newest,
					   .print = print,
					   .ctx = b->links };
	pod_store_bind(store, &b->places);
	return b;
}

/* The store goes on by IP alone, so nobody may ask it any more. */
struct binding *binding_free(struct binding *b)
{
	if (!b)
		return NULL;
	pod_store_bind(b->store, NULL);
	b->links = link_watch_free(b->links);
	free(b);
	return NULL;
}
