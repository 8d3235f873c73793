/* SPDX-License-Identifier: MIT */

/*
 * The agent: what exists, in start order. See agent.h.
 *
 * Start: listeners are opened before the first object is known, so that a pod which asks early waits
 * instead of being refused; the rules are installed only when there is a listener to send pods to.
 * Readiness says the rest. Where another agent runs already it goes on until this one is ready, and hands
 * its listeners over. Stop: no new connections, those under way are finished within a grace period, and the
 * rules stay: pods get a refused connection until the next agent is up, never IMDS.
 */

#include "nmi/agent.h"

#include "iptables/redirect.h"
#include "lib/base/inet.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/resident.h"
#include "lib/http/client.h"
#include "lib/kube/client.h"
#include "lib/kube/config.h"
#include "lib/kube/reflector.h"
#include "lib/loop/loop.h"
#include "mic-client/index.h"
#include "mic-client/store.h"
#include "nmi/agent_internal.h"
#include "nmi/audit.h"
#include "nmi/config.h"
#include "nmi/describe.h"
#include "nmi/events.h"
#include "nmi/front/front.h"
#include "nmi/health.h"
#include "nmi/identity/decide.h"
#include "nmi/isolate.h"
#include "nmi/issue.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/node_address.h"
#include "nmi/peer_uid.h"
#include "nmi/pods/binding.h"
#include "nmi/pods/by_name.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/resolver.h"
#include "nmi/pods/store.h"
#include "nmi/pods/watch.h"
#include "nmi/ports.h"
#include "nmi/probe.h"
#include "nmi/proxy.h"
#include "nmi/run_dir.h"
#include "nmi/selftest.h"
#include "nmi/status/server.h"
#include "nmi/succession.h"
#include "nmi/surroundings_read.h"
#include "nmi/taint.h"
#include "nmi/token/cache.h"
#include "nmi/token/cert.h"
#include "nmi/token/entra.h"
#include "nmi/token/federation.h"
#include "nmi/token/imds.h"
#include "nmi/token/secrets.h"
#include "nmi/token/sp.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define STOP_POLL_MSEC	  20
#define REPAIR_LOG_MSEC	  10000
#define IMDS_TIMEOUT_MSEC 15000
#define DEAD_PEER_MSEC	  5000
#define SYNC_WAIT_MSEC	  10000
#define REFLECTORS_MAX	  8
/* What only the start needed has been used then, unless the API server is slow, which costs memory alone. */
#define SETTLED_MSEC 10000
/* Lists, new connections, new settings come later. */
#define REST_MSEC 3600000

/* events */

/* Against borrowed addresses. */
static void say_protection(const struct agent *a)
{
	bool has_rules = nmi_config_has_rules(a->config);

	if (a->binding && has_rules)
		log_info("borrowed addresses: dropped by the kernel on routed links, and on "
			 "bridges by "
			 "port; each pod is served through its own link only");
	else if (a->binding)
		log_info("borrowed addresses: each pod is served through its own link only; the "
			 "kernel "
			 "drops nothing (--redirect-backend=none)");
	else
		log_warn("borrowed addresses: %s; a pod behind a bridge can be served as its "
			 "neighbour "
			 "(--link-binding=off)",
			 has_rules ? "dropped by the kernel on routed links only"
				   : "the kernel drops nothing (--redirect-backend=none)");
}

static void on_redirect_status(void *ctx, const struct redirect_status *s)
{
	struct agent *a = ctx;
	unsigned long held;

	if (s->repairs != a->repairs_told) {
		a->repairs_told = s->repairs;
		if (log_limit_pass(&a->repair_log, loop_mono(a->loop), REPAIR_LOG_MSEC, &held))
			log_warn("the packet rules were altered by someone else and put back in "
				 "%u us (%u times so far)",
				 s->last_repair_usec, s->repairs);
		selftest_start(a->selftest);
	}
	if (s->state == a->redirect_was)
		return;
	a->redirect_was = s->state;
	switch (s->state) {
	case REDIRECT_ACTIVE:
		a->health.active = true;
		log_info("packet rules in place: %s", redirect_protection_name(s->protection));
		say_protection(a);
		selftest_start(a->selftest);
		break;
	case REDIRECT_FAILING:
		break; /* the redirector has said so, each reason once */
	case REDIRECT_GONE:
		/* this process has no capability left to start another one: the kubelet does */
		if (a->stopping)
			break;
		log_err("the redirector ended: stopping, so that both are started again; "
			"the rules stay in place");
		loop_quit(a->loop, EXIT_FAILURE);
		break;
	case REDIRECT_STARTING:
		break;
	}
}

