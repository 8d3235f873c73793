/* SPDX-License-Identifier: MIT */

/*
 * Who gets which identity in standard mode, as one table; of managed mode: test-match.c. The rules in words
 * stand at the top of mic-client/match.c. Every row is tried with its objects put into the index in every
 * order; the answer must be the same.
 *
 * The pod is always my-app/demo.
 */

#include "lib/base/mem.h"
#include "mic-client/index.h"
#include "mic-client/match.h"
#include "tests/unit/match-rows.h"
#include "tests/unit/mk-json.h"
#include "tests/unit/orders.h"
#include "tests/unit/unit.h"

#include <string.h>

/* One AzureAssignedIdentity, or an exception of my-app. */
struct object {
	const char *state;    /* status.status; NULL: the row ends here */
	const char *identity; /* namespace/name */
	const char *id;	      /* the client id; the resource id is /r/ and the same */
	const char *selector; /* of the binding; NULL: web; "-": there is no binding */
	int weight;
	const char *annotation; /* value of aadpodidentity.k8s.io/Behavior */
	const char *pod;	/* namespace/name; NULL: my-app/demo */
	const char *excepts;	/* podLabels: this is an exception */
};

#define ASSIGNED(...)                                                                              \
	{                                                                                          \
		"Assigned", __VA_ARGS__                                                            \
	}
#define CREATED(...)                                                                               \
	{                                                                                          \
		"Created", __VA_ARGS__                                                             \
	}
#define UNTOLD(...)                                                                                \
	{                                                                                          \
		"", __VA_ARGS__                                                                    \
	}
#define EXCEPT(l)                                                                                  \
	{                                                                                          \
		"", .excepts = l                                                                   \
	}

static const struct match_standard_rules
	usual = { false, "default", "aad-pod-id-mic-service-account,aad-pod-identity-mic" },
	strict = { true, "default", "" }, here = { false, "my-app", "mic, mic-2,," },
	nowhere = { false, "my-app", "" }, odd = { false, "my-app", ",mic" };

