/* SPDX-License-Identifier: MIT */

/*
 * The stores of pods and identities on the real client and reflectors, against what a real API server
 * said: from bytes on a socket to a decision.
 */

#include "lib/base/mem.h"
#include "lib/kube/client.h"
#include "lib/loop/loop.h"
#include "mic-client/index.h"
#include "mic-client/store.h"
#include "nmi/identity/decide.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/resolver.h"
#include "nmi/pods/store.h"
#include "nmi/pods/watch.h"
#include "tests/replay/fixture.h"
#include "tests/replay/server.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define NODE	       "aks-nodepool1-12345678-vmss000000"
#define REFUSE	       "HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 0\r\n\r\n"
#define WAIT_MSEC      UINT64_C(10000)
#define ANSWERS_MAX    16
#define STREAM	       "sendInitialEvents=true"
#define BY_NODE	       "fieldSelector=spec.nodeName%3D" NODE
#define BY_NODE_AND_IP BY_NODE "%2Cstatus.podIP%3D"

/* Answers are found by what stands in the request, in any order, each once; others are never answered. */
struct stage {
	struct fixture f; /* of it just the loop, the server and the client */
	struct step answers[ANSWERS_MAX];
	bool used[ANSWERS_MAX];
	char asked[8192];
};

static struct stage st;

static void on_request(void *ctx, struct server_conn *conn, const char *text)
{
	struct stage *s = ctx;
	size_t n = strlen(s->asked), line = strcspn(text, "\r\n");
	const char *accept = strcasestr(text, "\naccept: ");

	(void)snprintf(s->asked + n, sizeof(s->asked) - n, "%.*s %.*s\n", (int)line, text,
		       accept ? (int)strcspn(accept + 1, "\r\n") : 0, accept ? accept + 1 : "");
	for (size_t i = 0; i < ANSWERS_MAX && s->answers[i].wants; i++) {
		if (s->used[i] ||
		    !memmem(text, line, s->answers[i].wants, strlen(s->answers[i].wants)))
			continue;
		s->used[i] = true;
		say_step(conn, &s->answers[i]);
		return;
	}
}

static void stage_init(const struct step *answers, size_t n)
{
	struct err err = { 0 };

	st = (struct stage){ 0 };
	for (size_t i = 0; i < n; i++)
		st.answers[i] = answers[i];
	st.f.loop = loop_new_fake(&err);
	st.f.server = server_new(st.f.loop, NULL, on_request, &st, &err);
	ck_assert_msg(st.f.loop && st.f.server, "%s", err.msg);
	fixture_client(&st.f, NULL);
}

#define STAGE(answers) stage_init((answers), ARRAY_SIZE(answers))

static const struct pod *pod_at(const struct pod_store *s, const char *text)
{
	const struct pod *p = NULL;
	struct inet_ip ip;

	ck_assert_int_eq(inet_ip_parse(text, &ip, NULL), 0);
	return pod_store_find_ip(s, &ip, &p) == POD_FOUND ? p : NULL;
}

/* The whole way: the pod at an address, and what it may have. */
static enum match_result decide(struct decider *d, const struct pod *p, struct match_answer *out)
{
	const struct match_pod pod = { p->namespace, p->name, p->labels };
	const struct selector none = { SELECTOR_NONE, "" };

	d->decide(d->ctx, &pod, &none, out);
	return out->result;
}

static const struct step lists[] = {
	{ "azureidentities?watch=1&" STREAM, .text = REFUSE },
	{ "azureidentitybindings?watch=1&" STREAM, .text = REFUSE },
	{ "azurepodidentityexceptions?watch=1&" STREAM, .text = REFUSE },
	{ "azureidentities?limit", "azureidentities-list" },
	{ "azureidentitybindings?limit", "azureidentitybindings-list" },
	{ "azurepodidentityexceptions?limit", "azurepodidentityexceptions-list" },
	{ "pods?watch=1&" STREAM, "pods-watch-initial-events", .open = true },
};

