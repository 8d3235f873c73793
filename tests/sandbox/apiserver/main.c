/* SPDX-License-Identifier: MIT */

/* nmi-sandbox-apiserver: a stand-in for kube-apiserver 1.32, for tests. */

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/auth.h"
#include "tests/sandbox/apiserver/rbac.h"
#include "tests/sandbox/apiserver/server.h"
#include "tests/sandbox/apiserver/token.h"
#include "tests/sandbox/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>

static const char usage[] =
	"nmi-sandbox-apiserver --listen=IP:PORT --token-file=FILE [options]\n"
	"  --cert=FILE --key=FILE  serve HTTPS with this certificate (PEM)\n"
	"  --token-file=FILE       lines `token user group ...`; system:masters may use "
	"/_sandbox/\n"
	"  --rbac=FILE             whoever is bound in these roles may do no more (again for more "
	"files)\n"
	"  --node=NAME             a Node that is there from the start\n"
	"  --crds=DIR              create what the .yaml and .json files of DIR define\n"
	"  --load=FILE             create these objects too (again for more files)\n"
	"  --issuer=URL            of service account tokens\n"
	"  --jwks-uri=URL          where the keys of these tokens are said to be\n"
	"  --public-keys           everybody may read these keys\n"
	"  --ledger=FILE           write there what must not be shown: tokens, what Secrets hold\n"
	"  --event-log=FILE        write each Event there\n"
	"  --sa-key=FILE           sign them with this RSA key (PEM) instead of a new one\n"
	"  --history=N             changes kept for each kind, 10000\n"
	"  --stop-msec=N           how long deleted pods take to stop at most, 1000\n"
	"  --no-watchlist          refuse sendInitialEvents, as a server without that gate does\n"
	"  --port-file=FILE        write the port there once it is served\n"
	"  --verbose               log each request\n";

#define LOADS_MAX 16

struct paths {
	const char *p[LOADS_MAX];
	size_t n;
};

struct options {
	struct server_options server;
	struct api_options api;
	struct token_options token;
	const char *tokens, *crds, *port_file, *ledger, *event_log;
	struct paths loads, rbacs;
};

enum {
	OPT_LISTEN = 256,
	OPT_CERT,
	OPT_KEY,
	OPT_TOKENS,
	OPT_RBAC,
	OPT_NODE,
	OPT_CRDS,
	OPT_LOAD,
	OPT_ISSUER,
	OPT_JWKS_URI,
	OPT_PUBLIC_KEYS,
	OPT_LEDGER,
	OPT_EVENT_LOG,
	OPT_SA_KEY,
	OPT_HISTORY,
	OPT_STOP,
	OPT_NO_WATCHLIST,
	OPT_PORT_FILE,
	OPT_VERBOSE,
	OPT_HELP,
};

static const struct option longs[] = {
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "cert", required_argument, NULL, OPT_CERT },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "token-file", required_argument, NULL, OPT_TOKENS },
	{ "rbac", required_argument, NULL, OPT_RBAC },
	{ "node", required_argument, NULL, OPT_NODE },
	{ "crds", required_argument, NULL, OPT_CRDS },
	{ "load", required_argument, NULL, OPT_LOAD },
	{ "issuer", required_argument, NULL, OPT_ISSUER },
	{ "jwks-uri", required_argument, NULL, OPT_JWKS_URI },
	{ "public-keys", no_argument, NULL, OPT_PUBLIC_KEYS },
	{ "ledger", required_argument, NULL, OPT_LEDGER },
	{ "event-log", required_argument, NULL, OPT_EVENT_LOG },
	{ "sa-key", required_argument, NULL, OPT_SA_KEY },
	{ "history", required_argument, NULL, OPT_HISTORY },
	{ "stop-msec", required_argument, NULL, OPT_STOP },
	{ "no-watchlist", no_argument, NULL, OPT_NO_WATCHLIST },
	{ "port-file", required_argument, NULL, OPT_PORT_FILE },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static int number(const char *name, unsigned long max, unsigned long *out, struct err *err)
{
	char *end;
	unsigned long n = strtoul(optarg, &end, 10);

	if (*end || end == optarg || *optarg == '-' || n > max)
		return err_set(err, ERR_INPUT, "--%s=%s: a number up to %lu", name, optarg, max);
	*out = n;
	return 0;
}

static int set_number(struct options *o, int opt, struct err *err)
{
	unsigned long n = 0;

	if (opt == OPT_HISTORY) {
		if (number("history", 10000000, &n, err) < 0)
			return -ERR_INPUT;
		o->api.history = n ? n : 1;
		return 0;
	}
	if (number("stop-msec", 3600000, &n, err) < 0)
		return -ERR_INPUT;
	o->api.stop_msec = (unsigned)n;
	return 0;
}

static int add_path(struct paths *paths, const char *name, struct err *err)
{
	if (paths->n == LOADS_MAX)
		return err_set(err, ERR_LIMIT, "--%s: at most %d files", name, LOADS_MAX);
	paths->p[paths->n++] = optarg;
	return 0;
}

static void set_token_option(struct token_options *o, int opt)
{
	if (opt == OPT_ISSUER)
		o->issuer = optarg;
	else if (opt == OPT_JWKS_URI)
		o->jwks_uri = optarg;
	else if (opt == OPT_SA_KEY)
		o->key_path = optarg;
	else
		o->public_keys = true;
}