/* clang-format off */
static const struct row {
	const char *name;
	const struct match_standard_rules *rules;
	struct object objects[ORDERS_MAX];
	const char *pod_labels, *account;
	struct selector asks;
	enum match_result result;
	const char *identity; /* of the answer, namespace/name, "" for none */
	size_t candidates;
	const char *sentence; /* stands in the explanation */
} rows[] = {
	/* the states */
	{ "Assigned is given", &usual,
	  { ASSIGNED("my-app/a", "c-a") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 1,
	  "pod my-app/demo has AzureIdentity a through AzureAssignedIdentity o-0, one of 1" },
	{ "so is one of a controller that knew no states", &usual,
	  { UNTOLD("my-app/a", "c-a") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 1, "AzureIdentity a" },
	{ "Created is waited for", &usual,
	  { CREATED("my-app/a", "c-a") },
	  LABELLED, NULL, NO_ID, MATCH_NOT_ASSIGNED_YET, "", 0,
	  "AzureAssignedIdentity default/o-0 of pod my-app/demo is in state Created: the controller (MIC) has not assigned AzureIdentity a to this node's VM yet; if it stays so, look at MIC's logs" },
	{ "nothing is waited for as well", &usual,
	  { { 0 } },
	  LABELLED, NULL, NO_ID, MATCH_NO_ASSIGNED, "", 0,
	  "no AzureAssignedIdentity exists for pod my-app/demo on this node: check that an AzureIdentityBinding has selector \"web\", the label aadpodidbinding, and names an AzureIdentity that exists, and that the controller (MIC) runs; its logs say more" },
	{ "what is taken back counts as nothing", &usual,
	  { { "Unassigned", "my-app/a", "c-a" } },
	  LABELLED, NULL, NO_ID, MATCH_NO_ASSIGNED, "", 0, "no AzureAssignedIdentity exists" },
	{ "so does a state that we do not know", &usual,
	  { { "assigned", "my-app/a", "c-a" } },
	  LABELLED, NULL, NO_ID, MATCH_NO_ASSIGNED, "", 0, "no AzureAssignedIdentity exists" },
	{ "what can be used now is, though a heavier one is under way", &usual,
	  { ASSIGNED("my-app/a", "c-a"), CREATED("my-app/b", "c-b", .weight = 9) },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 1, "AzureIdentity a" },
	{ "of several that are under way the heaviest is told", &usual,
	  { CREATED("my-app/a", "c-a"), CREATED("my-app/b", "c-b", .weight = 9), CREATED("my-app/c", "c-c") },
	  LABELLED, NULL, NO_ID, MATCH_NOT_ASSIGNED_YET, "", 0, "has not assigned AzureIdentity b" },

	/* whose it is */
	{ "the pod is named by namespace and name: not by name alone", &usual,
	  { ASSIGNED("my-app/a", "c-a", .pod = "other/demo") },
	  LABELLED, NULL, NO_ID, MATCH_NO_ASSIGNED, "", 0, "no AzureAssignedIdentity exists" },
	{ "nor by namespace alone", &usual,
	  { ASSIGNED("my-app/a", "c-a", .pod = "my-app/demo-2") },
	  LABELLED, NULL, NO_ID, MATCH_NO_ASSIGNED, "", 0, "no AzureAssignedIdentity exists" },
	{ "nor by its beginning", &usual,
	  { ASSIGNED("my-app/a", "c-a", .pod = "my-app/dem") },
	  LABELLED, NULL, NO_ID, MATCH_NO_ASSIGNED, "", 0, "no AzureAssignedIdentity exists" },
	{ "a pod without the label has no identity, whatever is assigned to it", &usual,
	  { ASSIGNED("my-app/a", "c-a") },
	  BARE, NULL, NO_ID, MATCH_NO_LABEL, "", 0, "pod my-app/demo has no label aadpodidbinding" },
	{ "nor has one whose label is empty", &usual,
	  { ASSIGNED("my-app/a", "c-a", "") },
	  "{\"aadpodidbinding\":\"\"}", NULL, NO_ID, MATCH_NO_LABEL, "", 0, "has an empty label" },
	{ "one of another label is not of this pod any more: the label has changed", &usual,
	  { ASSIGNED("my-app/a", "c-a", "batch") },
	  LABELLED, NULL, NO_ID, MATCH_NO_ASSIGNED, "", 0, "on this node (o-0 is of the label's old value \"batch\"): check that" },
	{ "also when it is asked for by id", &usual,
	  { ASSIGNED("my-app/a", "c-a", "Web") },
	  LABELLED, NULL, CLIENT_ID("c-a"), MATCH_NO_ASSIGNED, "", 0, "no AzureAssignedIdentity with client_id \"c-a\" exists" },
	{ "and when it is under way", &usual,
	  { CREATED("my-app/a", "c-a", "batch") },
	  LABELLED, NULL, NO_ID, MATCH_NO_ASSIGNED, "", 0, "no AzureAssignedIdentity exists" },
	{ "beside a new one it is passed over, however heavy", &usual,
	  { ASSIGNED("my-app/a", "c-a", "batch", 9), ASSIGNED("my-app/b", "c-b") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/b", 1, "AzureIdentity b" },
	{ "without a binding there is no label to compare", &usual,
	  { UNTOLD("my-app/a", "c-a", "-") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 1, "AzureIdentity a" },
	{ "nor with one that has no selector", &usual,
	  { UNTOLD("my-app/a", "c-a", "") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 1, "AzureIdentity a" },

	/* which of several, when no id is asked for */
	{ "the heaviest binding goes first", &usual,
	  { ASSIGNED("my-app/a", "c-a", .weight = 1), ASSIGNED("my-app/z", "c-z", .weight = 2) },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/z", 2, "one of 2" },
	{ "a negative weight goes behind none, and behind no binding", &usual,
	  { ASSIGNED("my-app/a", "c-a", .weight = -1), ASSIGNED("my-app/z", "c-z", "-") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/z", 2, "one of 2" },
	{ "then the identity's name decides", &usual,
	  { ASSIGNED("my-app/m", "c-m"), ASSIGNED("my-app/a", "c-a"), UNTOLD("my-app/z", "c-z") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 3, "one of 3" },
	{ "whatever their states: one that has none does not go first", &usual,
	  { UNTOLD("my-app/z", "c-z"), ASSIGNED("my-app/a", "c-a") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 2, "one of 2" },
	{ "and its namespace", &usual,
	  { ASSIGNED("z/a", "c-z"), ASSIGNED("b/a", "c-b") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "b/a", 2, "one of 2" },
	{ "one identity by two objects is one candidate", &usual,
	  { ASSIGNED("my-app/a", "c-a"), ASSIGNED("my-app/a", "c-a", .weight = 3), UNTOLD("my-app/b", "c-b", .weight = 2) },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 2, "one of 2" },

	/* by id */
	{ "client_id chooses, whatever the weights", &usual,
	  { ASSIGNED("my-app/a", "c-a", .weight = 9), ASSIGNED("my-app/z", "c-z") },
	  LABELLED, NULL, CLIENT_ID("c-z"), MATCH_GRANTED, "my-app/z", 2, "AzureIdentity z" },
	{ "without case", &usual,
	  { ASSIGNED("my-app/a", "ABCDEF00-0000-0000-0000-00000000000a") },
	  LABELLED, NULL, CLIENT_ID("abcdef00-0000-0000-0000-00000000000A"), MATCH_GRANTED, "my-app/a", 1, "AzureIdentity a" },
	{ "a resource id chooses, without case", &usual,
	  { ASSIGNED("my-app/a", "c-a"), ASSIGNED("my-app/z", "c-z") },
	  LABELLED, NULL, RESOURCE("/R/C-Z"), MATCH_GRANTED, "my-app/z", 2, "AzureIdentity z" },
	{ "a client id does not answer for a resource id", &usual,
	  { ASSIGNED("my-app/a", "c-a") },
	  LABELLED, NULL, RESOURCE("c-a"), MATCH_SELECTOR_NOT_BOUND, "", 1, "has resource id \"c-a\"" },
	{ "nor the other way round", &usual,
	  { ASSIGNED("my-app/a", "c-a") },
	  LABELLED, NULL, CLIENT_ID("/r/c-a"), MATCH_SELECTOR_NOT_BOUND, "", 1, "has client_id \"/r/c-a\"" },
	{ "one without a state is had by its id beside others", &usual,
	  { ASSIGNED("my-app/a", "c-a", .weight = 9), UNTOLD("my-app/z", "c-z") },
	  LABELLED, NULL, CLIENT_ID("c-z"), MATCH_GRANTED, "my-app/z", 2, "AzureIdentity z" },
	{ "an empty id is nobody's", &usual,
	  { ASSIGNED("my-app/a", "") },
	  LABELLED, NULL, CLIENT_ID(""), MATCH_SELECTOR_NOT_BOUND, "", 1, "has client_id \"\"" },
	{ "the one that is asked for is waited for, though another can be used", &usual,
	  { ASSIGNED("my-app/a", "c-a"), CREATED("my-app/b", "c-b") },
	  LABELLED, NULL, CLIENT_ID("C-B"), MATCH_NOT_ASSIGNED_YET, "", 1, "has not assigned AzureIdentity b" },
	{ "an id that none has is refused when the controller is done with the pod", &usual,
	  { ASSIGNED("my-app/a", "c-a"), UNTOLD("my-app/b", "c-b") },
	  LABELLED, NULL, CLIENT_ID("c-x"), MATCH_SELECTOR_NOT_BOUND, "", 2,
	  "none of the 2 AzureIdentity objects that pod my-app/demo is bound to has client_id \"c-x\"" },
	{ "and waited for while it is not", &usual,
	  { ASSIGNED("my-app/a", "c-a"), CREATED("my-app/b", "c-b") },
	  LABELLED, NULL, CLIENT_ID("c-x"), MATCH_NO_ASSIGNED, "", 1, "no AzureAssignedIdentity with client_id \"c-x\" exists" },
	{ "or has not begun", &usual,
	  { { 0 } },
	  LABELLED, NULL, RESOURCE("/r/x"), MATCH_NO_ASSIGNED, "", 0, "no AzureAssignedIdentity with resource id \"/r/x\" exists" },
	{ "somebody else's is not had by its id", &usual,
	  { ASSIGNED("my-app/a", "c-a"), ASSIGNED("my-app/b", "c-b", .pod = "my-app/other") },
	  LABELLED, NULL, CLIENT_ID("c-b"), MATCH_SELECTOR_NOT_BOUND, "", 1, "none of the 1" },
	{ "object_id is refused, never ignored", &usual,
	  { ASSIGNED("my-app/a", "c-a") },
	  LABELLED, NULL, OBJECT_ID("c-a"), MATCH_SELECTOR_UNSUPPORTED, "", 0, "asks by object_id" },

	/* namespaces */
	{ "an identity of another namespace is given where nothing forbids it", &usual,
	  { ASSIGNED("ids/a", "c-a") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "ids/a", 1, "AzureIdentity a" },
	{ "its annotation forbids it", &usual,
	  { ASSIGNED("ids/a", "c-a", .annotation = "namespaced") },
	  LABELLED, NULL, NO_ID, MATCH_NAMESPACE_MISMATCH, "", 0,
	  "AzureIdentity ids/a is assigned to pod my-app/demo, but counts only in its own namespace (annotation aadpodidentity.k8s.io/Behavior, or --forceNamespaced): create it, and its binding, in namespace my-app" },
	{ "another value of it does not", &usual,
	  { ASSIGNED("ids/a", "c-a", .annotation = "Namespaced") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "ids/a", 1, "AzureIdentity a" },
	{ "the setting forbids it for all", &strict,
	  { ASSIGNED("ids/a", "c-a") },
	  LABELLED, NULL, NO_ID, MATCH_NAMESPACE_MISMATCH, "", 0, "AzureIdentity ids/a is assigned" },
	{ "in the pod's namespace it is given all the same", &strict,
	  { ASSIGNED("my-app/a", "c-a", .annotation = "namespaced") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 1, "AzureIdentity a" },
	{ "a prefix of the namespace is another one", &strict,
	  { ASSIGNED("my-ap/a", "c-a"), ASSIGNED("my-app-2/a", "c-a2") },
	  LABELLED, NULL, NO_ID, MATCH_NAMESPACE_MISMATCH, "", 0, "is assigned to pod my-app/demo, but" },
	{ "one from elsewhere is passed over, however heavy", &strict,
	  { ASSIGNED("ids/a", "c-a", .weight = 9), ASSIGNED("my-app/b", "c-b") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/b", 1, "one of 1" },
	{ "also beside one that is waited for", &strict,
	  { ASSIGNED("ids/a", "c-a"), CREATED("my-app/b", "c-b") },
	  LABELLED, NULL, NO_ID, MATCH_NOT_ASSIGNED_YET, "", 0, "has not assigned AzureIdentity b" },
	{ "asked for by id, it is refused with that reason", &strict,
	  { ASSIGNED("ids/a", "c-a"), ASSIGNED("my-app/b", "c-b") },
	  LABELLED, NULL, CLIENT_ID("c-a"), MATCH_NAMESPACE_MISMATCH, "", 1, "AzureIdentity ids/a is assigned" },
	{ "and the one that was asked for is told", &strict,
	  { ASSIGNED("ids/a", "c-a"), ASSIGNED("ids/z", "c-z") },
	  LABELLED, NULL, CLIENT_ID("c-z"), MATCH_NAMESPACE_MISMATCH, "", 0, "AzureIdentity ids/z is assigned" },
	{ "of two with one id the one of this namespace is given", &strict,
	  { ASSIGNED("ids/a", "c"), ASSIGNED("my-app/z", "c") },
	  LABELLED, NULL, CLIENT_ID("c"), MATCH_GRANTED, "my-app/z", 1, "AzureIdentity z" },
	{ "it is not waited for: it would be no use", &strict,
	  { CREATED("ids/a", "c-a") },
	  LABELLED, NULL, NO_ID, MATCH_NAMESPACE_MISMATCH, "", 0, "AzureIdentity ids/a is assigned" },

	{ "and no excuse for another that may yet come", &strict,
	  { ASSIGNED("ids/a", "c-a"), CREATED("my-app/b", "c-b") },
	  LABELLED, NULL, CLIENT_ID("c-x"), MATCH_NO_ASSIGNED, "", 0, "no AzureAssignedIdentity with client_id \"c-x\" exists" },

	/* exceptions, and the controller's own pods */
	{ "an exception goes before what is assigned", &usual,
	  { ASSIGNED("my-app/a", "c-a"), EXCEPT("{\"app\":\"DEMO\"}") },
	  LABELLED, NULL, NO_ID, MATCH_EXCEPTED, "", 0, "AzurePodIdentityException o-1 covers it" },
	{ "with or without a label, with or without anything assigned", &usual,
	  { EXCEPT("{\"tier\":\"x\",\"app\":\"demo\"}") },
	  BARE, NULL, CLIENT_ID("any"), MATCH_EXCEPTED, "", 0, "AzurePodIdentityException o-0 covers it" },
	{ "and before what is waited for", &usual,
	  { CREATED("my-app/a", "c-a"), EXCEPT("{\"aadpodidbinding\":\"web\"}") },
	  LABELLED, NULL, OBJECT_ID("any"), MATCH_EXCEPTED, "", 0, "AzurePodIdentityException o-1 covers it" },
	{ "its keys are compared exactly", &usual,
	  { ASSIGNED("my-app/a", "c-a"), EXCEPT("{\"App\":\"demo\"}") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 1, "AzureIdentity a" },
	{ "one that does not fit covers nothing", &usual,
	  { ASSIGNED("my-app/a", "c-a"), EXCEPT("{\"app\":\"other\"}") },
	  LABELLED, NULL, NO_ID, MATCH_GRANTED, "my-app/a", 1, "AzureIdentity a" },
	{ "the controller's account in its namespace is excepted", &here,
	  { { 0 } },
	  BARE, "mic", OBJECT_ID("any"), MATCH_EXCEPTED, "", 0, "by its service account it is the controller's (--MICNamespace, --mic-service-account)" },
	{ "each of the list is", &here,
	  { ASSIGNED("my-app/a", "c-a") },
	  LABELLED, "mic-2", NO_ID, MATCH_EXCEPTED, "", 0, "it is the controller's" },
	{ "the account is compared wholly: not by a prefix", &here,
	  { ASSIGNED("my-app/a", "c-a") },
	  LABELLED, "mi", NO_ID, MATCH_GRANTED, "my-app/a", 1, "AzureIdentity a" },
	{ "nor as one", &here,
	  { { 0 } },
	  BARE, "micro-svc", NO_ID, MATCH_NO_LABEL, "", 0, "has no label" },
	{ "nor as the list", &here,
	  { { 0 } },
	  BARE, "mic, mic-2,,", NO_ID, MATCH_NO_LABEL, "", 0, "has no label" },
	{ "nor without case", &here,
	  { { 0 } },
	  BARE, "MIC", NO_ID, MATCH_NO_LABEL, "", 0, "has no label" },
	{ "a pod without an account is nobody's", &here,
	  { { 0 } },
	  BARE, "", NO_ID, MATCH_NO_LABEL, "", 0, "has no label" },
	{ "not even of an odd list", &odd,
	  { { 0 } },
	  BARE, "", NO_ID, MATCH_NO_LABEL, "", 0, "has no label" },
	{ "of which each account counts", &odd,
	  { { 0 } },
	  BARE, "mic", NO_ID, MATCH_EXCEPTED, "", 0, "it is the controller's" },
	{ "the account of that name in another namespace is another account", &usual,
	  { { 0 } },
	  BARE, "aad-pod-identity-mic", NO_ID, MATCH_NO_LABEL, "", 0, "has no label" },
	{ "with no account set nobody is", &nowhere,
	  { { 0 } },
	  BARE, "mic", NO_ID, MATCH_NO_LABEL, "", 0, "has no label" },
};
/* clang-format on */

static char *meta(const char *name, const char *annotation)
{
	const char *slash = strchr(name, '/');

	return xasprintf("\"metadata\":{\"namespace\":\"%.*s\",\"name\":\"%s\",\"annotations\":"
			 "{\"aadpodidentity.k8s.io/Behavior\":\"%s\"}}",
			 (int)(slash - name), name, slash + 1, annotation ? annotation : "");
}

static char *assigned_text(const struct object *o, const char *name)
{
	const char *pod = o->pod ? o->pod : "my-app/demo", *slash = strchr(pod, '/');
	_cleanup_free_ char *mine = meta(name, NULL), *of = meta(o->identity, o->annotation);
	_cleanup_free_ char *binding =
		o->selector && strcmp(o->selector, "-") == 0
			? xstrdup("null")
			: xasprintf("{%s,\"spec\":{\"selector\":\"%s\",\"weight\":%d}}", mine,
				    o->selector ? o->selector : "web", o->weight);

	return xasprintf("{%s,\"spec\":{\"pod\":\"%s\",\"podNamespace\":\"%.*s\","
			 "\"azureBindingRef\":%s,\"azureIdentityRef\":{%s,\"spec\":{"
			 "\"clientID\":\"%s\",\"resourceID\":\"/r/%s\"}}},"
			 "\"status\":{\"status\":\"%s\"}}",
			 mine, slash + 1, (int)(slash - pod), pod, binding, of, o->id, o->id,
			 o->state);
}

/* Objects are called o-0, o-1, …, as they stand in the row. */
static void put(struct identity_index *x, const struct object *o, size_t nth)
{
	char name[32];
	_cleanup_free_ char *text = NULL, *mine = NULL;
	_cleanup_(jval_freep) struct jval *doc = NULL;
	struct err err = { 0 };

	(void)snprintf(name, sizeof(name), "%s/o-%zu", o->excepts ? "my-app" : "default", nth);
	mine = meta(name, NULL);
	text = o->excepts ? xasprintf("{%s,\"spec\":{\"podLabels\":%s}}", mine, o->excepts)
			  : assigned_text(o, name);
	doc = mk_json(text);
	if (o->excepts)
		identity_index_put_exception_take(x, azure_exception_parse(doc, &err));
	else
		identity_index_put_assigned_take(x, azure_assigned_identity_parse(doc, &err));
	ck_assert_msg(err.kind == ERR_NONE, "%s: %s", err.msg, text);
}

static void check_row(const void *ctx, const size_t *order, size_t n)
{
	const struct row *row = ctx;
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	_cleanup_(jval_freep) struct jval *doc = mk_json(row->pod_labels);
	struct match_pod pod = { .namespace = "my-app",
				 .name = "demo",
				 .service_account = row->account };
	size_t size = 0;
	_cleanup_free_ char *labels = labels_parse(doc, &size, NULL);
	struct match_answer a;
	char text[768], got[64] = "";

	pod.labels = labels;
	for (size_t i = 0; i < n; i++)
		put(x, &row->objects[order[i]], order[i]);

	match_standard(x, row->rules, &pod, &row->asks, &a);
	ck_assert_msg(a.result == row->result, "%s: got %u", row->name, a.result);
	if (a.identity)
		(void)snprintf(got, sizeof(got), "%s/%s", a.identity->meta.namespace,
			       a.identity->meta.name);
	ck_assert_msg(strcmp(got, row->identity) == 0, "%s: %s", row->name, got);
	ck_assert_msg(a.candidates == row->candidates, "%s: %zu", row->name, a.candidates);
	ck_assert_int_eq(match_is_wait(a.result),
			 a.result == MATCH_NOT_ASSIGNED_YET || a.result == MATCH_NO_ASSIGNED);
	ck_assert(!a.exception || a.result == MATCH_EXCEPTED);

	match_explain(&pod, &row->asks, &a, text, sizeof(text));
	ck_assert_msg(strstr(text, row->sentence) != NULL, "%s: %s", row->name, text);
	ck_assert_msg(strstr(text, "my-app/demo") != NULL, "%s: %s", row->name, text);
}

START_TEST(the_answer_is_as_the_table_says_in_any_order_of_arrival)
{
	size_t n = 0;

	while (n < ORDERS_MAX && rows[_i].objects[n].state)
		n++;
	for_each_order(n, check_row, &rows[_i]);
}
END_TEST

/* As the host asks, in the pod's name. */
START_TEST(without_exceptions_neither_they_nor_the_controllers_account_count)
{
	static const struct object objects[] = { EXCEPT("{\"app\":\"demo\"}"),
						 ASSIGNED("my-app/a", "c-a") };
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	struct match_pod pod = { .namespace = "my-app",
				 .name = "demo",
				 .labels = "app\0demo\0" LABEL_BINDING "\0web\0",
				 .service_account = "mic",
				 .no_exceptions = true };
	const struct selector none = NO_ID;
	struct match_answer a;

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		put(x, &objects[i], i);
	match_standard(x, &here, &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_GRANTED);
	ck_assert_ptr_null(a.exception);
	pod.no_exceptions = false;
	match_standard(x, &here, &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_EXCEPTED);
}
END_TEST

UNIT_MAIN("match-standard",
	  UNIT_LOOP(the_answer_is_as_the_table_says_in_any_order_of_arrival, rows),
	  UNIT(without_exceptions_neither_they_nor_the_controllers_account_count))