static void on_objects_changed(void *ctx)
{
	struct agent *a = ctx;

	issuer_identities_changed(a->issuer);
}

/* Whoever talks from there is somebody else now. */
static void on_claim_end(void *ctx, const struct inet_ip *ip, const char *uid)
{
	const struct agent *a = ctx;

	front_close_peer(a->front, ip, uid);
}

static bool on_refused(void *ctx, const struct pod *pod, enum reason reason, const char *text,
		       const char *request_id)
{
	struct agent *a = ctx;
	const struct event_pod who = { pod->namespace, pod->name, pod->uid };

	return a->config->events && events_refused(a->events, &who, reason, text, request_id);
}

static void on_pods_synced(void *ctx)
{
	struct agent *a = ctx;

	log_info("pods of node %s listed: %zu", a->config->node, pod_store_count(a->pods));
}

static void stop_when_idle(struct loop_timer *t)
{
	struct agent *a = container_of(t, struct agent, stop_timer);
	size_t open = front_connections(a->front);

	if (open && mono_before(loop_mono(a->loop), a->stop_by)) {
		loop_timer_set_msec(a->loop, t, STOP_POLL_MSEC, stop_when_idle);
		return;
	}
	log_info("stopped%s", open ? "; requests under way were cut" : "");
	loop_quit(a->loop, EXIT_SUCCESS);
}

static void on_signal(void *ctx, int signo)
{
	struct agent *a = ctx;

	if (signo == SIGHUP) {
		agent_on_hangup(a);
		return;
	}
	if (a->stopping)
		return;
	log_info("received SIG%s, shutting down; the packet rules stay", sigabbrev_np(signo));
	a->stopping = true;
	if (!a->front) {
		loop_quit(a->loop, EXIT_SUCCESS);
		return;
	}
	selftest_pause(a->selftest);
	a->stop_by = mono_add_msec(loop_mono(a->loop), a->config->shutdown_grace_msec);
	if (succession_stop(a->succession))
		log_info("another agent accepts in our place: connections that are left end behind "
			 "their next answer, or in %u ms",
			 a->config->shutdown_grace_msec);
	loop_timer_set_msec(a->loop, &a->stop_timer, 0, stop_when_idle);
}

/* start, in order */

static int choose_addresses(struct agent *a, struct err *err)
{
	const char *listen = a->config->listen_address;

	if (inet_ip_parse(a->config->metadata_ip, &a->metadata_ip, err) < 0)
		return err_wrap(err, "--metadata-ip");
	if (strcasecmp(listen, "auto") == 0) {
		if (node_address_find(&a->metadata_ip, &a->redirect_ip, err) < 0)
			return err_wrap(err, "--nmi-listen-address=auto");
		a->listen_ip = a->redirect_ip;
		return 0;
	}
	if (inet_ip_parse(listen, &a->listen_ip, err) < 0)
		return err_wrap(err, "--nmi-listen-address");
	a->redirect_ip = a->listen_ip;
	/* without rules of ours there is nothing to send anywhere, and the node may have no IPv4 */
	if (inet_ip_is_unspecified(&a->listen_ip) && nmi_config_has_rules(a->config))
		return node_address_find(&a->metadata_ip, &a->redirect_ip, err);
	if (inet_ip_is_loopback(&a->listen_ip) && inet_ip_is_v4(&a->listen_ip))
		log_warn("--nmi-listen-address=%s: pods reach it only where route_localnet is set; "
			 "auto works everywhere",
			 listen);
	return 0;
}

static int make_kube(struct agent *a, struct err *err)
{
	struct kube_config kc = { 0 };
	int r = kube_config_load(&kc, a->config->kubeconfig, err);

	if (r < 0 && *a->config->kubeconfig) {
		err->kind = ERR_INPUT; /* whatever is wrong with the file, the setting names it */
		r = err_wrap(err, "--kubeconfig");
	}
	if (r == 0) {
		log_info("API server %s", kc.server);
		a->kube = kube_client_new(a->loop, &kc, a->user_agent, err);
		r = a->kube ? 0 : -(int)err->kind;
	}
	kube_config_deinit(&kc);
	return r;
}

