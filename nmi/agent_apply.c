/* SPDX-License-Identifier: MIT */

/*
 * Tells each part of the agent what a live setting has become: see reload.h, reload.def.
 *
 * What is told here holds for requests that come from then on. Of those under way: one that waits for its identity
 * is decided by the new rules, as every grant is asked for again when its token has come; one that waits for a pod
 * or a token does so for as long as it was to when it came.
 */

#include "lib/base/log.h"
#include "nmi/agent_internal.h"
#include "nmi/config.h"
#include "nmi/events.h"
#include "nmi/front/front.h"
#include "nmi/issue.h"
#include "nmi/pods/by_name.h"
#include "nmi/pods/resolver.h"
#include "nmi/reload.h"
#include "nmi/settings.h"
#include "nmi/token/sp.h"

#include <strings.h>

struct front_rules agent_front_rules(const struct nmi_config *c)
{
	return (struct front_rules){
		.metadata_header_required = c->metadata_header_required,
		.block_instance_metadata = c->block_instance_metadata,
		.host_token = strcasecmp(c->host_token, "any") == 0   ? FRONT_HOST_ANY
			      : strcasecmp(c->host_token, "off") == 0 ? FRONT_HOST_OFF
								      : FRONT_HOST_ROOT,
	};
}

struct cert_style agent_cert_style(const struct nmi_config *c)
{
	return (struct cert_style){ .rs256 = strcasecmp(c->certificate_assertion, "rs256") == 0,
				    .x5c = c->send_x5c };
}

struct match_standard_rules agent_standard_rules(const struct nmi_config *c)
{
	return (struct match_standard_rules){ .force_namespaced = c->force_namespaced,
					      .controller_namespace = c->mic_namespace,
					      .controller_accounts = c->mic_service_account };
}

static void apply_front(struct agent *a)
{
	const struct front_rules rules = agent_front_rules(a->config);

	front_set_rules(a->front, &rules);
}

static void apply_pods(struct agent *a)
{
	resolver_set_wait(a->resolver, a->config->pod_wait_msec);
	by_name_set_wait(a->names, a->config->pod_wait_msec);
}

static void apply_issuer(struct agent *a)
{
	issuer_set_waits(a->issuer, a->config->token_wait_msec,
			 nmi_config_named_wait_msec(a->config),
			 nmi_config_assigned_wait_msec(a->config));
}

/* In managed mode nobody reads them. */
static void apply_decider(struct agent *a)
{
	a->standard.rules = agent_standard_rules(a->config);
}

static void apply_entra(struct agent *a)
{
	const struct cert_style style = agent_cert_style(a->config);

	sp_source_set(a->sp, &style, a->config->secrets_across_namespaces);
}

static void apply_redirect(struct agent *a)
{
	struct err err = { 0 };

	if (redirect_tune(a->redirect, a->config->sweep_sec * 1000, nmi_config_logs_json(a->config),
			  nmi_config_is_verbose(a->config), &err) < 0)
		log_warn("the redirector compares and logs as before, until a restart: %s",
			 err.msg);
}

static void apply_log(struct agent *a)
{
	nmi_config_set_log(a->config);
	apply_redirect(a); /* a process of its own */
}

/* What is queued when they are switched off is still told. */
static void apply_events(struct agent *a)
{
	if (a->config->events && !a->events)
		a->events = events_new(a->loop, a->kube, a->config->node, a->metrics);
}

/* It is read where it is used. */
static void apply_nobody(struct agent *a)
{
	(void)a;
}

void agent_apply(void *ctx)
{
	static void (*const parts[])(struct agent * a) = {
#define X(field, part) [NMI_OPTION_##field] = apply_##part,
#include "nmi/reload.def"
#undef X
	};
	struct agent *a = ctx;

	/* all of them, since strings that have not changed have moved; once more changes nothing */
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i])
			parts[i](a);
	nmi_config_warn(a->config);
	issuer_identities_changed(a->issuer);
}

/* Logs that are files are opened again here, before anything is written about it. */
static void reopen_logs(struct agent *a)
{
	(void)a; /* stderr is the only one, and is not ours to open */
}

void agent_on_hangup(struct agent *a)
{
	reopen_logs(a);
	if (a->reload)
		reload_now(a->reload, "SIGHUP");
}
