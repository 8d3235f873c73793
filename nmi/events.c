/* SPDX-License-Identifier: MIT */

/*
 * Refusals as Events: see events.h.
 *
 * Theory of operation. There is a subject for each pod that was refused lately, with a few rows: one for
 * each reason and text. A row decides when its refusal may be told again, and a bucket for the whole
 * node decides when the next one is sent; what is due waits in a queue for that. The queue holds rows,
 * so it cannot be longer than they are many, and a refusal that recurs while its row waits is counted
 * there.
 *
 * When a pod has more different refusals than rows (it may choose the ids that it asks for, and the
 * texts quote them), the rest is dropped; when there are more pods than subjects, the one that was
 * refused least recently is forgotten, unless something of it is still to be sent.
 *
 * Each telling is a new Event: to raise the count of the one before would take the right to patch, and
 * to remember names that the API server may have thrown away (it keeps Events for an hour).
 */

#include "nmi/events.h"

#include "lib/base/bucket.h"
#include "lib/base/hmap.h"
#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/siphash.h"
#include "lib/kube/client.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#define COMPONENT "nmi"
/* "Nmi" and the code in CamelCase; the API server takes 128. */
#define REASON_MAX 64
/* Names of objects: RFC 1123 subdomains. */
#define NAME_MAX_BYTES 253
/* First the answer goes out, which is written after this turn of the loop; then the Event. */
#define SEND_DELAY_MSEC 1
#define INTERVAL_NS	(LIMIT_EVENT_INTERVAL_MSEC * NSEC_PER_MSEC)

/*
 * FREE     Never used. Left by the first refusal, into DUE.
 * DUE      In the queue; `text` and `request_id` are what will be told. Left by send_next().
 * SENDING  `post` of the events is under way. Left by on_posted().
 * QUIET    Told, or dropped. Left by a refusal after quiet_until, into DUE; only in this state the row
 *          may be taken for another refusal.
 */
enum row_state { ROW_FREE, ROW_DUE, ROW_SENDING, ROW_QUIET };

struct row {
	enum row_state state;
	struct subject *subject;
	enum reason reason;
	uint64_t text_hash;
	int64_t count; /* of refusals since `first` */
	struct wall first, last;
	struct mono last_mono, quiet_until;
	char *text, *request_id;
	struct kube_call *call;
	struct row *prev, *next; /* in the queue, or among those being sent */
};

struct subject {
	struct hmap_node node; /* in order of the last refusal */
	struct events *events;
	char *namespace, *name, *uid;
	struct row rows[LIMIT_EVENTS_PER_POD];
};

struct events {
	struct loop *loop;
	struct kube_client *client;
	char *node;
	struct metrics *metrics;
	struct siphash_key key;
	struct hmap subjects;
	struct row *queue, *sending;
	unsigned n_sending;
	struct bucket bucket; /* of the node */
	struct loop_timer timer;
	struct log_limit failed;
	bool told_rbac;
};

/* reasons */

static const char *const codes[REASONS] = {
#define X(name, code, status, error, retry_after) [REASON_##name] = code,
#include "nmi/reasons.def"
#undef X
};

/* What passes by itself: by the time that somebody reads the Event, it would not be true any more. */
static const bool is_transient[REASONS] = {
	[REASON_POD_UNKNOWN] = true,
	[REASON_NOT_SYNCED] = true,
	[REASON_OVERLOADED] = true,
	[REASON_POD_LIMIT] = true,
	[REASON_UPSTREAM_THROTTLED] = true,
	[REASON_UPSTREAM_UPDATING] = true,
	[REASON_UPSTREAM_DOWN] = true,
	/* of a connection or a process of the node, and no fault of the pod */
	[REASON_STALE_CONNECTION] = true,
	[REASON_HOST_CALLER] = true,
	[REASON_SOURCE] = true,
};

/* no_label: NmiNoLabel */
static void print_reason(enum reason reason, char out[static REASON_MAX])
{
	size_t n = 3;
	bool up = true;

	memcpy(out, "Nmi", n);
	for (const char *p = codes[reason]; *p && n < REASON_MAX - 1; p++) {
		if (*p != '_')
			out[n++] = (char)(up ? toupper((unsigned char)*p) : *p);
		up = *p == '_';
	}
	out[n] = '\0';
}

/* printing */

