/* SPDX-License-Identifier: MIT */

/* The store fed by hand, as lib/kube/reflector.h promises to feed; decisions through the decider. */

#include "lib/loop/loop.h"
#include "mic-client/index.h"
#include "mic-client/store.h"
#include "nmi/identity/decide.h"
#include "tests/unit/fake-kube.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/recorded.h"
#include "tests/unit/unit.h"

#define OBJ(name, version, spec)                                                                   \
	"{\"metadata\":{\"namespace\":\"my-app\",\"name\":\"" name                                 \
	"\",\"resourceVersion\":\"" version "\"},\"spec\":" spec "}"

#define GOOD_EXCEPTION OBJ("e", "1", "{\"podLabels\":{\"app\":\"demo\"}}")
#define BAD_EXCEPTION  OBJ("e", "2", "{\"podLabels\":[\"app\"]}")
#define BAD_BINDING    OBJ("my-pod-identity-binding", "2", "{\"selector\":7}")
#define BAD_IDENTITY   OBJ("my-pod-identity", "2", "{\"type\":\"0\"}")

struct bench {
	struct loop *loop;
	struct identity_store *store;
	struct reflector *identities, *bindings, *exceptions, *assigned;
	struct standard_mode standard;
	struct decider decider;
	unsigned changes;
};

static void on_change(void *ctx)
{
	struct bench *b = ctx;

	b->changes++;
}

static struct reflector *find_reflector(const char *name)
{
	for (unsigned i = 0; i < fake_kube.n_reflectors; i++) {
		if (strcmp(reflector_name(fake_kube.reflectors[i]), name) == 0)
			return fake_kube.reflectors[i];
	}
	ck_abort_msg("nobody watches %s", name);
	return NULL;
}

static struct bench *bench_new(void)
{
	struct bench *b = xnew(struct bench);

	fake_kube_reset();
	b->loop = loop_new_fake(NULL);
	b->store = identity_store_new(b->loop, (void *)&fake_kube, NULL);
	b->identities = find_reflector("azureidentities");
	b->bindings = find_reflector("azureidentitybindings");
	b->exceptions = find_reflector("azurepodidentityexceptions");
	b->decider = decider_managed(b->store);
	identity_store_on_change(b->store, on_change, b);
	return b;
}

/* The same in standard mode, which watches other things. */
static struct bench *bench_new_standard(void)
{
	struct bench *b = xnew(struct bench);

	fake_kube_reset();
	b->loop = loop_new_fake(NULL);
	b->store = identity_store_new(b->loop, (void *)&fake_kube, "node-1");
	b->assigned = find_reflector("azureassignedidentities");
	b->exceptions = find_reflector("azurepodidentityexceptions");
	b->standard = (struct standard_mode){ b->store, { true, "my-app", "mic" } };
	b->decider = decider_standard(&b->standard);
	identity_store_on_change(b->store, on_change, b);
	return b;
}

static void bench_end(struct bench *b)
{
	b->store = identity_store_free(b->store);
	b->loop = loop_free(b->loop);
	free(b);
}

/* What the pod my-app/demo, labelled for the recorded binding, is told now. */
static enum match_result decide(struct bench *b)
{
	const struct match_pod pod = { "my-app", "demo",
				       "aadpodidbinding\0my-pod-identity\0app\0demo\0" };
	const struct selector none = { SELECTOR_NONE, "" };
	struct match_answer a;

	b->decider.decide(b->decider.ctx, &pod, &none, &a);
	if (a.result == MATCH_GRANTED)
		ck_assert_str_eq(a.identity->meta.name, "my-pod-identity");
	return a.result;
}

static void fill(struct bench *b)
{
	fake_upsert(b->identities, recorded_identity);
	fake_upsert(b->identities, recorded_identity_secret);
	fake_upsert(b->bindings, recorded_binding);
	fake_upsert(b->exceptions, recorded_exception);
}

