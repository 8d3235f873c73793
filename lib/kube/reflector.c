/* SPDX-License-Identifier: MIT */

/*
 * List, then watch, for ever: see reflector.h.
 *
 * Theory of operation. One request is out at a time, or a timer runs. An attempt is in one of three
 * phases: a streaming list (a watch that begins with all objects and a bookmark that ends them, and
 * then goes on as the watch), a paged list, a watch from a known version. Each request ends in one
 * outcome, and act() is the table of what follows from it:
 *
 *	outcome       streaming list     paged list         watch
 *	OK            (ended early)      next page, watch   watch again from the last version
 *	EXPIRED       list               list               list
 *	NOT_FOUND     not installed, if that is allowed, else as FAILED
 *	UNSUPPORTED   paged list, for good
 *	TOO_BIG                          list, smaller pages
 *	FAILED        wait, list         wait, list         wait, watch; the third answer that is bad
 *	                                                    in a row: list
 *
 * Why a list may follow a watch that did not say 410: a server restored from a backup has versions
 * older than ours and stays silent until it has caught up, and a watch that asks for a version that
 * the server cannot make sense of fails the same way each time.
 *
 * One object that cannot be parsed must not keep the whole from us. In a watch we cannot tell whose
 * line it was, so the stream is started again; if that does not help, a paged list, where the item's
 * outline is enough to step over it, brings everything else, and the watch goes on behind it.
 */

#include "lib/kube/reflector.h"

#include "lib/base/backoff.h"
#include "lib/base/buf.h"
#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/http/frames.h"
#include "lib/kube/client.h"
#include "lib/kube/event.h"
#include "lib/kube/knock.h"
#include "lib/kube/page.h"
#include "lib/loop/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define BACKOFF_MIN_MSEC    800	   /* client-go's, but for the ceilings: its 30 s are long for a token */
#define BACKOFF_MAX_MSEC    2400   /* up to twice that, see backoff.h: who is back is noticed within 5 s */
#define BACKOFF_NO_MSEC	    8000   /* refused: it is not for the server to mend */
#define RELIST_MSEC	    8000
#define SETTLED_MSEC	    700	   /* a watch that was open for so long was answered well */
#define TOGETHER_MSEC	    500
#define BACKOFF_RESET_MSEC  120000
#define KNOCK_MSEC          400	   /* between two tries while nobody answers at all */
#define WATCH_SEC_MIN       300	   /* as client-go: 5 to 10 minutes, so that agents spread out */
#define WATCH_SLACK_MSEC    30000  /* a server that does not keep to its timeoutSeconds is cut */
#define PAGE_ITEMS          500
#define PAGE_MAX            ((size_t)64 << 20)
#define PAGE_MSEC           60000
#define OPEN_MSEC           60000  /* a busy server queues a request for up to a minute */
#define OPEN_WATCH_MSEC     150000 /* a proxy may hold the head back until the first bookmark, a minute */
#define QUIET_MSEC          10000  /* between two objects of a streaming list */
#define SILENT_MSEC         60000  /* a watch this long should have brought a bookmark */
#define SHORT_MSEC          1000   /* a watch this short, with nothing in it, was not worth it */
#define NOT_INSTALLED_MSEC  30000
#define GONE_AFTER          3	   /* 404s in a row before what was there is given up */
#define RELIST_AFTER        3	   /* bad answers in a row to a watch */
/* clang-format on */

enum phase { PHASE_IDLE, PHASE_STREAM_LIST, PHASE_PAGED_LIST, PHASE_WATCH };

enum outcome {
	OUT_OK,
	OUT_EXPIRED,
	OUT_NOT_FOUND,
	OUT_UNSUPPORTED,
	OUT_TOO_BIG,
	OUT_FAILED,
};

struct reflector {
	struct loop *loop;
	struct kube_client *client;
	char *name, *path, *selectors; /* "&fieldSelector=...", escaped */
	const struct reflector_ops *ops;
	void *ctx;
	struct reflector_status status;

	struct kube_call *call;
	struct loop_timer timer; /* until the next attempt, or until this one is too slow */
	struct backoff backoff;
	struct knock_wait door; /* of the server that answers badly */
	char *version;		/* last seen; NULL: a list is needed */
	char *more;		/* continue token of the list */
	struct buf page;
	struct frames frames;
	struct mono sent_at, relisted_at;
	struct err why;	     /* why we ended this request ourselves */
	struct err left_out; /* what the whole lacks; kind ERR_NONE: nothing */

