/* SPDX-License-Identifier: MIT */

/* How every part of the agent is: see describe.h. */

#include "nmi/describe.h"

#include "iptables/redirect.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "lib/kube/reflector.h"
#include "lib/loop/loop.h"
#include "mic-client/index.h"
#include "mic-client/store.h"
#include "nmi/config.h"
#include "nmi/front/front.h"
#include "nmi/health.h"
#include "nmi/metrics.h"
#include "nmi/pods/store.h"
#include "nmi/pods/watch.h"
#include "nmi/proc.h"
#include "nmi/status/document.h"
#include "nmi/token/cache.h"

#include <assert.h>
#include <strings.h>
#include <unistd.h>

/* A count of the metrics, which are doubles; far below 2^53. */
static int64_t whole(double v)
{
	return (int64_t)v;
}

static const char *or_null(const char *s)
{
	return s && *s ? s : NULL;
}

static void put_checks(const struct describe *d, struct status_agent *a)
{
	static_assert(HEALTH_CHECKS_MAX <= STATUS_ROWS_MAX, "room for each check");
	static_assert(HEALTH_LINE_MAX <= STATUS_WHY_MAX, "and for its words");

	a->ready = true;
	for (size_t i = 0; i < d->health->n; i++) {
		const struct health_check *c = &d->health->checks[i];
		char *why = a->why[i];
		bool ok;

		why[0] = '\0';
		ok = c->fn(c->ctx, why, STATUS_WHY_MAX);
		a->ready &= ok;
		a->checks[a->n_checks++] = (struct status_check){ c->name, ok ? NULL : or_null(why),
								  ok };
	}
}

static const char *state_name(enum redirect_state state)
{
	switch (state) {
	case REDIRECT_STARTING:
		return "starting";
	case REDIRECT_ACTIVE:
		return "active";
	case REDIRECT_FAILING:
		return "failing";
	case REDIRECT_GONE:
		return "gone";
	}
	return NULL;
}

static void put_rules(const struct describe *d, struct status_agent *a)
{
	const struct redirect_status *s = redirect_status(d->redirect);
	bool is_auto = strcasecmp(d->config->redirect_backend, "auto") == 0;

	a->rules_state = state_name(s->state);
	a->rules_why = or_null(s->why);
	a->backend = s->backend == REDIRECT_AUTO ? NULL : redirect_backend_name(s->backend);
	a->backend_chosen = is_auto ? "the first that works on this kernel "
				      "(--redirect-backend=auto)"
				    : "it was asked for (--redirect-backend)";
	a->protection = s->state == REDIRECT_ACTIVE && s->backend != REDIRECT_NONE
				? redirect_protection_name(s->protection)
				: NULL;
	a->metadata = inet_ip_print_port(&d->metadata_ip, d->config->metadata_port,
					 a->metadata_text);
	if (nmi_config_has_rules(d->config))
		a->agent = inet_ip_print_port(&d->redirect_ip, d->config->port, a->agent_text);
	a->repairs = s->repairs;
	a->last_repair = s->repairs ? (int64_t)s->last_repair_usec : -1;
	a->spoofed = (int64_t)s->spoofed;
	a->bridge_ports = s->ports;
	a->mismatches = pod_store_stats(d->pods)->mismatches;
}

static void put_watch(const struct describe *d, struct status_agent *a, const struct reflector *r)
{
	static const char *const states[] = {
		[REFLECTOR_STARTING] = "starting",
		[REFLECTOR_SYNCED] = "synced",
		[REFLECTOR_DISCONNECTED] = "disconnected",
		[REFLECTOR_NOT_INSTALLED] = "not installed",
	};
	const struct reflector_status *s = reflector_status(r);

	if (a->n_watches == STATUS_ROWS_MAX)
		return;
	a->watches[a->n_watches++] = (struct status_watch){
		.name = reflector_name(r),
		.state = states[s->state],
		.synced = s->has_synced,
		.age = s->last_event.ns
			       ? (int64_t)mono_seconds_between(s->last_event, loop_mono(d->loop))
			       : -1,
		.restarts = (int64_t)s->restarts,
		.error = s->last_err.kind ? s->last_err.msg : NULL,
	};
}