START_TEST(three_kinds_are_watched_and_none_must_be_installed)
{
	struct bench *b = bench_new();

	ck_assert_str_eq(b->identities->spec.path,
			 "/apis/aadpodidentity.k8s.io/v1/azureidentities");
	ck_assert_str_eq(b->bindings->spec.path,
			 "/apis/aadpodidentity.k8s.io/v1/azureidentitybindings");
	ck_assert_str_eq(b->exceptions->spec.path,
			 "/apis/aadpodidentity.k8s.io/v1/azurepodidentityexceptions");
	identity_store_start(b->store);
	for (size_t i = 0; i < 3; i++) {
		const struct reflector *r = identity_store_reflector(b->store, i);

		ck_assert_ptr_nonnull(r);
		ck_assert(r->spec.optional && r->is_started);
		ck_assert_ptr_null(r->spec.field_selector);
	}
	ck_assert_ptr_null(identity_store_reflector(b->store, 3));
	bench_end(b);
}
END_TEST

START_TEST(nothing_is_decided_before_every_kind_was_seen_whole)
{
	struct bench *b = bench_new();
	struct reflector *order[] = { b->bindings, b->identities, b->exceptions };

	for (unsigned i = 0; i < 3; i++) {
		ck_assert(!identity_store_has_synced(b->store));
		ck_assert(!b->decider.is_ready(b->decider.ctx));
		fake_begin(order[i]);
		fake_end(order[i]);
	}
	ck_assert(identity_store_has_synced(b->store));
	ck_assert(b->decider.is_ready(b->decider.ctx));
	bench_end(b);
}
END_TEST

START_TEST(the_listener_hears_of_the_sync_when_it_is_true)
{
	struct bench *b = bench_new();
	struct reflector *order[] = { b->bindings, b->identities, b->exceptions };

	for (unsigned i = 0; i < 3; i++) {
		fake_begin(order[i]);
		fake_end(order[i]);
	}
	b->changes = 0;
	loop_fake_advance(b->loop, 0);
	ck_assert_uint_eq(b->changes, 1);
	ck_assert(identity_store_has_synced(b->store));
	bench_end(b);
}
END_TEST

START_TEST(recorded_objects_grant_what_they_say)
{
	struct bench *b = bench_new();

	ck_assert_str_eq(b->decider.name, "managed");
	ck_assert_int_eq(decide(b), MATCH_NO_BINDING);
	fill(b);
	ck_assert_int_eq(decide(b), MATCH_GRANTED); /* at once, before the listener is told */
	ck_assert_uint_eq(b->changes, 0);
	loop_fake_advance(b->loop, 0);
	ck_assert_uint_eq(b->changes, 1); /* many changes of one turn are told once */
	fake_remove(b->identities, recorded_identity);
	ck_assert_int_eq(decide(b), MATCH_IDENTITY_NOT_FOUND);
	fake_remove(b->bindings, recorded_binding);
	ck_assert_int_eq(decide(b), MATCH_NO_BINDING);
	loop_fake_advance(b->loop, 0);
	ck_assert_uint_eq(b->changes, 2);
	bench_end(b);
}
END_TEST

START_TEST(a_resync_drops_what_is_gone)
{
	struct bench *b = bench_new();

	fill(b);
	fake_begin(b->bindings);
	ck_assert_int_eq(decide(b), MATCH_GRANTED);
	fake_end(b->bindings);
	ck_assert_int_eq(decide(b), MATCH_NO_BINDING);
	bench_end(b);
}
END_TEST

START_TEST(a_binding_that_becomes_malformed_grants_no_longer)
{
	struct bench *b = bench_new();
	const char *text;

	fill(b);
	log_lines_start();
	fake_upsert(b->bindings, BAD_BINDING);
	text = log_lines_end();
	ck_assert_int_eq(decide(b), MATCH_NO_BINDING);
	ck_assert_msg(strstr(text,
			     "AzureIdentityBinding my-app/my-pod-identity-binding is ignored: "
			     "spec.selector: expected a string, found a number; correct the "
			     "object, until then no pod is bound by it") != NULL,
		      "%s", text);
	bench_end(b);
}
END_TEST