	enum phase phase;
	enum outcome verdict; /* of this request, when we ended it ourselves; else OUT_OK */
	unsigned n_lines;     /* of this request */
	unsigned page_items, n_skipped;
	unsigned n_bad, n_garbled, n_404; /* in a row */
	unsigned depth;			  /* inside our own callbacks: freeing has to wait */
	bool optional;
	bool metadata_only;
	bool no_streaming; /* the server cannot: for good */
	bool paged_next;   /* the next list is paged, whatever the server can */
	bool begun;	   /* begin() was called, end() not yet */
	bool opened;	   /* this request was answered */
	bool dead;
};

static void list(struct reflector *r);
static void watch(struct reflector *r);

static void really_free(struct reflector *r)
{
	free(r->name);
	free(r->path);
	free(r->selectors);
	free(r->version);
	free(r->more);
	buf_deinit(&r->page);
	frames_deinit(&r->frames);
	free(r);
}

static void leave(struct reflector *r)
{
	if (--r->depth == 0 && r->dead)
		really_free(r);
}

/* the consumer */

static void begin(struct reflector *r)
{
	if (r->begun || r->dead)
		return;
	r->begun = true;
	r->ops->begin(r->ctx);
}

static void answered_well(struct reflector *r)
{
	knock_opened(kube_client_knock(r->client));
}

static void end(struct reflector *r)
{
	begin(r);
	if (r->dead)
		return;
	r->begun = false;
	r->n_404 = r->n_garbled = 0;
	r->status.has_synced = true;
	r->status.state = REFLECTOR_SYNCED;
	r->left_out = (struct err){ 0 };
	if (r->n_skipped)
		(void)err_set(&r->left_out, ERR_INPUT,
			      "%s: %u objects of the list could not be read and are left out",
			      r->name, r->n_skipped);
	r->status.last_err = r->left_out;
	r->n_skipped = 0;
	answered_well(r);
	r->ops->end(r->ctx);
}

static void set_version(struct reflector *r, const char *version)
{
	if (r->version && strcmp(r->version, version) == 0)
		return;
	free(r->version);
	r->version = xstrdup(version);
}

static void forget_version(struct reflector *r)
{
	free(r->version);
	r->version = NULL;
}

/* lines of a stream */

static enum outcome outcome_of_error(const struct reflector *r, const struct event *e)
{
	if (e->code == 410)
		return OUT_EXPIRED;
	if (r->phase != PHASE_STREAM_LIST)
		return OUT_FAILED;
	/* overloaded or starting: says nothing about what it can do */
	return e->code == 429 || e->code == 503 || e->code == 504 ? OUT_FAILED : OUT_UNSUPPORTED;
}

static void on_error_event(struct reflector *r, const struct event *e)
{
	r->verdict = outcome_of_error(r, e);
	(void)err_set(&r->why, e->code >= 400 && e->code < 500 ? ERR_REFUSED : ERR_UNAVAILABLE,
		      "the watch was ended with code %d: %s", e->code, e->message);
	r->why.http_status = e->code;
	if (r->verdict == OUT_FAILED && r->phase == PHASE_STREAM_LIST)
		r->paged_next = true;
}

static void apply(struct reflector *r, const struct event *e)
{
	switch (e->type) {
	case EVENT_ADDED:
	case EVENT_MODIFIED:
	case EVENT_DELETED:
		if (r->phase == PHASE_STREAM_LIST)
			begin(r);
		if (r->dead)
			return;
		if (e->type == EVENT_DELETED)
			r->ops->remove(r->ctx, e->object);
		else
			r->ops->upsert(r->ctx, e->object);
		break;
	case EVENT_BOOKMARK:
		if (r->phase == PHASE_STREAM_LIST && e->ends_initial) {
			end(r);
			r->phase = PHASE_WATCH;
		}
		break;
	case EVENT_ERROR:
		on_error_event(r, e);
		return;
	case EVENT_UNKNOWN:
		return;
	}
	/*
	 * In a list only its end has a version to go on from: objects come in no order, so the version
	 * of one of them would leave out those that were to follow.
	 */
	if (r->phase == PHASE_WATCH)
		set_version(r, e->version);
}

static void on_quiet(struct loop_timer *t);

