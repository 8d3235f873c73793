/* SPDX-License-Identifier: MIT */

/*
 * The control port, for tests: what real IMDS does of its own accord is asked for here. A setting is
 * `POST /name?parameter=value`; answers are JSON. The table below is the reference.
 */

#include "lib/base/mem.h"
#include "tests/sandbox/imds/service.h"

#include <string.h>

#define JSON_TYPE "application/json; charset=utf-8"

static void reply(struct request *rq, unsigned status, json_t *take)
{
	char *text = json_dumps(take, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(take);
	request_answer(rq, status, JSON_TYPE, text ? text : xstrdup("{}"));
}

static void refuse(struct request *rq, const char *why)
{
	reply(rq, 400, json_pack("{s:s}", "error", why));
}

static void done(struct request *rq)
{
	reply(rq, 200, json_pack("{s:b}", "ok", 1));
}

/* False, with nothing changed, unless the parameter is absent or a number up to `max`. */
static bool number(const struct query *q, const char *name, unsigned long max, unsigned *io)
{
	const char *v = query_get(q, name);
	unsigned long n;
	char *end;

	if (!v)
		return true;
	n = strtoul(v, &end, 10);
	if (!*v || *end || n > max)
		return false;
	*io = (unsigned)n;
	return true;
}

/* The areas that a setting is for: the one named, or all of them. */
static bool area_range(const struct query *q, size_t *from, size_t *to)
{
	const char *name = query_get(q, "area");

	*from = 0;
	*to = IMDS_AREAS;
	for (size_t i = 0; name && i < IMDS_AREAS; i++) {
		if (strcmp(name, imds_area_names[i]) == 0) {
			*from = i;
			*to = i + 1;
			return true;
		}
	}
	return !name || strcmp(name, "all") == 0;
}

static void set_fault(struct service *s, struct request *rq, const struct query *q)
{
	const char *kind = query_get(q, "kind"), *after = query_get(q, "retry-after");
	struct fault f = { .kind = FAULT_STATUS, .times = -1 };
	unsigned times = 0;
	size_t from, to;

	for (enum fault_kind k = FAULT_NONE; kind && k < FAULT_KINDS; k++) {
		if (strcmp(kind, fault_kind_name(k)) == 0)
			f.kind = k;
	}
	if (!number(q, "status", 599, &f.status) || !number(q, "times", 1000000, &times) ||
	    !area_range(q, &from, &to) || (f.kind == FAULT_STATUS && f.status < 400)) {
		refuse(rq, "want status=400..599 or kind=close|hang|garbage|truncated|empty|huge, "
			   "and perhaps times=N, area=token|instance|other, retry-after=SECONDS");
		return;
	}
	if (times)
		f.times = (long)times;
	(void)snprintf(f.retry_after, sizeof(f.retry_after), "%s", after ? after : "");
	for (size_t i = from; i < to; i++)
		s->faults[i] = f;
	done(rq);
}

static void set_latency(struct service *s, struct request *rq, const struct query *q)
{
	unsigned msec = 0;
	size_t from, to;

	if (!number(q, "msec", 600000, &msec) || !area_range(q, &from, &to)) {
		refuse(rq, "want msec=0..600000, and perhaps area=token|instance|other");
		return;
	}
	for (size_t i = from; i < to; i++)
		s->latency_msec[i] = msec;
	done(rq);
}

static void set_limits(struct service *s, struct request *rq, const struct query *q)
{
	unsigned token = s->rates[IMDS_TOKEN].max, other = s->rates[IMDS_OTHER].max;
	unsigned at_once = s->concurrent_limit;

	if (!number(q, "token-rate", SERVICE_RATE_MAX, &token) ||
	    !number(q, "other-rate", SERVICE_RATE_MAX, &other) ||
	    !number(q, "token-concurrent", 100000, &at_once)) {
		refuse(rq, "want token-rate, other-rate (a second, up to 1024) or "
			   "token-concurrent; 0: any");
		return;
	}
	s->rates[IMDS_TOKEN] = (struct rate){ .max = token };
	s->rates[IMDS_INSTANCE] = (struct rate){ .max = other };
	s->rates[IMDS_OTHER] = (struct rate){ .max = other };
	s->concurrent_limit = at_once;
	done(rq);
}

static void set_lifetime(struct service *s, struct request *rq, const struct query *q)
{
	if (!number(q, "seconds", 10UL * 86400, &s->imds.lifetime_sec)) {
		refuse(rq, "want seconds=N");
		return;
	}
	imds_forget_tokens(&s->imds);
	done(rq);
}

static void set_identities(struct service *s, struct request *rq, const struct query *q)
{
	struct err err = { 0 };
	struct imds_conf *c = imds_conf_parse(rq->body.p ? rq->body.p : "", rq->body.n, &err);

	if (!c) {
		refuse(rq, err.msg);
		return;
	}
	imds_forget_tokens(&s->imds);
	s->imds.conf = imds_conf_free(s->imds.conf);
	s->imds.conf = c;
	done(rq);
}

static void get_stats(struct service *s, struct request *rq, const struct query *q)
{
	reply(rq, 200, service_stats(s));
}

static void get_keys(struct service *s, struct request *rq, const struct query *q)
{
	reply(rq, 200, jwt_key_set(s->imds.key));
}

static void reset(struct service *s, struct request *rq, const struct query *q)
{
	service_reset(s);
	done(rq);
}

static void clear(struct service *s, struct request *rq, const struct query *q)
{
	service_clear_faults(s);
	done(rq);
}

static void forget(struct service *s, struct request *rq, const struct query *q)
{
	imds_forget_tokens(&s->imds);
	done(rq);
}

struct route {
	const char *method, *path;
	void (*fn)(struct service *s, struct request *rq, const struct query *q);
};

/* clang-format off */
static const struct route routes[] = {
	{ "GET",  "/stats",	 get_stats },	   /* who asked what, how often, how many at once */
	{ "GET",  "/jwks",	 get_keys },	   /* the keys that verify the tokens */
	{ "POST", "/reset",	 reset },	   /* forget the statistics */
	{ "POST", "/fault",	 set_fault },	   /* fail: see set_fault() */
	{ "POST", "/latency",	 set_latency },	   /* answer later */
	{ "POST", "/clear",	 clear },	   /* no fault, no latency; hanging requests are answered */
	{ "POST", "/limits",	 set_limits },	   /* throttling */
	{ "POST", "/lifetime",	 set_lifetime },   /* of tokens from now on */
	{ "POST", "/forget",	 forget },	   /* empty the cache of tokens */
	{ "PUT",  "/identities", set_identities }, /* another machine: a file as --identities takes */
};
/* clang-format on */

void control_on_request(void *ctx, struct request *rq)
{
	struct service *s = ctx;
	struct query q;
	const struct route *found = NULL;

	if (!query_parse(&q, rq->target)) {
		refuse(rq, "too many parameters");
		query_deinit(&q);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (strcmp(routes[i].path, q.path) == 0 &&
		    strcmp(routes[i].method, rq->method) == 0)
			found = &routes[i];
	}
	if (found)
		found->fn(s, rq, &q);
	else
		reply(rq, 404, json_pack("{s:s}", "error", "no such control"));
	query_deinit(&q);
}