START_TEST(recorded_pods_are_given_the_recorded_identities)
{
	struct pod_store *pods = pod_store_new();
	struct identity_store *identities;
	struct pod_watch *watch;
	struct match_answer a;
	struct decider d;

	STAGE(lists);
	identities = identity_store_new(st.f.loop, st.f.client, NULL);
	watch = pod_watch_new(st.f.loop, st.f.client, NODE, pods);
	d = decider_managed(identities);
	ck_assert(!d.is_ready(d.ctx) && !pod_watch_has_synced(watch));
	identity_store_start(identities);
	pod_watch_start(watch);
	fixture_settle(&st.f);

	ck_assert_msg(d.is_ready(d.ctx) && pod_watch_has_synced(watch), "%s", st.asked);
	ck_assert_ptr_nonnull(strstr(st.asked, BY_NODE));
	ck_assert_uint_eq(identity_index_count(identity_store_index(identities), KIND_BINDING), 3);

	ck_assert_str_eq(pod_at(pods, "10.244.0.6")->name, "multi");
	ck_assert_int_eq(decide(&d, pod_at(pods, "10.244.0.6"), &a), MATCH_GRANTED);
	ck_assert_str_eq(a.identity->meta.name, "my-pod-identity");
	ck_assert_uint_eq(a.candidates, 2);
	ck_assert_ptr_null(pod_at(pods, "10.244.0.7")); /* has ended */

	(void)pod_watch_free(watch);
	(void)identity_store_free(identities);
	(void)pod_store_free(pods);
	fixture_deinit(&st.f);
}
END_TEST

/*
 * No recording has accounts: those of pods show how a real server sends metadata alone. The watch then
 * annotates the one that is called as the pod "demo" is.
 */
#define DEMO_ANNOTATED                                                                             \
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"        \
	"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":"    \
	"\"meta.k8s.io/v1\",\"metadata\":{\"name\":\"demo\",\"namespace\":\"my-app\","             \
	"\"resourceVersion\":\"250\",\"annotations\":{\"azure.workload.identity/client-id\":"      \
	"\"11111111-aaaa-4000-8000-00000000000a\"}}}}\n"

static const struct step with_accounts[] = {
	{ "azureidentities?", "unknown-crd" },
	{ "azureidentitybindings?", "unknown-crd" },
	{ "azurepodidentityexceptions?", "unknown-crd" },
	{ "serviceaccounts?watch=1&" STREAM, .text = REFUSE },
	{ "serviceaccounts?limit", "pods-list-metadata-only" },
	{ "serviceaccounts?watch=1&allowWatchBookmarks=true&resourceVersion=241",
	  .text = DEMO_ANNOTATED },
};

START_TEST(accounts_are_read_from_their_metadata)
{
	const struct match_pod pod = { .namespace = "my-app",
				       .name = "web-0",
				       .service_account = "demo" };
	const struct selector none = { SELECTOR_NONE, "" };
	struct identity_store *identities;
	struct match_answer a;

	STAGE(with_accounts);
	identities = identity_store_new(st.f.loop, st.f.client, NULL);
	identity_store_use_accounts(identities);
	identity_store_start(identities);
	fixture_settle(&st.f);

	ck_assert_msg(identity_index_accounts(identity_store_index(identities)) == ACCOUNTS_SEEN,
		      "%s", st.asked);
	ck_assert_uint_eq(identity_index_count(identity_store_index(identities), KIND_ACCOUNT), 1);
	match_managed(identity_store_index(identities), &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_GRANTED);
	ck_assert_str_eq(a.identity->client_id, "11111111-aaaa-4000-8000-00000000000a");
	/* a list is asked for as a list, and a watch as objects: a server refuses the one for the other */
	ck_assert_ptr_nonnull(strstr(st.asked, " HTTP/1.1 Accept: " KUBE_ACCEPT_METADATA "\n"));
	ck_assert_ptr_nonnull(
		strstr(st.asked, " HTTP/1.1 Accept: " KUBE_ACCEPT_METADATA_LIST "\n"));
	(void)identity_store_free(identities);
	fixture_deinit(&st.f);
}
END_TEST

static const struct step without_the_right[] = {
	{ "azureidentities?watch=1&" STREAM, .text = REFUSE },
	{ "azureidentitybindings?watch=1&" STREAM, .text = REFUSE },
	{ "azurepodidentityexceptions?watch=1&" STREAM, .text = REFUSE },
	{ "azureidentities?limit", "azureidentities-list" },
	{ "azureidentitybindings?limit", "azureidentitybindings-list" },
	{ "azurepodidentityexceptions?limit", "azurepodidentityexceptions-list" },
	{ "serviceaccounts?", "anonymous-forbidden" },
	{ "serviceaccounts?", "anonymous-forbidden" },
};