static int on_line(void *ctx, const char *p, size_t n)
{
	struct reflector *r = ctx;
	struct event e = { 0 };

	if (event_parse(&e, p, n, &r->why) < 0) {
		r->verdict = OUT_FAILED;
		r->n_garbled++;
		(void)err_wrap(&r->why, "a line of the watch");
		return 1;
	}
	r->n_lines++;
	r->status.last_event = loop_mono(r->loop);
	if (r->phase == PHASE_WATCH && e.type != EVENT_ERROR)
		r->n_bad = r->n_garbled = 0;
	if (r->n_lines == 1 && r->phase == PHASE_WATCH && e.type != EVENT_ERROR)
		answered_well(r);
	apply(r, &e);
	event_deinit(&e);
	if (r->dead)
		return 1;
	if (r->phase == PHASE_STREAM_LIST)
		loop_timer_set_msec(r->loop, &r->timer, QUIET_MSEC, on_quiet);
	else
		loop_timer_del(&r->timer);
	return r->verdict != OUT_OK;
}

static int on_data(void *ctx, const char *p, size_t n)
{
	struct reflector *r = ctx;
	int stop = 1;

	r->depth++;
	r->status.last_heard = loop_mono(r->loop);
	if (r->phase == PHASE_PAGED_LIST) {
		stop = buf_append(&r->page, p, n, PAGE_MAX, &r->why) < 0;
		if (stop)
			r->verdict = OUT_TOO_BIG;
	} else {
		stop = frames_push(&r->frames, p, n, on_line, r, &r->why);
		if (stop < 0) {
			r->verdict = OUT_FAILED;
			r->n_garbled++;
		}
	}
	leave(r);
	return stop;
}

/* outcomes */

/* The account's rights are the usual reason; say which are missing, in the words of a ClusterRole. */
static void explain(struct reflector *r, struct err *err)
{
	const struct err was = *err;
	const char *slash = strrchr(r->path, '/');
	const char *group = strncmp(r->path, "/apis/", 6) == 0 ? r->path + 6 : "";
	int group_len = (int)strcspn(group, "/");

	if (was.http_status == 403)
		(void)err_set(err, was.kind,
			      "%s: not allowed to list and watch; add to the agent's ClusterRole: "
			      "apiGroups [\"%.*s\"], resources [\"%s\"], verbs [\"list\", "
			      "\"watch\"]: %s",
			      r->name, group_len, group, slash ? slash + 1 : r->path, was.msg);
	else if (was.http_status == 401)
		(void)err_set(
			err, was.kind,
			"%s: the API server does not accept the agent's token or certificate: "
			"%s",
			r->name, was.msg);
	else
		(void)err_wrap(err, "%s", r->name);
	err->http_status = was.http_status;
}

static void on_retry(struct loop_timer *t)
{
	struct reflector *r = container_of(t, struct reflector, timer);
	unsigned wait;

	if (r->door.knock && !knock_may(r->door.knock, loop_mono(r->loop), &wait)) {
		loop_timer_set_msec(r->loop, t, wait + arc4random_uniform(KNOCK_MSEC), on_retry);
		return;
	}
	knock_leave(&r->door);
	if (r->version)
		watch(r);
	else
		list(r);
}

/* Another one was answered well. */
static void on_door_opened(struct knock_wait *w)
{
	struct reflector *r = container_of(w, struct reflector, door);

	loop_timer_set_msec(r->loop, &r->timer, arc4random_uniform(TOGETHER_MSEC), on_retry);
}

static void on_settled(struct loop_timer *t)
{
	answered_well(container_of(t, struct reflector, timer));
}

static void wait_msec(struct reflector *r, unsigned msec)
{
	r->phase = PHASE_IDLE;
	loop_timer_set_msec(r->loop, &r->timer, msec, on_retry);
}

static void disconnected(struct reflector *r)
{
	r->status.restarts++;
	if (r->status.has_synced)
		r->status.state = REFLECTOR_DISCONNECTED;
}

/*
 * A server that answers badly is spared: more each time, and asked by one of us for all (knock.h). One that does not
 * answer at all is not: a try costs it nothing, all reflectors of a client share the connection that they wait for,
 * and what changes after its return should be known within a second. One that refuses may do so for good.
 */