static const char *print_time(struct wall t, char out[static 32])
{
	time_t s = t.s;
	struct tm tm;

	if (!gmtime_r(&s, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return NULL; /* a clock out of range: the API server does without the time */
	return out;
}

/*
 * The pod's name, cut to what fits, and the id of the request: no other Event has this name, also not
 * one of an earlier run of the agent.
 */
static char *print_name(const struct row *row)
{
	size_t id = strlen(row->request_id),
	       room = id < NAME_MAX_BYTES ? NAME_MAX_BYTES - id - 1 : 0;
	size_t n = strnlen(row->subject->name, room);

	while (n && !isalnum((unsigned char)row->subject->name[n - 1]))
		n--;
	return xasprintf("%.*s%s%s", (int)n, row->subject->name, n ? "." : "", row->request_id);
}

static char *print_event(const struct events *e, const struct row *row, size_t *out_len)
{
	const struct subject *s = row->subject;
	_cleanup_free_ char *name = print_name(row);
	_cleanup_free_ char *message = xasprintf("%s (request %s)", row->text, row->request_id);
	char reason[REASON_MAX], first[32], last[32];

	print_reason(row->reason, reason);
	const struct jval_item items[] = {
		{ "apiVersion", JVAL_STR, "v1", 0 },
		{ "kind", JVAL_STR, "Event", 0 },
		{ "metadata.name", JVAL_STR, name, 0 },
		{ "metadata.namespace", JVAL_STR, s->namespace, 0 },
		{ "involvedObject.apiVersion", JVAL_STR, "v1", 0 },
		{ "involvedObject.kind", JVAL_STR, "Pod", 0 },
		{ "involvedObject.namespace", JVAL_STR, s->namespace, 0 },
		{ "involvedObject.name", JVAL_STR, s->name, 0 },
		{ "involvedObject.uid", JVAL_STR, s->uid, 0 },
		{ "type", JVAL_STR, "Warning", 0 },
		{ "reason", JVAL_STR, reason, 0 },
		{ "message", JVAL_STR, message, 0 },
		{ "source.component", JVAL_STR, COMPONENT, 0 },
		{ "source.host", JVAL_STR, e->node, 0 },
		{ "reportingComponent", JVAL_STR, COMPONENT, 0 },
		{ "reportingInstance", JVAL_STR, e->node, 0 },
		{ "firstTimestamp", JVAL_STR, print_time(row->first, first), 0 },
		{ "lastTimestamp", JVAL_STR, print_time(row->last, last), 0 },
		{ "count", JVAL_INT, NULL, row->count < INT32_MAX ? row->count : INT32_MAX },
	};

	return jval_print_items(items, ARRAY_SIZE(items), out_len);
}

/* subjects, rows */

static void row_clear(struct row *row)
{
	free(row->text);
	free(row->request_id);
	row->text = row->request_id = NULL;
}

static void subject_free(struct subject *s)
{
	hmap_del(&s->events->subjects, &s->node);
	for (size_t i = 0; i < LIMIT_EVENTS_PER_POD; i++)
		row_clear(&s->rows[i]);
	free(s->namespace);
	free(s->name);
	free(s->uid);
	free(s);
}

static bool is_idle(const struct subject *s)
{
	for (size_t i = 0; i < LIMIT_EVENTS_PER_POD; i++) {
		if (s->rows[i].state == ROW_DUE || s->rows[i].state == ROW_SENDING)
			return false;
	}
	return true;
}

/* Room for one more; false: all have something to send. */
static bool make_room(struct events *e)
{
	if (hmap_count(&e->subjects) < LIMIT_EVENT_PODS)
		return true;
	hmap_for_each_safe (n, next, &e->subjects) {
		struct subject *s = container_of(n, struct subject, node);

		if (is_idle(s)) {
			subject_free(s);
			return true;
		}
	}
	return false;
}

static struct str subject_key(const struct hmap_node *n)
{
	return str_of(container_of(n, struct subject, node)->uid);
}

/* Made if it is not there, and put last in order; NULL: no room. */
static struct subject *subject_get(struct events *e, const struct event_pod *pod)
{
	struct hmap_node *n = hmap_find(&e->subjects, pod->uid, strlen(pod->uid));
	struct subject *s;

	if (n) {
		s = container_of(n, struct subject, node);
		hmap_del(&e->subjects, n);
	} else {
		if (!make_room(e))
			return NULL;
		s = xnew(struct subject);
		s->events = e;
		s->namespace = xstrdup(pod->namespace);
		s->name = xstrdup(pod->name);
		s->uid = xstrdup(pod->uid);
		for (size_t i = 0; i < LIMIT_EVENTS_PER_POD; i++)
			s->rows[i].subject = s;
	}
	hmap_add(&e->subjects, &s->node, subject_key);
	return s;
}

/* Of this refusal, else one that can be had for it; NULL: neither. */
static struct row *row_get(struct subject *s, enum reason reason, uint64_t hash, struct mono now)
{
	struct row *room = NULL;

	for (size_t i = 0; i < LIMIT_EVENTS_PER_POD; i++) {
		struct row *row = &s->rows[i];

		if (row->state != ROW_FREE && row->reason == reason && row->text_hash == hash)
			return row;
		if (row->state == ROW_FREE ||
		    (row->state == ROW_QUIET && !mono_before(now, row->quiet_until) &&
		     (!room || mono_before(row->last_mono, room->last_mono))))
			room = row;
	}
	if (room)
		*room = (struct row){ .subject = s, .reason = reason, .text_hash = hash };
	return room;
}

static void row_count(struct row *row, struct wall wall, struct mono now)
{
	struct mono forgotten = mono_add_msec(row->last_mono, LIMIT_EVENT_FORGET_MSEC);

	if (row->count == 0 || !mono_before(now, forgotten)) {
		row->count = 0;
		row->first = wall;
	}
	row->count++;
	row->last = wall;
	row->last_mono = now;
}

/* sending */

static void count_result(const struct events *e, const char *result)
{
	metric_add(e->metrics, NMI_METRIC_EVENTS, &result, 1);
}

/*
 * The API server says 403 both to whoever lacks the right and to everyone while a namespace is being
 * deleted; its pods, that are being deleted too, are often refused then.
 */
static bool lacks_right(long status, const struct err *err)
{
	return status == 403 && !strstr(err->msg, "being terminated");
}

static void on_failed(struct events *e, long status, const struct err *err)
{
	unsigned long held;

	if (lacks_right(status, err)) {
		if (!e->told_rbac)
			log_warn("Events cannot be written: the agent's service account needs the "
				 "verb create on events (RBAC), or set --events=false: %s",
				 err->msg);
		e->told_rbac = true;
		return;
	}
	if (log_enabled(LOG_LEVEL_DEBUG) &&
	    log_limit_pass(&e->failed, loop_mono(e->loop), LIMIT_REFUSAL_LOG_MSEC, &held))
		log_debug("an Event was not written (and %lu before it): %s", held, err->msg);
}

static void go_on(struct events *e);

static void on_posted(void *ctx, long status, const struct jval *doc, const struct err *err)
{
	struct row *row = ctx;
	struct events *e = row->subject->events;
	/* what may be over soon is tried again sooner */
	bool again_soon = err && (status == 0 || status == 429 || status >= 500);

	(void)doc;
	row->call = NULL;
	DL_DELETE(e->sending, row);
	e->n_sending--;
	row->state = ROW_QUIET;
	row->quiet_until = mono_add_msec(loop_mono(e->loop), again_soon ? LIMIT_EVENT_RETRY_MSEC
									: LIMIT_EVENT_QUIET_MSEC);
	row_clear(row);
	if (err) {
		on_failed(e, status, err);
	} else {
		e->told_rbac = false; /* if it is taken away again, that is news */
	}
	count_result(e, err ? "failed" : "created");
	go_on(e);
}

static void send_row(struct events *e, struct row *row)
{
	_cleanup_free_ char *ns = kube_escape(row->subject->namespace);
	_cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/events", ns);
	_cleanup_free_ char *body = NULL;
	size_t n;

	body = print_event(e, row, &n);
	DL_DELETE(e->queue, row);
	DL_APPEND(e->sending, row);
	e->n_sending++;
	row->state = ROW_SENDING;
	row->call = kube_post(e->client, path, body, n, LIMIT_EVENT_POST_MSEC, on_posted, row);
}

/* Set when one may be sent; nothing else sends, so that is still so. */
static void on_timer(struct loop_timer *t)
{
	struct events *e = container_of(t, struct events, timer);

	bucket_take(&e->bucket, INTERVAL_NS, loop_mono(e->loop));
	send_row(e, e->queue);
	go_on(e);
}

/* One at a time, so that a burst does not keep the loop from its requests. */
static void go_on(struct events *e)
{
	struct mono soon = mono_add_msec(loop_mono(e->loop), SEND_DELAY_MSEC),
		    at = bucket_next(&e->bucket, INTERVAL_NS, LIMIT_EVENT_BURST);

	if (e->queue && e->n_sending < LIMIT_EVENTS_SENDING && !e->timer.loop)
		loop_timer_set(e->loop, &e->timer, mono_before(at, soon) ? soon : at, on_timer);
}

/* exported */

struct events *events_new(struct loop *l, struct kube_client *client, const char *node,
			  struct metrics *metrics)
{
	struct events *e = xnew(struct events);

	e->loop = l;
	e->client = client;
	e->node = xstrdup(node);
	e->metrics = metrics;
	arc4random_buf(&e->key, sizeof(e->key));
	return e;
}

struct events *events_free(struct events *e)
{
	struct row *row;

	if (!e)
		return NULL;
	loop_timer_del(&e->timer);
	DL_FOREACH (e->sending, row)
		kube_cancel(row->call);
	hmap_for_each_safe (n, next, &e->subjects)
		subject_free(container_of(n, struct subject, node));
	free(e->node);
	free(e);
	return NULL;
}

bool events_refused(struct events *e, const struct event_pod *pod, enum reason reason,
		    const char *text, const char *request_id)
{
	struct mono now = loop_mono(e->loop);
	struct subject *s;
	struct row *row;

	assert(reason > REASON_NONE && reason < REASONS);
	if (is_transient[reason])
		return false;
	s = subject_get(e, pod);
	row = s ? row_get(s, reason, siphash(&e->key, text, strlen(text)), now) : NULL;
	if (!row) {
		count_result(e, "dropped");
		return false;
	}
	row_count(row, loop_wall(e->loop), now);
	if (row->state == ROW_DUE || row->state == ROW_SENDING ||
	    (row->state == ROW_QUIET && mono_before(now, row->quiet_until)))
		return false;
	row->state = ROW_DUE;
	row->text = xstrdup(text);
	row->request_id = xstrdup(request_id);
	DL_APPEND(e->queue, row);
	go_on(e);
	return true;
}
