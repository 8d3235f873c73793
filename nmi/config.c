/* SPDX-License-Identifier: MIT */

/* The node agent's settings, and what must hold between them. */

#include "nmi/config.h"

#include "lib/base/inet.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#include <string.h>
#include <strings.h>

/* From this verbosity on klog users expect every request in the log. */
#define VERBOSITY_DEBUG 4

/* As long as a name can be in DNS (RFC 1035). */
#define NODE_NAME_MAX 253

static const struct opt opts[] = {
#define X(type, ctype, name, field, letter, metavar, dflt, variable, group, help)                  \
	{ name,	    letter, type, offsetof(struct nmi_config, field), metavar, dflt,               \
	  variable, group,  help },
#include "nmi/options.def"
#undef X
};

bool nmi_config_is_live(const struct opt *o)
{
	static const size_t live[] = {
#define X(field, part) offsetof(struct nmi_config, field),
#include "nmi/reload.def"
#undef X
	};

	for (size_t i = 0; i < ARRAY_SIZE(live); i++)
		if (o->offset == live[i])
			return true;
	return false;
}

bool nmi_config_logs_json(const struct nmi_config *c)
{
	return strcasecmp(c->log_format, "json") == 0;
}

bool nmi_config_is_verbose(const struct nmi_config *c)
{
	return c->verbosity >= VERBOSITY_DEBUG;
}