static unsigned pause_msec(struct reflector *r, unsigned retry_after_sec, const struct err *err)
{
	bool is_away = !r->opened && !err->http_status && !r->n_garbled &&
		       (err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT);
	bool is_no = err->http_status >= 400 && err->http_status < 500;
	unsigned wait;

	if (is_away)
		return KNOCK_MSEC + arc4random_uniform(KNOCK_MSEC);
	r->backoff.max_msec = is_no ? BACKOFF_NO_MSEC : BACKOFF_MAX_MSEC;
	wait = backoff_next(&r->backoff, loop_mono(r->loop));
	/* a watch that broke says nothing of the others */
	if (!is_no && !retry_after_sec && (err->http_status || r->n_garbled))
		knock_wait(kube_client_knock(r->client), &r->door, on_door_opened);
	return wait < retry_after_sec * 1000 ? retry_after_sec * 1000 : wait;
}

static void fail(struct reflector *r, unsigned retry_after_sec, struct err *err)
{
	unsigned wait = pause_msec(r, retry_after_sec, err);

	explain(r, err);
	disconnected(r);
	r->status.last_err = *err;
	log_debug("%s; again in %u ms", err->msg, wait);
	if (r->ops->failed)
		r->ops->failed(r->ctx, err);
	/* a bad answer, as opposed to none: asking for the same may get the same for ever */
	if (r->phase == PHASE_WATCH && (err->http_status || r->n_garbled) &&
	    ++r->n_bad >= RELIST_AFTER) {
		r->n_bad = 0;
		forget_version(r);
	}
	if (r->n_garbled >= RELIST_AFTER)
		r->paged_next = true;
	wait_msec(r, wait);
}

/* The whole is needed anew. The first time at once: until then the consumer misses deletions. */
static void relist(struct reflector *r)
{
	struct mono now = loop_mono(r->loop);
	struct mono soon = mono_add_msec(r->relisted_at, RELIST_MSEC);

	forget_version(r);
	disconnected(r);
	if (r->relisted_at.ns && mono_before(now, soon)) {
		wait_msec(r, backoff_next(&r->backoff, now));
		return;
	}
	r->relisted_at = now;
	list(r);
}

static void not_installed(struct reflector *r)
{
	if (r->status.state != REFLECTOR_NOT_INSTALLED) {
		r->begun = false; /* what an attempt began is void */
		r->n_skipped = 0;
		end(r);
		if (r->dead)
			return;
	}
	r->status.state = REFLECTOR_NOT_INSTALLED;
	r->status.last_heard = loop_mono(r->loop);
	wait_msec(r, NOT_INSTALLED_MSEC + arc4random_uniform(NOT_INSTALLED_MSEC / 2));
}

static void on_not_found(struct reflector *r, unsigned retry_after_sec, struct err *err)
{
	bool had_objects = r->status.has_synced && r->status.state != REFLECTOR_NOT_INSTALLED;

	forget_version(r);
	/* what was there is not given up for one odd answer, of a proxy on the way perhaps */
	if (r->optional && (!had_objects || ++r->n_404 >= GONE_AFTER))
		not_installed(r);
	else
		fail(r, retry_after_sec, err);
}

/* Items one by one. One that is no JSON for us is left out: see the theory of operation. */
static int deliver_page(struct reflector *r, struct page *page, struct err *err)
{
	struct str item;
	int more;

	while (!r->dead && (more = page_next(page, &item, err)) > 0) {
		struct jval *doc = jval_parse(item.p, item.n, EVENT_LINE_MAX, NULL);

		if (doc)
			r->ops->upsert(r->ctx, doc);
		else
			r->n_skipped++;
		jval_free(doc);
	}
	return r->dead ? 0 : more;
}

static void end_page(struct reflector *r)
{
	struct page page = { 0 };
	struct err err = { 0 };
	int bad;

	bad = page_parse(&page, r->page.p ? r->page.p : "", r->page.n, &err);
	if (bad == 0) {
		begin(r);
		bad = deliver_page(r, &page, &err);
	}
	if (bad < 0) {
		fail(r, 0, &err);
	} else if (page.more && !r->dead) {
		free(r->more);
		r->more = steal_ptr(page.more);
		list(r);
	} else if (!r->dead) {
		set_version(r, page.version);
		end(r);
		if (!r->dead)
			watch(r);
	}
	page_deinit(&page);
	/* lists are rare and large: do not sit on the space */
	buf_deinit(&r->page);
}

