/* SPDX-License-Identifier: MIT */

/* What the agent tells of itself: whether it is ready, its metrics, its status. */

#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/kube/reflector.h"
#include "mic-client/store.h"
#include "nmi/agent_internal.h"
#include "nmi/audit.h"
#include "nmi/config.h"
#include "nmi/front/front.h"
#include "nmi/issue.h"
#include "nmi/metrics.h"
#include "nmi/pods/by_name.h"
#include "nmi/pods/resolver.h"
#include "nmi/pods/store.h"
#include "nmi/pods/watch.h"
#include "nmi/proc.h"
#include "nmi/reload.h"
#include "nmi/selftest.h"
#include "nmi/settings.h"
#include "nmi/status/fields.h"
#include "nmi/status/server.h"
#include "nmi/surroundings.h"
#include "nmi/token/cache.h"

#include <stdio.h>

/* health */

static bool check_redirect(void *ctx, char *why, size_t size)
{
	const struct agent *a = ctx;
	const struct redirect_status *s = redirect_status(a->redirect);

	if (s->state == REDIRECT_ACTIVE)
		return true;
	snprintf(why, size, "%s", *s->why ? s->why : "the packet rules are not in place yet");
	return false;
}

static bool check_reflector(const struct reflector *r, char *why, size_t size)
{
	const struct reflector_status *s = reflector_status(r);

	if (s->has_synced)
		return true;
	snprintf(why, size, "%s not listed yet%s%s", reflector_name(r),
		 s->last_err.kind ? ": " : "", s->last_err.kind ? s->last_err.msg : "");
	return false;
}

static bool check_pods(void *ctx, char *why, size_t size)
{
	const struct agent *a = ctx;

	return check_reflector(pod_watch_reflector(a->pod_watch), why, size);
}

static bool check_identities(void *ctx, char *why, size_t size)
{
	const struct agent *a = ctx;
	const struct reflector *r;

	for (size_t i = 0; (r = identity_store_reflector(a->identities, i)); i++) {
		if (!check_reflector(r, why, size))
			return false;
	}
	return true;
}

/* metrics */

static void set_gauge(struct agent *a, enum nmi_metric id, double v)
{
	metric_set(a->metrics, id, NULL, v);
}

static void measure_reflector(struct agent *a, const struct reflector *r)
{
	const struct reflector_status *s = reflector_status(r);
	const char *labels[] = { reflector_name(r) };

	metric_set(a->metrics, NMI_METRIC_WATCH_UP, labels,
		   s->state == REFLECTOR_SYNCED || s->state == REFLECTOR_NOT_INSTALLED);
	metric_set(a->metrics, NMI_METRIC_WATCH_RESTARTS, labels, (double)s->restarts);
	metric_set(a->metrics, NMI_METRIC_WATCH_AGE, labels,
		   s->last_heard.ns ? mono_seconds_between(s->last_heard, loop_mono(a->loop)) : -1);
}

static void measure_process(struct agent *a)
{
	static const char *const version[] = { NMI_VERSION };
	const struct loop_lag lag = loop_lag(a->loop);
	struct proc_usage redirector = { -1, -1, -1 };
	struct proc_self p;

	metric_set(a->metrics, NMI_METRIC_BUILD_INFO, version, 1);
	set_gauge(a, NMI_METRIC_LOOP_LATE, (double)lag.timer_nsec / 1e9);
	set_gauge(a, NMI_METRIC_LOOP_TURN, (double)lag.turn_nsec / 1e9);
	if (redirect_pid(a->redirect) > 0)
		proc_usage(redirect_pid(a->redirect), &redirector);
	set_gauge(a, NMI_METRIC_REDIRECTOR_MEMORY,
		  redirector.resident_kib < 0 ? -1 : (double)redirector.resident_kib * 1024);
	proc_self(&p);
	set_gauge(a, NMI_METRIC_PROCESS_CPU, p.cpu);
	set_gauge(a, NMI_METRIC_PROCESS_MEMORY, p.resident);
	set_gauge(a, NMI_METRIC_PROCESS_VIRTUAL, p.virtual);
	set_gauge(a, NMI_METRIC_PROCESS_FDS, p.files);
	set_gauge(a, NMI_METRIC_PROCESS_MAX_FDS, p.files_max);
	/* once: the clock may be set while we run, and that would look like a restart */
	if (p.started >= 0 && metric_get(a->metrics, NMI_METRIC_PROCESS_START, NULL) <= 0)
		set_gauge(a, NMI_METRIC_PROCESS_START, p.started);
}