static void make_decider(struct agent *a)
{
	const struct nmi_config *c = a->config;

	if (nmi_config_is_managed(c)) {
		a->identities = identity_store_new(a->loop, a->kube, NULL);
		a->decider = decider_managed(a->identities);
	} else {
		a->identities = identity_store_new(a->loop, a->kube, c->node);
		a->standard = (struct standard_mode){
			.store = a->identities,
			.rules = agent_standard_rules(c),
		};
		a->decider = decider_standard(&a->standard);
	}
	if (c->workload_identity)
		identity_store_use_accounts(a->identities);
	identity_store_on_change(a->identities, on_objects_changed, a);
}

static const char *link_name(void *ctx, uint32_t link)
{
	const struct agent *a = ctx;

	return binding_link_name(a->binding, link);
}

static int set_ports(void *ctx, const struct redirect_port *ports, size_t n, struct err *err)
{
	struct agent *a = ctx;

	return redirect_set_ports(a->redirect, ports, n, err);
}

static int make_who(struct agent *a, struct err *err)
{
	a->pods = pod_store_new();
	if (nmi_config_binds_links(a->config)) {
		a->binding = binding_new(a->loop, a->pods, err);
		if (!a->binding)
			return err_wrap(err, "--link-binding=auto");
		a->ports = ports_new(a->loop, &(struct ports_spec){ .store = a->pods,
								    .name = link_name,
								    .set = set_ports,
								    .ctx = a });
	}
	a->pod_watch = pod_watch_new(a->loop, a->kube, a->config->node, a->pods);
	pod_watch_on_synced(a->pod_watch, on_pods_synced, a);
	pod_watch_on_change(a->pod_watch, on_objects_changed, a);
	a->resolver = resolver_new(a->loop, a->pods, a->kube, a->config->node,
				   a->config->pod_wait_msec);
	a->names = by_name_new(a->loop, a->pods, a->config->pod_wait_msec);
	make_decider(a);
	return 0;
}

static int make_federation(struct agent *a, struct err *err)
{
	const struct federation_spec spec = { .kube = a->kube,
					      .entra = a->entra,
					      .metrics = a->metrics,
					      .audience = a->config->federation_audience,
					      .tenant_id = a->config->tenant_id };

	a->federation = federation_new(&spec, err);
	if (!a->federation)
		return -(int)err->kind;
	a->federation_vtable = federation_vtable(a->federation);
	a->sources[AZURE_IDENTITY_FEDERATED] = &a->federation_vtable;
	return 0;
}

static int make_entra(struct agent *a, struct err *err)
{
	const struct nmi_config *c = a->config;
	const struct http_client_spec http = {
		.user_agent = a->user_agent,
		.tls = { .ca_file = *c->entra_ca_file ? c->entra_ca_file : NULL },
	};

	a->entra_http = http_client_new(a->loop, &http, err);
	if (!a->entra_http)
		return err_wrap(err, "client of Entra");
	a->entra = entra_new(a->loop,
			     &(struct entra_spec){ .http = a->entra_http,
						   .authority = c->authority_host,
						   .timeout_msec = LIMIT_ENTRA_MSEC,
						   .metrics = a->metrics },
			     err);
	if (!a->entra)
		return err_wrap(err, "--authority-host");
	a->secrets = secrets_new(a->loop, a->kube, a->metrics);
	a->sp = sp_source_new(a->loop, &(struct sp_spec){
					       .entra = a->entra,
					       .secrets = a->secrets,
					       .style = agent_cert_style(c),
					       .across_namespaces = c->secrets_across_namespaces,
				       });
	a->sp_vtable = sp_source_vtable(a->sp);
	a->sources[AZURE_IDENTITY_SERVICE_PRINCIPAL] = &a->sp_vtable;
	a->sources[AZURE_IDENTITY_CERTIFICATE] = &a->sp_vtable;
	return make_federation(a, err);
}

