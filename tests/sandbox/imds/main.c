/* SPDX-License-Identifier: MIT */

/* A stand-in for the Azure Instance Metadata Service, for tests and the demo. */

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "tests/sandbox/imds/service.h"
#include "tests/sandbox/ledger.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <string.h>

#define SERVER_NAME  "IMDS/150.870.65.476" /* as seen in azure-sdk-for-js issue 11369 */
#define LIFETIME_SEC 86399
#define TOKEN_MAX    ((size_t)64 * 1024)

static const char help[] =
	"Usage: nmi-sandbox-imds --identities FILE [--listen IP:PORT] [--control IP:PORT] [--key "
	"FILE]\n"
	"                        [--ledger FILE]\n"
	"       nmi-sandbox-imds --verify KEYS < TOKEN\n"
	"\n"
	"Plays the Azure Instance Metadata Service of one virtual machine.\n"
	"  --identities FILE  the machine and its identities (JSON)\n"
	"  --listen IP:PORT   where the service is (default 169.254.169.254:80)\n"
	"  --control IP:PORT  where tests ask for faults and statistics (default 127.0.0.1:8169)\n"
	"  --key FILE         signing key, made when missing (default: a new one each run)\n"
	"  --ledger FILE      each token that is given is written there\n"
	"  --verify KEYS      check a token against a key set and print its claims\n";

struct settings {
	const char *identities, *listen, *control, *key, *ledger, *verify;
};

static int parse_argv(struct settings *s, int argc, char **argv)
{
	static const struct option options[] = {
		{ "identities", required_argument, NULL, 'i' },
		{ "listen", required_argument, NULL, 'l' },
		{ "control", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' },
		{ "ledger", required_argument, NULL, 'L' },
		{ "verify", required_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			s->identities = optarg;
			break;
		case 'l':
			s->listen = optarg;
			break;
		case 'c':
			s->control = optarg;
			break;
		case 'k':
			s->key = optarg;
			break;
		case 'L':
			s->ledger = optarg;
			break;
		case 'v':
			s->verify = optarg;
			break;
		case 'h':
			(void)fputs(help, stdout);
			exit(EXIT_SUCCESS);
		default:
			return -1;
		}
	}
	return optind == argc && (s->identities || s->verify) ? 0 : -1;
}

static int parse_address(const char *text, struct server_spec *spec, struct err *err)
{
	const char *colon = strrchr(text, ':');
	_cleanup_free_ char *ip = colon ? xstrndup(text, (size_t)(colon - text)) : NULL;
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;

	if (!ip || port == 0 || port > UINT16_MAX)
		return err_set(err, ERR_INPUT, "%s: want IP:PORT", text);
	spec->port = (uint16_t)port;
	return inet_ip_parse(ip, &spec->ip, err);
}

static int verify(const char *path)
{
	json_t *keys = json_load_file(path, 0, NULL), *claims;
	static char token[TOKEN_MAX];
	struct err err = { 0 };

	if (!keys) {
		(void)fprintf(stderr, "%s: no key set\n", path);
		return EXIT_FAILURE;
	}
	token[fread(token, 1, sizeof(token) - 1, stdin)] = '\0';
	token[strcspn(token, " \r\n")] = '\0';
	claims = jwt_verify(keys, token, &err);
	json_decref(keys);
	if (!claims) {
		(void)fprintf(stderr, "token refused: %s\n", err.msg);
		return EXIT_FAILURE;
	}
	(void)json_dumpf(claims, stdout,
			 JSON_COMPACT); /* the newline below reports a broken stdout */
	json_decref(claims);
	return putchar('\n') == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void on_signal(void *ctx, int signo)
{
	loop_quit(ctx, 0);
}

static int start(struct service *s, const struct settings *set, struct err *err)
{
	struct server_spec metadata = { .name = SERVER_NAME,
					.on_request = service_on_request,
					.on_end = service_on_end,
					.ctx = s };
	struct server_spec control = { .name = "nmi-sandbox-imds",
				       .on_request = control_on_request,
				       .ctx = s };
	int r;

	s->imds.conf = imds_conf_load(set->identities, err);
	if (!s->imds.conf)
		return -(int)err->kind;
	s->imds.lifetime_sec = LIFETIME_SEC;
	r = parse_address(set->listen, &metadata, err);
	if (r == 0)
		r = parse_address(set->control, &control, err);
	if (r < 0)
		return r;
	s->metadata = server_new(s->loop, &metadata, err);
	if (s->metadata)
		s->control = server_new(s->loop, &control, err);
	return s->control ? 0 : -(int)err->kind;
}

static int serve(const struct settings *set, struct err *err)
{
	static const int signos[] = { SIGTERM, SIGINT };
	_cleanup_(loop_freep) struct loop *l = loop_new(err);
	_cleanup_(jwt_key_freep) struct jwt_key *key = l ? jwt_key_new(set->key, err) : NULL;
	_cleanup_(ledger_closep) struct ledger *ledger = NULL;
	_cleanup_(loop_signals_freep) struct loop_signals *signals = NULL;
	static struct service s;
	int r;

	if (!key)
		return -(int)err->kind;
	if (set->ledger)
		ledger = ledger_open(set->ledger, err);
	if (set->ledger && !ledger)
		return -(int)err->kind;
	signals = loop_signals_new(l, signos, ARRAY_SIZE(signos), on_signal, l, err);
	if (!signals)
		return -(int)err->kind;
	service_init(&s, l);
	s.imds.key = key;
	s.imds.ledger = ledger;
	r = start(&s, set, err);
	if (r == 0) {
		log_info("metadata service on %s, control on %s", set->listen, set->control);
		r = loop_run(l, err);
	}
	service_deinit(&s);
	return r;
}

int main(int argc, char **argv)
{
	struct settings set = { .listen = "169.254.169.254:80", .control = "127.0.0.1:8169" };
	struct err err = { 0 };

	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	if (parse_argv(&set, argc, argv) < 0) {
		(void)fputs(help, stderr);
		return 2;
	}
	if (set.verify)
		return verify(set.verify);
	if (serve(&set, &err) < 0) {
		log_err("%s", err.msg);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