static void on_clean_end(struct reflector *r)
{
	struct mono now = loop_mono(r->loop);
	struct err err = { 0 };

	if (r->phase == PHASE_STREAM_LIST) {
		(void)err_set(&err, ERR_UNAVAILABLE, "the initial list ended before its end");
		fail(r, 0, &err);
	} else if (!r->n_lines && mono_before(now, mono_add_msec(r->sent_at, SHORT_MSEC))) {
		(void)err_set(&err, ERR_UNAVAILABLE, "the watch was closed at once");
		fail(r, 0, &err);
	} else if (!r->n_lines && !mono_before(now, mono_add_msec(r->sent_at, SILENT_MSEC))) {
		relist(r);
	} else {
		watch(r);
	}
}

static void act(struct reflector *r, enum outcome out, unsigned retry_after_sec, struct err *err)
{
	switch (out) {
	case OUT_OK:
		if (r->phase == PHASE_PAGED_LIST)
			end_page(r);
		else
			on_clean_end(r);
		return;
	case OUT_EXPIRED:
		relist(r);
		return;
	case OUT_NOT_FOUND:
		on_not_found(r, retry_after_sec, err);
		return;
	case OUT_UNSUPPORTED:
		r->no_streaming = true;
		list(r);
		return;
	case OUT_TOO_BIG:
		if (r->page_items > 1) {
			r->page_items = r->page_items > 10 ? r->page_items / 10 : 1;
			list(r);
			return;
		}
		break;
	case OUT_FAILED:
		break;
	}
	fail(r, retry_after_sec, err);
}

static enum outcome outcome_of(struct reflector *r, long status, const struct err *err)
{
	size_t cut = r->phase == PHASE_PAGED_LIST ? 0 : frames_pending(&r->frames);

	if (r->verdict != OUT_OK)
		return r->verdict;
	if (!err && cut) {
		(void)err_set(&r->why, ERR_UNAVAILABLE, "the watch ended inside a line");
		return OUT_FAILED;
	}
	if (!err)
		return OUT_OK;
	r->why = *err;
	if (status == 410)
		return OUT_EXPIRED;
	if (status == 404)
		return OUT_NOT_FOUND;
	if ((status == 400 || status == 422) && r->phase == PHASE_STREAM_LIST)
		return OUT_UNSUPPORTED;
	return OUT_FAILED;
}

static void on_done(void *ctx, long status, const struct jval *doc, const struct err *err)
{
	struct reflector *r = ctx;
	unsigned retry_after = kube_call_retry_after(r->call);
	enum outcome out = outcome_of(r, status, err);
	struct err why = r->why;

	(void)doc; /* err says what a Status said */
	r->call = NULL;
	loop_timer_del(&r->timer);
	r->depth++;
	/* a list that is not going on with its next page starts over */
	if (out != OUT_OK || r->phase != PHASE_PAGED_LIST) {
		free(r->more);
		r->more = NULL;
		buf_deinit(&r->page);
	}
	if (out != OUT_OK) {
		r->begun = false;
		r->n_skipped = 0;
	}
	act(r, out, retry_after, &why);
	leave(r);
}

/* asking */

/* Nothing comes: no answer at all, or no further object of a streaming list. */
static void on_quiet(struct loop_timer *t)
{
	struct reflector *r = container_of(t, struct reflector, timer);
	struct err err = { 0 };

	kube_cancel(r->call);
	r->call = NULL;
	r->begun = false;
	r->depth++;
	(void)err_set(&err, ERR_TIMEOUT, "no answer in time");
	/* an old server takes the request for an ordinary watch, which has no end of the beginning */
	act(r, r->opened ? OUT_UNSUPPORTED : OUT_FAILED, 0, &err);
	leave(r);
}

static void on_open(void *ctx)
{
	struct reflector *r = ctx;

	r->opened = true;
	if (r->phase == PHASE_STREAM_LIST) {
		loop_timer_set_msec(r->loop, &r->timer, QUIET_MSEC, on_quiet);
		return;
	}
	loop_timer_del(&r->timer);
	if (r->phase == PHASE_WATCH) {
		r->status.state = REFLECTOR_SYNCED;
		r->status.last_err = r->left_out;
		loop_timer_set_msec(r->loop, &r->timer, SETTLED_MSEC, on_settled);
	}
}