static int make_tokens(struct agent *a, struct err *err)
{
	const struct http_client_spec http = { .user_agent = a->user_agent };

	a->imds_url = xasprintf("http://%s:%u", a->config->metadata_ip, a->config->metadata_port);
	a->imds_http = http_client_new(a->loop, &http, err);
	if (!a->imds_http)
		return err_wrap(err, "client of the metadata service");
	a->imds = imds_source_new(a->loop, a->imds_http, a->imds_url, IMDS_TIMEOUT_MSEC,
				  a->metrics);
	a->imds_vtable = imds_source_vtable(a->imds);
	a->sources[AZURE_IDENTITY_USER_ASSIGNED] = &a->imds_vtable;
	if (make_entra(a, err) < 0)
		return -(int)err->kind;
	a->tokens = token_cache_new(a->loop,
				    &(struct token_cache_spec){
					    .by_type = a->sources,
					    .n_types = ARRAY_SIZE(a->sources),
					    .node = &a->imds_vtable,
					    .max_tokens = LIMIT_TOKENS,
					    .max_waiting = LIMIT_WAITING,
					    .pod_burst = LIMIT_POD_FETCH_BURST,
					    .pod_per_second = LIMIT_POD_FETCH_PER_SECOND,
				    },
				    a->metrics);
	return 0;
}

static void on_tested(void *ctx, const struct redirect_test *t)
{
	const struct agent *a = ctx;

	selftest_done(a->selftest, t);
}

static int try_path(void *ctx, const uint8_t nonce[static REDIRECT_NONCE_BYTES], struct err *err)
{
	struct agent *a = ctx;

	return redirect_try(a->redirect, nonce, on_tested, a, err);
}

static bool on_self_test(void *ctx, struct str nonce)
{
	const struct agent *a = ctx;

	return selftest_asked(a->selftest, nonce);
}

static void on_arrived(void *ctx)
{
	const struct agent *a = ctx;

	selftest_arrived(a->selftest);
}

static void make_selftest(struct agent *a)
{
	const struct nmi_config *c = a->config;

	/* who asks and who answers do not see each other */
	assert(strcmp(FRONT_SELF_TEST, REDIRECT_TEST_PATH) == 0 &&
	       strcmp(FRONT_SELF_TEST_OTHER, REDIRECT_TEST_OTHER) == 0);
	a->selftest = selftest_new(
		a->loop,
		&(struct selftest_spec){ .kind = strcasecmp(c->self_test, "off") == 0 ? SELFTEST_OFF
						 : nmi_config_has_rules(c) ? SELFTEST_RULES
									   : SELFTEST_PLUGIN,
					 .metadata_ip = a->metadata_ip,
					 .metadata_port = c->metadata_port,
					 .agent_port = c->port,
					 .try = try_path,
					 .ctx = a,
					 .metrics = a->metrics });
	health_add_traffic(&a->health, "self-test", selftest_check, a->selftest);
	selftest_pause(a->selftest); /* until requests come to this agent */
}

static void on_charge(void *ctx, bool in_charge)
{
	const struct agent *a = ctx;

	if (in_charge)
		selftest_resume(a->selftest);
	else
		selftest_pause(a->selftest);
}

static int make_front(struct agent *a, struct err *err)
{
	const struct front_rules rules = agent_front_rules(a->config);

	if (a->config->events)
		a->events = events_new(a->loop, a->kube, a->config->node, a->metrics);
	a->issuer = issuer_new(
		a->loop, &(struct issuer_spec){
				 .resolver = a->resolver,
				 .names = a->names,
				 .decider = &a->decider,
				 .tokens = a->tokens,
				 .sync_wait_msec = SYNC_WAIT_MSEC,
				 .token_wait_msec = a->config->token_wait_msec,
				 .named_wait_msec = nmi_config_named_wait_msec(a->config),
				 .assigned_wait_msec = nmi_config_assigned_wait_msec(a->config),
				 .refused = on_refused,
				 .refused_ctx = a,
			 });
	a->proxy = proxy_new(a->loop, a->imds_http, a->imds_url);
	agent_add_checks(a);
	make_selftest(a);
	a->succession = succession_new(a->loop, a->run_dir, &a->health, on_charge, a);
	health_add_traffic(&a->health, "listeners", succession_check, a->succession);
	a->front = succession_open(
		a->succession,
		&(struct front_spec){
			.address = a->listen_ip,
			.port = a->config->port,
			.probe_port = a->config->probe_port,
			.metrics_port = a->config->prometheus_port,
			.metadata_header_required = rules.metadata_header_required,
			.block_instance_metadata = rules.block_instance_metadata,
			.host_token = rules.host_token,
			.peer_uid = peer_uid_find,
			.issuer = a->issuer,
			.proxy = a->proxy,
			.health = &a->health,
			.metrics = a->metrics,
			.audit = a->audit,
			.self_test = on_self_test,
			.arrived = nmi_config_has_rules(a->config) ? NULL : on_arrived,
			.self_test_ctx = a,
			.before_metrics = agent_before_metrics,
			.before_metrics_ctx = a,
		},
		&a->stopping, err);
	if (!a->front)
		return -(int)err->kind;
	pod_store_on_claim_end(a->pods, on_claim_end, a);
	return 0;
}

