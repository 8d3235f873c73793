/* SPDX-License-Identifier: MIT */

/* Limits, faults and the record of the stand-in: see service.h. */

#include "tests/sandbox/imds/service.h"

#include "lib/base/mem.h"

#include <string.h>
#include <strings.h>

#define HUGE_BYTES ((size_t)2 * 1024 * 1024)

/* Azure, "Rate limiting": 5 a second in general, 20 and 5 at once for identity requests of a VM. */
#define RATE_TOKEN	 20
#define RATE_OTHER	 5
#define CONCURRENT_TOKEN 5

struct source {
	struct hmap_node node;
	struct inet_ip ip;
	unsigned long n[IMDS_AREAS];
};

/* One request on its way: hangs at request.mine. */
struct call {
	struct service *service;
	struct request *rq;
	struct loop_timer timer;
	enum imds_area area;
	struct fault fault;
	bool counted;  /* among the concurrent ones */
	uint64_t last; /* its number in the ring */
};

static const char *const fault_names[FAULT_KINDS] = {
	[FAULT_NONE] = "none",	 [FAULT_STATUS] = "status",   [FAULT_CLOSE] = "close",
	[FAULT_HANG] = "hang",	 [FAULT_GARBAGE] = "garbage", [FAULT_TRUNCATED] = "truncated",
	[FAULT_EMPTY] = "empty", [FAULT_HUGE] = "huge",
};

const char *fault_kind_name(enum fault_kind k)
{
	return fault_names[k];
}

void service_init(struct service *s, struct loop *l)
{
	s->loop = l;
	s->concurrent_limit = CONCURRENT_TOKEN;
	s->rates[IMDS_TOKEN].max = RATE_TOKEN;
	s->rates[IMDS_INSTANCE].max = RATE_OTHER;
	s->rates[IMDS_OTHER].max = RATE_OTHER;
}

/* ---- the record ---- */

static struct str source_key(const struct hmap_node *n)
{
	return HMAP_BYTES(container_of(n, struct source, node)->ip);
}

static void count(struct service *s, const struct inet_ip *ip, enum imds_area area)
{
	struct hmap_node *node = hmap_find(&s->sources, ip, sizeof(*ip));
	struct source *src = node ? container_of(node, struct source, node) : NULL;

	if (!src) {
		src = xnew(struct source);
		src->ip = *ip;
		hmap_add(&s->sources, &src->node, source_key);
	}
	src->n[area]++;
	s->total[area]++;
}

/* Also what is then refused. */
static void count_second(struct busiest *b, struct mono now)
{
	unsigned n = 0;

	b->at[b->n++ % SERVICE_RATE_MAX] = now;
	while (n < b->n && n < SERVICE_RATE_MAX &&
	       mono_before(now, mono_add_msec(b->at[(b->n - 1 - n) % SERVICE_RATE_MAX], 1000)))
		n++;
	b->max = n > b->max ? n : b->max;
}

static uint64_t remember(struct service *s, const struct request *rq)
{
	uint64_t number = s->n_last++;
	struct last_request *r = &s->last[number % SERVICE_LAST];

	*r = (struct last_request){ .time = loop_wall(s->loop).s };
	(void)inet_ip_print(&rq->peer, r->source);
	(void)snprintf(r->method, sizeof(r->method), "%s", rq->method);
	(void)snprintf(r->target, sizeof(r->target), "%s", rq->target);
	return number;
}

void service_reset(struct service *s)
{
	hmap_for_each_safe (node, next, &s->sources) {
		hmap_del(&s->sources, node);
		free(container_of(node, struct source, node));
	}
	memset(s->total, 0, sizeof(s->total));
	s->throttled = 0;
	s->concurrent_max = s->concurrent;
	s->token_second = (struct busiest){ 0 };
	s->n_last = 0;
}

