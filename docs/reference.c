/* SPDX-License-Identifier: MIT */

/*
 * Prints one page of the reference in docs/ from the tables that the agent is made of, so that they
 * cannot disagree: `reference options|metrics|reasons|routes|status|commands|audit|reload`.
 */

#include "lib/base/opt_file.h"
#include "nmi/audit.h"
#include "nmi/config.h"
#include "nmi/front/front.h"
#include "nmi/metrics.h"
#include "nmi/reason.h"
#include "nmi/status/fields.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GENERATED ".. Made by docs/reference.c; do not edit. ninja -C build update-docs\n\n"

static void heading(const char *title, const char *intro)
{
	fputs(GENERATED, stdout);
	printf("%s\n", title);
	for (size_t n = strlen(title); n; n--)
		putchar('=');
	printf("\n\n%s\n\n", intro);
}

/* options */

static void print_options(void)
{
	opt_print_rst(&nmi_options, stdout); /* as `nmi --print-options-rst` does, to the byte */
}

/* what is live */

static void print_live_list(const char *title, bool live)
{
	printf("%s\n", title);
	for (size_t n = strlen(title); n; n--)
		putchar('-');
	puts("\n");
	for (size_t i = 0; i < nmi_options.n; i++) {
		const struct opt *o = &nmi_options.opts[i];

		if (opt_file_takes(o) && nmi_config_is_live(o) == live)
			printf("``%s``\n    %s.\n\n", o->name, o->help);
	}
}

static void print_reload(void)
{
	heading("What changes while the agent runs",
		"Made of ``nmi/reload.def``; `configuration.md <configuration.md>`_ says how.");
	print_live_list("Live", true);
	print_live_list("Needs a restart", false);
}

/* metrics */

static const char *type_name(enum metric_type type)
{
	switch (type) {
	case METRIC_COUNTER:
		return "counter";
	case METRIC_GAUGE:
		return "gauge";
	case METRIC_HISTOGRAM:
		return "histogram";
	}
	return "?";
}

static void print_metric(const struct metric_desc *d)
{
	printf("``%s``\n    %s. Type: %s.", d->name, d->help, type_name(d->type));
	for (size_t i = 0; i < METRIC_LABELS_MAX && d->labels[i]; i++)
		printf("%s``%s``", i ? ", " : " Labels: ", d->labels[i]);
	if (d->labels[0])
		putchar('.');
	for (size_t i = 0; i < d->n_buckets; i++)
		printf("%s%g", i ? ", " : " Buckets: ", d->buckets[i]);
	puts(d->n_buckets ? ".\n" : "\n");
}

static void print_metrics(void)
{
	heading("Metrics",
		"Served on ``--prometheus-port`` in the Prometheus text format, or as OpenMetrics\n"
		"1.0 to whoever asks for it. A metric has at most 256 combinations of label\n"
		"values; what comes after is counted under ``other``. What to watch, and why:\n"
		"``monitoring.md``.");
	for (size_t i = 0; i < NMI_METRICS; i++)
		print_metric(&nmi_metric_descs[i]);
}

/* reasons */

struct reason_row {
	const char *code;
	unsigned status;
	const char *error;
	unsigned retry_after_sec;
};