START_TEST(without_the_right_to_see_accounts_bound_pods_have_what_they_had)
{
	struct match_pod pod = { .namespace = "my-app",
				 .name = "demo",
				 .labels = "aadpodidbinding\0my-pod-identity\0",
				 .service_account = "demo" };
	const struct selector none = { SELECTOR_NONE, "" };
	struct identity_store *identities;
	struct match_answer a;
	struct decider d;
	const char *log;

	STAGE(without_the_right);
	log_lines_start();
	identities = identity_store_new(st.f.loop, st.f.client, NULL);
	identity_store_use_accounts(identities);
	d = decider_managed(identities);
	identity_store_start(identities);
	fixture_settle(&st.f);
	loop_fake_advance(st.f.loop, WAIT_MSEC); /* it is tried again */
	fixture_settle(&st.f);
	log = log_lines_end();

	ck_assert_msg(d.is_ready(d.ctx), "%s", st.asked);
	d.decide(d.ctx, &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_GRANTED);
	pod.labels = NULL;
	d.decide(d.ctx, &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_ACCOUNT_UNSEEN);
	ck_assert_uint_eq(log_lines_count(st.asked, "/api/v1/serviceaccounts?"), 2);
	ck_assert_uint_eq(log_lines_count(log, "error serviceaccounts: not allowed to list and "
					       "watch; add to the agent's ClusterRole: apiGroups "
					       "[\"\"], resources [\"serviceaccounts\"]"),
			  1);
	(void)identity_store_free(identities);
	fixture_deinit(&st.f);
}
END_TEST

static const struct step standard_lists[] = {
	{ "azureassignedidentities?watch=1&" STREAM, .text = REFUSE },
	{ "azurepodidentityexceptions?watch=1&" STREAM, .text = REFUSE },
	{ "azureassignedidentities?limit", "assigned-identities-by-node" },
	{ "azurepodidentityexceptions?limit", "azurepodidentityexceptions-list" },
	{ "pods?watch=1&" STREAM, "pods-watch-initial-events", .open = true },
};

START_TEST(recorded_pods_are_given_what_is_recorded_as_assigned)
{
	struct standard_mode mode = { .rules = { .controller_namespace = "default",
						 .controller_accounts = "" } };
	struct pod_store *pods = pod_store_new();
	struct pod_watch *watch;
	struct match_answer a;
	struct decider d;

	STAGE(standard_lists);
	mode.store = identity_store_new(st.f.loop, st.f.client, NODE);
	watch = pod_watch_new(st.f.loop, st.f.client, NODE, pods);
	d = decider_standard(&mode);
	ck_assert(!d.is_ready(d.ctx));
	identity_store_start(mode.store);
	pod_watch_start(watch);
	fixture_settle(&st.f);

	ck_assert_msg(d.is_ready(d.ctx) && pod_watch_has_synced(watch), "%s", st.asked);
	ck_assert_ptr_nonnull(strstr(st.asked, "azureassignedidentities?limit="));
	ck_assert_ptr_nonnull(strstr(st.asked, "&labelSelector=nodename%3D" NODE " "));
	ck_assert_ptr_null(strstr(st.asked, "azureidentities"));
	ck_assert_ptr_null(strstr(st.asked, "azureidentitybindings"));
	ck_assert_int_eq(decide(&d, pod_at(pods, "10.244.0.5"), &a), MATCH_GRANTED);
	ck_assert_str_eq(a.identity->client_id, "22222222-2222-2222-2222-222222222222");
	ck_assert_str_eq(a.assigned->meta.name, "demo-my-app-my-pod-identity");
	ck_assert_int_eq(decide(&d, pod_at(pods, "10.244.0.6"), &a), MATCH_NO_ASSIGNED);

	(void)pod_watch_free(watch);
	(void)identity_store_free(mode.store);
	(void)pod_store_free(pods);
	fixture_deinit(&st.f);
}
END_TEST

static const struct step not_installed[] = {
	{ "azureidentities?", "unknown-crd" },
	{ "azureidentitybindings?", "unknown-crd" },
	{ "azurepodidentityexceptions?", "unknown-crd" },
};

START_TEST(a_cluster_without_the_definitions_has_no_identities_to_give)
{
	struct identity_store *identities;
	const struct pod p = { .namespace = (char[]){ "my-app" },
			       .name = (char[]){ "demo" },
			       .labels = (char[]){ "aadpodidbinding\0web\0" } };
	struct match_answer a;
	struct decider d;

	STAGE(not_installed);
	identities = identity_store_new(st.f.loop, st.f.client, NULL);
	d = decider_managed(identities);
	identity_store_start(identities);
	fixture_settle(&st.f);
	ck_assert_msg(d.is_ready(d.ctx), "%s", st.asked);
	ck_assert_int_eq(reflector_status(identity_store_reflector(identities, 0))->state,
			 REFLECTOR_NOT_INSTALLED);
	ck_assert_int_eq(decide(&d, &p, &a), MATCH_NO_BINDING);
	(void)identity_store_free(identities);
	fixture_deinit(&st.f);
}
END_TEST

static const struct step live_watch[] = {
	{ "pods?watch=1&" STREAM, .text = REFUSE },
	{ "pods?limit", "pods-list" },
	{ "pods?watch=1&allowWatchBookmarks=true&resourceVersion=233", "pods-watch", .open = true },
};

