/* SPDX-License-Identifier: MIT */

/*
 * Where ServiceAccounts count: what they give beside bindings and assigned identities, in both modes, as one
 * table. The rules in words stand at the top of mic-client/match.c. Every row is tried with its objects
 * put into the index in every order; the answer must be the same.
 *
 * The pod is always my-app/demo, and runs as ServiceAccount app.
 */

#include "lib/base/mem.h"
#include "mic-client/index.h"
#include "mic-client/match.h"
#include "tests/unit/match-rows.h"
#include "tests/unit/mk-json.h"
#include "tests/unit/orders.h"
#include "tests/unit/unit.h"

#include <string.h>

#define MINE  "11111111-aaaa-4000-8000-00000000000a"
#define UPPER "11111111-AAAA-4000-8000-00000000000A"
#define OTHER "22222222-aaaa-4000-8000-00000000000b"
#define BOUND "33333333-aaaa-4000-8000-00000000000c"

enum modes { MANAGED = 1, STANDARD = 2, EITHER = 3 };

struct object {
	enum { NOTHING, ACCOUNT, IDENTITY, BINDING, EXCEPTION, ASSIGNED } what;
	const char *name; /* namespace/name */
	const char *a, *b;
};

/* the client id that it is annotated with */
#define NAMES(name, client)                                                                        \
	{                                                                                          \
		ACCOUNT, name, client, NULL                                                        \
	}
#define ID(name, client)                                                                           \
	{                                                                                          \
		IDENTITY, name, client, NULL                                                       \
	}
#define BIND(name, selector, identity)                                                             \
	{                                                                                          \
		BINDING, name, selector, identity                                                  \
	}
#define EXCEPT(name, labels)                                                                       \
	{                                                                                          \
		EXCEPTION, name, labels, NULL                                                      \
	}
/* the identity's name, and its client id; what the state is in */
#define GIVEN(state, client)                                                                       \
	{                                                                                          \
		ASSIGNED, "my-app/given", client, state                                            \
	}

/* What managed mode grants, and what standard mode does: BOUND. */
#define A_BINDING  ID("my-app/given", BOUND), BIND("my-app/b", "web", "given")
#define BY_ACCOUNT "ServiceAccount my-app/app"