static const struct reason_row rows[REASONS] = {
#define X(name, code, status, error, retry_after)                                                  \
	[REASON_##name] = { code, status, error, retry_after },
#include "nmi/reasons.def"
#undef X
};

/* clang-format off */
static const struct {
	const char *meaning;
	const char *next;
} words[] = {
	[REASON_METADATA_HEADER] = {
		"The request has no header ``Metadata: true``",
		"Send it; every Azure SDK does" },
	[REASON_BAD_REQUEST] = {
		"The request is malformed or ambiguous; the text says where",
		"Correct the client" },
	[REASON_NO_LABEL] = {
		"The pod has no label ``aadpodidbinding``, or an empty one, nor, with ``--workload-identity``, "
		"has its ServiceAccount an annotation ``azure.workload.identity/client-id``",
		"Label the pod with the selector of an AzureIdentityBinding, or annotate the ServiceAccount" },
	[REASON_NO_BINDING] = {
		"No AzureIdentityBinding in the pod's namespace has the selector that the label names",
		"Create one there, or correct the label" },
	[REASON_IDENTITY_NOT_FOUND] = {
		"The binding names an AzureIdentity that is not in its namespace",
		"Create the AzureIdentity there, or correct ``spec.azureIdentity``" },
	[REASON_IDENTITY_UNKNOWN] = {
		"No AzureIdentity of the cluster has the client id or resource id that was asked for",
		"Correct the id, or create and bind an AzureIdentity that has it" },
	[REASON_NOT_BOUND] = {
		"The identity asked for by client id or resource id exists, but is not one of the pod's; or the pod "
		"has one by its ServiceAccount, which is another",
		"Bind it to the pod, or ask for one that is" },
	[REASON_NAMESPACE_MISMATCH] = {
		"Standard mode: the identity assigned to the pod counts in its own namespace only "
		"(``--forceNamespaced``, or the annotation ``aadpodidentity.k8s.io/Behavior: namespaced``), "
		"which is not the pod's",
		"Create AzureIdentity and AzureIdentityBinding in the pod's namespace" },
	[REASON_SELECTOR] = {
		"The way of naming an identity is not supported (``object_id``), or more than one was used",
		"Name it by ``client_id`` or ``msi_res_id``, or not at all" },
	[REASON_IDENTITY_TYPE] = {
		"The AzureIdentity is of a type that this version does not serve",
		"Use a managed identity (type 0), a service principal (1, 2) or federation (3)" },
	[REASON_IDENTITY_INVALID] = {
		"The AzureIdentity lacks what its type needs, or an annotation of the pod's ServiceAccount is not "
		"right; the text names the field",
		"Complete the object" },
	[REASON_CREDENTIAL] = {
		"What the identity proves itself with is not to be had: the Secret of a type 1 or 2 is missing, "
		"may not be read, or holds nothing that can be used; or nmi may not ask for tokens of the "
		"pod's service account (federation); the text says which",
		"Correct the Secret, or grant ``get`` on it, or ``create`` on ``serviceaccounts/token``; the "
		"next request sees it" },
	[REASON_POD_UNKNOWN] = {
		"No running pod of this node is known by the request's source address (yet); or, with "
		"federation, the API server says that the pod or its service account is gone",
		"Ask again; if it stays, look at the agent's readiness and its watch of pods" },
	[REASON_SOURCE] = {
		"The source address is one that no pod can have: a loopback or a link-local one",
		"Ask 169.254.169.254 from inside the pod" },
	[REASON_AMBIGUOUS_IP] = {
		"More than one running pod of this node has that address",
		"Ask again when the older one has ended; if it stays, look at the network plugin" },
	[REASON_STALE_CONNECTION] = {
		"The source address belongs to another pod than when the connection was made. Nothing is "
		"answered: the connection is ended",
		"Nothing; clients connect again by themselves" },
	[REASON_HOST_CALLER] = {
		"``/host/token`` was asked by a pod, or by a process of the node that is not root's, or whose "
		"it is could not be proven; the text says which",
		"Ask as root on a loopback address, or set ``--host-token=any``" },
	[REASON_LINK_MISMATCH] = {
		"The pod's address does not lead to the link that is the pod's own: it may be another pod that asks",
		"Ask again; if it stays and the network plugin gives pods no links of their own, set ``--link-binding=off``" },
	[REASON_NOT_SYNCED] = {
		"The identity objects, or with ``--workload-identity`` the ServiceAccounts, have not been read from "
		"the API server yet",
		"Ask again; if it stays, look at the agent's readiness" },
	[REASON_NOT_ASSIGNED_YET] = {
		"Standard mode: the controller (MIC) has not assigned the identity to this node's VM within the "
		"longest wait (``--retry-attempts-for-created``): the AzureAssignedIdentity is missing, or in "
		"state ``Created``",
		"Ask again; if it stays so look at the controller's logs, the label and the binding" },
	[REASON_OVERLOADED] = {
		"A limit on requests that wait was reached",
		"Ask again, less often" },
	[REASON_POD_LIMIT] = {
		"The pod has caused more new tokens to be fetched than one pod may (50 at once, then 2 a second; what is "
		"in the cache it is still given), or has asked for instance metadata more often than 100 times at once, then 2 a second",
		"Ask again after Retry-After; ask for fewer resources, and without ``bypass_cache``" },
	[REASON_UPSTREAM_REFUSED] = {
		"IMDS or Entra understood and refused; its own words follow",
		"Correct the identity or the resource; asking again does not help" },
	[REASON_UPSTREAM_THROTTLED] = {
		"IMDS has too many requests from this node",
		"Ask again after Retry-After" },
	[REASON_UPSTREAM_UPDATING] = {
		"IMDS is being updated, which takes up to 70 seconds",
		"Ask again; the SDKs do" },
	[REASON_UPSTREAM_DOWN] = {
		"IMDS or Entra did not answer, or with something that is no answer",
		"Ask again; if it stays, see whether the node itself reaches it" },
	[REASON_UPSTREAM_TOO_LARGE] = {
		"IMDS answered a forwarded request with more than 1 MiB",
		"Ask for a part of it" },
	[REASON_NOT_FOUND] = {
		"There is no such path here, and identity paths are never forwarded",
		"Ask ``/metadata/identity/oauth2/token``" },
	[REASON_METHOD] = {
		"The path takes another method; ``Allow`` names it",
		"Correct the client" },
	[REASON_BLOCKED] = {
		"The operator blocked instance metadata (``--block-instance-metadata``)",
		"Do without it, or ask the operator" },
	[REASON_TOO_LARGE] = {
		"The request's body is over the limit",
		"Send less" },
	[REASON_INTERNAL] = {
		"A fault of nmi",
		"Report it with the agent's log" },
};
/* clang-format on */
static_assert(sizeof(words) / sizeof(words[0]) == REASONS, "words[] must cover reasons.def");

static void print_reason(const struct reason_row *r, enum reason reason)
{
	if (!words[reason].meaning) {
		fprintf(stderr, "reason %s has no words in docs/reference.c\n", r->code);
		exit(EXIT_FAILURE);
	}
	printf("   * - ``%s``\n     - %u\n     - ``%s``\n     -", r->code, r->status, r->error);
	if (r->retry_after_sec)
		printf(" %u s", r->retry_after_sec);
	printf("\n     - %s.\n     - %s.\n", words[reason].meaning, words[reason].next);
}

static void print_reasons(void)
{
	heading("Refusals",
		"Each refusal is JSON with an ``error`` for the SDK and a text for a person. The "
		"code\n"
		"stands in the answer, in the agent's log line and in the metric\n"
		"``nmi_refusals_total``, and in CamelCase in the Event of the pod "
		"(``NmiNoLabel``).\n"
		"Retry-After is sent only where asking again helps. How to find out more, code by\n"
		"code: ``troubleshooting.md``.");
	puts(".. list-table::\n   :header-rows: 1\n\n   * - Code\n     - Status\n     - Error\n"
	     "     - Retry-After\n     - Meaning\n     - What to do");
	for (unsigned i = REASON_NONE + 1; i < REASONS; i++)
		print_reason(&rows[i], (enum reason)i);
}

/* routes */

/* The front prints a line a route: listener, methods, path and what it is for, between tabs. */
static void print_routes(void)
{
	char *text = NULL, *save = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		exit(EXIT_FAILURE);
	front_print_routes(f);
	if (fclose(f) != 0)
		exit(EXIT_FAILURE);
	heading("Routes",
		"What can be asked, on which listener: *pods* is where pods are redirected to\n"
		"(``--nmi-port``), *host* is the same port on the loopback addresses, *probes* is\n"
		"``--http-probe-port``, *metrics* is ``--prometheus-port``. The first row that "
		"fits decides. HEAD is answered as GET,\n"
		"without a body.");
	puts(".. list-table::\n   :header-rows: 1\n\n   * - Listener\n     - Methods\n     - Path\n"
	     "     - What it does");
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *cell = NULL;
		const char *listener = strtok_r(line, "\t", &cell);
		const char *methods = strtok_r(NULL, "\t", &cell);
		const char *path = strtok_r(NULL, "\t", &cell);

		printf("   * - %s\n     - %s\n     - ``%s``\n     - %s.\n", listener, methods, path,
		       cell);
	}
	free(text);
}

