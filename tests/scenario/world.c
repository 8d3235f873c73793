/* SPDX-License-Identifier: MIT */

/* The agent's parts together: see world.h. */

#include "tests/scenario/world.h"

#include "lib/loop/loop.h"
#include "mic-client/store.h"
#include "nmi/events.h"
#include "nmi/identity/decide.h"
#include "nmi/limits.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/store.h"
#include "nmi/pods/watch.h"
#include "tests/unit/fake-kube.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_SEC 86400

static struct decider decider;

static void on_identities(void *ctx)
{
	struct world *w = ctx;

	issuer_identities_changed(w->issuer);
}

static bool on_refused(void *ctx, const struct pod *pod, enum reason reason, const char *text,
		       const char *request_id)
{
	const struct event_pod who = { pod->namespace, pod->name, pod->uid };
	struct world *w = ctx;

	return w->events && events_refused(w->events, &who, reason, text, request_id);
}

static struct reflector *reflector(const char *name)
{
	for (unsigned i = 0; i < fake_kube.n_reflectors; i++) {
		if (strcmp(reflector_name(fake_kube.reflectors[i]), name) == 0)
			return fake_kube.reflectors[i];
	}
	ck_abort_msg("nothing watches %s", name);
}

static void sync_one(struct reflector *r)
{
	fake_begin(r);
	fake_end(r);
}

static void init(struct world *w, bool standard, bool accounts)
{
	struct token_cache_spec tokens = { .max_tokens = WORLD_WAITING,
					   .max_waiting = WORLD_WAITING,
					   .pod_burst = LIMIT_POD_FETCH_BURST,
					   .pod_per_second = LIMIT_POD_FETCH_PER_SECOND };
	/* only its address is used: the API server is fake-kube.h */
	struct kube_client *client = (void *)w;

	fake_kube_reset();
	*w = (struct world){ .loop = loop_new_fake(NULL), .pods = pod_store_new() };
	w->watch = pod_watch_new(w->loop, client, "node-1", w->pods);
	pod_watch_start(w->watch);
	w->resolver = resolver_new(w->loop, w->pods, client, "node-1", WORLD_POD_WAIT_MSEC);
	w->names = by_name_new(w->loop, w->pods, WORLD_POD_WAIT_MSEC);
	w->identities = identity_store_new(w->loop, client, standard ? "node-1" : NULL);
	w->standard = (struct standard_mode){
		.store = w->identities,
		.rules = { .controller_namespace = "shop", .controller_accounts = "mic" },
	};
	if (accounts)
		identity_store_use_accounts(w->identities);
	decider = standard ? decider_standard(&w->standard) : decider_managed(w->identities);
	w->decider = &decider;
	fake_source_init(&w->imds, w->loop);
	fake_source_init(&w->node, w->loop);
	fake_source_init(&w->entra, w->loop);
	w->imds.vtable.budget.max_in_flight = LIMIT_IMDS_IN_FLIGHT;
	w->node.vtable.budget.max_in_flight = LIMIT_IMDS_IN_FLIGHT;
	w->by_type[AZURE_IDENTITY_USER_ASSIGNED] = &w->imds.vtable;
	w->by_type[AZURE_IDENTITY_FEDERATED] = &w->entra.vtable;
	tokens.by_type = w->by_type;
	tokens.n_types = AZURE_IDENTITY_TYPES;
	tokens.node = &w->node.vtable;
	w->cache = token_cache_new(w->loop, &tokens, NULL);
	w->issuer = issuer_new(
		w->loop, &(struct issuer_spec){ .resolver = w->resolver,
						.names = w->names,
						.decider = w->decider,
						.tokens = w->cache,
						.sync_wait_msec = WORLD_SYNC_WAIT_MSEC,
						.token_wait_msec = WORLD_TOKEN_WAIT_MSEC,
						.named_wait_msec = WORLD_NAMED_WAIT_MSEC,
						.assigned_wait_msec = WORLD_ASSIGNED_WAIT_MSEC,
						.refused = on_refused,
						.refused_ctx = w });
	pod_watch_on_change(w->watch, on_identities, w);
	identity_store_on_change(w->identities, on_identities, w);
	identity_store_start(w->identities);
	sync_one(reflector("pods"));
}

void world_list_begins(struct world *w, const char *plural)
{
	(void)w;
	fake_begin(reflector(plural));
}

void world_list_ends(struct world *w, const char *plural)
{
	fake_end(reflector(plural));
	world_pass(w, 0);
}

void world_init_unsynced(struct world *w)
{
	init(w, false, false);
}