static json_t *counts(const unsigned long n[static IMDS_AREAS])
{
	return json_pack("{s:I, s:I, s:I}", imds_area_names[IMDS_TOKEN], (json_int_t)n[IMDS_TOKEN],
			 imds_area_names[IMDS_INSTANCE], (json_int_t)n[IMDS_INSTANCE],
			 imds_area_names[IMDS_OTHER], (json_int_t)n[IMDS_OTHER]);
}

static json_t *last_requests(const struct service *s)
{
	uint64_t first = s->n_last > SERVICE_LAST ? s->n_last - SERVICE_LAST : 0;
	json_t *list = json_array();

	for (uint64_t i = first; i < s->n_last; i++) {
		const struct last_request *r = &s->last[i % SERVICE_LAST];

		/* NULL (no UTF-8 in the target) is skipped */
		(void)json_array_append_new(
			list, json_pack("{s:I, s:s, s:s, s:s, s:i}", "time", (json_int_t)r->time,
					"source", r->source, "method", r->method, "target",
					r->target, "status", (int)r->status));
	}
	return list;
}

json_t *service_stats(const struct service *s)
{
	json_t *sources = json_object();

	for (struct hmap_node *n = hmap_first(&s->sources); n; n = hmap_next(n)) {
		const struct source *src = container_of(n, struct source, node);
		char ip[INET_IP_TEXT_MAX];

		(void)json_object_set_new(sources, inet_ip_print(&src->ip, ip), counts(src->n));
	}
	return json_pack("{s:o, s:o, s:I, s:i, s:i, s:I, s:o}", "total", counts(s->total),
			 "sources", sources, "throttled", (json_int_t)s->throttled,
			 "token_concurrent_max", (int)s->concurrent_max, "token_second_max",
			 (int)s->token_second.max, "tokens_minted", (json_int_t)s->imds.minted,
			 "last", last_requests(s));
}

/* ---- limits ---- */

static bool rate_pass(struct rate *r, struct mono now)
{
	struct mono oldest;

	if (!r->max)
		return true;
	oldest = r->at[r->next];
	if (oldest.ns && mono_before(now, mono_add_msec(oldest, 1000)))
		return false;
	r->at[r->next] = now;
	r->next = (r->next + 1) % r->max;
	return true;
}

static bool within_limits(struct service *s, enum imds_area area)
{
	bool pass = rate_pass(&s->rates[area], loop_mono(s->loop));

	if (area == IMDS_TOKEN && s->concurrent_limit && s->concurrent > s->concurrent_limit)
		pass = false;
	s->throttled += !pass;
	return pass;
}

/* ---- one request ---- */

struct header_facts {
	unsigned metadata;
	bool metadata_true, forwarded;
};

static void on_header(void *ctx, const char *name, const char *value)
{
	struct header_facts *f = ctx;

	if (strcasecmp(name, "Metadata") == 0) {
		f->metadata++;
		f->metadata_true = strcmp(value, "true") == 0;
	}
	/* a folded one arrives with the start of its value glued to the name (MHD 0.9.75) */
	if (strncasecmp(name, "X-Forwarded-For", 15) == 0)
		f->forwarded = true;
}

static void real_answer(struct service *s, struct request *rq, struct imds_answer *out)
{
	struct header_facts f = { 0 };
	struct imds_ask ask = { rq->method, rq->target, false, false, loop_wall(s->loop).s };

	request_each_header(rq, on_header, &f);
	ask.metadata = f.metadata == 1 && f.metadata_true;
	ask.forwarded = f.forwarded;
	imds_answer(&s->imds, &ask, out);
}

static void status_fault(unsigned status, struct imds_answer *out)
{
	if (status == 429)
		imds_answer_error(out, status, "too_many_requests", "Too many requests");
	else if (status == 410)
		imds_answer_error(out, status, "service_unavailable",
				  "The service is being updated");
	else if (status == 404)
		imds_answer_error(out, status, "not_found", "The endpoint is being updated");
	else
		imds_answer_error(out, status, status >= 500 ? "unknown" : "invalid_request",
				  "Failed on request of the test");
}

static char *huge_body(void)
{
	char *p = xcalloc(HUGE_BYTES + 1, 1);

	memset(p, ' ', HUGE_BYTES);
	return p;
}