/* clang-format off */
static const struct row {
	const char *name;
	enum modes modes;
	enum identity_accounts accounts;
	struct object objects[ORDERS_MAX];
	const char *pod_labels;
	struct selector asks;
	enum match_result result;
	const char *client; /* of the answer, "" for none */
	const char *sentence; /* stands in the explanation */
} rows[] = {
	/* a pod without the label */
	{ "its account's annotation is enough", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  BARE, NO_ID, MATCH_GRANTED, MINE, "pod my-app/demo has client_id \"" MINE "\" through " BY_ACCOUNT },
	{ "it may name the id, in whatever case", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  BARE, CLIENT_ID(UPPER), MATCH_GRANTED, MINE, BY_ACCOUNT },
	{ "an empty label is none", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  "{\"aadpodidbinding\":\"\"}", NO_ID, MATCH_GRANTED, MINE, BY_ACCOUNT },
	{ "another id is refused, with what it has", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  BARE, CLIENT_ID(OTHER), MATCH_ACCOUNT_OTHER, "",
	  "its only identity is the one of its " BY_ACCOUNT ", client_id \"" MINE "\", and it asks for client_id \"" OTHER "\": ask for that one" },
	{ "also where somebody else has that id", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), NAMES("my-app/else", OTHER), ID("my-app/x", OTHER) },
	  BARE, CLIENT_ID(OTHER), MATCH_ACCOUNT_OTHER, "", "client_id \"" MINE "\"" },
	{ "an account has no resource id", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  BARE, RESOURCE("/r/a"), MATCH_ACCOUNT_OTHER, "", "asks for resource id \"/r/a\"" },
	{ "not even an empty one", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  BARE, RESOURCE(""), MATCH_ACCOUNT_OTHER, "", "resource id \"\"" },
	{ "object_id is refused as ever", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  BARE, OBJECT_ID(MINE), MATCH_SELECTOR_UNSUPPORTED, "", "asks by object_id" },
	{ "an account of its name in another namespace is another", EITHER, ACCOUNTS_SEEN,
	  { NAMES("other/app", MINE), NAMES("my-app/default", MINE) },
	  BARE, NO_ID, MATCH_NO_LABEL, "", "Identity not found" },
	{ "without either there are two ways out", EITHER, ACCOUNTS_SEEN,
	  { { 0 } },
	  BARE, NO_ID, MATCH_NO_LABEL, "",
	  "Identity not found: pod my-app/demo has no label aadpodidbinding, and its " BY_ACCOUNT " no annotation azure.workload.identity/client-id: add the label with the selector of an AzureIdentityBinding in namespace my-app, or annotate the ServiceAccount" },
	{ "with an empty label too", EITHER, ACCOUNTS_SEEN,
	  { { 0 } },
	  "{\"aadpodidbinding\":\"\"}", NO_ID, MATCH_NO_LABEL, "", "has an empty label aadpodidbinding, and its ServiceAccount" },
	{ "an annotation that cannot be right is for the caller to tell, whatever was asked for", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", "my-app") },
	  BARE, CLIENT_ID(OTHER), MATCH_GRANTED, "my-app", BY_ACCOUNT },

	/* where they do not count */
	{ "an annotation is nothing unless the operator says so", EITHER, ACCOUNTS_UNUSED,
	  { NAMES("my-app/app", MINE) },
	  BARE, NO_ID, MATCH_NO_LABEL, "", "has no label aadpodidbinding: add it with" },
	{ "nor for one who names the id", EITHER, ACCOUNTS_UNUSED,
	  { NAMES("my-app/app", MINE) },
	  BARE, CLIENT_ID(MINE), MATCH_NO_LABEL, "", "has no label" },
	{ "nor with the label", MANAGED, ACCOUNTS_UNUSED,
	  { NAMES("my-app/app", MINE), A_BINDING },
	  LABELLED, CLIENT_ID(MINE), MATCH_SELECTOR_UNKNOWN, "", "Identity not found" },

	/* exceptions */
	{ "an exception goes before the account", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), EXCEPT("my-app/e", "{\"app\":\"demo\"}") },
	  BARE, NO_ID, MATCH_EXCEPTED, "", "AzurePodIdentityException e" },
	{ "also for its own id", EITHER, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), EXCEPT("my-app/e", "{\"app\":\"demo\"}") },
	  BARE, CLIENT_ID(MINE), MATCH_EXCEPTED, "", "AzurePodIdentityException e" },
	{ "and while accounts were not seen", EITHER, ACCOUNTS_UNSEEN,
	  { EXCEPT("my-app/e", "{\"app\":\"demo\"}") },
	  BARE, NO_ID, MATCH_EXCEPTED, "", "AzurePodIdentityException e" },

	/* a pod with the label: managed mode */
	{ "a binding goes before the account", MANAGED, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), A_BINDING },
	  LABELLED, NO_ID, MATCH_GRANTED, BOUND, "through AzureIdentityBinding b" },
	{ "also where both have the id that is asked for", MANAGED, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", BOUND), A_BINDING },
	  LABELLED, CLIENT_ID(BOUND), MATCH_GRANTED, BOUND, "through AzureIdentityBinding b" },
	{ "what no binding grants may be the account's", MANAGED, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), A_BINDING },
	  LABELLED, CLIENT_ID(UPPER), MATCH_GRANTED, MINE, BY_ACCOUNT },
	{ "also where no binding selects the pod", MANAGED, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  LABELLED, CLIENT_ID(MINE), MATCH_GRANTED, MINE, BY_ACCOUNT },
	{ "or the one that does names nothing", MANAGED, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), BIND("my-app/b", "web", "gone") },
	  LABELLED, CLIENT_ID(MINE), MATCH_GRANTED, MINE, BY_ACCOUNT },
	{ "or another's identity has the id", MANAGED, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), A_BINDING, ID("my-app/x", MINE) },
	  LABELLED, CLIENT_ID(MINE), MATCH_GRANTED, MINE, BY_ACCOUNT },
	{ "it has to be asked for: the label says that a binding is meant", MANAGED, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  LABELLED, NO_ID, MATCH_NO_BINDING, "",
	  "or correct the label; its " BY_ACCOUNT " names client_id \"" MINE "\", which it may ask for" },
	{ "an id that is neither's is refused as ever", MANAGED, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), A_BINDING, ID("my-app/x", OTHER) },
	  LABELLED, CLIENT_ID(OTHER), MATCH_SELECTOR_NOT_BOUND, "", BY_ACCOUNT " names client_id \"" MINE "\"" },
	{ "an annotation that cannot be right is not offered", MANAGED, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", "my-app") },
	  LABELLED, CLIENT_ID(MINE), MATCH_NO_BINDING, "", "create one, or correct the label" },
	{ "an account without an annotation is not spoken of", MANAGED, ACCOUNTS_SEEN,
	  { { 0 } },
	  LABELLED, CLIENT_ID(MINE), MATCH_NO_BINDING, "", "create one, or correct the label" },

	/* and standard mode */
	{ "what is assigned goes before the account", STANDARD, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), GIVEN("Assigned", BOUND) },
	  LABELLED, NO_ID, MATCH_GRANTED, BOUND, "through AzureAssignedIdentity" },
	{ "also where both have the id", STANDARD, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", BOUND), GIVEN("Assigned", BOUND) },
	  LABELLED, CLIENT_ID(BOUND), MATCH_GRANTED, BOUND, "through AzureAssignedIdentity" },
	{ "what is not assigned may be the account's", STANDARD, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), GIVEN("Assigned", BOUND) },
	  LABELLED, CLIENT_ID(MINE), MATCH_GRANTED, MINE, BY_ACCOUNT },
	{ "nobody waits for the controller who has it by the account", STANDARD, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE), GIVEN("Created", MINE) },
	  LABELLED, CLIENT_ID(MINE), MATCH_GRANTED, MINE, BY_ACCOUNT },
	{ "the label without an id waits for the controller", STANDARD, ACCOUNTS_SEEN,
	  { NAMES("my-app/app", MINE) },
	  LABELLED, NO_ID, MATCH_NO_ASSIGNED, "", "its logs say more; its " BY_ACCOUNT " names client_id" },

	/* before the accounts were seen */
	{ "without the label it is waited for", EITHER, ACCOUNTS_UNSEEN,
	  { { 0 } },
	  BARE, NO_ID, MATCH_ACCOUNT_UNSEEN, "",
	  "pod my-app/demo may have an identity by its " BY_ACCOUNT ", and the ServiceAccounts have not been read from the API server yet; ask again" },
	{ "whatever is asked for", EITHER, ACCOUNTS_UNSEEN,
	  { { 0 } },
	  BARE, CLIENT_ID(MINE), MATCH_ACCOUNT_UNSEEN, "", "ServiceAccounts have not been read" },
	{ "one that is known already counts already", EITHER, ACCOUNTS_UNSEEN,
	  { NAMES("my-app/app", MINE) },
	  BARE, NO_ID, MATCH_GRANTED, MINE, BY_ACCOUNT },
	{ "a bound pod is served", MANAGED, ACCOUNTS_UNSEEN,
	  { A_BINDING },
	  LABELLED, NO_ID, MATCH_GRANTED, BOUND, "through AzureIdentityBinding b" },
	{ "so is one that names the id", MANAGED, ACCOUNTS_UNSEEN,
	  { A_BINDING },
	  LABELLED, CLIENT_ID(BOUND), MATCH_GRANTED, BOUND, "through AzureIdentityBinding b" },
	{ "one whose id is not bound might have it by its account", MANAGED, ACCOUNTS_UNSEEN,
	  { A_BINDING },
	  LABELLED, CLIENT_ID(MINE), MATCH_ACCOUNT_UNSEEN, "", "ServiceAccounts have not been read" },
	{ "one that names none is refused at once", MANAGED, ACCOUNTS_UNSEEN,
	  { { 0 } },
	  LABELLED, NO_ID, MATCH_NO_BINDING, "", "create one, or correct the label" },
	{ "so is one that names a resource id", MANAGED, ACCOUNTS_UNSEEN,
	  { A_BINDING },
	  LABELLED, RESOURCE("/r/x"), MATCH_SELECTOR_UNKNOWN, "", "Identity not found" },
	{ "what is assigned is served", STANDARD, ACCOUNTS_UNSEEN,
	  { GIVEN("Assigned", BOUND) },
	  LABELLED, NO_ID, MATCH_GRANTED, BOUND, "through AzureAssignedIdentity" },
	{ "an id that is not assigned might be the account's", STANDARD, ACCOUNTS_UNSEEN,
	  { GIVEN("Assigned", BOUND) },
	  LABELLED, CLIENT_ID(MINE), MATCH_ACCOUNT_UNSEEN, "", "ServiceAccounts have not been read" },
	{ "who waits for the controller goes on doing so", STANDARD, ACCOUNTS_UNSEEN,
	  { GIVEN("Created", BOUND) },
	  LABELLED, CLIENT_ID(BOUND), MATCH_NOT_ASSIGNED_YET, "", "is in state Created" },
};
/* clang-format on */