static int make_redirect(struct agent *a, struct err *err)
{
	struct redirect_spec spec = {
		.metadata_ip = a->metadata_ip,
		.metadata_port = a->config->metadata_port,
		.agent_ip = a->redirect_ip,
		.agent_port = a->config->port,
		.sweep_msec = a->config->sweep_sec * 1000,
		.delete_conntrack = a->config->delete_conntrack,
		.log_json = nmi_config_logs_json(a->config),
		.log_verbose = nmi_config_is_verbose(a->config),
	};

	if (redirect_backend_parse(a->config->redirect_backend, &spec.backend, err) < 0)
		return err_wrap(err, "--redirect-backend");
	return redirect_start(a->redirect, a->loop, &spec, on_redirect_status, a, err);
}

/* Old manifests have no place for it; what is lost is told, and is no reason not to serve. */
static int make_run_dir(struct agent *a, struct err *err)
{
	const char *path = a->config->run_directory;
	int r;

	if (!*path)
		return 0;
	r = run_dir_prepare(path, a->config->user, err);
	if (r == -(int)ERR_INPUT)
		return r;
	if (r == 0)
		a->run_dir = path;
	else
		log_warn("no sockets, so that nmi status cannot ask this agent: %s", err->msg);
	return 0;
}

/* Before addresses are chosen, so that its lines explain what fails then. */
static void look_around(struct agent *a)
{
	struct around_spec spec = { .port = a->config->port,
				    .has_rules = nmi_config_has_rules(a->config) };
	struct around around;

	(void)inet_ip_parse(a->config->listen_address, &spec.listen, NULL); /* or auto */
	surroundings_read(&spec, &around);
	/* the agent that this one will replace is no stranger */
	if (succession_is_expected(a->config->run_directory))
		around.other_listener[0] = '\0';
	a->surroundings = surroundings_judge(&around);
	surroundings_log(a->surroundings);
}

static int agent_init(struct agent *a, struct err *err)
{
	static const int signos[] = { SIGTERM, SIGINT, SIGHUP };

	/* before libcurl, which is the first to use OpenSSL */
	if (cert_init(err) < 0)
		return -(int)err->kind;
	a->loop = loop_new(err);
	if (!a->loop)
		return -(int)err->kind;
	a->signals = loop_signals_new(a->loop, signos, ARRAY_SIZE(signos), on_signal, a, err);
	if (!a->signals)
		return -(int)err->kind;
	a->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, LIMIT_METRIC_SERIES);
	if (*a->config->audit_log && !(a->audit = audit_new(a->loop, a->config->audit_log, err)))
		return -(int)err->kind;
	look_around(a);
	if (choose_addresses(a, err) < 0 || make_run_dir(a, err) < 0 || make_kube(a, err) < 0)
		return -(int)err->kind;
	if (make_who(a, err) < 0 || make_tokens(a, err) < 0 || make_front(a, err) < 0)
		return -(int)err->kind;
	agent_start_status(a);
	a->reload = reload_new(a->loop, &(struct reload_spec){ .settings = a->settings,
							       .apply = agent_apply,
							       .ctx = a,
							       .metrics = a->metrics });
	return isolate_late(a->config->user, a->run_dir, err);
}

