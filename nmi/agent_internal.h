/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"
#include "lib/base/inet.h"
#include "lib/base/log.h"
#include "lib/loop/loop.h"
#include "mic-client/index.h"
#include "nmi/agent.h"
#include "nmi/describe.h"
#include "nmi/health.h"
#include "nmi/identity/decide.h"
#include "nmi/reload.h"
#include "nmi/selftest.h"
#include "nmi/token/cert.h"
#include "nmi/token/source.h"

#include <stdbool.h>
#include <stdint.h>

/* The insides of the agent, for agent*.c alone. */
struct agent {
	struct nmi_settings *settings;
	const struct nmi_config *config; /* of `settings` */
	struct inet_ip metadata_ip, listen_ip, redirect_ip;
	char *user_agent;
	char *imds_url;
	const char *run_dir; /* of our sockets; NULL: there is none */
	struct surroundings *surroundings;

	struct loop *loop;
	struct loop_signals *signals;
	struct metrics *metrics;
	struct audit *audit; /* NULL: --audit-log is empty */
	struct health health;

	struct kube_client *kube;
	struct pod_store *pods;
	struct binding *binding; /* NULL: --link-binding=off */
	struct ports *ports;	 /* likewise */
	struct pod_watch *pod_watch;
	struct resolver *resolver;
	struct by_name *names;
	struct identity_store *identities;
	struct standard_mode standard;
	struct decider decider;

	struct http_client *imds_http;
	struct imds_source *imds;
	struct http_client *entra_http;
	struct entra *entra;
	struct secrets *secrets;
	struct sp_source *sp;
	struct federation *federation;
	struct token_source imds_vtable, sp_vtable, federation_vtable;
	const struct token_source *sources[AZURE_IDENTITY_TYPES];
	struct token_cache *tokens;

	struct events *events; /* NULL: --events=false */
	struct issuer *issuer;
	struct proxy *proxy;
	struct front *front; /* NULL before it is open */
	struct succession *succession;
	struct probe *probe; /* NULL: no directory for it */
	struct redirect *redirect;
	struct taint *taint;	      /* NULL: no --startup-taint */
	struct status_server *status; /* NULL: no directory */
	struct describe description;  /* what it tells; made of the above */
	struct selftest *selftest;
	struct reload *reload;
	char self_test_text[SELFTEST_TEXT_MAX]; /* for `description` */

	struct loop_timer stop_timer, rest;
	struct mono stop_by;
	bool stopping;
	enum redirect_state redirect_was;
	uint32_t repairs_told;
	struct log_limit repair_log;
};

/* Live settings (reload.def), and SIGHUP: agent_apply.c. */
void agent_apply(void *ctx);
void agent_on_hangup(struct agent *a);
struct cert_style agent_cert_style(const struct nmi_config *c);
struct front_rules agent_front_rules(const struct nmi_config *c);
struct match_standard_rules agent_standard_rules(const struct nmi_config *c);

/* What it tells of itself: agent_tell.c. Its parts exist by then. */
void agent_add_checks(struct agent *a);
void agent_before_metrics(void *ctx);
/* The socket of `nmi status`; without a directory there is none. */
void agent_start_status(struct agent *a);