static char *spec_text(const struct object *o)
{
	switch (o->what) {
	case IDENTITY:
		return xasprintf("\"clientID\":\"%s\"", o->a);
	case BINDING:
		return xasprintf("\"selector\":\"%s\",\"azureIdentity\":\"%s\"", o->a, o->b);
	case EXCEPTION:
		return xasprintf("\"podLabels\":%s", o->a);
	case ASSIGNED:
		return xasprintf("\"pod\":\"demo\",\"podNamespace\":\"my-app\","
				 "\"azureIdentityRef\":{\"metadata\":{\"namespace\":\"my-app\","
				 "\"name\":\"given\"},\"spec\":{\"clientID\":\"%s\"}}",
				 o->a);
	case ACCOUNT:
	case NOTHING:
		break;
	}
	return xstrdup("");
}

static struct jval *object_json(const struct object *o)
{
	const char *slash = strchr(o->name, '/');
	_cleanup_free_ char *spec = spec_text(o);
	_cleanup_free_ char *notes = xasprintf("\"%s\":\"%s\"",
					       o->what == ACCOUNT ? AZURE_CLIENT_NOTE : "x", o->a);
	_cleanup_free_ char *text = xasprintf(
		"{\"metadata\":{\"namespace\":\"%.*s\",\"name\":\"%s\",\"annotations\":{%s}},"
		"\"spec\":{%s},\"status\":{\"status\":\"%s\"}}",
		(int)(slash - o->name), o->name, slash + 1, o->what == ACCOUNT ? notes : "", spec,
		o->what == ASSIGNED ? o->b : "");