/* Each version of a pod that the store is given, and a removal. */
static void note_pod(void *ctx, const struct pod *p)
{
	FILE *f = ctx;

	(void)fprintf(f, "%s%s%s ", p->name, labels_find(p->labels, "extra") ? "+extra" : "",
		      p->phase == POD_FAILED ? ":failed" : "");
}

START_TEST(a_recorded_watch_moves_the_store)
{
	struct pod_store *pods = pod_store_new();
	struct pod_watch *watch;
	char seen[128] = "";
	FILE *f = fmemopen(seen, sizeof(seen), "w");

	STAGE(live_watch);
	pod_store_on_pod(pods, note_pod, f);
	watch = pod_watch_new(st.f.loop, st.f.client, NODE, pods);
	pod_watch_start(watch);
	fixture_settle(&st.f);
	(void)fclose(f);
	pod_store_on_pod(pods, NULL, NULL);
	/* the list had a third pod, "done"; the watch then deleted it and changed the others */
	ck_assert_str_eq(seen, "done demo multi demo+extra multi:failed multi done done demo ");
	ck_assert_uint_eq(pod_store_count(pods), 2);
	ck_assert_str_eq(pod_at(pods, "10.244.0.5")->name, "demo");
	ck_assert_str_eq(pod_at(pods, "10.244.0.6")->name, "multi");
	(void)pod_watch_free(watch);
	(void)pod_store_free(pods);
	fixture_deinit(&st.f);
}
END_TEST

struct told {
	unsigned calls;
	enum resolve_result result;
	char name[64];
};

static void on_resolved(void *ctx, enum resolve_result result, const struct pod *p)
{
	struct told *t = ctx;

	t->calls++;
	t->result = result;
	(void)snprintf(t->name, sizeof(t->name), "%s", p ? p->name : "");
}

static const struct {
	const char *ip;
	struct step answer;
	enum resolve_result result;
	const char *name;
} asks[] = {
	{ "10.244.0.5", { BY_NODE_AND_IP "10.244.0.5", "pods-list" }, RESOLVE_FOUND, "demo" },
	{ "10.244.0.7", { BY_NODE_AND_IP "10.244.0.7", "pods-list" }, RESOLVE_UNKNOWN, "" },
	{ "10.244.0.9", { BY_NODE_AND_IP "10.244.0.9", "pods-list" }, RESOLVE_UNKNOWN, "" },
	{ "fd00::5", { BY_NODE_AND_IP "fd00%3A%3A5", "pods-list" }, RESOLVE_UNKNOWN, "" },
	{ "10.244.0.5", { BY_NODE_AND_IP, "anonymous-forbidden" }, RESOLVE_UNKNOWN, "" },
	{ "10.244.0.5", { BY_NODE_AND_IP, "unauthorized" }, RESOLVE_UNKNOWN, "" },
	{ "10.244.0.5", { "is never asked for", "pods-list" }, RESOLVE_UNKNOWN, "" }, /* silence */
};

START_TEST(a_pod_that_the_watch_does_not_bring_is_asked_for_once)
{
	struct pod_store *pods = pod_store_new();
	struct resolver *r;
	struct told t = { 0 };
	struct inet_ip ip;

	stage_init(&asks[_i].answer, 1);
	r = resolver_new(st.f.loop, pods, st.f.client, NODE, WAIT_MSEC);
	ck_assert_int_eq(inet_ip_parse(asks[_i].ip, &ip, NULL), 0);
	ck_assert_ptr_nonnull(resolver_wait(r, &ip, on_resolved, &t));
	fixture_settle(&st.f);
	ck_assert_str_eq(st.asked, "");
	loop_fake_advance(st.f.loop, WAIT_MSEC);
	fixture_settle(&st.f);
	loop_fake_advance(st.f.loop, WAIT_MSEC); /* past the time for an answer */
	fixture_settle(&st.f);
	ck_assert_uint_eq(t.calls, 1);
	ck_assert_int_eq(t.result, asks[_i].result);
	ck_assert_str_eq(t.name, asks[_i].name);
	ck_assert_uint_eq(pod_store_count(pods), 0);
	(void)resolver_free(r);
	(void)pod_store_free(pods);
	fixture_deinit(&st.f);
}
END_TEST

UNIT_MAIN("stores", UNIT(recorded_pods_are_given_the_recorded_identities),
	  UNIT(accounts_are_read_from_their_metadata),
	  UNIT(without_the_right_to_see_accounts_bound_pods_have_what_they_had),
	  UNIT(recorded_pods_are_given_what_is_recorded_as_assigned),
	  UNIT(a_cluster_without_the_definitions_has_no_identities_to_give),
	  UNIT(a_recorded_watch_moves_the_store),
	  UNIT_LOOP(a_pod_that_the_watch_does_not_bring_is_asked_for_once, asks))