static int set_option(struct options *o, int opt, struct err *err)
{
	switch (opt) {
	case OPT_LISTEN:
		o->server.listen = optarg;
		return 0;
	case OPT_CERT:
		o->server.cert = optarg;
		return 0;
	case OPT_KEY:
		o->server.key = optarg;
		return 0;
	case OPT_TOKENS:
		o->tokens = optarg;
		return 0;
	case OPT_RBAC:
		return add_path(&o->rbacs, "rbac", err);
	case OPT_NODE:
		o->api.node = optarg;
		return 0;
	case OPT_CRDS:
		o->crds = optarg;
		return 0;
	case OPT_LOAD:
		return add_path(&o->loads, "load", err);
	case OPT_ISSUER:
	case OPT_JWKS_URI:
	case OPT_PUBLIC_KEYS:
	case OPT_SA_KEY:
		set_token_option(&o->token, opt);
		return 0;
	case OPT_HISTORY:
	case OPT_STOP:
		return set_number(o, opt, err);
	case OPT_NO_WATCHLIST:
		o->api.no_watchlist = true;
		return 0;
	case OPT_PORT_FILE:
		o->port_file = optarg;
		return 0;
	case OPT_LEDGER:
		o->ledger = optarg;
		return 0;
	case OPT_EVENT_LOG:
		o->event_log = optarg;
		return 0;
	case OPT_VERBOSE:
		log_set_level(LOG_LEVEL_DEBUG);
		return 0;
	default:
		return err_set(err, ERR_INPUT, "see --help");
	}
}

static int parse(struct options *o, int argc, char **argv, struct err *err)
{
	int opt, r;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (opt == OPT_HELP) {
			(void)fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		}
		r = set_option(o, opt, err);
		if (r < 0)
			return r;
	}
	if (optind < argc)
		return err_set(err, ERR_INPUT, "%s: not an option", argv[optind]);
	if (!o->server.listen || !o->tokens)
		return err_set(err, ERR_INPUT, "--listen and --token-file are needed");
	return 0;
}

static int is_manifest(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".json") == 0);
}

static int load_dir(struct api *api, const char *dir, struct err *err)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_manifest, alphasort), r = 0;

	if (n < 0)
		return err_set_errno(err, errno, "--crds=%s", dir);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, names[i]->d_name);

		if (r == 0)
			r = api_load_file(api, path, err);
		free(names[i]);
	}
	free(names);
	return r;
}

static int fill(struct api *api, const struct options *o, struct err *err)
{
	int r = o->crds ? load_dir(api, o->crds, err) : 0;

	for (size_t i = 0; i < o->loads.n && r == 0; i++)
		r = api_load_file(api, o->loads.p[i], err);
	if (o->rbacs.n)
		api->rbac = rbac_new();
	for (size_t i = 0; i < o->rbacs.n && r == 0; i++)
		r = rbac_load(api->rbac, o->rbacs.p[i], err);
	if (r < 0)
		return r;
	api->auth = auth_load(o->tokens, err);
	if (!api->auth)
		return err_wrap(err, "--token-file");
	auth_note(api->auth, api->ledger);
	api->issuer = token_issuer_new(&o->token, err);
	return api->issuer ? 0 : err_wrap(err, "the tokens of service accounts");
}

static void on_signal(void *ctx, int signo)
{
	loop_quit(ctx, EXIT_SUCCESS);
}

static int write_port(const char *path, uint16_t port, struct err *err)
{
	_cleanup_free_ char *partial = NULL;
	FILE *f;

	if (!path)
		return 0;
	partial = xasprintf("%s.tmp", path); /* renamed, so that nobody reads half of it */
	f = fopen(partial, "we");
	if (!f)
		return err_set_errno(err, errno, "%s", partial);
	(void)fprintf(f, "%u\n", port);
	if (fclose(f) != 0 || rename(partial, path) < 0)
		return err_set_errno(err, errno, "%s", path);
	return 0;
}

static int serve(struct api *api, const struct options *o, struct err *err)
{
	static const int signos[] = { SIGINT, SIGTERM };
	_cleanup_(loop_signals_freep) struct loop_signals *signals = NULL;
	_cleanup_(server_freep) struct server *server = NULL;

	signals = loop_signals_new(api->loop, signos, ARRAY_SIZE(signos), on_signal, api->loop,
				   err);
	if (!signals)
		return -ERR_OS;
	server = server_new(api, &o->server, err);
	if (!server)
		return -ERR_OS;
	if (write_port(o->port_file, server_port(server), err) < 0)
		return -ERR_OS;
	log_info("serving port %u", server_port(server));
	return loop_run(api->loop, err);
}

static int open_ledger(const char *path, struct ledger **out, struct err *err)
{
	struct ledger *l = path ? ledger_open(path, err) : NULL;

	if (path && !l)
		return -ERR_OS;
	*out = l;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { .api = { .history = 10000, .stop_msec = 1000 },
			     .token = { .issuer = "https://kubernetes.default.svc.cluster.local",
					.jwks_uri = "https://127.0.0.1:6443/openid/v1/jwks" } };
	_cleanup_(loop_freep) struct loop *loop = NULL;
	_cleanup_(ledger_closep) struct ledger *ledger = NULL, *events = NULL;
	struct err err = { 0 };
	struct api api;
	int r;

	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail for SIGPIPE */
	if (parse(&o, argc, argv, &err) < 0) {
		log_err("%s", err.msg);
		return EXIT_FAILURE;
	}
	loop = loop_new(&err);
	if (!loop || open_ledger(o.ledger, &ledger, &err) < 0 ||
	    open_ledger(o.event_log, &events, &err) < 0) {
		log_err("%s", err.msg);
		return EXIT_FAILURE;
	}
	api_init(&api, loop, &o.api);
	api.ledger = ledger;
	api.events = events;
	r = fill(&api, &o, &err);
	if (r == 0)
		r = serve(&api, &o, &err);
	api_deinit(&api);
	if (r < 0)
		log_err("%s", err.msg);
	return r < 0 ? EXIT_FAILURE : r;
}
