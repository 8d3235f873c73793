/* SPDX-License-Identifier: MIT */

/* The agent's parts together: see world.h. */

#include "tests/scenario/world.h"

#include "lib/loop/loop.h"
#include "mic-client/store.h"
#include "nmi/identity/decide.h"
#include "nmi/pods/store.h"
#include "nmi/pods/watch.h"
#include "tests/unit/fake-kube.h"

#include <stdio.h>

#define DAY_SEC 86400

static struct decider decider;

static void on_identities(void *ctx)
{
	struct world *w = ctx;

	issuer_identities_changed(w->issuer);
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

void world_init_unsynced(struct world *w)
{
	struct token_cache_spec tokens = { .max_tokens = WORLD_WAITING,
					   .max_in_flight = 4,
					   .max_waiting = WORLD_WAITING };
	/* only its address is used: the API server is fake-kube.h */
	struct kube_client *client = (void *)w;

	fake_kube_reset();
	*w = (struct world){ .loop = loop_new_fake(NULL), .pods = pod_store_new() };
	w->watch = pod_watch_new(w->loop, client, "node-1", w->pods);
	pod_watch_start(w->watch);
	w->resolver = resolver_new(w->loop, w->pods, client, "node-1", WORLD_POD_WAIT_MSEC);
	w->identities = identity_store_new(w->loop, client);
	decider = decider_managed(w->identities);
	w->decider = &decider;
	fake_source_init(&w->imds, w->loop);
	fake_source_init(&w->node, w->loop);
	w->by_type[0] = &w->imds.vtable;
	tokens.by_type = w->by_type;
	tokens.n_types = 1;
	tokens.node = &w->node.vtable;
	w->cache = token_cache_new(w->loop, &tokens, NULL);
	w->issuer = issuer_new(w->loop,
			       &(struct issuer_spec){ .resolver = w->resolver,
						      .decider = w->decider,
						      .tokens = w->cache,
						      .sync_wait_msec = WORLD_SYNC_WAIT_MSEC,
						      .token_wait_msec = WORLD_TOKEN_WAIT_MSEC });
	identity_store_on_change(w->identities, on_identities, w);
	identity_store_start(w->identities);
	sync_one(reflector("pods"));
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
	w->cache = token_cache_free(w->cache);
	fake_source_deinit(&w->imds);
	fake_source_deinit(&w->node);
	w->identities = identity_store_free(w->identities);
	w->resolver = resolver_free(w->resolver);
	w->watch = pod_watch_free(w->watch);
	w->pods = pod_store_free(w->pods);
	w->loop = loop_free(w->loop);
}

/* the cluster */

static char *pod_text(const struct world_pod *p)
{
	const char *value = p->label ? p->label : "web";
	_cleanup_free_ char *label = *value ? xasprintf("\"aadpodidbinding\":\"%s\",", value)
					    : xstrdup("");

	_cleanup_free_ char *ips = *p->ip ? xasprintf("{\"ip\":\"%s\"}", p->ip) : xstrdup("");

	return xasprintf("{\"metadata\":{\"uid\":\"%s\",\"namespace\":\"shop\",\"name\":\"pod-%s\","
			 "\"resourceVersion\":\"1\",%s\"labels\":{%s\"exempt\":\"%s\"}},"
			 "\"spec\":{\"nodeName\":\"node-1\"},"
			 "\"status\":{\"phase\":\"%s\",\"podIPs\":[%s]}}",
			 p->uid, p->uid,
			 p->deleting ? "\"deletionTimestamp\":\"2026-01-02T03:04:05Z\"," : "",
			 label, p->uid, p->phase ? p->phase : "Running", ips);
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
		if (!fake_kube.calls[i])
			continue;
		fake_answer(i, 200, list);
		world_pass(w, 0);
		return true;
	}
	return false;
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

void world_give(struct world *w, const char *token)
{
	world_give_for(w, token, DAY_SEC);
}

void world_fail(struct world *w, enum token_fault fault)
{
	ck_assert(fake_source_fail(&w->imds, fault, 0));
	world_pass(w, 0);
}
