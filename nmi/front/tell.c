/* SPDX-License-Identifier: MIT */

/*
 * What each decision is told as: a line of the log, and a record of the audit log. docs/logs.md is for who
 * reads them. The keys of a line are those of a record (nmi/audit.def).
 *
 * The log is for people, so it has the news: refusals, each a while apart for a pod and reason, and grants that
 * are new (grants.h). The audit log has everything.
 */

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/audit.h"
#include "nmi/front/grants.h"
#include "nmi/front/internal.h"
#include "nmi/limits.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 24
/* Less is not worth a field of a line. */
#define WAIT_MIN_USEC 100

/* one decision, whichever way it went */

struct decision {
	const char *reason; /* NULL: granted */
	unsigned status;
	const char *text, *resource, *namespace;
	const struct issue_answer *answer; /* NULL: nobody was asked */
	int64_t total_usec;
};

static int64_t usec(uint64_t nsec)
{
	return (int64_t)(nsec / 1000);
}

static int64_t since(const struct front *f, const struct exchange *x)
{
	struct mono now = loop_mono(f->loop);

	return mono_before(x->start, now) ? usec(now.ns - x->start.ns) : 0;
}

static const char *or_null(const char *s)
{
	return s && *s ? s : NULL;
}

static bool is_of_node(const struct exchange *x)
{
	return x->route && x->route->handle == h_host_token && inet_ip_is_loopback(&x->peer);
}

static const char *identity_kind(const struct issue_answer *a)
{
	if (a->identity)
		return azure_identity_kind(a->identity);
	return a->is_node ? "node" : NULL;
}

static const char *client_id(const struct issue_answer *a)
{
	return or_null(a->identity ? a->identity->client_id : a->token_client_id);
}

static struct audit_record record_of(const struct exchange *x, const struct decision *d,
				     char peer[static INET_IP_TEXT_MAX])
{
	static const struct issue_answer nobody;
	const struct issue_answer *a = d->answer ? d->answer : &nobody;

	return (struct audit_record){
		.request = x->id,
		.outcome = d->reason ? "refused" : "granted",
		.reason = d->reason,
		.status = d->status,
		.route = x->route ? x->route->name : NULL,
		.caller = is_of_node(x) ? "node" : "pod",
		.peer = inet_ip_print(&x->peer, peer),
		.namespace = or_null(d->namespace),
		.pod = a->pod_name,
		.pod_uid = a->pod_uid,
		.identity_kind = identity_kind(a),
		.identity_namespace = a->identity ? a->identity->meta.namespace : NULL,
		.identity = a->identity ? a->identity->meta.name : NULL,
		.client_id = client_id(a),
		.resource = or_null(d->resource),
		.source = a->source,
		.expires_on = a->expires_on,
		.renew_at = a->renew_at,
		.pod_wait_usec = usec(a->waits.pod_ns),
		.identity_wait_usec = usec(a->waits.identity_ns),
		.token_wait_usec = usec(a->waits.token_ns),
		.total_usec = d->total_usec,
		.text = d->text,
	};
}

/* the log */

/* The tail of every line: what there is to know of the decision beside the message and its own fields. */
enum { FIELDS_OWN = 6, FIELDS_TAIL = 14 };

struct tail {
	char expires_on[WALL_TEXT_MAX], renew_at[WALL_TEXT_MAX];
	char waits[4][NUMBER_MAX];
};

static const char *print_time(struct wall t, char buf[static WALL_TEXT_MAX])
{
	return t.s ? wall_print(t, buf) : NULL;
}

static const char *print_number(int64_t n, char buf[static NUMBER_MAX])
{
	(void)snprintf(buf, NUMBER_MAX, "%" PRId64, n);
	return buf;
}

/* NULL: it did not wait for that, and what is left is our own work. */
static const char *print_wait(int64_t n, char buf[static NUMBER_MAX])
{
	return n >= WAIT_MIN_USEC ? print_number(n, buf) : NULL;
}