START_TEST(an_identity_that_becomes_malformed_is_given_no_longer)
{
	struct bench *b = bench_new();
	const char *text;

	fill(b);
	log_lines_start();
	fake_upsert(b->identities, BAD_IDENTITY);
	ck_assert_int_eq(decide(b), MATCH_IDENTITY_NOT_FOUND);
	fake_upsert(b->identities, recorded_identity);
	ck_assert_int_eq(decide(b), MATCH_GRANTED);
	text = log_lines_end();
	ck_assert_msg(strstr(text, "AzureIdentity my-app/my-pod-identity is ignored: spec.type: "
				   "expected a whole number, found a string") != NULL,
		      "%s", text);
	ck_assert_msg(strstr(text, "AzureIdentity my-app/my-pod-identity can be read again") !=
			      NULL,
		      "%s", text);
	bench_end(b);
}
END_TEST

START_TEST(an_exception_that_becomes_malformed_excepts_no_longer)
{
	struct bench *b = bench_new();

	fill(b);
	fake_upsert(b->exceptions, GOOD_EXCEPTION);
	ck_assert_int_eq(decide(b), MATCH_EXCEPTED);
	log_lines_start();
	fake_upsert(b->exceptions, BAD_EXCEPTION);
	ck_assert_int_eq(decide(b), MATCH_GRANTED);
	fake_remove(b->exceptions, BAD_EXCEPTION);
	ck_assert_uint_eq(log_lines_count(log_lines_end(), "AzurePodIdentityException my-app/e"),
			  1);
	bench_end(b);
}
END_TEST

START_TEST(a_malformed_object_is_warned_of_once_a_version_also_over_relists)
{
	struct bench *b = bench_new();
	const char *text;

	log_lines_start();
	for (int i = 0; i < 3; i++) {
		fake_begin(b->identities);
		fake_upsert(b->identities, recorded_identity);
		fake_upsert(b->identities, OBJ("x", "5", "{\"clientID\":1}"));
		fake_end(b->identities);
	}
	fake_upsert(b->identities, OBJ("x", "6", "{\"clientID\":1}"));
	text = log_lines_end();
	ck_assert_msg(log_lines_count(text, "AzureIdentity my-app/x is ignored") == 2, "%s", text);
	ck_assert_uint_eq(identity_index_count(identity_store_index(b->store), KIND_IDENTITY), 1);
	bench_end(b);
}
END_TEST

START_TEST(an_object_without_a_name_harms_nobody)
{
	struct bench *b = bench_new();

	fill(b);
	log_lines_start();
	fake_upsert(b->identities, "{\"metadata\":{},\"spec\":{}}");
	fake_upsert(b->bindings, "{}");
	fake_remove(b->exceptions, "{\"metadata\":7}");
	ck_assert_uint_eq(log_lines_count(log_lines_end(), "?/? is ignored"), 2);
	ck_assert_int_eq(decide(b), MATCH_GRANTED);
	bench_end(b);
}
END_TEST

START_TEST(in_standard_mode_what_is_assigned_on_the_node_is_watched_alone)
{
	struct bench *b = bench_new_standard();

	ck_assert_uint_eq(fake_kube.n_reflectors, 2);
	ck_assert_str_eq(b->assigned->spec.path,
			 "/apis/aadpodidentity.k8s.io/v1/azureassignedidentities");
	ck_assert_str_eq(b->assigned->spec.label_selector, "nodename=node-1");
	ck_assert_ptr_null(b->exceptions->spec.label_selector);
	identity_store_start(b->store);
	ck_assert(b->assigned->is_started && b->assigned->spec.optional);
	ck_assert(b->exceptions->is_started && b->exceptions->spec.optional);
	ck_assert_ptr_eq(identity_store_reflector(b->store, 0), b->assigned);
	ck_assert_ptr_eq(identity_store_reflector(b->store, 1), b->exceptions);
	ck_assert_ptr_null(identity_store_reflector(b->store, 2));
	fake_begin(b->assigned);
	fake_end(b->assigned);
	ck_assert(!b->decider.is_ready(b->decider.ctx));
	fake_begin(b->exceptions);
	fake_end(b->exceptions);
	ck_assert(b->decider.is_ready(b->decider.ctx));
	bench_end(b);
}
END_TEST