void agent_before_metrics(void *ctx)
{
	struct agent *a = ctx;
	const struct redirect_status *s = redirect_status(a->redirect);
	const struct token_cache_stats *t = token_cache_stats(a->tokens);
	const struct reflector *r;

	token_cache_measure(a->tokens);
	selftest_measure(a->selftest);
	set_gauge(a, NMI_METRIC_PODS, (double)pod_store_count(a->pods));
	set_gauge(a, NMI_METRIC_CACHE_TOKENS, (double)t->tokens);
	set_gauge(a, NMI_METRIC_WAITING,
		  (double)(t->waiting + resolver_waiting(a->resolver) + by_name_waiting(a->names) +
			   issuer_waiting(a->issuer)));
	set_gauge(a, NMI_METRIC_CONNECTIONS, (double)front_connections(a->front));
	set_gauge(a, NMI_METRIC_LINK_MISMATCH, pod_store_stats(a->pods)->mismatches);
	set_gauge(a, NMI_METRIC_REDIRECT_ACTIVE, s->state == REDIRECT_ACTIVE);
	set_gauge(a, NMI_METRIC_REDIRECT_REPAIRS, s->repairs);
	set_gauge(a, NMI_METRIC_SPOOFED, (double)s->spoofed);
	set_gauge(a, NMI_METRIC_BRIDGE_PORTS, s->ports);
	set_gauge(a, NMI_METRIC_LOG_DROPPED, (double)log_dropped());
	set_gauge(a, NMI_METRIC_AUDIT_DROPPED, (double)audit_dropped(a->audit));
	measure_process(a);
	measure_reflector(a, pod_watch_reflector(a->pod_watch));
	for (size_t i = 0; (r = identity_store_reflector(a->identities, i)); i++)
		measure_reflector(a, r);
}

void agent_add_checks(struct agent *a)
{
	health_add(&a->health, "redirect", check_redirect, a);
	health_add(&a->health, "pods", check_pods, a);
	health_add(&a->health, "identities", check_identities, a);
}

/* nmi status */

static char *answer_status(void *ctx, struct str args, size_t *out_n)
{
	struct agent *a = ctx;

	(void)args; /* it takes none, and there may be more later */
	a->description.is_stopping = a->stopping;
	a->description.restart = reload_waiting(a->reload);
	selftest_print(a->selftest, a->self_test_text);
	return describe_print(&a->description, out_n);
}

/* `nmi log LEVEL`; the next look at the settings takes it back. */
static char *answer_log(void *ctx, struct str args, size_t *out_n)
{
	static const char error[] =
		"{\"error\":{\"code\":\"bad_level\",\"message\":\"a level from 0 "
		"to 9 is expected\"}}";
	struct agent *a = ctx;
	struct jval_item items[] = { { "schema", JVAL_INT, .num = STATUS_SCHEMA },
				     { "verbosity", JVAL_INT } };

	if (args.n != 1 || args.p[0] < '0' || args.p[0] > '9') {
		*out_n = sizeof(error) - 1;
		return xstrdup(error);
	}
	a->settings->config.verbosity = (unsigned)(args.p[0] - '0');
	agent_apply(a);
	log_info("logging as with --v=%u until the settings are read again, as nmi log said",
		 a->config->verbosity);
	items[1].num = a->config->verbosity;
	return jval_print_items(items, ARRAY_SIZE(items), out_n);
}

static const struct status_command status_commands[] = {
	{ "status", answer_status },
	{ "log", answer_log },
};

static void make_description(struct agent *a)
{
	a->description = (struct describe){
		.config = a->config,
		.loop = a->loop,
		.since = loop_wall(a->loop),
		.metadata_ip = a->metadata_ip,
		.redirect_ip = a->redirect_ip,
		.health = &a->health,
		.redirect = a->redirect,
		.pods = a->pods,
		.pod_watch = a->pod_watch,
		.identities = a->identities,
		.tokens = a->tokens,
		.front = a->front,
		.metrics = a->metrics,
		.before = agent_before_metrics,
		.before_ctx = a,
		.self_test = a->self_test_text,
		.surroundings = (const char *const *)a->surroundings->lines,
		.n_surroundings = a->surroundings->n,
	};
}

void agent_start_status(struct agent *a)
{
	struct err err = { 0 };

	make_description(a);
	if (!a->run_dir)
		return;
	a->status = status_server_new(a->loop, a->run_dir, status_commands,
				      ARRAY_SIZE(status_commands), a, &err);
	if (!a->status)
		log_warn("nmi status cannot ask this agent: %s", err.msg);
}