static size_t add_tail(struct log_field *out, struct tail *t, const struct audit_record *r)
{
	const struct log_field fields[] = {
		{ "pod", r->pod },
		{ "identity_kind", r->identity_kind },
		{ "identity_namespace", r->identity_namespace },
		{ "identity", r->identity },
		{ "client_id", r->client_id },
		{ "resource", r->resource },
		{ "source", r->source },
		{ "expires_on", print_time(r->expires_on, t->expires_on) },
		{ "renew_at", print_time(r->renew_at, t->renew_at) },
		{ "pod_wait_usec", print_wait(r->pod_wait_usec, t->waits[0]) },
		{ "identity_wait_usec", print_wait(r->identity_wait_usec, t->waits[1]) },
		{ "token_wait_usec", print_wait(r->token_wait_usec, t->waits[2]) },
		{ "total_usec", print_number(r->total_usec, t->waits[3]) },
	};

	static_assert(ARRAY_SIZE(fields) <= FIELDS_TAIL, "they fit");
	memcpy(out, fields, sizeof(fields));
	return ARRAY_SIZE(fields);
}

static const char *print_held(unsigned long held, char buf[static NUMBER_MAX])
{
	(void)snprintf(buf, NUMBER_MAX, "%lu", held);
	return held ? buf : NULL;
}

/* refusals */

static struct log_limit *told_limit(struct front *f, const struct inet_ip *peer, enum reason reason,
				    struct mono now)
{
	uint32_t h = (uint32_t)reason;
	struct front_told *t;

	for (size_t i = 0; i < sizeof(peer->b); i++)
		h = (h ^ peer->b[i]) * 16777619u; /* FNV-1a */
	t = &f->told[h % FRONT_TOLD];
	if (t->reason == reason && inet_ip_eq(&t->peer, peer))
		return &t->limit;
	if (mono_before(now, t->limit.next))
		return &f->told_others
				.limit; /* the place is taken by another one, who spoke lately */
	*t = (struct front_told){ .peer = *peer, .reason = reason };
	return &t->limit;
}

/* What SDKs do by design, and would fill the log: probing without the header, probing newer paths. */
static bool is_expected(enum reason r)
{
	return r == REASON_METADATA_HEADER || r == REASON_NOT_FOUND;
}

/* `held`: refusals like it that were not logged since the last one. */
static bool is_to_be_logged(struct front *f, const struct exchange *x, const struct refusal *why,
			    enum log_level level, unsigned long *held)
{
	struct mono now = loop_mono(f->loop);
	struct log_limit *limit;

	if (!log_enabled(level))
		return false;
	if (level != LOG_LEVEL_WARN)
		return true;
	limit = told_limit(f, &x->peer, why->reason, now);
	if (log_limit_pass(limit, now, LIMIT_REFUSAL_LOG_MSEC, held))
		return true;
	if (why->is_reported)
		limit->held--; /* it is logged after all */
	return why->is_reported;
}

static void log_refusal(const struct exchange *x, const struct audit_record *r,
			enum log_level level, unsigned long held)
{
	char held_text[NUMBER_MAX], status[NUMBER_MAX];
	/* the whole sentence: LOG_Q() would cut its end, which says what to do */
	char text[2 * ISSUE_TEXT_MAX];
	struct log_field fields[FIELDS_OWN + FIELDS_TAIL] = {
		{ "peer", r->peer },
		{ "namespace", r->namespace },
		{ "reason", r->reason },
		{ "status", status },
		{ "request", r->request },
		{ "more",
		  print_held(held, held_text) }, /* like it, not logged since the last one */
	};
	struct tail tail;
	size_t n = FIELDS_OWN;

	(void)snprintf(status, sizeof(status), "%" PRId64, r->status);
	n += add_tail(fields + n, &tail, r);
	(void)str_escape(text, sizeof(text), str_of(r->text));
	log_write(level, fields, n, "request of a %s refused: \"%s\"",
		  is_of_node(x) ? "process of this node" : "pod", text);
}