static void body_fault(enum fault_kind kind, struct imds_answer *out)
{
	if (kind == FAULT_TRUNCATED) {
		out->body[strlen(out->body) / 2] = '\0';
		return;
	}
	free(out->body);
	out->status = 200;
	out->body = kind == FAULT_HUGE	    ? huge_body()
		    : kind == FAULT_GARBAGE ? xstrdup("<html>\x01 this is not JSON </html>")
					    : xstrdup("{}");
}

static void leave(struct call *c)
{
	if (c->counted)
		c->service->concurrent--;
	c->counted = false;
	loop_timer_del(&c->timer);
}

static void finish(struct call *c)
{
	struct service *s = c->service;
	struct request *rq = c->rq;
	struct imds_answer out = { 0 };

	leave(c);
	if (c->fault.kind == FAULT_CLOSE) {
		request_drop(rq);
		return;
	}
	if (c->fault.kind == FAULT_STATUS) {
		status_fault(c->fault.status, &out);
	} else {
		real_answer(s, rq, &out);
		if (c->fault.kind != FAULT_NONE)
			body_fault(c->fault.kind, &out);
	}
	rq->allow = out.allow;
	(void)snprintf(rq->retry_after, sizeof(rq->retry_after), "%s", c->fault.retry_after);
	if (s->n_last > c->last && s->n_last - c->last <= SERVICE_LAST)
		s->last[c->last % SERVICE_LAST].status = out.status;
	request_answer(rq, out.status, out.type, out.body ? out.body : xstrdup(""));
}

static void on_late(struct loop_timer *t)
{
	finish(container_of(t, struct call, timer));
}

static struct fault take_fault(struct fault *f)
{
	struct fault taken = *f;

	if (f->times > 0 && --f->times == 0)
		f->kind = FAULT_NONE;
	return taken;
}

static enum imds_area area_of(const char *target)
{
	struct query q;
	enum imds_area area;

	(void)query_parse(&q, target); /* too many parameters leave the path as it is */
	area = imds_area(q.path);
	query_deinit(&q);
	return area;
}

void service_on_request(void *ctx, struct request *rq)
{
	struct service *s = ctx;
	struct call *c = xnew(struct call);

	*c = (struct call){ .service = s, .rq = rq, .area = area_of(rq->target) };
	rq->mine = c;
	count(s, &rq->peer, c->area);
	c->last = remember(s, rq);
	c->fault = take_fault(&s->faults[c->area]);
	if (c->area == IMDS_TOKEN) {
		count_second(&s->token_second, loop_mono(s->loop));
		c->counted = true;
		s->concurrent++;
		if (s->concurrent > s->concurrent_max)
			s->concurrent_max = s->concurrent;
	}
	if (!within_limits(s, c->area))
		c->fault = (struct fault){ .kind = FAULT_STATUS, .status = 429 };
	else if (c->fault.kind == FAULT_HANG)
		return;
	else if (s->latency_msec[c->area]) {
		loop_timer_set_msec(s->loop, &c->timer, s->latency_msec[c->area], on_late);
		return;
	}
	finish(c);
}

void service_on_end(void *ctx, struct request *rq)
{
	struct call *c = rq->mine;

	if (!c)
		return;
	leave(c);
	free(c);
}

/* Requests that hang are answered, the others of the future are served as ever. */
void service_clear_faults(struct service *s)
{
	struct request *rq, *next;

	memset(s->faults, 0, sizeof(s->faults));
	memset(s->latency_msec, 0, sizeof(s->latency_msec));
	for (rq = server_first_waiting(s->metadata); rq; rq = next) {
		struct call *c = rq->mine;

		next = rq->next;
		c->fault = (struct fault){ 0 };
		finish(c);
	}
}

void service_deinit(struct service *s)
{
	s->metadata = server_free(s->metadata);
	s->control = server_free(s->control);
	imds_forget_tokens(&s->imds);
	service_reset(s);
	s->imds.conf = imds_conf_free(s->imds.conf);
}
