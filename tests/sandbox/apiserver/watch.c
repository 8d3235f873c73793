/* SPDX-License-Identifier: MIT */

/* Watches: see watch.h. */

#include "tests/sandbox/apiserver/watch.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/meta.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/status.h"

#include <assert.h>
#include <string.h>
#include <utlist.h>

/* A watch makes no more lines while this many bytes wait to be read. */
#define BUFFER_HIGH (256 * 1024)

/* As the real watch cache: a bookmark about once a minute, and one shortly before the end. */
#define BOOKMARK_MSEC	     60000
#define BOOKMARK_BEFORE_MSEC 2000

/* kube-apiserver's --min-request-timeout: a watch without a limit of its own gets one to two of it. */
#define TIMEOUT_S 1800

struct watches {
	struct api *api;
	struct watch *first;
	size_t n;
	unsigned long sent;
	struct loop_timer delayed; /* events held back by the fault "delay" */
};

struct watch {
	struct watches *ws;
	struct watch *prev, *next;
	struct kind *kind; /* NULL: a failed one */
	char *ns;
	struct selector sel;
	struct format_spec format;
	struct snapshot *initial;
	size_t initial_i;
	bool end_of_initial;
	bool bookmarks;
	bool columns_sent;
	bool ended, abort;
	uint64_t cursor; /* changes up to this one are in the buffer or of no interest */
	struct buf out;
	struct mono deadline;
	struct loop_timer end_timer, bookmark_timer;
	watch_wake_fn *wake;
	void *wake_ctx;
};

struct watches *watches_new(struct api *api)
{
	struct watches *ws = xnew(struct watches);

	ws->api = api;
	return ws;
}

struct watches *watches_free(struct watches *ws)
{
	if (!ws)
		return NULL;
	assert(!ws->first);
	loop_timer_del(&ws->delayed);
	free(ws);
	return NULL;
}

static void wake(struct watch *w)
{
	if (w->wake && (w->out.n || w->ended))
		w->wake(w->wake_ctx);
}

/* lines */

static void open_line(struct watch *w, const char *type)
{
	add_str(&w->out, "{\"type\":\"");
	add_str(&w->out, type);
	add_str(&w->out, "\",\"object\":");
}

static void close_line(struct watch *w)
{
	add_str(&w->out, "}\n");
	w->ws->sent++;
}

static void emit_error_take(struct watch *w, json_t *status)
{
	char *text = json_dumps(status, JSON_COMPACT);

	open_line(w, "ERROR");
	add_str(&w->out, text);
	close_line(w);
	free(text);
	json_decref(status);
	w->ended = true;
}

/* A table's columns are said once. */
static void emit(struct watch *w, const char *type, struct version *v)
{
	open_line(w, type);
	if (w->format.format == FORMAT_WHOLE)
		add_bytes(&w->out, v->text, v->n);
	else
		format_json(&w->out, &w->format, w->kind, version_json(v), !w->columns_sent);
	w->columns_sent = true;
	close_line(w);
}

/* The object left the selection: its last state that was in it, under the version of the change. */
static void emit_left(struct watch *w, const struct event *e)
{
	json_t *obj = json_copy(version_json(e->prev));
	json_t *meta = json_copy(meta_of(obj));
	char rv[24];

	(void)snprintf(rv, sizeof(rv), "%llu", (unsigned long long)e->rv);
	json_object_set_new(meta, "resourceVersion", json_string(rv));
	json_object_set_new(obj, "metadata", meta);
	open_line(w, "DELETED");
	format_json(&w->out, &w->format, w->kind, obj, !w->columns_sent);
	w->columns_sent = true;
	close_line(w);
	json_decref(obj);
}

static void emit_bookmark(struct watch *w, bool end_of_initial)
{
	open_line(w, "BOOKMARK");
	format_bookmark(&w->out, &w->format, w->kind, w->cursor, end_of_initial);
	close_line(w);
}

/* making lines from where the watch is */