static void sync_standard(struct world *w)
{
	sync_one(reflector("azureassignedidentities"));
	sync_one(reflector("azurepodidentityexceptions"));
	world_pass(w, 0);
}

void world_init_standard(struct world *w)
{
	init(w, true, false);
	sync_standard(w);
}

void world_init_accounts(struct world *w)
{
	init(w, false, true);
	world_sync(w);
}

void world_init_accounts_standard(struct world *w)
{
	init(w, true, true);
	sync_standard(w);
}

void world_sync_accounts(struct world *w)
{
	sync_one(reflector("serviceaccounts"));
	world_pass(w, 0);
}

void world_sync(struct world *w)
{
	sync_one(reflector("azureidentities"));
	sync_one(reflector("azureidentitybindings"));
	sync_one(reflector("azurepodidentityexceptions"));
	world_pass(w, 0);
}

void world_init(struct world *w)
{
	world_init_unsynced(w);
	world_sync(w);
}

void world_deinit(struct world *w)
{
	w->issuer = issuer_free(w->issuer);
	ck_assert_uint_eq(token_cache_stats(w->cache)->waiting, 0);
	ck_assert_uint_eq(resolver_waiting(w->resolver), 0);
	w->events = events_free(w->events);
	ck_assert_uint_eq(by_name_waiting(w->names), 0);
	w->cache = token_cache_free(w->cache);
	fake_source_deinit(&w->imds);
	fake_source_deinit(&w->node);
	fake_source_deinit(&w->entra);
	w->identities = identity_store_free(w->identities);
	w->names = by_name_free(w->names);
	w->resolver = resolver_free(w->resolver);
	w->watch = pod_watch_free(w->watch);
	w->pods = pod_store_free(w->pods);
	w->loop = loop_free(w->loop);
}

/* the cluster */

/* The field, as the kubelet writes it, or nothing. */
static char *time_text(const char *before, int64_t sec, const char *after)
{
	char text[32];
	struct tm tm;
	time_t t = sec;

	if (!sec)
		return xstrdup("");
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	return xasprintf("%s\"%s\"%s", before, text, after);
}

static char *pod_text(const struct world_pod *p)
{
	const char *state = p->phase && strcmp(p->phase, "Succeeded") == 0 ? "terminated"
									   : "running";
	_cleanup_free_ char *before = xasprintf(",\"containerStatuses\":[{\"state\":{\"%s\":{"
						"\"startedAt\":",
						state);
	_cleanup_free_ char *started = time_text(",\"startTime\":", p->started, "");
	_cleanup_free_ char *ran = time_text(before, p->ran, "}}}]");
	const char *value = p->label ? p->label : "web";
	_cleanup_free_ char *label = *value ? xasprintf("\"aadpodidbinding\":\"%s\",", value)
					    : xstrdup("");
	_cleanup_free_ char *name = p->name ? xstrdup(p->name) : xasprintf("pod-%s", p->uid);
	_cleanup_free_ char *second = p->ip2 ? xasprintf(",{\"ip\":\"%s\"}", p->ip2) : xstrdup("");
	_cleanup_free_ char *ip = p->ip ? xasprintf("{\"ip\":\"%s\"}%s", p->ip, second)
					: xstrdup("");

	return xasprintf("{\"metadata\":{\"uid\":\"%s\",\"namespace\":\"shop\",\"name\":\"%s\","
			 "\"resourceVersion\":\"1\",%s\"labels\":{%s\"exempt\":\"%s\"}},"
			 "\"spec\":{\"nodeName\":\"node-1\",\"serviceAccountName\":\"%s\"},"
			 "\"status\":{\"phase\":\"%s\",\"podIPs\":[%s]%s%s}}",
			 p->uid, name,
			 p->deleting ? "\"deletionTimestamp\":\"2026-01-02T03:04:05Z\"," : "",
			 label, p->uid, p->account ? p->account : "default",
			 p->phase ? p->phase : "Running", ip, started, ran);
}

void world_put_pod_(struct world *w, const struct world_pod *p)
{
	_cleanup_free_ char *text = pod_text(p);

	fake_upsert(reflector("pods"), text);
	world_pass(w, 0);
}

void world_remove_pod(struct world *w, const char *uid)
{
	_cleanup_free_ char *text = pod_text(&(struct world_pod){ .uid = uid, .ip = "10.0.0.9" });

	fake_remove(reflector("pods"), text);
	world_pass(w, 0);
}