#define BAD_ASSIGNED                                                                               \
	"{\"metadata\":{\"namespace\":\"default\",\"name\":\"demo-my-app-my-pod-identity\","       \
	"\"resourceVersion\":\"300\"},\"spec\":{\"pod\":\"demo\"}}"

START_TEST(the_recorded_assignment_grants_what_it_says_until_it_cannot_be_read)
{
	struct bench *b = bench_new_standard();

	ck_assert_str_eq(b->decider.name, "standard");
	ck_assert_int_eq(decide(b), MATCH_NO_ASSIGNED);
	fake_upsert(b->assigned, recorded_assigned);
	ck_assert_int_eq(decide(b), MATCH_GRANTED);
	log_lines_start();
	fake_upsert(b->assigned, BAD_ASSIGNED);
	ck_assert_uint_eq(
		log_lines_count(log_lines_end(),
				"AzureAssignedIdentity default/demo-my-app-my-pod-identity "
				"is ignored: spec.azureIdentityRef is missing; correct the "
				"object, until then its pod gets no token by it"),
		1);
	ck_assert_int_eq(decide(b), MATCH_NO_ASSIGNED);
	fake_upsert(b->assigned, recorded_assigned);
	ck_assert_int_eq(decide(b), MATCH_GRANTED);
	fake_upsert(b->exceptions, GOOD_EXCEPTION);
	ck_assert_int_eq(decide(b), MATCH_EXCEPTED);
	fake_remove(b->exceptions, GOOD_EXCEPTION);
	fake_begin(b->assigned);
	fake_end(b->assigned);
	ck_assert_int_eq(decide(b), MATCH_NO_ASSIGNED);
	loop_fake_advance(b->loop, 0);
	ck_assert_uint_eq(b->changes, 1);
	bench_end(b);
}
END_TEST

START_TEST(the_settings_of_standard_mode_reach_the_rules)
{
	struct bench *b = bench_new_standard();
	const struct selector none = { SELECTOR_NONE, "" };
	struct match_pod pod = { .namespace = "my-app", .name = "mic-0", .service_account = "mic" };
	struct match_answer a;

	b->decider.decide(b->decider.ctx, &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_EXCEPTED);
	pod.service_account = "mic-2";
	b->decider.decide(b->decider.ctx, &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_NO_LABEL);
	fake_upsert(b->assigned, "{\"metadata\":{\"namespace\":\"default\",\"name\":\"x\"},"
				 "\"spec\":{\"pod\":\"demo\","
				 "\"podNamespace\":\"my-app\",\"azureIdentityRef\":{\"metadata\":{"
				 "\"namespace\":\"elsewhere\",\"name\":\"my-pod-identity\"}}}}");
	ck_assert_int_eq(decide(b), MATCH_NAMESPACE_MISMATCH);
	b->standard.rules.force_namespaced = false;
	ck_assert_int_eq(decide(b), MATCH_GRANTED);
	bench_end(b);
}
END_TEST

/* service accounts */

#define CLIENT "11111111-aaaa-4000-8000-00000000000a"
#define ACCOUNT(version, notes)                                                                    \
	"{\"metadata\":{\"namespace\":\"my-app\",\"name\":\"app\",\"resourceVersion\":\"" version  \
	"\",\"annotations\":" notes "}}"