static void put_known(const struct describe *d, struct status_agent *a)
{
	const struct identity_index *x = identity_store_index(d->identities);
	const struct reflector *r;

	put_watch(d, a, pod_watch_reflector(d->pod_watch));
	for (size_t i = 0; (r = identity_store_reflector(d->identities, i)); i++)
		put_watch(d, a, r);
	a->pods = (int64_t)pod_store_count(d->pods);
	a->identities = (int64_t)identity_index_count(x, KIND_IDENTITY);
	a->bindings = (int64_t)identity_index_count(x, KIND_BINDING);
	a->exceptions = (int64_t)identity_index_count(x, KIND_EXCEPTION);
	a->assigned = nmi_config_is_managed(d->config)
			      ? -1
			      : (int64_t)identity_index_count(x, KIND_ASSIGNED);
	a->accounts = d->config->workload_identity ? (int64_t)identity_index_count(x, KIND_ACCOUNT)
						   : -1;
}

static void put_requests(const struct describe *d, struct status_agent *a)
{
	if (d->before)
		d->before(d->before_ctx);
	a->answered = whole(metric_sum(d->metrics, NMI_METRIC_OPERATION));
	a->refused = whole(metric_sum(d->metrics, NMI_METRIC_REFUSALS));
	a->waiting = whole(metric_sum(d->metrics, NMI_METRIC_WAITING));
	a->events = whole(metric_sum(d->metrics, NMI_METRIC_EVENTS));
	a->connections = (int64_t)front_connections(d->front);
	a->log_dropped = (int64_t)log_dropped();
	a->audit_dropped = *d->config->audit_log
				   ? whole(metric_sum(d->metrics, NMI_METRIC_AUDIT_DROPPED))
				   : -1;
}

static int64_t number(unsigned n)
{
	return n == UINT32_MAX ? -1 : (int64_t)n;
}

static void put_tokens(const struct describe *d, struct status_agent *a)
{
	const struct token_cache_stats *t = token_cache_stats(d->tokens);
	struct token_cache_source sources[STATUS_ROWS_MAX];

	a->tokens = (int64_t)t->tokens;
	a->hits = (int64_t)t->hits;
	a->misses = (int64_t)t->misses;
	a->stale = (int64_t)t->stale;
	a->flights = (int64_t)t->flights;
	a->failures = (int64_t)t->failures;
	a->retries = (int64_t)t->retries;
	a->in_flight = (int64_t)t->in_flight;
	a->queued = (int64_t)t->queued;
	a->cache_waiting = (int64_t)t->waiting;
	a->pod_limited = (int64_t)t->pod_limited;
	a->n_sources = token_cache_sources(d->tokens, sources, STATUS_ROWS_MAX);
	for (size_t i = 0; i < a->n_sources; i++) {
		const struct token_cache_source *s = &sources[i];

		a->sources[i] = (struct status_source){
			.name = s->name,
			.in_flight = s->in_flight,
			.max_in_flight = number(s->max_in_flight),
			.queued = (int64_t)s->queued,
			.per_second = number(s->per_second),
			.left = number(s->left),
			.braked = s->braked_msec ? (int64_t)s->braked_msec : -1,
		};
	}
}

static void put_process(struct status_agent *a, const char *name, pid_t pid)
{
	struct proc_usage u;

	if (pid <= 0)
		return;
	proc_usage(pid, &u);
	a->processes[a->n_processes++] = (struct status_process){
		.name = name,
		.pid = pid,
		.resident = u.resident_kib,
		.shared = u.shared_kib,
		.files = u.files,
	};
}

char *describe_print(struct describe *d, size_t *out_n)
{
	struct status_agent *a = xnew(struct status_agent);
	char *text;

	a->version = NMI_VERSION;
	a->node = d->config->node;
	a->mode = nmi_config_is_managed(d->config) ? "managed" : "standard";
	a->pid = getpid();
	a->since = d->since.s;
	a->uptime = loop_wall(d->loop).s - d->since.s;
	a->stopping = d->is_stopping;
	put_checks(d, a);
	put_rules(d, a);
	put_known(d, a);
	put_requests(d, a);
	put_tokens(d, a);
	put_process(a, "nmi", getpid());
	put_process(a, "nmi-redirector", redirect_pid(d->redirect));
	a->surroundings = d->surroundings;
	a->n_surroundings = d->n_surroundings;
	a->self_test = d->self_test;
	a->restart = d->restart;
	text = status_document_print(a, out_n);
	free(a);
	return text;
}