static void put_object(struct world *w, const char *plural, const char *name, const char *spec,
		       bool is_there)
{
	_cleanup_free_ char *text =
		xasprintf("{\"metadata\":{\"namespace\":\"shop\",\"name\":\"%s\",\"uid\":\"%s\","
			  "\"resourceVersion\":\"%u\"},\"spec\":{%s}}",
			  name, name, arc4random(), spec);

	if (is_there)
		fake_upsert(reflector(plural), text);
	else
		fake_remove(reflector(plural), text);
	world_pass(w, 0);
}

void world_put_identity(struct world *w, const char *name, const char *client_id)
{
	_cleanup_free_ char *spec = xasprintf(
		"\"type\":0,\"clientID\":\"%s\",\"resourceID\":\"/id/%s\"", client_id, client_id);

	put_object(w, "azureidentities", name, spec, true);
}

void world_remove_identity(struct world *w, const char *name)
{
	put_object(w, "azureidentities", name, "", false);
}

void world_put_binding(struct world *w, const char *name, const char *identity,
		       const char *selector)
{
	_cleanup_free_ char *spec = xasprintf("\"azureIdentity\":\"%s\",\"selector\":\"%s\"",
					      identity, selector);

	put_object(w, "azureidentitybindings", name, spec, true);
}

void world_remove_binding(struct world *w, const char *name)
{
	put_object(w, "azureidentitybindings", name, "", false);
}

void world_put_exception(struct world *w, const char *name, const char *value)
{
	_cleanup_free_ char *spec = xasprintf("\"podLabels\":{\"exempt\":\"%s\"}", value);

	put_object(w, "azurepodidentityexceptions", name, spec, true);
}

static char *account_text(const char *name, const char *client_id)
{
	_cleanup_free_ char *note =
		client_id ? xasprintf("\"" AZURE_CLIENT_NOTE "\":\"%s\"", client_id) : xstrdup("");

	return xasprintf("{\"metadata\":{\"namespace\":\"shop\",\"name\":\"%s\","
			 "\"resourceVersion\":\"%u\",\"annotations\":{%s}}}",
			 name, arc4random(), note);
}

void world_put_account(struct world *w, const char *name, const char *client_id)
{
	_cleanup_free_ char *text = account_text(name, client_id);

	fake_upsert(reflector("serviceaccounts"), text);
	world_pass(w, 0);
}

void world_remove_account(struct world *w, const char *name)
{
	_cleanup_free_ char *text = account_text(name, NULL);

	fake_remove(reflector("serviceaccounts"), text);
	world_pass(w, 0);
}

static char *assigned_text(const char *uid, const char *name, const char *client_id,
			   const char *state)
{
	return xasprintf(
		"{\"metadata\":{\"namespace\":\"default\",\"name\":\"pod-%s-shop-%s\","
		"\"resourceVersion\":\"%u\"},\"spec\":{\"pod\":\"pod-%s\",\"podNamespace\":"
		"\"shop\","
		"\"azureIdentityRef\":{\"metadata\":{\"namespace\":\"shop\",\"name\":\"%s\"},"
		"\"spec\":{\"clientID\":\"%s\",\"resourceID\":\"/id/%s\"}},"
		"\"azureBindingRef\":{\"metadata\":{\"namespace\":\"shop\",\"name\":\"%s\"},"
		"\"spec\":{\"azureIdentity\":\"%s\",\"selector\":\"web\"}}},"
		"\"status\":{\"status\":\"%s\"}}",
		uid, name, arc4random(), uid, name, client_id, client_id, name, name, state);
}

void world_put_assigned(struct world *w, const char *uid, const char *name, const char *client_id,
			const char *state)
{
	_cleanup_free_ char *text = assigned_text(uid, name, client_id, state);

	fake_upsert(reflector("azureassignedidentities"), text);
	world_pass(w, 0);
}

void world_remove_assigned(struct world *w, const char *uid, const char *name)
{
	_cleanup_free_ char *text = assigned_text(uid, name, "", "Unassigned");

	fake_remove(reflector("azureassignedidentities"), text);
	world_pass(w, 0);
}

void world_furnish(struct world *w)
{
	world_put_identity(w, "web", "c-web");
	world_put_binding(w, "web-binding", "web", "web");
	world_put_pod(w, .uid = "p1", .ip = "10.0.0.1");
}

bool world_answer_get(struct world *w, const struct world_pod *pod_or_null)
{
	_cleanup_free_ char *pod = pod_or_null ? pod_text(pod_or_null) : xstrdup("");
	_cleanup_free_ char *list = xasprintf("{\"items\":[%s]}", pod);

	for (unsigned i = 0; i < fake_kube.n_calls; i++) {
		if (!fake_kube.calls[i] || fake_kube.calls[i]->body)
			continue;
		fake_answer(i, 200, list);
		world_pass(w, 0);
		return true;
	}
	return false;
}