#define NAMES(client) "{\"azure.workload.identity/client-id\":" client "}"

static struct reflector *use_accounts(struct bench *b)
{
	identity_store_use_accounts(b->store);
	return find_reflector("serviceaccounts");
}

/* What the pod my-app/demo, which has no label and runs as app, is told now. */
static enum match_result decide_by_account(struct bench *b)
{
	const struct match_pod pod = { .namespace = "my-app",
				       .name = "demo",
				       .service_account = "app" };
	const struct selector none = { SELECTOR_NONE, "" };
	struct match_answer a;

	b->decider.decide(b->decider.ctx, &pod, &none, &a);
	return a.result;
}

static const struct {
	struct bench *(*bench)(void);
	size_t n_others;
} in_mode[] = { { bench_new, 3 }, { bench_new_standard, 2 } };

START_TEST(accounts_are_watched_by_their_metadata_and_only_where_they_count)
{
	struct bench *b = in_mode[_i].bench();
	size_t n = in_mode[_i].n_others;
	struct reflector *accounts;

	ck_assert_uint_eq(fake_kube.n_reflectors, n);
	accounts = use_accounts(b);
	ck_assert_ptr_eq(identity_store_reflector(b->store, n), accounts);
	ck_assert_str_eq(accounts->spec.path, "/api/v1/serviceaccounts");
	ck_assert(accounts->spec.metadata_only && !accounts->spec.optional);
	ck_assert_ptr_null(accounts->spec.label_selector);
	ck_assert_ptr_null(accounts->spec.field_selector);
	identity_store_start(b->store);
	ck_assert(accounts->is_started);
	bench_end(b);
}
END_TEST

START_TEST(nothing_else_waits_for_the_accounts)
{
	struct bench *b = bench_new();
	struct reflector *accounts = use_accounts(b);
	struct reflector *order[] = { b->bindings, b->identities, b->exceptions };

	for (unsigned i = 0; i < 3; i++) {
		fake_begin(order[i]);
		fake_end(order[i]);
	}
	ck_assert(identity_store_has_synced(b->store) && b->decider.is_ready(b->decider.ctx));
	ck_assert_int_eq(decide_by_account(b), MATCH_ACCOUNT_UNSEEN);
	loop_fake_advance(b->loop, 0);
	b->changes = 0;
	fake_begin(accounts);
	fake_end(accounts);
	loop_fake_advance(b->loop, 0);
	ck_assert_uint_eq(b->changes, 1); /* who waits for them is told */
	ck_assert_int_eq(decide_by_account(b), MATCH_NO_LABEL);
	bench_end(b);
}
END_TEST

START_TEST(an_annotation_counts_from_when_it_is_seen_until_it_goes)
{
	struct bench *b = bench_new();
	struct reflector *accounts = use_accounts(b);
	const struct identity_index *x = identity_store_index(b->store);

	fake_begin(accounts);
	fake_upsert(accounts, ACCOUNT("1", "{\"other\":\"note\"}"));
	fake_end(accounts);
	ck_assert_uint_eq(identity_index_count(x, KIND_ACCOUNT), 0); /* most name none */
	ck_assert_int_eq(decide_by_account(b), MATCH_NO_LABEL);
	fake_upsert(accounts, ACCOUNT("2", NAMES("\"" CLIENT "\"")));
	ck_assert_int_eq(decide_by_account(b), MATCH_GRANTED);
	fake_upsert(accounts, ACCOUNT("3", "{}"));
	ck_assert_int_eq(decide_by_account(b), MATCH_NO_LABEL);
	ck_assert_uint_eq(identity_index_count(x, KIND_ACCOUNT), 0);
	fake_upsert(accounts, ACCOUNT("4", NAMES("\"" CLIENT "\"")));
	fake_remove(accounts, ACCOUNT("5", NAMES("\"" CLIENT "\"")));
	ck_assert_int_eq(decide_by_account(b), MATCH_NO_LABEL);
	fake_upsert(accounts, ACCOUNT("6", NAMES("\"" CLIENT "\"")));
	fake_begin(accounts);
	fake_end(accounts);
	ck_assert_int_eq(decide_by_account(b), MATCH_NO_LABEL);
	bench_end(b);
}
END_TEST

