/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of this directory share; nobody else includes it. */

#include "lib/base/bucket.h"
#include "lib/base/log.h"
#include "lib/base/metric.h"
#include "nmi/front/answers.h"
#include "nmi/front/front.h"
#include "nmi/front/query.h"
#include "nmi/front/reply.h"
#include "nmi/front/server.h"
#include "nmi/front/target.h"
#include "nmi/issue.h"

/* HOST6 has the routes of HOST. The numbers are the roles of a hand-over: new ones go to the end. */
enum listener {
	LISTENER_PODS,
	LISTENER_HOST,
	LISTENER_HOST6,
	LISTENER_PROBES,
	LISTENER_METRICS,
	LISTENERS,
};

enum method {
	METHOD_GET = 1,
	METHOD_HEAD = 2,
	METHOD_POST = 4,
	METHOD_PUT = 8,
	METHOD_OTHER = 16, /* whatever else a client makes up */
};

typedef void route_fn(struct front *f, struct exchange *x, const struct target *t);

struct route {
	enum listener listener;
	unsigned methods; /* of enum method */
	const char *path; /* as documented; what decides when `fits` is NULL: equality */
	bool (*fits)(struct str path);
	const char
		*name; /* metrics label operation_type: one value a route, never what a pod sent */
	route_fn *handle;
	const char *summary;
};

/* The first that fits the path, whatever the method; NULL: none. */
const struct route *route_find(enum listener listener, struct str path);
/* A method by its exact name. */
unsigned method_parse(const char *name);
/* "GET, HEAD" for an Allow header; "any". */
const char *methods_print(unsigned methods, char *buf, size_t size);

/* Who was told what lately, so that a pod cannot flood the log. */
struct front_told {
	struct inet_ip peer;
	enum reason reason;
	struct log_limit limit;
};

#define FRONT_TOLD 256

/* Of how many hand-overs that were taken back connections may be left; beyond it the oldest are cut. */
#define FRONT_OLDER_MAX ((size_t)4 * LISTENERS)

struct front {
	struct loop *loop;
	struct front_spec spec;
	struct server *servers[LISTENERS]; /* NULL: none, or handed over */
	struct {
		struct server *server;
		enum listener role;
	} older[FRONT_OLDER_MAX]; /* handed over: they have connections, and listen no more */
	size_t n_older;
	int kept[LISTENERS];	      /* what those listened on, to take it back; -EBADF: none */
	bool closing;		      /* each answer ends its connection */
	struct answers *answers;      /* finished ones, by token and second */
	struct response *no_metadata; /* what every SDK's probe gets */
	char id[GUID_LEN + 1];	      /* template of request ids */
	uint64_t n_requests;
	struct front_told told[FRONT_TOLD], told_others;
	struct log_limit crowded_log;
	struct {
		struct bucket made;
		struct response *last; /* or NULL */
	} metrics_pages[METRIC_FORMATS];
	struct grants *grants;
	/* one request is read at a time: scratch, too big to clear for each */
	struct target target;
	struct query query;
	struct issue_answer answer;
};

/* answering; each counts */
void front_answer(struct front *f, struct exchange *x, struct response *r, const char *namespace,
		  const char *resource);
void front_refuse(struct front *f, struct exchange *x, const struct refusal *why);
/* The same, but nobody is told: the connection ends. */
void front_drop(struct front *f, struct exchange *x, const struct refusal *why);
/* A page for an operator; `body` is on the heap and taken. */
void front_page(struct front *f, struct exchange *x, unsigned status, const char *type, char *body,
		size_t n);
/* The headers that IMDS wants of every request; false: it was refused. */
bool front_check_metadata(struct front *f, struct exchange *x);
/* No proxy between; false: it was refused. */
bool front_check_direct(struct front *f, struct exchange *x);

/* Asks the issuer, and has `issued` answer, now or later. What `req` points to may go. */
typedef void issued_fn(struct front *f, struct exchange *x, const struct issue_answer *a,
		       const char *resource);
void front_issue(struct front *f, struct exchange *x, const struct issue_request *req,
		 issued_fn *issued);
/* Of an answer that is none. */
struct refusal front_refusal(const struct issue_answer *a, const char *resource);

/* tell.c: what was decided, to the log where it is due, and to the audit log. Before it is answered. */
void front_tell_granted(struct front *f, struct exchange *x, const struct issue_answer *a,
			const char *resource);
void front_tell_refused(struct front *f, struct exchange *x, const struct refusal *why);

/* handlers */
route_fn h_token, h_identity, h_host_token, h_host_other, h_instance, h_forward, h_self_test;
route_fn h_healthz, h_readyz, h_livez;
route_fn h_metrics;