static void ask(struct reflector *r, enum phase phase, const char *path, unsigned timeout_msec)
{
	const char *metadata = phase == PHASE_PAGED_LIST ? KUBE_ACCEPT_METADATA_LIST
							 : KUBE_ACCEPT_METADATA;
	const struct kube_stream stream = { .path = path,
					    .accept = r->metadata_only ? metadata : NULL,
					    .timeout_msec = timeout_msec,
					    .open = on_open,
					    .data = on_data,
					    .done = on_done,
					    .ctx = r };

	assert(!r->call && !r->dead);
	r->phase = phase;
	r->opened = false;
	r->n_lines = 0;
	r->verdict = OUT_OK;
	r->why = (struct err){ 0 };
	r->sent_at = loop_mono(r->loop);
	frames_reset(&r->frames);
	buf_deinit(&r->page);
	loop_timer_set_msec(r->loop, &r->timer, phase == PHASE_WATCH ? OPEN_WATCH_MSEC : OPEN_MSEC,
			    on_quiet);
	r->call = kube_stream(r->client, &stream);
}

static unsigned watch_sec(void)
{
	return WATCH_SEC_MIN + arc4random_uniform(WATCH_SEC_MIN + 1);
}

static void list(struct reflector *r)
{
	_cleanup_free_ char *path = NULL, *more = NULL;
	unsigned sec = watch_sec();

	if (!r->more) {
		r->begun = false;
		r->n_skipped = 0;
	}
	if (!r->no_streaming && !r->paged_next) {
		path = xasprintf("%s?watch=1&sendInitialEvents=true&resourceVersionMatch="
				 "NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=%u%s",
				 r->path, sec, r->selectors);
		ask(r, PHASE_STREAM_LIST, path, sec * 1000 + WATCH_SLACK_MSEC);
		return;
	}
	more = r->more ? kube_escape(r->more) : NULL;
	path = xasprintf("%s?limit=%u%s%s%s", r->path, r->page_items, r->selectors,
			 more ? "&continue=" : "", more ? more : "");
	ask(r, PHASE_PAGED_LIST, path, PAGE_MSEC);
}

static void watch(struct reflector *r)
{
	_cleanup_free_ char *path = NULL, *version = kube_escape(r->version);
	unsigned sec = watch_sec();

	r->paged_next = false;
	path = xasprintf(
		"%s?watch=1&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u%s",
		r->path, version, sec, r->selectors);
	ask(r, PHASE_WATCH, path, sec * 1000 + WATCH_SLACK_MSEC);
}

/* exported */

static char *selectors_of(const struct reflector_spec *spec)
{
	_cleanup_free_ char *field = spec->field_selector ? kube_escape(spec->field_selector)
							  : NULL;
	_cleanup_free_ char *label = spec->label_selector ? kube_escape(spec->label_selector)
							  : NULL;

	return xasprintf("%s%s%s%s", field ? "&fieldSelector=" : "", field ? field : "",
			 label ? "&labelSelector=" : "", label ? label : "");
}

struct reflector *reflector_new(struct loop *l, struct kube_client *client,
				const struct reflector_spec *spec, const struct reflector_ops *ops,
				void *ctx)
{
	struct reflector *r = xnew(struct reflector);

	r->loop = l;
	r->client = client;
	r->name = xstrdup(spec->name);
	r->path = xstrdup(spec->path);
	r->selectors = selectors_of(spec);
	r->optional = spec->optional;
	r->metadata_only = spec->metadata_only;
	r->ops = ops;
	r->ctx = ctx;
	r->frames.line_max = EVENT_LINE_MAX;
	r->page_items = PAGE_ITEMS;
	r->backoff = (struct backoff){ .min_msec = BACKOFF_MIN_MSEC,
				       .max_msec = BACKOFF_MAX_MSEC,
				       .reset_msec = BACKOFF_RESET_MSEC };
	return r;
}

struct reflector *reflector_free(struct reflector *r)
{
	if (!r || r->dead)
		return NULL;
	r->dead = true;
	kube_cancel(r->call);
	r->call = NULL;
	knock_leave(&r->door);
	loop_timer_del(&r->timer);
	if (!r->depth)
		really_free(r);
	return NULL;
}

void reflector_start(struct reflector *r)
{
	if (r->call || r->timer.loop)
		return;
	list(r);
}

const struct reflector_status *reflector_status(const struct reflector *r)
{
	return &r->status;
}

const char *reflector_name(const struct reflector *r)
{
	return r->name;
}