START_TEST(an_account_that_becomes_malformed_names_nothing_any_more)
{
	struct bench *b = bench_new();
	struct reflector *accounts = use_accounts(b);
	const char *text;

	fake_begin(accounts);
	fake_end(accounts);
	fake_upsert(accounts, ACCOUNT("1", NAMES("\"" CLIENT "\"")));
	log_lines_start();
	fake_upsert(accounts, ACCOUNT("2", NAMES("7")));
	text = log_lines_end();
	ck_assert_int_eq(decide_by_account(b), MATCH_NO_LABEL);
	ck_assert_msg(strstr(text, "ServiceAccount my-app/app is ignored: metadata.annotations: "
				   "azure.workload.identity/client-id is not a string") != NULL,
		      "%s", text);
	bench_end(b);
}
END_TEST

START_TEST(a_right_that_is_missing_is_told_once_until_it_is_given)
{
	struct bench *b = bench_new();
	struct reflector *accounts = use_accounts(b);
	const char *text;

	log_lines_start();
	fake_failed(accounts, 500, "an odd day");
	fake_failed(accounts, 0, "nobody there");
	for (int i = 0; i < 3; i++)
		fake_failed(accounts, 403, "serviceaccounts: not allowed");
	fake_begin(accounts);
	fake_end(accounts);
	fake_failed(accounts, 401, "serviceaccounts: who is that");
	fake_failed(b->bindings, 403, "azureidentitybindings: not allowed");
	text = log_lines_end();
	ck_assert_uint_eq(log_lines_count(text, "an odd day") + log_lines_count(text, "nobody"), 0);
	ck_assert_uint_eq(log_lines_count(text, "error serviceaccounts: not allowed; until then "
						"what changes there is not known"),
			  1);
	ck_assert_uint_eq(log_lines_count(text, "serviceaccounts can be listed and watched again"),
			  1);
	ck_assert_uint_eq(log_lines_count(text, "serviceaccounts: who is that"), 1);
	ck_assert_uint_eq(log_lines_count(text, "azureidentitybindings: not allowed"), 1);
	bench_end(b);
}
END_TEST

UNIT_MAIN("identity_store", UNIT(three_kinds_are_watched_and_none_must_be_installed),
	  UNIT(nothing_is_decided_before_every_kind_was_seen_whole),
	  UNIT(the_listener_hears_of_the_sync_when_it_is_true),
	  UNIT(recorded_objects_grant_what_they_say), UNIT(a_resync_drops_what_is_gone),
	  UNIT(a_binding_that_becomes_malformed_grants_no_longer),
	  UNIT(an_identity_that_becomes_malformed_is_given_no_longer),
	  UNIT(an_exception_that_becomes_malformed_excepts_no_longer),
	  UNIT(a_malformed_object_is_warned_of_once_a_version_also_over_relists),
	  UNIT(an_object_without_a_name_harms_nobody),
	  UNIT(in_standard_mode_what_is_assigned_on_the_node_is_watched_alone),
	  UNIT(the_recorded_assignment_grants_what_it_says_until_it_cannot_be_read),
	  UNIT(the_settings_of_standard_mode_reach_the_rules),
	  UNIT_LOOP(accounts_are_watched_by_their_metadata_and_only_where_they_count, in_mode),
	  UNIT(nothing_else_waits_for_the_accounts),
	  UNIT(an_annotation_counts_from_when_it_is_seen_until_it_goes),
	  UNIT(an_account_that_becomes_malformed_names_nothing_any_more),
	  UNIT(a_right_that_is_missing_is_told_once_until_it_is_given))