void world_tell_events(struct world *w)
{
	w->events = events_new(w->loop, (void *)w, "node-1", NULL);
}

static int oldest_event(unsigned *out_n)
{
	int oldest = -1;

	*out_n = 0;
	for (unsigned i = 0; i < fake_kube.n_calls; i++) {
		if (!fake_kube.calls[i] || !fake_kube.calls[i]->body)
			continue;
		if (oldest < 0)
			oldest = (int)i;
		++*out_n;
	}
	return oldest;
}

unsigned world_events(const struct world *w)
{
	unsigned n;

	(void)w;
	(void)oldest_event(&n);
	return n;
}

char *world_event(const struct world *w, const char *path)
{
	_cleanup_(jval_freep) struct jval *doc = NULL;
	const char *text = NULL;
	const struct jval_field field = { path, JVAL_STR, JVAL_MUST, &text };
	unsigned n;
	int i = oldest_event(&n);

	(void)w;
	ck_assert_int_ge(i, 0);
	doc = fake_json(fake_kube.calls[i]->body);
	ck_assert_int_eq(jval_read(doc, &field, 1, JVAL_CASE_EXACT, NULL), 0);
	return xstrdup(text);
}

void world_answer_event(struct world *w, long status)
{
	unsigned n;
	int i = oldest_event(&n);

	ck_assert_int_ge(i, 0);
	fake_answer((unsigned)i, status, "{}");
	world_pass(w, 0);
}

/* the caller */

static void keep(struct told *t, const struct issue_answer *a)
{
	size_t n;
	char *body;

	t->issue = NULL;
	t->calls++;
	t->reason = a->reason;
	t->retry_after_sec = a->retry_after_sec;
	t->at_msec = world_msec(t->world);
	(void)snprintf(t->text, sizeof(t->text), "%s", a->text);
	if (!a->token)
		return;
	(void)snprintf(t->token, sizeof(t->token), "%.*s", (int)a->token->access_token.n,
		       (const char *)a->token->access_token.p);
	(void)snprintf(t->source, sizeof(t->source), "%s", a->source);
	body = issue_body(t->world->issuer, a->token, &n);
	(void)snprintf(t->body, sizeof(t->body), "%s", body);
	issue_body_free(body, n);
}

static void on_done(void *ctx, const struct issue_answer *a)
{
	keep(ctx, a);
}

void world_ask_(struct world *w, struct told *t, const struct world_ask *a)
{
	struct issue_request req = {
		.resource = a->resource ? a->resource : "https://vault.azure.net",
		.selector = { SELECTOR_NONE, "" },
		.bypass_cache = a->bypass_cache,
		.by_name = a->name != NULL,
		.pod_namespace = "shop",
		.pod_name = a->name,
		.id = "q",
	};
	struct issue_answer answer;

	*t = (struct told){ .world = w };
	ck_assert_int_eq(inet_ip_parse(a->ip ? a->ip : "10.0.0.1", &req.peer, NULL), 0);
	if (a->client_id)
		req.selector = (struct selector){ SELECTOR_CLIENT_ID, a->client_id };
	if (a->resource_id)
		req.selector = (struct selector){ SELECTOR_RESOURCE_ID, a->resource_id };
	t->issue = issue_start(w->issuer, &req, &answer, on_done, t);
	ck_assert_uint_eq(t->calls, 0);
	if (!t->issue)
		keep(t, &answer);
}

void world_leave(struct told *t)
{
	ck_assert_ptr_nonnull(t->issue);
	issue_cancel(t->issue);
	t->issue = NULL;
}

/* time, and IMDS */

void world_pass(struct world *w, uint64_t msec)
{
	loop_fake_advance(w->loop, msec);
}

uint64_t world_msec(const struct world *w)
{
	return loop_mono(w->loop).ns / NSEC_PER_MSEC;
}

void world_give_for(struct world *w, const char *token, int64_t life_sec)
{
	ck_assert(fake_source_give(&w->imds, token, life_sec));
	world_pass(w, 0);
}

void world_give_federated(struct world *w, const char *token)
{
	ck_assert(fake_source_give(&w->entra, token, DAY_SEC));
	world_pass(w, 0);
}

void world_give(struct world *w, const char *token)
{
	world_give_for(w, token, DAY_SEC);
}

void world_fail(struct world *w, enum token_fault fault)
{
	ck_assert(fake_source_fail(&w->imds, fault, 0));
	world_pass(w, 0);
}