	return mk_json(text);
}

static void put_account(struct identity_index *x, const struct jval *doc, struct err *err)
{
	struct azure_identity *i = NULL;

	ck_assert_int_eq(azure_identity_parse_account(doc, &i, err), 0);
	ck_assert_ptr_nonnull(i);
	identity_index_put_account_take(x, i);
}

static void put(struct identity_index *x, const struct object *o)
{
	_cleanup_(jval_freep) struct jval *doc = object_json(o);
	struct err err = { 0 };

	switch (o->what) {
	case ACCOUNT:
		put_account(x, doc, &err);
		break;
	case IDENTITY:
		identity_index_put_identity_take(x, azure_identity_parse(doc, &err));
		break;
	case BINDING:
		identity_index_put_binding_take(x, azure_binding_parse(doc, &err));
		break;
	case EXCEPTION:
		identity_index_put_exception_take(x, azure_exception_parse(doc, &err));
		break;
	case ASSIGNED:
		identity_index_put_assigned_take(x, azure_assigned_identity_parse(doc, &err));
		break;
	case NOTHING:
		break;
	}
	ck_assert_msg(err.kind == ERR_NONE, "%s", err.msg);
}

static void match(const struct identity_index *x, const struct match_pod *pod,
		  const struct selector *asks, enum modes mode, struct match_answer *out)
{
	static const struct match_standard_rules rules = { false, "default", "mic" };

	if (mode == MANAGED)
		match_managed(x, pod, asks, out);
	else
		match_standard(x, &rules, pod, asks, out);
}