/* status */

static const char *kind_name(enum status_kind kind)
{
	switch (kind) {
	case STATUS_STR:
		return "string";
	case STATUS_BOOL:
		return "boolean";
	case STATUS_INT:
	case STATUS_TIME:
	case STATUS_SECONDS:
	case STATUS_MSEC:
	case STATUS_USEC:
	case STATUS_KIB:
		return "number";
	}
	return "?";
}

static void print_part(const struct status_part *part)
{
	bool is_list = part->kind != STATUS_PART_GROUP;
	const char *key;

	printf("%s\n", part->title);
	for (size_t n = strlen(part->title); n; n--)
		putchar('-');
	printf("\n\n");
	if (is_list)
		printf("The list ``%s``. %s\n\n", part->key, part->meaning);
	for (size_t i = 0; i < n_status_fields; i++) {
		const struct status_field *f = &status_fields[i];

		if (!status_is_in(part, f, &key))
			continue;
		printf("``%s%s%s``\n    %s: %s.\n\n", is_list ? part->key : "",
		       is_list ? "[]." : "", f->path, kind_name(f->kind), f->meaning);
	}
}

static void print_status(void)
{
	heading("Status",
		"What ``nmi status`` prints as text, and with ``--output=json`` as a document. "
		"The\n"
		"names stay; fields are added. ``schema`` goes up when one is taken away. A value\n"
		"that is not to be had is null.\n\n"
		"Exit status: 0 the agent is ready, 1 it runs and is not ready, 2 usage, 3 no "
		"agent\n"
		"answers, and what protects the node nevertheless is told.\n\n"
		"The agent is asked at ``nmi.sock`` in ``--run-directory``: whoever is root, or "
		"its\n"
		"user, sends the line ``status`` and is given its document, and the end of the\n"
		"stream. Another line is answered with ``error.code`` and ``error.message``. The\n"
		"packet rules are read from the kernel by the command itself, which needs\n"
		"CAP_NET_ADMIN in the network namespace of the node.\n\n"
		"The document\n------------\n\n"
		"``schema``\n    number: 1.\n\n"
		"``protected``\n    boolean: Pods are kept from the node's own identity; null: it "
		"is\n"
		"    not known.\n\n"
		"``protected_why``\n    string: By what, or why not.\n\n"
		"``ready``\n    boolean: The agent answers, and is ready.\n\n"
		"``agent``\n    object: What the agent says of itself, below; null: none "
		"answers.\n\n"
		"``agent_error``\n    string: Why none answers; else null.\n\n"
		"``rules``\n    string: The packet rules of nmi as the kernel has them, with "
		"counters\n"
		"    and comments; empty: there are none; null: they cannot be read.\n\n"
		"``rules_error``\n    string: Why they cannot be read; else null.\n\n"
		"What follows is in ``agent``, which has a ``schema`` of its own.");
	for (size_t i = 0; i < n_status_parts; i++)
		print_part(&status_parts[i]);
}

