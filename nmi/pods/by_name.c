/* SPDX-License-Identifier: MIT */

/*
 * Which pod is called so? See by_name.h.
 *
 * A wait ends when an event of a pod of that name leaves exactly one that has not ended, or at its
 * deadline. There is no GET at the end of it, as there is for an address: the kubelet, in whose service
 * these questions are asked, starts a pod after it has seen it by a watch like ours, and tries again.
 *
 * As in resolver.c, each wait is answered by a deferred call of its own, which asks the store again.
 */

#include "nmi/pods/by_name.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/store.h"

#include <string.h>
#include <utlist.h>

struct by_name_wait {
	struct by_name *owner;
	struct by_name_wait *prev, *next;
	char *namespace, *name;
	bool is_over; /* the deadline has passed */
	struct loop_timer deadline;
	struct loop_defer answer;
	by_name_done_fn *done;
	void *ctx;
};

struct by_name {
	struct loop *loop;
	struct pod_store *store;
	unsigned wait_msec;
	struct by_name_wait *waits;
	size_t waiting;
};

static void wait_free(struct by_name_wait *w)
{
	loop_timer_del(&w->deadline);
	loop_defer_del(&w->answer);
	/* NOLINTNEXTLINE(clang-analyzer-*): it does not know that a head without a next is its own prev */
	DL_DELETE(w->owner->waits, w);
	w->owner->waiting--;
	free(w->namespace);
	free(w->name);
	free(w);
}

static void answer(struct loop_defer *d)
{
	struct by_name_wait *w = container_of(d, struct by_name_wait, answer);
	const struct pod *known = pod_store_find_name(w->owner->store, w->namespace, w->name);
	_cleanup_(pod_unrefp) struct pod *pod = known ? pod_ref(known) : NULL;
	by_name_done_fn *done = w->done;
	void *ctx = w->ctx;

	if (!pod && !w->is_over)
		return; /* it was there and went again: the wait goes on */
	wait_free(w);	/* before the call, which may free the owner */
	done(ctx, pod);
}

static void on_pod(void *ctx, const struct pod *p)
{
	struct by_name *b = ctx;
	struct by_name_wait *w;

	DL_FOREACH (b->waits, w) {
		if (strcmp(w->name, p->name) == 0 && strcmp(w->namespace, p->namespace) == 0)
			loop_defer(b->loop, &w->answer, answer);
	}
}

static void on_deadline(struct loop_timer *t)
{
	struct by_name_wait *w = container_of(t, struct by_name_wait, deadline);

	w->is_over = true;
	loop_defer(w->owner->loop, &w->answer, answer);
}

struct by_name *by_name_new(struct loop *l, struct pod_store *store, unsigned wait_msec)
{
	struct by_name *b = xnew(struct by_name);

	b->loop = l;
	b->store = store;
	b->wait_msec = wait_msec;
	pod_store_on_pod(store, on_pod, b);
	return b;
}

void by_name_set_wait(struct by_name *b, unsigned wait_msec)
{
	b->wait_msec = wait_msec;
}

struct by_name *by_name_free(struct by_name *b)
{
	struct by_name_wait *w, *next;

	if (!b)
		return NULL;
	pod_store_on_pod(b->store, NULL, NULL);
	DL_FOREACH_SAFE (b->waits, w, next)
		wait_free(w);
	free(b);
	return NULL;
}

const struct pod *by_name_peek(const struct by_name *b, const char *namespace, const char *name)
{
	return pod_store_find_name(b->store, namespace, name);
}

struct by_name_wait *by_name_wait(struct by_name *b, const char *namespace, const char *name,
				  by_name_done_fn *done, void *ctx)
{
	struct by_name_wait *w;

	if (b->waiting >= LIMIT_NAMES_WAITING)
		return NULL;
	w = xnew(struct by_name_wait);
	w->owner = b;
	w->namespace = xstrdup(namespace);
	w->name = xstrdup(name);
	w->done = done;
	w->ctx = ctx;
	DL_APPEND(b->waits, w);
	b->waiting++;
	loop_timer_set_msec(b->loop, &w->deadline, b->wait_msec, on_deadline);
	loop_defer(b->loop, &w->answer, answer); /* it may be there already */
	return w;
}

void by_name_cancel(struct by_name_wait *w)
{
	wait_free(w);
}

size_t by_name_waiting(const struct by_name *b)
{
	return b->waiting;
}