static bool in_scope(const struct watch *w, struct version *v)
{
	size_t n = strlen(w->ns);

	if (n && (strncmp(v->key, w->ns, n) != 0 || v->key[n] != '/'))
		return false;
	return selector_is_empty(&w->sel) || selector_match(&w->sel, version_json(v));
}

static void pump_event(struct watch *w, const struct event *e)
{
	bool now = e->change != CHANGE_DELETED && in_scope(w, e->cur);
	bool before = e->prev && in_scope(w, e->prev);

	w->cursor = e->rv;
	if (now)
		emit(w, before ? "MODIFIED" : "ADDED", e->cur);
	else if (before && e->change == CHANGE_DELETED)
		emit(w, "DELETED", e->cur);
	else if (before)
		emit_left(w, e);
}

static void pump_initial(struct watch *w, size_t high)
{
	while (w->initial && w->out.n < high) {
		if (w->initial_i < w->initial->n) {
			struct version *v = w->initial->objects[w->initial_i++];

			if (in_scope(w, v))
				emit(w, "ADDED", v);
			continue;
		}
		w->initial = snapshot_free(w->initial);
		if (w->end_of_initial)
			emit_bookmark(w, true);
	}
}

static bool is_due(struct watch *w, const struct event *e)
{
	struct api *api = w->ws->api;

	return !api->fault.delay_msec ||
	       !mono_before(loop_mono(api->loop), mono_add_msec(e->at, api->fault.delay_msec));
}

/* True if all there is has been turned into lines. */
static bool pump(struct watch *w, size_t high)
{
	const struct coll *c;

	if (!w->kind || w->ended || fault_is_dropping(&w->ws->api->fault))
		return false;
	pump_initial(w, high);
	if (w->initial)
		return false;
	c = &w->kind->coll;
	if (c->dropped > w->cursor) { /* too slow */
		w->ended = true;
		return false;
	}
	for (size_t i = coll_events_after(c, w->cursor); i < c->n_events; i++) {
		if (w->out.n >= high || !is_due(w, coll_event(c, i)))
			return false;
		pump_event(w, coll_event(c, i));
	}
	return true;
}

static void on_delayed(struct loop_timer *t)
{
	struct watches *ws = container_of(t, struct watches, delayed);
	struct watch *w;

	DL_FOREACH (ws->first, w) {
		(void)pump(w, BUFFER_HIGH); /* what does not fit follows when it is read */
		wake(w);
	}
	if (ws->api->fault.delay_msec && ws->first)
		loop_timer_set_msec(ws->api->loop, t, 10, on_delayed);
}

void watches_notify(struct watches *ws, struct coll *c)
{
	struct watch *w;

	if (ws->api->fault.delay_msec && !ws->delayed.loop)
		loop_timer_set_msec(ws->api->loop, &ws->delayed, 10, on_delayed);
	DL_FOREACH (ws->first, w) {
		if (w->kind && (!c || &w->kind->coll == c)) {
			(void)pump(w, BUFFER_HIGH);
			wake(w);
		}
	}
}

/* bookmarks and the end */

static void on_end(struct loop_timer *t)
{
	struct watch *w = container_of(t, struct watch, end_timer);

	w->ended = true;
	wake(w);
}

/* A bookmark may only follow all that came before it. */
static void bookmark_now(struct watch *w)
{
	if (!pump(w, BUFFER_HIGH))
		return;
	if (w->cursor < w->ws->api->store.rv)
		w->cursor = w->ws->api->store.rv;
	emit_bookmark(w, false);
	wake(w);
}

static void on_bookmark(struct loop_timer *t);

static void schedule_bookmark(struct watch *w)
{
	struct loop *loop = w->ws->api->loop;
	struct mono now = loop_mono(loop), at = mono_add_msec(now, BOOKMARK_MSEC);
	struct mono late = { w->deadline.ns - BOOKMARK_BEFORE_MSEC * NSEC_PER_MSEC };

	if (mono_before(now, late) && mono_before(late, at))
		at = late;
	if (mono_before(at, w->deadline))
		loop_timer_set(loop, &w->bookmark_timer, at, on_bookmark);
}