/* audit */

static const char *audit_kind_name(enum audit_kind kind)
{
	switch (kind) {
	case AUDIT_STR:
		return "string";
	case AUDIT_INT:
		return "number";
	case AUDIT_TIME:
		return "time";
	}
	return "?";
}

static void print_audit_list(const char *title, enum audit_list list)
{
	printf("%s\n", title);
	for (size_t n = strlen(title); n; n--)
		putchar('-');
	printf("\n\n");
	for (size_t i = 0; i < n_audit_fields; i++) {
		const struct audit_field *f = &audit_fields[i];

		if (f->list == list)
			printf("``%s``\n    %s: %s.\n\n", f->key, audit_kind_name(f->kind),
			       f->meaning);
	}
}

static void print_audit(void)
{
	heading("Audit log",
		"What ``--audit-log`` writes: one JSON object a line, for each token request that "
		"was\n"
		"granted or refused. Every record of a kind has all of its fields, in this order; "
		"what\n"
		"is not known is null. Names stay, and fields are added; ``version`` goes up when "
		"one\n"
		"is taken away. A text that is too long ends in three dots; a byte that is not "
		"ASCII\n"
		"stands as ``\\u00XX``. How to use it: ``logs.md``.");
	print_audit_list("Every record", AUDIT_EVERY);
	print_audit_list("A decision", AUDIT_DECISION);
	print_audit_list("Records that are missing", AUDIT_DROPPED);
}

/* commands */

static void print_commands(void)
{
#define X(name, args, function, what) printf("**nmi** **%s** %s\n    %s.\n\n", name, args, what);
#include "nmi/commands.def"
#undef X
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} pages[] = { { "options", print_options }, { "metrics", print_metrics },
		      { "reasons", print_reasons }, { "routes", print_routes },
		      { "status", print_status },   { "commands", print_commands },
		      { "audit", print_audit },	    { "reload", print_reload } };

	for (size_t i = 0; argc == 2 && i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(argv[1], pages[i].name) == 0) {
			pages[i].print();
			return EXIT_SUCCESS;
		}
	}
	fputs("Usage: reference options|metrics|reasons|routes|status|commands|audit|reload\n",
	      stderr);
	return EXIT_FAILURE;
}