void front_tell_refused(struct front *f, struct exchange *x, const struct refusal *why)
{
	enum log_level level = is_expected(why->reason) ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN;
	const struct decision d = {
		.reason = reply_code(why->reason),
		.status = reply_status(why->reason),
		.text = why->text,
		.resource = why->resource,
		.namespace = why->namespace,
		.answer = why->answer,
		.total_usec = since(f, x),
	};
	char peer[INET_IP_TEXT_MAX];
	struct audit_record r;
	unsigned long held = 0;
	bool to_log = is_to_be_logged(f, x, why, level, &held);

	if (!to_log && !f->spec.audit)
		return;
	r = record_of(x, &d, peer);
	if (f->spec.audit)
		audit_write(f->spec.audit, &r);
	if (to_log)
		log_refusal(x, &r, level, held);
}

/* grants */

static const char *const news_name[] = {
	[GRANT_KNOWN] = "again",
	[GRANT_FIRST] = "first",
	[GRANT_RENEWED] = "renewed",
};

/* Is it what this connection was given the last time, told or not? Then nothing has to be looked up. */
static bool is_known_here(struct exchange *x, const struct issue_answer *a)
{
	bool same = x->told == a->body_id && x->told_as == a->identity;

	x->told = a->body_id;
	x->told_as = a->identity;
	return same && a->body_id;
}

static enum grant_news note(struct front *f, const struct issue_answer *a, const char *resource)
{
	return grants_note(f->grants,
			   &(struct grant){
				   .pod_uid = a->pod_uid,
				   .identity_kind = identity_kind(a),
				   .identity_namespace = a->identity ? a->identity->meta.namespace
								     : NULL,
				   .identity = a->identity ? a->identity->meta.name : NULL,
				   .resource = resource,
				   .token_id = a->body_id,
			   });
}

static void log_grant(struct front *f, const struct exchange *x, const struct audit_record *r,
		      enum grant_news news)
{
	enum log_level level = news == GRANT_KNOWN ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	char held_text[NUMBER_MAX];
	struct tail tail;
	unsigned long held = 0;
	size_t n = 5;

	if (!log_enabled(level))
		return;
	/* with -v 4 everything is told, and there is nothing to be held back */
	if (!log_enabled(LOG_LEVEL_DEBUG) &&
	    !grants_may_tell(f->grants, r->pod_uid, loop_mono(f->loop), &held))
		return;
	struct log_field fields[FIELDS_OWN + FIELDS_TAIL] = {
		{ "peer", r->peer },
		{ "namespace", r->namespace },
		{ "news", news_name[news] },
		{ "request", r->request },
		{ "more", print_held(held, held_text) }, /* of this pod, not logged since the last one */
	};

	n += add_tail(fields + n, &tail, r);
	log_write(level, fields, n, "token granted%s",
		  is_of_node(x) ? " to a process of this node" : "");
}

void front_tell_granted(struct front *f, struct exchange *x, const struct issue_answer *a,
			const char *resource)
{
	bool is_known = is_known_here(x, a);
	bool to_log = !is_known || log_enabled(LOG_LEVEL_DEBUG);
	enum grant_news news = is_known ? GRANT_KNOWN : note(f, a, resource);
	struct decision d = { .status = 200 };
	char peer[INET_IP_TEXT_MAX];
	struct audit_record r;

	if (news == GRANT_KNOWN)
		to_log = log_enabled(LOG_LEVEL_DEBUG);
	if (!to_log && !f->spec.audit)
		return;
	d.resource = resource;
	d.namespace = a->pod_namespace;
	d.answer = a;
	d.total_usec = since(f, x);
	r = record_of(x, &d, peer);
	if (f->spec.audit)
		audit_write(f->spec.audit, &r);
	if (to_log)
		log_grant(f, x, &r, news);
}