void nmi_config_set_log(const struct nmi_config *c)
{
	log_setup(nmi_config_logs_json(c) ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT,
		  nmi_config_is_verbose(c) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
}

void nmi_config_warn(const struct nmi_config *c)
{
	if (!c->metadata_header_required)
		log_warn("--metadata-header-required=false: a pod that can be made to fetch a URL "
			 "can be made to fetch a token");
}

const struct opt_table nmi_options = {
	.is_live = nmi_config_is_live,
	.opts = opts,
	.n = sizeof(opts) / sizeof(opts[0]),
	.prog = "nmi",
	.usage = "nmi [SETTING]...\n       nmi COMMAND [SETTING]...",
	.intro = "Gives pods on this node tokens of their own Entra identities, in place of the\n"
		 "instance metadata service.\n\n"
		 "Commands; nmi COMMAND --help says more:"
#define X(name, args, function, what) "\n  nmi " name "\n      " what
#include "nmi/commands.def"
#undef X
	,
};

static int check_metadata_ip(const char *text, struct err *err)
{
	struct inet_ip ip;

	if (inet_ip_parse(text, &ip, err) < 0)
		return err_wrap(err, "--metadata-ip");
	if (!inet_ip_is_v4(&ip))
		return err_set(err, ERR_INPUT, "--metadata-ip: '%s' is not an IPv4 address", text);
	return 0;
}

/*
 * The packet rules are IPv4's, as the metadata address is: nothing would keep anybody from the agent's
 * port over IPv6 (docs/decisions/008-ipv6-sources.md).
 */
static int check_listen(const struct nmi_config *c, struct err *err)
{
	const char *text = c->listen_address;
	struct inet_ip ip;

	if (strcasecmp(text, "auto") == 0)
		return 0;
	if (inet_ip_parse(text, &ip, err) < 0)
		return err_wrap(err, "--nmi-listen-address");
	if (inet_ip_is_link_local6(&ip))
		return err_set(err, ERR_INPUT,
			       "--nmi-listen-address: '%s' is link-local: give an address that "
			       "pods can reach, or ::",
			       text);
	if (!inet_ip_is_v4(&ip) && nmi_config_has_rules(c))
		return err_set(err, ERR_INPUT,
			       "--nmi-listen-address: '%s' is an IPv6 address, and the packet "
			       "rules guard the port over IPv4 only: give an IPv4 address, "
			       "0.0.0.0 or auto, or --redirect-backend=none",
			       text);
	return 0;
}

static int check_ports(const struct nmi_config *c, struct err *err)
{
	if (c->port == 0 || c->metadata_port == 0)
		return err_set(err, ERR_INPUT, "--%s must not be 0",
			       c->port ? "metadata-port" : "nmi-port");
	if (c->probe_port && (c->probe_port == c->port || c->probe_port == c->prometheus_port))
		return err_set(err, ERR_INPUT, "--http-probe-port: %u is also --%s's",
			       c->probe_port,
			       c->probe_port == c->port ? "nmi-port" : "prometheus-port");
	if (c->prometheus_port && c->prometheus_port == c->port)
		return err_set(err, ERR_INPUT, "--prometheus-port: %u is also --nmi-port's",
			       c->port);
	return 0;
}

/* attempts, as the old agent counts them: one each interval */
static uint64_t attempts_msec(const struct nmi_config *c, uint64_t attempts)
{
	return attempts * c->retry_interval_sec * 1000;
}

unsigned nmi_config_named_wait_msec(const struct nmi_config *c)
{
	return (unsigned)attempts_msec(c, c->retry_created);
}

unsigned nmi_config_assigned_wait_msec(const struct nmi_config *c)
{
	return (unsigned)attempts_msec(c, (uint64_t)c->retry_created + c->retry_assigned);
}

bool nmi_config_is_managed(const struct nmi_config *c)
{
	return strcasecmp(c->operation_mode, "managed") == 0;
}

bool nmi_config_has_rules(const struct nmi_config *c)
{
	return strcasecmp(c->redirect_backend, "none") != 0;
}

bool nmi_config_binds_links(const struct nmi_config *c)
{
	return strcasecmp(c->link_binding, "off") != 0;
}

/* A request that waits holds a connection: longer than any client does is a mistake. */
#define WAIT_MAX_SEC 3600U

static int check_waits(const struct nmi_config *c, struct err *err)
{
	/* each alone first, so that the product cannot wrap */
	if (c->retry_created > WAIT_MAX_SEC || c->retry_assigned > WAIT_MAX_SEC ||
	    c->retry_interval_sec > WAIT_MAX_SEC ||
	    attempts_msec(c, (uint64_t)c->retry_created + c->retry_assigned) >
		    WAIT_MAX_SEC * UINT64_C(1000))
		return err_set(err, ERR_INPUT,
			       "--find-identity-retry-interval: (%u + %u) attempts of %u s are "
			       "more than an hour",
			       c->retry_created, c->retry_assigned, c->retry_interval_sec);
	return 0;
}

static int check_wait(const char *setting, unsigned msec, struct err *err)
{
	if (msec > WAIT_MAX_SEC * 1000)
		return err_set(err, ERR_INPUT, "--%s: more than an hour", setting);
	return 0;
}

/* The API server is asked for the pods of this name, and no node has one of another shape. */
static int check_node(const char *node, struct err *err)
{
	size_t n = strlen(node);

	if (n == 0)
		return err_set(err, ERR_INPUT,
			       "--node is required: the name of this node, "
			       "spec.nodeName of the agent's own pod");
	if (n > NODE_NAME_MAX || strspn(node, "abcdefghijklmnopqrstuvwxyz0123456789-.") != n)
		return err_set(err, ERR_INPUT,
			       "--node: '%.64s' is not the name of a node: lower-case letters, "
			       "digits, - and . (kubectl get nodes)",
			       node);
	return 0;
}

/*
 * A key as labels and taints have it: a name, which a DNS domain and / may precede (Kubernetes, "Labels and
 * Selectors").
 */
static bool is_key(const char *key)
{
	static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	static const char name_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789-._";
	const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;
	size_t n = strlen(name), domain = slash ? (size_t)(slash - key) : 0;

	if (slash && (domain == 0 || domain > NODE_NAME_MAX || strspn(key, lower) != domain))
		return false;
	return n > 0 && n <= 63 && strspn(name, name_chars) == n && !strchr("-._", name[0]) &&
	       !strchr("-._", name[n - 1]);
}

static int check_taint(const char *key, struct err *err)
{
	if (*key && !is_key(key))
		return err_set(
			err, ERR_INPUT,
			"--startup-taint: '%.64s' is not the key of a taint: give it without "
			"value and effect, as in nmi.azure.com/not-ready",
			key);
	return 0;
}

/* It becomes part of a header. */
static int check_user_agent(const char *text, struct err *err)
{
	for (const char *p = text; *p; p++) {
		if (*p < ' ' || *p > '~')
			return err_set(err, ERR_INPUT,
				       "--custom-user-agent: only printable ASCII can stand in a "
				       "header");
	}
	return 0;
}

int nmi_config_check(const struct nmi_config *c, struct err *err)
{
	if (check_node(c->node, err) < 0 || check_user_agent(c->custom_user_agent, err) < 0 ||
	    check_taint(c->startup_taint, err) < 0)
		return -ERR_INPUT;
	if (check_metadata_ip(c->metadata_ip, err) < 0 || check_listen(c, err) < 0)
		return -ERR_INPUT;
	if (c->sweep_sec == 0)
		return err_set(err, ERR_INPUT, "--ipt-update-interval-sec must not be 0");
	if (c->token_wait_msec == 0)
		return err_set(err, ERR_INPUT,
			       "--token-wait must not be 0: no token is there without a wait");
	if (check_ports(c, err) < 0 || check_wait("pod-wait", c->pod_wait_msec, err) < 0 ||
	    check_wait("token-wait", c->token_wait_msec, err) < 0)
		return -ERR_INPUT;
	return check_waits(c, err);
}