struct agent *agent_new_take(struct nmi_settings *settings, struct redirect *redirect,
			     struct err *err)
{
	const struct nmi_config *config = &settings->config;
	struct agent *a = xnew(struct agent);

	a->settings = settings;
	a->config = config;
	a->redirect = redirect;
	a->user_agent = xasprintf("nmi/%s%s%s", NMI_VERSION, *config->custom_user_agent ? " " : "",
				  config->custom_user_agent);
	if (agent_init(a, err) < 0)
		return agent_free(a);
	return a;
}

static void start_probe(struct agent *a)
{
	struct err err = { 0 };

	if (!a->run_dir)
		return;
	a->probe = probe_new(a->loop, a->run_dir, &a->health, &err);
	if (!a->probe)
		log_warn("nmi probe cannot ask this agent: %s", err.msg);
}

static void on_rest(struct loop_timer *t)
{
	struct agent *a = container_of(t, struct agent, rest);

	resident_release();
	loop_timer_set_msec(a->loop, t, REST_MSEC, on_rest);
}

int agent_run(struct agent *a, struct err *err)
{
	char listen[INET_IP_PORT_TEXT_MAX], target[INET_IP_PORT_TEXT_MAX];
	char how[2 * INET_IP_PORT_TEXT_MAX + 32] = "";

	if (*a->config->startup_taint)
		a->taint = taint_new(a->loop, a->kube, &a->health, a->config->node,
				     a->config->startup_taint);
	pod_watch_start(a->pod_watch);
	identity_store_start(a->identities);
	if (make_redirect(a, err) < 0)
		return err_wrap(err, "redirector");
	succession_start(a->succession);
	start_probe(a);
	reload_check(a->reload);
	loop_timer_set_msec(a->loop, &a->rest, SETTLED_MSEC, on_rest);
	if (nmi_config_has_rules(a->config))
		(void)snprintf(how, sizeof(how), ", redirecting %s:%u to %s",
			       a->config->metadata_ip, a->config->metadata_port,
			       inet_ip_print_port(&a->redirect_ip, a->config->port, target));
	log_info("listening on %s%s, in %s mode%s for node %s",
		 inet_ip_print_port(&a->listen_ip, a->config->port, listen), how, a->decider.name,
		 a->config->force_namespaced && !nmi_config_is_managed(a->config) ? ", namespaced,"
										  : "",
		 a->config->node);
	return loop_run(a->loop, err);
}

struct agent *agent_free(struct agent *a)
{
	if (!a)
		return NULL;
	loop_timer_del(&a->stop_timer);
	loop_timer_del(&a->rest);
	a->taint = taint_free(a->taint);
	a->status = status_server_free(a->status);
	a->probe = probe_free(a->probe);
	a->redirect = redirect_free(a->redirect);
	a->selftest = selftest_free(a->selftest);
	if (a->pods)
		pod_store_on_claim_end(a->pods, NULL, NULL);
	a->front = front_free(a->front);
	a->succession = succession_free(a->succession);
	a->proxy = proxy_free(a->proxy);
	a->issuer = issuer_free(a->issuer);
	a->events = events_free(a->events);
	a->tokens = token_cache_free(a->tokens);
	a->federation = federation_free(a->federation);
	a->sp = sp_source_free(a->sp);
	a->secrets = secrets_free(a->secrets);
	a->entra = entra_free(a->entra);
	a->entra_http = http_client_free(a->entra_http);
	a->imds = imds_source_free(a->imds);
	a->imds_http = http_client_free(a->imds_http);
	a->names = by_name_free(a->names);
	a->resolver = resolver_free(a->resolver);
	a->identities = identity_store_free(a->identities);
	a->pod_watch = pod_watch_free(a->pod_watch);
	a->ports = ports_free(a->ports);
	a->binding = binding_free(a->binding);
	a->pods = pod_store_free(a->pods);
	a->kube = kube_client_free(a->kube);
	a->audit = audit_free(a->audit);
	a->reload = reload_free(a->reload); /* the others borrow strings of settings */
	a->metrics = metrics_free(a->metrics);
	a->signals = loop_signals_free(a->signals);
	a->loop = loop_free(a->loop);
	a->surroundings = surroundings_free(a->surroundings);
	free(a->imds_url);
	free(a->user_agent);
	free(a);
	return NULL;
}
