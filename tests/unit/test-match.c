/* SPDX-License-Identifier: MIT */

/*
 * Who gets which identity in managed mode, as one table; of standard mode: test-match-standard.c. The rules
 * in words stand at the top of mic-client/match.c. Every row is tried with
 * its objects put into the index in every order; the answer must be the same.
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

#define OBJECTS_MAX ORDERS_MAX

struct object {
	enum { NOTHING, IDENTITY, BINDING, EXCEPTION } what;
	const char *name; /* namespace/name */
	const char *a, *b;
	int weight;
};

/* client id, resource id */
#define ID(name, client, resource)                                                                 \
	{                                                                                          \
		IDENTITY, name, client, resource, 0                                                \
	}
/* the selector, the identity that it names, the weight */
#define BIND(name, selector, identity, weight)                                                     \
	{                                                                                          \
		BINDING, name, selector, identity, weight                                          \
	}
/* podLabels as JSON */
#define EXCEPT(name, labels)                                                                       \
	{                                                                                          \
		EXCEPTION, name, labels, NULL, 0                                                   \
	}

/* clang-format off */
static const struct row {
	const char *name;
	struct object objects[OBJECTS_MAX];
	const char *pod_labels;
	struct selector asks;
	enum match_result result;
	const char *identity, *binding; /* of the answer, "" for none */
	size_t candidates;
	const char *sentence; /* stands in the explanation */
} rows[] = {
	/* the label and the selector */
	{ "a label that equals the selector grants the identity of the binding",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, NO_ID, MATCH_GRANTED, "a", "b", 1, "AzureIdentity a through AzureIdentityBinding b" },
	{ "the value is compared exactly: case counts",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "Web", "a", 0) },
	  LABELLED, NO_ID, MATCH_NO_BINDING, "", "", 0, "Identity not found: no AzureIdentityBinding in namespace my-app has selector \"web\"" },
	{ "and wholly: a prefix is not enough",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "we", "a", 0), BIND("my-app/b2", "web1", "a", 0) },
	  LABELLED, NO_ID, MATCH_NO_BINDING, "", "", 0, "Identity not found" },
	{ "the key is compared exactly",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "web", "a", 0) },
	  "{\"aadPodIdBinding\":\"web\"}", NO_ID, MATCH_NO_LABEL, "", "", 0,
	  "Identity not found: pod my-app/demo has no label aadpodidbinding: add it with the selector of an AzureIdentityBinding in namespace my-app" },
	{ "a pod without the label has no identity",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "web", "a", 0) },
	  BARE, NO_ID, MATCH_NO_LABEL, "", "", 0, "Identity not found: pod my-app/demo has no label aadpodidbinding: add it" },
	{ "nor by a binding with an empty selector",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "", "a", 0) },
	  BARE, NO_ID, MATCH_NO_LABEL, "", "", 0, "has no label" },
	{ "nor has a pod whose label is empty",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "", "a", 0) },
	  "{\"aadpodidbinding\":\"\"}", NO_ID, MATCH_NO_LABEL, "", "", 0, "Identity not found: pod my-app/demo has an empty label aadpodidbinding: set it to" },
	{ "a pod without any label has none",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "", "a", 0) },
	  "{}", NO_ID, MATCH_NO_LABEL, "", "", 0, "has no label" },
	{ "an empty cluster has none to give",
	  { { 0 } },
	  LABELLED, NO_ID, MATCH_NO_BINDING, "", "", 0, "Identity not found" },

	/* namespaces */
	{ "a binding of another namespace does not count",
	  { ID("my-app/a", "c-a", "r-a"), ID("other/a", "c-o", "r-o"), BIND("other/b", "web", "a", 9) },
	  LABELLED, NO_ID, MATCH_NO_BINDING, "", "", 0, "in namespace my-app" },
	{ "nor does an identity of another namespace",
	  { ID("other/a", "c-o", "r-o"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, NO_ID, MATCH_IDENTITY_NOT_FOUND, "", "b", 0, "AzureIdentity \"a\" does not exist in namespace my-app: create it" },
	{ "of two of one name it is the one of the pod's namespace",
	  { ID("my-app/a", "c-a", "r-a"), ID("other/a", "c-o", "r-o"), BIND("my-app/b", "web", "a", 0),
	    BIND("other/b", "web", "a", 5) },
	  LABELLED, CLIENT_ID("c-a"), MATCH_GRANTED, "a", "b", 1, "through AzureIdentityBinding b" },
	{ "and asking for the other's id does not help",
	  { ID("my-app/a", "c-a", "r-a"), ID("other/a", "c-o", "r-o"), BIND("my-app/b", "web", "a", 0),
	    BIND("other/b", "web", "a", 5) },
	  LABELLED, CLIENT_ID("c-o"), MATCH_SELECTOR_NOT_BOUND, "", "", 1, "none of the 1 AzureIdentity objects that pod my-app/demo is bound to has client_id \"c-o\"" },
	{ "a binding may not name an identity by namespace and name",
	  { ID("other/a", "c-o", "r-o"), BIND("my-app/b", "web", "other/a", 0) },
	  LABELLED, NO_ID, MATCH_IDENTITY_NOT_FOUND, "", "b", 0, "AzureIdentity \"other/a\" does not exist" },

	/* which of several, when no id is asked for */
	{ "the highest weight goes first",
	  { ID("my-app/a", "c-a", "r-a"), ID("my-app/z", "c-z", "r-z"), BIND("my-app/b1", "web", "a", 1),
	    BIND("my-app/b2", "web", "z", 2) },
	  LABELLED, NO_ID, MATCH_GRANTED, "z", "b2", 2, "one of 2" },
	{ "a negative weight goes behind none",
	  { ID("my-app/a", "c-a", "r-a"), ID("my-app/z", "c-z", "r-z"), BIND("my-app/b1", "web", "a", -1),
	    BIND("my-app/b2", "web", "z", 0) },
	  LABELLED, NO_ID, MATCH_GRANTED, "z", "b2", 2, "one of 2" },
	{ "at the same weight the identity's name decides, not the binding's",
	  { ID("my-app/a", "c-a", "r-a"), ID("my-app/z", "c-z", "r-z"), BIND("my-app/b9", "web", "a", 0),
	    BIND("my-app/b1", "web", "z", 0) },
	  LABELLED, NO_ID, MATCH_GRANTED, "a", "b9", 2, "one of 2" },
	{ "two bindings of one identity are one candidate, by the first name",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b1", "web", "a", 0), BIND("my-app/b2", "web", "a", 0) },
	  LABELLED, NO_ID, MATCH_GRANTED, "a", "b1", 1, "one of 1" },
	{ "of two bindings of one identity the heavier counts",
	  { ID("my-app/a", "c-a", "r-a"), ID("my-app/m", "c-m", "r-m"), BIND("my-app/b1", "web", "m", 0),
	    BIND("my-app/b2", "web", "m", 7), BIND("my-app/b3", "web", "a", 5) },
	  LABELLED, NO_ID, MATCH_GRANTED, "m", "b2", 2, "one of 2" },
	{ "an identity that does not exist is passed over, however heavy",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b1", "web", "gone", 9), BIND("my-app/b2", "web", "a", 0) },
	  LABELLED, NO_ID, MATCH_GRANTED, "a", "b2", 1, "one of 1" },
	{ "with none that exists, the one that would have gone first is named",
	  { BIND("my-app/b1", "web", "z", 1), BIND("my-app/b2", "web", "y", 1), BIND("my-app/b3", "web", "x", 0) },
	  LABELLED, NO_ID, MATCH_IDENTITY_NOT_FOUND, "", "b2", 0, "Identity not found: AzureIdentityBinding b2 selects pod my-app/demo" },

	/* by id */
	{ "client_id chooses, whatever the weights",
	  { ID("my-app/a", "c-a", "r-a"), ID("my-app/z", "c-z", "r-z"), BIND("my-app/b1", "web", "a", 9),
	    BIND("my-app/b2", "web", "z", 0) },
	  LABELLED, CLIENT_ID("c-z"), MATCH_GRANTED, "z", "b2", 2, "AzureIdentity z" },
	{ "client_id is compared without case",
	  { ID("my-app/a", "ABCDEF00-0000-0000-0000-00000000000a", "r"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, CLIENT_ID("abcdef00-0000-0000-0000-00000000000A"), MATCH_GRANTED, "a", "b", 1, "AzureIdentity a" },
	{ "a resource id chooses, without case",
	  { ID("my-app/a", "c-a", "/subscriptions/1/resourcegroups/RG/providers/x/a"), ID("my-app/z", "c-z", "r-z"),
	    BIND("my-app/b1", "web", "a", 0), BIND("my-app/b2", "web", "z", 9) },
	  LABELLED, RESOURCE("/Subscriptions/1/resourceGroups/rg/providers/X/A"), MATCH_GRANTED, "a", "b1", 2, "AzureIdentity a" },
	{ "nor need it be one of ARM's",
	  { ID("my-app/a", "c-a", "anything at all"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, RESOURCE("Anything at all"), MATCH_GRANTED, "a", "b", 1, "AzureIdentity a" },
	{ "an id is compared wholly",
	  { ID("my-app/a", "c-aa", "r-a"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, CLIENT_ID("c-a"), MATCH_SELECTOR_UNKNOWN, "", "", 1, "Identity not found: no AzureIdentity with client_id \"c-a\" exists, so pod my-app/demo with label aadpodidbinding=\"web\"" },
	{ "a client id does not answer for a resource id",
	  { ID("my-app/a", "same", "r-a"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, RESOURCE("same"), MATCH_SELECTOR_UNKNOWN, "", "", 1, "no AzureIdentity with resource id \"same\" exists" },
	{ "nor a resource id for a client id",
	  { ID("my-app/a", "c-a", "same"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, CLIENT_ID("same"), MATCH_SELECTOR_UNKNOWN, "", "", 1, "correct the id, or create and bind one with it in namespace my-app" },
	{ "an identity of the namespace that is not bound is not given",
	  { ID("my-app/a", "c-a", "r-a"), ID("my-app/z", "c-z", "r-z"), BIND("my-app/b", "web", "a", 0),
	    BIND("my-app/b2", "batch", "z", 0) },
	  LABELLED, CLIENT_ID("c-z"), MATCH_SELECTOR_NOT_BOUND, "", "", 1, "ask for one of those, or bind the one with that id in namespace my-app" },
	{ "nor is it by its resource id, in whatever case",
	  { ID("my-app/a", "c-a", "r-a"), ID("my-app/z", "c-z", "r-z"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, RESOURCE("R-Z"), MATCH_SELECTOR_NOT_BOUND, "", "", 1, "is bound to has resource id \"R-Z\"" },
	{ "an id that no object of the cluster has is told from one that is another's",
	  { ID("my-app/a", "c-a", "r-a"), ID("other/o", "c-o", "r-o"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, CLIENT_ID("c-x"), MATCH_SELECTOR_UNKNOWN, "", "", 1, "Identity not found: no AzureIdentity with client_id \"c-x\" exists" },
	{ "an empty id is no identity's, not even of one without an id",
	  { ID("my-app/a", "", ""), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, CLIENT_ID(""), MATCH_SELECTOR_UNKNOWN, "", "", 1, "with client_id \"\"" },
	{ "nor does an empty resource id name one",
	  { ID("my-app/a", "", ""), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, RESOURCE(""), MATCH_SELECTOR_UNKNOWN, "", "", 1, "with resource id \"\"" },
	{ "of two identities with the asked id the heavier binding goes first",
	  { ID("my-app/a", "c", "r-a"), ID("my-app/z", "C", "r-z"), BIND("my-app/b1", "web", "a", 0),
	    BIND("my-app/b2", "web", "z", 1) },
	  LABELLED, CLIENT_ID("c"), MATCH_GRANTED, "z", "b2", 2, "AzureIdentity z" },
	{ "an id that nobody has, with a bound identity that is missing, tells of that",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b1", "web", "a", 0), BIND("my-app/b2", "web", "gone", 0) },
	  LABELLED, CLIENT_ID("c-gone"), MATCH_SELECTOR_UNKNOWN, "", "b2", 1, "(nor does AzureIdentity \"gone\", which the pod is bound to)" },
	{ "so does one that is another's",
	  { ID("my-app/a", "c-a", "r-a"), ID("my-app/z", "c-z", "r-z"), BIND("my-app/b1", "web", "a", 0),
	    BIND("my-app/b2", "web", "gone", 0) },
	  LABELLED, CLIENT_ID("c-z"), MATCH_SELECTOR_NOT_BOUND, "", "b2", 1, "(AzureIdentity \"gone\", which is bound too, does not exist)" },
	{ "an id does not make up for a missing label",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "web", "a", 0) },
	  BARE, CLIENT_ID("c-a"), MATCH_NO_LABEL, "", "", 0, "has no label" },
	{ "object_id is refused, never ignored",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, OBJECT_ID("c-a"), MATCH_SELECTOR_UNSUPPORTED, "", "", 0, "Identity not found: pod my-app/demo asks by object_id, which AzureIdentity does not hold: ask by client_id or msi_res_id" },

	/*
	 * A type 0 identity without a client id is granted here: it is bound. A token of it would be one
	 * of the node's default identity, so the source of tokens refuses it with its own reason.
	 */
	{ "an identity without a client id is granted when none is asked for",
	  { ID("my-app/a", "", ""), BIND("my-app/b", "web", "a", 0) },
	  LABELLED, NO_ID, MATCH_GRANTED, "a", "b", 1, "AzureIdentity a" },

	/* exceptions */
	{ "a label pair of an exception covers the pod",
	  { EXCEPT("my-app/e", "{\"app\":\"demo\"}") },
	  BARE, NO_ID, MATCH_EXCEPTED, "", "", 0, "pod my-app/demo uses the node's own identities: AzurePodIdentityException e covers it" },
	{ "any of the pairs does, not all are needed",
	  { EXCEPT("my-app/e", "{\"tier\":\"x\",\"app\":\"demo\",\"zone\":\"y\"}") },
	  BARE, NO_ID, MATCH_EXCEPTED, "", "", 0, "AzurePodIdentityException e" },
	{ "the value is compared without case",
	  { EXCEPT("my-app/e", "{\"app\":\"DEMO\"}") },
	  BARE, NO_ID, MATCH_EXCEPTED, "", "", 0, "AzurePodIdentityException e" },
	{ "the key exactly",
	  { EXCEPT("my-app/e", "{\"App\":\"demo\"}") },
	  BARE, NO_ID, MATCH_NO_LABEL, "", "", 0, "has no label" },
	{ "a value that begins with the pod's is another",
	  { EXCEPT("my-app/e", "{\"app\":\"demo2\"}"), EXCEPT("my-app/f", "{\"app\":\"dem\"}") },
	  BARE, NO_ID, MATCH_NO_LABEL, "", "", 0, "has no label" },
	{ "the label of bindings is a label like others",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "web", "a", 0),
	    EXCEPT("my-app/e", "{\"aadpodidbinding\":\"WEB\"}") },
	  LABELLED, NO_ID, MATCH_EXCEPTED, "", "", 0, "AzurePodIdentityException e" },
	{ "of several exceptions one that fits is enough",
	  { EXCEPT("my-app/d", "{\"app\":\"other\"}"), EXCEPT("my-app/e", "{\"zone\":\"y\"}"), EXCEPT("my-app/f", "{\"app\":\"demo\"}") },
	  BARE, NO_ID, MATCH_EXCEPTED, "", "", 0, "AzurePodIdentityException f" },
	{ "key and value must be of one pair",
	  { EXCEPT("my-app/e", "{\"app\":\"web\",\"aadpodidbinding\":\"demo\"}") },
	  LABELLED, NO_ID, MATCH_NO_BINDING, "", "", 0, "Identity not found" },
	{ "the key alone covers nothing",
	  { EXCEPT("my-app/e", "{\"app\":\"\"}") },
	  BARE, NO_ID, MATCH_NO_LABEL, "", "", 0, "has no label" },
	{ "an exception of another namespace covers nothing here",
	  { EXCEPT("kube-system/e", "{\"app\":\"demo\"}") },
	  BARE, NO_ID, MATCH_NO_LABEL, "", "", 0, "has no label" },
	{ "an exception goes before a binding",
	  { ID("my-app/a", "c-a", "r-a"), BIND("my-app/b", "web", "a", 0), EXCEPT("my-app/e", "{\"app\":\"demo\"}") },
	  LABELLED, NO_ID, MATCH_EXCEPTED, "", "", 0, "AzurePodIdentityException e" },
	{ "an excepted pod may ask by client_id",
	  { EXCEPT("my-app/e", "{\"app\":\"demo\"}") },
	  BARE, CLIENT_ID("any"), MATCH_EXCEPTED, "", "", 0, "AzurePodIdentityException e" },
	{ "and by resource id",
	  { EXCEPT("my-app/e", "{\"app\":\"demo\"}") },
	  BARE, RESOURCE("any"), MATCH_EXCEPTED, "", "", 0, "AzurePodIdentityException e" },
	{ "and by object_id",
	  { EXCEPT("my-app/e", "{\"app\":\"demo\"}") },
	  BARE, OBJECT_ID("any"), MATCH_EXCEPTED, "", "", 0, "AzurePodIdentityException e" },
	{ "of several exceptions the first by name is told",
	  { EXCEPT("my-app/f", "{\"app\":\"demo\"}"), EXCEPT("my-app/e", "{\"app\":\"demo\"}"),
	    EXCEPT("my-app/d", "{\"app\":\"other\"}") },
	  BARE, NO_ID, MATCH_EXCEPTED, "", "", 0, "AzurePodIdentityException e" },
};
/* clang-format on */

static struct jval *object_json(const struct object *o)
{
	const char *slash = strchr(o->name, '/');
	_cleanup_free_ char *spec = NULL;
	_cleanup_free_ char *text = NULL;

	switch (o->what) {
	case IDENTITY:
		spec = xasprintf("\"clientID\":\"%s\",\"resourceID\":\"%s\"", o->a, o->b);
		break;
	case BINDING:
		spec = xasprintf("\"selector\":\"%s\",\"azureIdentity\":\"%s\",\"weight\":%d",
				 *o->a ? o->a : "x", o->b, o->weight);
		break;
	case EXCEPTION:
		spec = xasprintf("\"podLabels\":%s", o->a);
		break;
	case NOTHING:
		break;
	}
	text = xasprintf("{\"metadata\":{\"namespace\":\"%.*s\",\"name\":\"%s\"},\"spec\":{%s}}",
			 (int)(slash - o->name), o->name, slash + 1, spec);
	return mk_json(text);
}

/* The parser lets none through that has no selector; the rules do not rely on that. */
static struct azure_binding *binding(const struct jval *doc, bool has_selector, struct err *err)
{
	struct azure_binding *b = azure_binding_parse(doc, err);

	if (b && !has_selector)
		b->selector[0] = '\0';
	return b;
}

static void put(struct identity_index *x, const struct object *o)
{
	_cleanup_(jval_freep) struct jval *doc = object_json(o);
	struct err err = { 0 };

	if (o->what == IDENTITY)
		identity_index_put_identity_take(x, azure_identity_parse(doc, &err));
	else if (o->what == BINDING)
		identity_index_put_binding_take(x, binding(doc, *o->a, &err));
	else
		identity_index_put_exception_take(x, azure_exception_parse(doc, &err));
	ck_assert_msg(err.kind == ERR_NONE, "%s", err.msg);
}

static void check_row(const void *ctx, const size_t *order, size_t n)
{
	const struct row *row = ctx;
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	_cleanup_(jval_freep) struct jval *labels = mk_json(row->pod_labels);
	struct match_pod pod = { .namespace = "my-app", .name = "demo" };
	struct match_answer a;
	char text[512];

	size_t size = 0;
	_cleanup_free_ char *pod_labels = labels_parse(labels, &size, NULL);

	pod.labels = pod_labels;
	for (size_t i = 0; i < n; i++)
		put(x, &row->objects[order[i]]);

	match_managed(x, &pod, &row->asks, &a);
	ck_assert_msg(a.result == row->result, "%s: got %u", row->name, a.result);
	ck_assert_msg(strcmp(a.identity ? a.identity->meta.name : "", row->identity) == 0, "%s",
		      row->name);
	ck_assert_msg(strcmp(a.binding ? a.binding->meta.name : "", row->binding) == 0, "%s: %s",
		      row->name, a.binding ? a.binding->meta.name : "");
	ck_assert_msg(a.candidates == row->candidates, "%s: %zu", row->name, a.candidates);
	ck_assert(!a.identity || strcmp(a.identity->meta.namespace, "my-app") == 0);
	ck_assert_int_eq(a.exception != NULL, a.result == MATCH_EXCEPTED);

	match_explain(&pod, &row->asks, &a, text, sizeof(text));
	ck_assert_msg(strstr(text, row->sentence) != NULL, "%s: %s", row->name, text);
	ck_assert_msg(strstr(text, "my-app/demo") != NULL, "%s: %s", row->name, text);
	ck_assert_msg(!strstr(text, "c-o") || strstr(row->asks.value, "c-o"),
		      "another tenant's id is told: %s", text);
}

START_TEST(the_answer_is_as_the_table_says_in_any_order_of_arrival)
{
	size_t n = 0;

	while (n < OBJECTS_MAX && rows[_i].objects[n].what != NOTHING)
		n++;
	for_each_order(n, check_row, &rows[_i]);
}
END_TEST

/* As the host asks, in the pod's name. */
START_TEST(without_exceptions_a_covered_pod_has_what_it_is_bound_to)
{
	static const struct object objects[] = { EXCEPT("my-app/e", "{\"app\":\"demo\"}"),
						 ID("my-app/a", "c-a", "r-a"),
						 BIND("my-app/b", "web", "a", 0) };
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	struct match_pod pod = { .namespace = "my-app",
				 .name = "demo",
				 .labels = "app\0demo\0" LABEL_BINDING "\0web\0",
				 .no_exceptions = true };
	const struct selector none = NO_ID;
	struct match_answer a;

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		put(x, &objects[i]);
	match_managed(x, &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_GRANTED);
	ck_assert_str_eq(a.identity->meta.name, "a");
	ck_assert_ptr_null(a.exception);
	pod.labels = "app\0demo\0";
	match_managed(x, &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_NO_LABEL);
}
END_TEST

/* Its short way to the node's own identity is standard mode's: there is none in managed mode. */
START_TEST(managed_mode_knows_no_pods_of_a_controller)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	struct match_pod pod = { .namespace = "default",
				 .name = "mic-0",
				 .service_account = "aad-pod-id-mic-service-account" };
	const struct selector none = NO_ID;
	struct match_answer a;

	match_managed(x, &pod, &none, &a);
	ck_assert_int_eq(a.result, MATCH_NO_LABEL);
}
END_TEST

START_TEST(a_short_buffer_cuts_the_sentence)
{
	const struct match_pod pod = { .namespace = "my-app", .name = "demo" };
	const struct match_answer a = { .result = MATCH_NO_LABEL };
	const struct selector none = NO_ID;
	char text[8];

	match_explain(&pod, &none, &a, text, sizeof(text));
	ck_assert_str_eq(text, "Identit");
}
END_TEST

START_TEST(what_the_pod_sent_is_escaped_in_the_sentence)
{
	const struct match_pod pod = { .namespace = "my-app", .name = "demo" };
	const struct match_answer a = { .result = MATCH_SELECTOR_NOT_BOUND, .candidates = 1 };
	const struct selector asks = CLIENT_ID("x\"\n2026-01-01 error all is lost");
	char text[512];

	match_explain(&pod, &asks, &a, text, sizeof(text));
	ck_assert_ptr_null(strchr(text, '\n'));
	ck_assert_ptr_nonnull(strstr(text, "\"x\\\"\\n2026"));
}
END_TEST

UNIT_MAIN("match", UNIT_LOOP(the_answer_is_as_the_table_says_in_any_order_of_arrival, rows),
	  UNIT(without_exceptions_a_covered_pod_has_what_it_is_bound_to),
	  UNIT(managed_mode_knows_no_pods_of_a_controller), UNIT(a_short_buffer_cuts_the_sentence),
	  UNIT(what_the_pod_sent_is_escaped_in_the_sentence))