static void check_answer(const struct identity_index *x, const struct match_pod *pod,
			 const struct row *row, enum modes mode)
{
	struct match_answer a;
	char text[1024];

	match(x, pod, &row->asks, mode, &a);
	ck_assert_msg(a.result == row->result, "%s: mode %u: got %u", row->name, mode, a.result);
	ck_assert_msg(strcmp(a.identity ? a.identity->client_id : "", row->client) == 0, "%s: %s",
		      row->name, a.identity ? a.identity->client_id : "");
	if (a.identity && a.identity->of_account)
		ck_assert(!a.binding && !a.assigned && a.identity->federated);
	match_explain(pod, &row->asks, &a, text, sizeof(text));
	ck_assert_msg(strstr(text, row->sentence) != NULL, "%s: %s", row->name, text);
	ck_assert_msg(strstr(text, "my-app/demo") != NULL, "%s: %s", row->name, text);
	ck_assert_msg(!strstr(text, OTHER) || strcmp(row->asks.value, OTHER) == 0,
		      "another's id is told: %s", text);
	if (!a.account_identity || *a.account_identity->flaw || a.result == MATCH_GRANTED)
		ck_assert_msg(!strstr(text, "may ask for"), "%s: %s", row->name, text);
}

static void check_row(const void *ctx, const size_t *order, size_t n)
{
	const struct row *row = ctx;
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	_cleanup_(jval_freep) struct jval *labels = mk_json(row->pod_labels);
	struct match_pod pod = { .namespace = "my-app", .name = "demo", .service_account = "app" };
	size_t size = 0;
	_cleanup_free_ char *pod_labels = labels_parse(labels, &size, NULL);

	if (row->accounts != ACCOUNTS_UNUSED)
		identity_index_use_accounts(x);
	identity_index_resync_begin(x, KIND_ACCOUNT);
	pod.labels = pod_labels;
	for (size_t i = 0; i < n; i++)
		put(x, &row->objects[order[i]]);
	if (row->accounts == ACCOUNTS_SEEN)
		identity_index_resync_end(x, KIND_ACCOUNT);
	ck_assert_int_eq(identity_index_accounts(x), row->accounts);
	for (unsigned mode = MANAGED; mode <= STANDARD; mode++) {
		if (row->modes & mode)
			check_answer(x, &pod, row, mode);
	}
}

START_TEST(the_answer_is_as_the_table_says_in_any_order_of_arrival)
{
	size_t n = 0;

	while (n < ORDERS_MAX && rows[_i].objects[n].what != NOTHING)
		n++;
	for_each_order(n, check_row, &rows[_i]);
}
END_TEST

/* The host's processes need no exception to get at the node's own; the account counts for them too. */
START_TEST(without_exceptions_a_covered_pod_has_what_its_account_names)
{
	static const struct object objects[] = { EXCEPT("my-app/e", "{\"app\":\"demo\"}"),
						 NAMES("my-app/app", MINE) };
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	const struct match_pod pod = { .namespace = "my-app",
				       .name = "demo",
				       .labels = "app\0demo\0",
				       .service_account = "app",
				       .no_exceptions = true };
	const struct selector none = NO_ID;
	struct match_answer a;

	identity_index_use_accounts(x);
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		put(x, &objects[i]);
	match(x, &pod, &none, MANAGED, &a);
	ck_assert_int_eq(a.result, MATCH_GRANTED);
	ck_assert_str_eq(a.identity->client_id, MINE);
}
END_TEST

START_TEST(the_controllers_account_is_the_nodes_own_whatever_it_is_annotated_with)
{
	static const struct object account = NAMES("default/mic", MINE);
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	const struct match_pod pod = { .namespace = "default",
				       .name = "mic-0",
				       .service_account = "mic" };
	const struct selector none = NO_ID;
	struct match_answer a;

	identity_index_use_accounts(x);
	put(x, &account);
	match(x, &pod, &none, STANDARD, &a);
	ck_assert_int_eq(a.result, MATCH_EXCEPTED);
}
END_TEST

START_TEST(of_a_pod_whose_account_is_not_known_none_is_looked_at)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	const struct match_pod pod = { .namespace = "my-app", .name = "demo" };
	const struct selector none = NO_ID;
	struct match_answer a;

	identity_index_use_accounts(x);
	match(x, &pod, &none, MANAGED, &a);
	ck_assert_int_eq(a.result, MATCH_NO_LABEL);
	ck_assert_ptr_null(a.account);
}
END_TEST

UNIT_MAIN("match-account", UNIT_LOOP(the_answer_is_as_the_table_says_in_any_order_of_arrival, rows),
	  UNIT(without_exceptions_a_covered_pod_has_what_its_account_names),
	  UNIT(the_controllers_account_is_the_nodes_own_whatever_it_is_annotated_with),
	  UNIT(of_a_pod_whose_account_is_not_known_none_is_looked_at))
