/* SPDX-License-Identifier: MIT */

/* Feeds the pod store from the API server: see watch.h. */

#include "nmi/pods/watch.h"

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/kube/reflector.h"
#include "lib/loop/loop.h"
#include "mic-client/crd.h"
#include "mic-client/rejects.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/store.h"

struct pod_watch {
	struct loop *loop;
	struct pod_store *store;
	struct reflector *reflector;
	char *field_selector;
	struct rejects rejects;
	struct loop_defer synced;
	bool told_synced;
	void (*on_synced)(void *ctx);
	void *on_synced_ctx;
	struct loop_defer change;
	void (*on_change)(void *ctx);
	void *on_change_ctx;
};

/* telling */

static void tell_change(struct loop_defer *d)
{
	struct pod_watch *w = container_of(d, struct pod_watch, change);

	if (w->on_change)
		w->on_change(w->on_change_ctx);
}

static void changed(struct pod_watch *w)
{
	loop_defer(w->loop, &w->change, tell_change);
}

/* feeding */

static void on_begin(void *ctx)
{
	struct pod_watch *w = ctx;

	pod_store_resync_begin(w->store);
	rejects_resync_begin(&w->rejects);
}

/*
 * A malformed pod is dropped, also where an earlier version of it was well: to go on with that one
 * would be to decide on labels and addresses that no longer hold.
 */
static void reject(struct pod_watch *w, const struct jval *obj, const struct object_id *id,
		   const struct err *err)
{
	char name[OBJECT_NAME_MAX];

	pod_store_remove(w->store, id->uid);
	if (!rejects_note(&w->rejects, id))
		return;
	object_name_print(obj, name, sizeof(name));
	log_warn("pod %s is ignored: %s; it gets no token until the object is corrected", name,
		 err->msg);
}

static void on_upsert(void *ctx, const struct jval *obj)
{
	struct pod_watch *w = ctx;
	struct err err = { 0 };
	struct object_id id;
	struct pod *p = pod_parse(obj, &err);

	object_id_read(obj, &id);
	changed(w);
	if (!p) {
		reject(w, obj, &id, &err);
		return;
	}
	if (rejects_forget(&w->rejects, &id))
		log_info("pod %s/%s can be read again", p->namespace, p->name);
	pod_store_put_take(w->store, p);
}

static void on_remove(void *ctx, const struct jval *obj)
{
	struct pod_watch *w = ctx;
	struct object_id id;

	object_id_read(obj, &id);
	(void)rejects_forget(&w->rejects, &id); /* gone is gone, either way */
	pod_store_remove(w->store, id.uid);
	changed(w);
}

static void tell_synced(struct loop_defer *d)
{
	struct pod_watch *w = container_of(d, struct pod_watch, synced);

	if (w->on_synced)
		w->on_synced(w->on_synced_ctx);
}

static void on_end(void *ctx)
{
	struct pod_watch *w = ctx;

	pod_store_resync_end(w->store);
	rejects_resync_end(&w->rejects);
	changed(w);
	if (w->told_synced)
		return;
	/* deferred, since the reflector counts the whole as seen only after this call */
	w->told_synced = true;
	loop_defer(w->loop, &w->synced, tell_synced);
}

static const struct reflector_ops ops = {
	.begin = on_begin,
	.upsert = on_upsert,
	.remove = on_remove,
	.end = on_end,
};

struct pod_watch *pod_watch_new(struct loop *l, struct kube_client *client, const char *node,
				struct pod_store *store)
{
	struct pod_watch *w = xnew(struct pod_watch);

	w->loop = l;
	w->store = store;
	w->field_selector = xasprintf("spec.nodeName=%s", node);
	w->reflector = reflector_new(l, client,
				     &(struct reflector_spec){
					     .name = "pods",
					     .path = "/api/v1/pods",
					     .field_selector = w->field_selector,
				     },
				     &ops, w);
	return w;
}

struct pod_watch *pod_watch_free(struct pod_watch *w)
{
	if (!w)
		return NULL;
	w->reflector = reflector_free(w->reflector);
	loop_defer_del(&w->synced);
	loop_defer_del(&w->change);
	rejects_deinit(&w->rejects);
	free(w->field_selector);
	free(w);
	return NULL;
}

void pod_watch_start(struct pod_watch *w)
{
	reflector_start(w->reflector);
}

bool pod_watch_has_synced(const struct pod_watch *w)
{
	return reflector_status(w->reflector)->has_synced;
}

const struct reflector *pod_watch_reflector(const struct pod_watch *w)
{
	return w->reflector;
}

void pod_watch_on_synced(struct pod_watch *w, void (*fn)(void *ctx), void *ctx)
{
	w->on_synced = fn;
	w->on_synced_ctx = ctx;
}

void pod_watch_on_change(struct pod_watch *w, void (*fn)(void *ctx), void *ctx)
{
	w->on_change = fn;
	w->on_change_ctx = ctx;
}