static void on_bookmark(struct loop_timer *t)
{
	struct watch *w = container_of(t, struct watch, bookmark_timer);

	bookmark_now(w);
	schedule_bookmark(w);
}

/* life */

static struct watch *watch_new(struct watches *ws)
{
	struct watch *w = xnew(struct watch);

	w->ws = ws;
	ws->n++;
	DL_APPEND(ws->first, w);
	return w;
}

struct watch *watch_failed_take(struct watches *ws, json_t *status)
{
	struct watch *w = watch_new(ws);

	emit_error_take(w, status);
	return w;
}

struct watch *watch_start(struct watches *ws, const struct watch_spec *spec)
{
	struct watch *w = watch_new(ws);
	unsigned timeout_s = spec->timeout_s;

	w->kind = spec->kind;
	w->ns = xstrdup(spec->ns);
	w->sel = *spec->sel;
	*spec->sel = (struct selector){ 0 };
	w->format = spec->format;
	w->bookmarks = spec->bookmarks;
	w->end_of_initial = spec->end_of_initial;
	w->cursor = spec->from;
	if (spec->initial) {
		w->cursor = ws->api->store.rv;
		w->initial = coll_snapshot(&w->kind->coll, w->cursor, w->cursor);
	}
	if (!timeout_s)
		timeout_s = TIMEOUT_S + (unsigned)(ws->sent % TIMEOUT_S);
	w->deadline = mono_add_msec(loop_mono(ws->api->loop), (uint64_t)timeout_s * 1000);
	loop_timer_set(ws->api->loop, &w->end_timer, w->deadline, on_end);
	if (w->bookmarks)
		schedule_bookmark(w);
	(void)pump(w, BUFFER_HIGH); /* what does not fit follows when it is read */
	return w;
}

struct watch *watch_free(struct watch *w)
{
	if (!w)
		return NULL;
	loop_timer_del(&w->end_timer);
	loop_timer_del(&w->bookmark_timer);
	DL_DELETE(w->ws->first, w);
	w->ws->n--;
	snapshot_free(w->initial);
	selector_deinit(&w->sel);
	buf_deinit(&w->out);
	free(w->ns);
	free(w);
	return NULL;
}

void watch_set_wake(struct watch *w, watch_wake_fn *fn, void *ctx)
{
	w->wake = fn;
	w->wake_ctx = ctx;
}

ssize_t watch_read(struct watch *w, char *buf, size_t max)
{
	size_t n;

	if (w->abort)
		return WATCH_ABORT;
	if (fault_is_dropping(&w->ws->api->fault))
		return 0;
	if (!w->out.n)
		(void)pump(w, BUFFER_HIGH); /* nothing is an answer as well */
	if (!w->out.n)
		return w->ended ? WATCH_END : 0;
	n = w->out.n < max ? w->out.n : max;
	memcpy(buf, w->out.p, n);
	buf_consume(&w->out, n);
	return (ssize_t)n;
}

/* all of them */

void watches_bookmark(struct watches *ws)
{
	struct watch *w;

	DL_FOREACH (ws->first, w) {
		if (w->bookmarks)
			bookmark_now(w);
	}
}

void watches_end(struct watches *ws, bool abort)
{
	struct watch *w;

	DL_FOREACH (ws->first, w) {
		w->ended = true;
		w->abort = abort;
		wake(w);
	}
}

void watches_end_kind(struct watches *ws, const struct kind *k)
{
	struct watch *w;

	DL_FOREACH (ws->first, w) {
		if (w->kind != k)
			continue;
		(void)pump(w, SIZE_MAX); /* the last chance */
		w->initial = snapshot_free(w->initial);
		w->kind = NULL;
		w->ended = true;
		wake(w);
	}
}

void watches_flush(struct watches *ws)
{
	struct watch *w;

	DL_FOREACH (ws->first, w) {
		(void)pump(w, SIZE_MAX); /* delayed ones stay behind, as they should */
		wake(w);
	}
}

size_t watches_count(const struct watches *ws)
{
	return ws->n;
}

unsigned long watches_sent(const struct watches *ws)
{
	return ws->sent;
}
