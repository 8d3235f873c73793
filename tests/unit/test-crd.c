/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "mic-client/crd.h"
#include "tests/unit/mk-json.h"
#include "tests/unit/recorded.h"
#include "tests/unit/unit.h"

#include <string.h>

#define META "\"metadata\":{\"namespace\":\"my-app\",\"name\":\"x\"}"

static struct azure_identity *identity(const char *text, struct err *err)
{
	_cleanup_(jval_freep) struct jval *doc = mk_json(text);

	return azure_identity_parse(doc, err);
}

static struct azure_binding *binding(const char *text, struct err *err)
{
	_cleanup_(jval_freep) struct jval *doc = mk_json(text);

	return azure_binding_parse(doc, err);
}

static struct azure_exception *exception(const char *text, struct err *err)
{
	_cleanup_(jval_freep) struct jval *doc = mk_json(text);

	return azure_exception_parse(doc, err);
}

static struct azure_assigned_identity *assigned(const char *text, struct err *err)
{
	_cleanup_(jval_freep) struct jval *doc = mk_json(text);

	return azure_assigned_identity_parse(doc, err);
}

START_TEST(a_recorded_identity_is_read)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = identity(recorded_identity,
									     NULL);

	ck_assert_ptr_nonnull(i);
	ck_assert_str_eq(i->meta.namespace, "my-app");
	ck_assert_str_eq(i->meta.name, "my-pod-identity");
	ck_assert_str_eq(i->meta.uid, "d73ce19a-9b54-4dcf-9664-221d67b8d4df");
	ck_assert_str_eq(i->meta.resource_version, "235");
	ck_assert_int_eq(i->type, AZURE_IDENTITY_USER_ASSIGNED);
	ck_assert_str_eq(i->client_id, "22222222-2222-2222-2222-222222222222");
	ck_assert_str_eq(i->resource_id,
			 "/subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups/"
			 "myIdentityResourceGroup/providers/Microsoft.ManagedIdentity/"
			 "userAssignedIdentities/application-identity");
	ck_assert_str_eq(i->tenant_id, "");
	ck_assert(i->namespaced);
}
END_TEST

START_TEST(a_recorded_service_principal_is_read)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i =
		identity(recorded_identity_secret, NULL);

	ck_assert_ptr_nonnull(i);
	ck_assert_int_eq(i->type, AZURE_IDENTITY_SERVICE_PRINCIPAL);
	ck_assert_str_eq(i->client_id, "44444444-4444-4444-4444-444444444444");
	ck_assert_str_eq(i->tenant_id, "33333333-3333-3333-3333-333333333333");
	ck_assert_str_eq(i->secret_name, "sp-secret");
	ck_assert_str_eq(i->secret_namespace, "my-app");
	ck_assert(!i->namespaced);
}
END_TEST

START_TEST(a_recorded_binding_is_read)
{
	_cleanup_(azure_binding_unrefp) struct azure_binding *b = binding(recorded_binding, NULL);

	ck_assert_ptr_nonnull(b);
	ck_assert_str_eq(b->meta.name, "my-pod-identity-binding");
	ck_assert_str_eq(b->azure_identity, "my-pod-identity");
	ck_assert_str_eq(b->selector, "my-pod-identity");
	ck_assert_int_eq(b->weight, 0);
}
END_TEST

START_TEST(a_recorded_exception_is_read)
{
	_cleanup_(azure_exception_unrefp) struct azure_exception *e = exception(recorded_exception,
										NULL);

	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->meta.namespace, "kube-system");
	ck_assert_str_eq(e->labels, "kubernetes.azure.com/managedby");
	ck_assert_str_eq(label_value(e->labels), "aks");
	ck_assert_str_eq(label_next(e->labels), "");
}
END_TEST

/* The spellings that are found in old clusters and in the old agent's own documentation. */
static const char *const old_spellings[] = {
	"{" META ",\"spec\":{\"type\":2,\"clientID\":\"c\",\"resourceID\":\"r\",\"tenantID\":\"t\","
	"\"adEndpoint\":\"e\",\"clientPassword\":{\"name\":\"s\",\"namespace\":\"n\"}}}",
	"{" META ",\"spec\":{\"Type\":2,\"ClientID\":\"c\",\"ResourceID\":\"r\",\"TenantID\":\"t\","
	"\"ADEndpoint\":\"e\",\"ClientPassword\":{\"Name\":\"s\",\"Namespace\":\"n\"}}}",
	"{" META ",\"spec\":{\"type\":2,\"clientid\":\"c\",\"resourceid\":\"r\",\"tenantid\":\"t\","
	"\"adendpoint\":\"e\",\"clientpassword\":{\"NAME\":\"s\",\"nameSpace\":\"n\"}}}",
	/* the exact spelling wins */
	"{" META
	",\"spec\":{\"type\":2,\"ClientID\":\"no\",\"clientID\":\"c\",\"resourceID\":\"r\","
	"\"tenantID\":\"t\",\"adEndpoint\":\"e\","
	"\"clientPassword\":{\"Name\":\"no\",\"name\":\"s\",\"namespace\":\"n\"}}}",
};

START_TEST(field_names_of_an_identity_are_read_in_any_case)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = identity(old_spellings[_i],
									     NULL);

	ck_assert_ptr_nonnull(i);
	ck_assert_int_eq(i->type, 2);
	ck_assert_str_eq(i->client_id, "c");
	ck_assert_str_eq(i->resource_id, "r");
	ck_assert_str_eq(i->tenant_id, "t");
	ck_assert_str_eq(i->ad_endpoint, "e");
	ck_assert_str_eq(i->secret_name, "s");
	ck_assert_str_eq(i->secret_namespace, "n");
}
END_TEST

START_TEST(field_names_of_a_binding_and_an_exception_are_read_in_any_case)
{
	_cleanup_(azure_binding_unrefp) struct azure_binding *b =
		binding("{" META ",\"spec\":{\"azureidentity\":\"a\",\"Selector\":\"s\","
			"\"WEIGHT\":-3}}",
			NULL);
	_cleanup_(azure_exception_unrefp) struct azure_exception *e =
		exception("{" META ",\"spec\":{\"PodLabels\":{\"App\":\"Mic\"}}}", NULL);

	ck_assert_ptr_nonnull(b);
	ck_assert_str_eq(b->azure_identity, "a");
	ck_assert_str_eq(b->selector, "s");
	ck_assert_int_eq(b->weight, -3);
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(labels_find(e->labels, "App"), "Mic");
	ck_assert_ptr_null(labels_find(e->labels, "app")); /* a label is no field */
}
END_TEST

START_TEST(absent_and_null_fields_of_an_identity_are_empty)
{
	static const char *const texts[] = {
		"{" META "}",
		"{" META ",\"spec\":null}",
		"{" META ",\"spec\":{}}",
		"{" META ",\"spec\":{\"type\":null,\"clientID\":null,\"clientPassword\":null}}",
	};

	for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
		_cleanup_(azure_identity_unrefp) struct azure_identity *i = identity(texts[k],
										     NULL);

		ck_assert_ptr_nonnull(i);
		ck_assert_int_eq(i->type, 0);
		ck_assert_str_eq(i->client_id, "");
		ck_assert_str_eq(i->secret_name, "");
		ck_assert_str_eq(i->meta.uid, "");
	}
}
END_TEST

START_TEST(a_recorded_assigned_identity_is_read)
{
	_cleanup_(azure_assigned_identity_unrefp) struct azure_assigned_identity *a =
		assigned(recorded_assigned, NULL);

	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a->meta.namespace, "default");
	ck_assert_str_eq(a->meta.name, "demo-my-app-my-pod-identity");
	ck_assert_str_eq(a->meta.resource_version, "265");
	ck_assert_str_eq(a->pod, "demo");
	ck_assert_str_eq(a->pod_namespace, "my-app");
	ck_assert_int_eq(a->state, ASSIGNED_READY);
	ck_assert_str_eq(a->identity->meta.namespace, "my-app");
	ck_assert_str_eq(a->identity->meta.name, "my-pod-identity");
	ck_assert_str_eq(a->identity->client_id, "22222222-2222-2222-2222-222222222222");
	ck_assert_str_eq(a->binding->meta.name, "my-pod-identity-binding");
	ck_assert_str_eq(a->binding->selector, "my-pod-identity");
}
END_TEST

/* as controllers before 1.6.0 wrote them, and as they wrote what they did not know */
START_TEST(an_assigned_identity_of_old_is_read)
{
	_cleanup_(azure_assigned_identity_unrefp) struct azure_assigned_identity *a = assigned(
		"{" META ",\"spec\":{\"azureidentityref\":{\"kind\":\"v1.AzureIdentity\"," META
		",\"spec\":{\"type\":0,\"clientid\":\"c\",\"ResourceID\":\"r\"}},"
		"\"azurebindingref\":{" META ",\"spec\":{\"Selector\":\"web\",\"weight\":7}},"
		"\"pod\":\"demo\",\"podnamespace\":\"my-app\",\"nodename\":\"n\"},"
		"\"Status\":{\"status\":\"Assigned\"}}",
		NULL);

	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a->identity->client_id, "c");
	ck_assert_str_eq(a->identity->resource_id, "r");
	ck_assert_str_eq(a->binding->selector, "web");
	ck_assert_int_eq(a->binding->weight, 7);
	ck_assert_str_eq(a->pod_namespace, "my-app");
	ck_assert_int_eq(a->state, ASSIGNED_READY);
}
END_TEST

#define ASSIGNED(binding, status)                                                                  \
	"{" META ",\"spec\":{\"azureIdentityRef\":{" META "}," binding                             \
	"\"pod\":\"demo\",\"podNamespace\":\"my-app\"}" status "}"

static const struct {
	const char *status;
	enum assigned_state state;
} states[] = {
	{ "", ASSIGNED_UNTOLD },
	{ ",\"status\":null", ASSIGNED_UNTOLD },
	{ ",\"status\":{\"availableReplicas\":1}", ASSIGNED_UNTOLD },
	{ ",\"status\":{\"status\":\"\"}", ASSIGNED_UNTOLD },
	{ ",\"status\":{\"status\":\"Created\"}", ASSIGNED_CREATED },
	{ ",\"status\":{\"status\":\"Assigned\"}", ASSIGNED_READY },
	{ ",\"status\":{\"status\":\"Assigned\"},\"Status\":{\"status\":\"Created\"}",
	  ASSIGNED_READY },
	{ ",\"status\":{\"status\":\"Unassigned\"}", ASSIGNED_OTHER },
	{ ",\"status\":{\"status\":\"assigned\"}", ASSIGNED_OTHER },
	{ ",\"status\":{\"status\":\"Assigned \"}", ASSIGNED_OTHER },
};

START_TEST(a_state_is_read_exactly_and_an_unknown_one_is_none_of_ours)
{
	_cleanup_free_ char *text = xasprintf("{" META ",\"spec\":{\"azureIdentityRef\":{" META
					      "},\"pod\":\"demo\",\"podNamespace\":\"my-app\"}%s}",
					      states[_i].status);
	_cleanup_(azure_assigned_identity_unrefp) struct azure_assigned_identity *a =
		assigned(text, NULL);

	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(a->state, states[_i].state);
}
END_TEST

START_TEST(an_assigned_identity_without_a_binding_is_one_all_the_same)
{
	static const char *const texts[] = {
		ASSIGNED("", ""),
		ASSIGNED("\"azureBindingRef\":null,", ""),
		ASSIGNED("\"azureBindingRef\":{},", ""),
		ASSIGNED("\"azureBindingRef\":{\"metadata\":{\"creationTimestamp\":null},"
			 "\"spec\":{}},",
			 ""),
	};

	for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
		_cleanup_(azure_assigned_identity_unrefp) struct azure_assigned_identity *a =
			assigned(texts[k], NULL);

		ck_assert_ptr_nonnull(a);
		ck_assert_ptr_null(a->binding);
	}
}
END_TEST

enum which { IDENTITY = 1, BINDING = 2, EXCEPTION = 4, ASSIGNMENT = 8, ALL = 15 };

static const struct {
	enum which which;
	const char *text, *why;
} malformed[] = {
	{ ALL, "[]", "expected an object" },
	{ ALL, "{}", "metadata.namespace is missing" },
	{ ALL, "{\"metadata\":{\"name\":\"x\"}}", "metadata.namespace is missing" },
	{ ALL, "{\"metadata\":{\"namespace\":\"n\"}}", "metadata.name is missing" },
	{ ALL, "{\"metadata\":{\"namespace\":\"n\",\"name\":null}}", "metadata.name is missing" },
	{ ALL, "{\"metadata\":{\"namespace\":\"n\",\"name\":\"\"}}", "metadata.name is empty" },
	{ ALL, "{\"metadata\":{\"namespace\":\"\",\"name\":\"x\"}}",
	  "metadata.namespace is empty" },
	{ ALL, "{\"metadata\":{\"Namespace\":\"n\",\"Name\":\"x\"}}",
	  "metadata.namespace is missing" },
	{ ALL, "{\"metadata\":{\"namespace\":1,\"name\":\"x\"}}",
	  "metadata.namespace: expected a string, found a number" },
	{ ALL, "{" META ",\"spec\":\"\"}", " is not inside an object" },
	{ IDENTITY, "{" META ",\"spec\":{\"type\":\"0\"}}",
	  "spec.type: expected a whole number, found a string" },
	{ IDENTITY, "{" META ",\"spec\":{\"type\":0.5}}",
	  "spec.type: expected a whole number, found a fraction" },
	{ IDENTITY, "{" META ",\"spec\":{\"TYPE\":true}}",
	  "spec.type: expected a whole number, found a boolean" },
	{ IDENTITY, "{" META ",\"spec\":{\"clientID\":{}}}",
	  "spec.clientID: expected a string, found an object" },
	{ IDENTITY, "{" META ",\"spec\":{\"resourceID\":[]}}",
	  "spec.resourceID: expected a string, found an array" },
	{ IDENTITY, "{" META ",\"spec\":{\"clientPassword\":\"s3cr3t\"}}",
	  "spec.clientPassword.name: " },
	{ IDENTITY, "{" META ",\"spec\":{\"clientPassword\":{\"name\":7}}}",
	  "spec.clientPassword.name: expected a string, found a number" },
	{ IDENTITY,
	  "{\"metadata\":{\"namespace\":\"n\",\"name\":\"x\",\"annotations\":"
	  "{\"aadpodidentity.k8s.io/Behavior\":1}}}",
	  "metadata.annotations: aadpodidentity.k8s.io/Behavior is not a string" },
	{ BINDING, "{" META ",\"spec\":{\"weight\":\"1\"}}",
	  "spec.weight: expected a whole number, found a string" },
	{ BINDING, "{" META ",\"spec\":{\"selector\":[\"a\"]}}",
	  "spec.selector: expected a string, found an array" },
	{ BINDING, "{" META ",\"spec\":{\"azureIdentity\":{}}}",
	  "spec.azureIdentity: expected a string, found an object" },
	{ BINDING, "{" META "}", "spec.selector is missing or empty" },
	{ BINDING, "{" META ",\"spec\":null}", "spec.selector is missing or empty" },
	{ BINDING, "{" META ",\"spec\":{\"azureIdentity\":\"a\"}}",
	  "spec.selector is missing or empty" },
	{ BINDING, "{" META ",\"spec\":{\"azureIdentity\":\"a\",\"selector\":\"\"}}",
	  "spec.selector is missing or empty" },
	{ BINDING, "{" META ",\"spec\":{\"selector\":\"s\"}}",
	  "spec.azureIdentity is missing or empty" },
	{ BINDING, "{" META ",\"spec\":{\"selector\":\"s\",\"azureIdentity\":null}}",
	  "spec.azureIdentity is missing or empty" },
	{ EXCEPTION, "{" META "}", "spec.podLabels is missing or empty" },
	{ EXCEPTION, "{" META ",\"spec\":{\"podLabels\":{}}}",
	  "spec.podLabels is missing or empty" },
	{ EXCEPTION, "{" META ",\"spec\":{\"podLabels\":[]}}",
	  "spec.podLabels: expected an object, found an array" },
	{ EXCEPTION, "{" META ",\"spec\":{\"podLabels\":{\"app\":\"x\",\"tier\":1}}}",
	  "spec.podLabels: the value of \"tier\" is not a string" },
	{ ASSIGNMENT, "{" META "}", "spec.azureIdentityRef is missing" },
	{ ASSIGNMENT, "{" META ",\"spec\":{\"azureIdentityRef\":null,\"pod\":\"p\"}}",
	  "spec.azureIdentityRef is missing" },
	{ ASSIGNMENT, "{" META ",\"spec\":{\"azureIdentityRef\":\"web\",\"pod\":\"p\"}}",
	  "spec.azureIdentityRef: expected an object, found a string" },
	{ ASSIGNMENT, "{" META ",\"spec\":{\"azureIdentityRef\":{},\"podNamespace\":\"n\"}}",
	  "spec.pod is missing" },
	{ ASSIGNMENT, "{" META ",\"spec\":{\"azureIdentityRef\":{},\"pod\":\"p\"}}",
	  "spec.podNamespace is missing" },
	{ ASSIGNMENT,
	  "{" META ",\"spec\":{\"azureIdentityRef\":{" META
	  "},\"pod\":\"\",\"podNamespace\":\"n\"}}",
	  "spec.pod is empty" },
	{ ASSIGNMENT,
	  "{" META ",\"spec\":{\"azureIdentityRef\":{" META
	  "},\"pod\":\"p\",\"podNamespace\":\"\"}}",
	  "spec.podNamespace is empty" },
	{ ASSIGNMENT,
	  "{" META ",\"spec\":{\"azureIdentityRef\":{},\"pod\":\"p\",\"podNamespace\":\"n\"}}",
	  "spec.azureIdentityRef: metadata.namespace is missing" },
	{ ASSIGNMENT,
	  "{" META ",\"spec\":{\"azureIdentityRef\":{" META
	  ",\"spec\":{\"type\":\"0\"}},\"pod\":\"p\",\"podNamespace\":\"n\"}}",
	  "spec.azureIdentityRef: spec.type: expected a whole number, found a string" },
	{ ASSIGNMENT, ASSIGNED("\"azureBindingRef\":{" META ",\"spec\":{\"weight\":\"7\"}},", ""),
	  "spec.azureBindingRef: spec.weight: expected a whole number, found a string" },
	{ ASSIGNMENT, ASSIGNED("", ",\"status\":\"Assigned\""), " is not inside an object" },
	{ ASSIGNMENT, ASSIGNED("", ",\"status\":{\"status\":1}"),
	  "status.status: expected a string, found a number" },
};

START_TEST(a_malformed_object_is_refused_with_the_field_named)
{
	struct err ei = { 0 }, eb = { 0 }, ee = { 0 }, ea = { 0 };
	const char *text = malformed[_i].text;

	if (malformed[_i].which & IDENTITY) {
		ck_assert_ptr_null(identity(text, &ei));
		ck_assert_int_eq(ei.kind, ERR_INPUT);
		ck_assert_msg(strstr(ei.msg, malformed[_i].why) != NULL, "%s", ei.msg);
	}
	if (malformed[_i].which & BINDING) {
		ck_assert_ptr_null(binding(text, &eb));
		ck_assert_int_eq(eb.kind, ERR_INPUT);
		ck_assert_msg(strstr(eb.msg, malformed[_i].why) != NULL, "%s", eb.msg);
	}
	if (malformed[_i].which & EXCEPTION) {
		ck_assert_ptr_null(exception(text, &ee));
		ck_assert_int_eq(ee.kind, ERR_INPUT);
		ck_assert_msg(strstr(ee.msg, malformed[_i].why) != NULL, "%s", ee.msg);
	}
	if (malformed[_i].which & ASSIGNMENT) {
		ck_assert_ptr_null(assigned(text, &ea));
		ck_assert_int_eq(ea.kind, ERR_INPUT);
		ck_assert_msg(strstr(ea.msg, malformed[_i].why) != NULL, "%s", ea.msg);
	}
	ck_assert_ptr_null(strstr(ei.msg, "s3cr3t")); /* fields are named, values are not told */
}
END_TEST

START_TEST(an_identity_lives_until_its_last_reference_goes)
{
	struct azure_identity *i = identity(recorded_identity, NULL);
	struct azure_identity *again = azure_identity_ref(i);

	ck_assert_ptr_eq(again, i);
	ck_assert_ptr_null(azure_identity_unref(i));
	ck_assert_str_eq(again->meta.name, "my-pod-identity");
	ck_assert_ptr_null(azure_identity_unref(again));
	ck_assert_ptr_null(azure_identity_unref(NULL));
}
END_TEST

START_TEST(annotation_of_behavior_is_compared_exactly)
{
	static const struct {
		const char *annotations;
		bool namespaced;
	} rows[] = {
		{ "{\"aadpodidentity.k8s.io/Behavior\":\"namespaced\"}", true },
		{ "{\"aadpodidentity.k8s.io/Behavior\":\"Namespaced\"}", false },
		{ "{\"aadpodidentity.k8s.io/behavior\":\"namespaced\"}", false },
		{ "{}", false },
	};

	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		char text[256];

		(void)snprintf(
			text, sizeof(text),
			"{\"metadata\":{\"namespace\":\"n\",\"name\":\"x\",\"annotations\":%s}}",
			rows[k].annotations);
		_cleanup_(azure_identity_unrefp) struct azure_identity *i = identity(text, NULL);

		ck_assert_ptr_nonnull(i);
		ck_assert_int_eq(i->namespaced, rows[k].namespaced);
	}
}
END_TEST

static const struct {
	const char *text, *name;
} names[] = {
	{ "{\"metadata\":{\"namespace\":\"a\",\"name\":\"b\"}}", "a/b" },
	{ "{\"metadata\":{\"namespace\":7,\"name\":\"b\"}}", "?/b" },
	{ "{\"metadata\":[]}", "?/?" },
	{ "[1]", "?/?" },
	{ "{\"metadata\":{\"namespace\":\"a\\nb\",\"name\":\"c\\u0007\"}}", "a\\nb/c\\u0007" },
};

START_TEST(any_object_has_a_name_for_a_log_line)
{
	_cleanup_(jval_freep) struct jval *doc = mk_json(names[_i].text);
	char buf[OBJECT_NAME_MAX], small[4];

	object_name_print(doc, buf, sizeof(buf));
	ck_assert_str_eq(buf, names[_i].name);
	object_name_print(doc, small, sizeof(small));
	ck_assert_uint_lt(strlen(small), sizeof(small));
}
END_TEST

START_TEST(refused_labels_leave_the_output_alone)
{
	_cleanup_(jval_freep) struct jval *doc = mk_json("{\"a\":\"b\",\"c\":[]}");
	struct err err = { 0 };
	size_t size = 7;

	ck_assert_ptr_null(labels_parse(doc, &size, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_uint_eq(size, 7);
}
END_TEST

static const struct {
	const char *json;
	struct str text;
} label_rows[] = {
	{ "{}", STR("\0") },
	{ "{\"a\":\"b\"}", STR("a\0b\0\0") },
	{ "{\"a\":\"\",\"b\":\"c\"}", STR("a\0\0b\0c\0\0") },
	{ "{\"a\":\"b\",\"\":\"c\",\"d\":\"e\"}", STR("a\0b\0d\0e\0\0") }, /* not the end */
};

START_TEST(labels_are_text_that_an_empty_key_ends)
{
	_cleanup_(jval_freep) struct jval *doc = mk_json(label_rows[_i].json);
	size_t size = 0;
	_cleanup_free_ char *labels = labels_parse(doc, &size, NULL);

	ck_assert(str_eq((struct str){ labels, size }, label_rows[_i].text));
	for (const char *l = labels; *l; l = label_next(l))
		ck_assert_ptr_eq(labels_find(labels, l), label_value(l));
	ck_assert_ptr_null(labels_find(labels, ""));
	ck_assert_ptr_null(labels_find(NULL, "a"));
}
END_TEST

#define SOURCE "aadpodidentity.k8s.io/token-source"
#define TENANT "azure.workload.identity/tenant-id"

static const struct {
	const char *annotations, *spec;
	bool federated;
	const char *tenant, *flaw; /* "" none */
} sources[] = {
	{ "", "\"type\":3,\"tenantID\":\"t\"", true, "t", "" },
	{ "", "\"type\":0", false, "", "" },
	{ "\"" SOURCE "\":\"federation\"", "\"type\":0,\"tenantID\":\"t\"", true, "t", "" },
	{ "\"" SOURCE "\":\"federation\",\"" TENANT "\":\"u\"", "\"type\":0", true, "u", "" },
	{ "\"" SOURCE "\":\"federation\",\"" TENANT "\":\"u\"", "\"tenantID\":\"t\"", true, "t",
	  "" },
	{ "\"" TENANT "\":\"u\"", "\"type\":0", false, "", "" },
	{ "\"" TENANT "\":\"u\"", "\"type\":3", true, "u", "" },
	{ "\"" SOURCE "\":\"Federation\"", "\"type\":0", false, "", "can only be federation" },
	{ "\"" SOURCE "\":\"imds\"", "\"type\":0", false, "", "is \"imds\"" },
	{ "\"" SOURCE "\":\"\"", "\"type\":0", false, "", SOURCE },
	{ "\"" SOURCE "\":\"federation\"", "\"type\":1", false, "", "of type 1" },
	{ "\"" SOURCE "\":\"federation\"", "\"type\":3", true, "", "" },
	/* of what is for a ServiceAccount nothing is read but the tenant */
	{ "\"azure.workload.identity/client-id\":7", "\"type\":3", true, "", "" },
};

START_TEST(an_annotation_moves_an_identity_to_federation)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = NULL;
	char text[512];

	(void)snprintf(text, sizeof(text),
		       "{\"metadata\":{\"namespace\":\"n\",\"name\":\"x\",\"annotations\":{%s}},"
		       "\"spec\":{%s}}",
		       sources[_i].annotations, sources[_i].spec);
	i = identity(text, NULL);
	ck_assert_ptr_nonnull(i);
	if (*sources[_i].flaw) {
		ck_assert_msg(strstr(i->flaw, sources[_i].flaw) != NULL, "%s", i->flaw);
		return;
	}
	ck_assert_str_eq(i->flaw, "");
	ck_assert_int_eq(i->federated, sources[_i].federated);
	ck_assert_str_eq(i->tenant_id, sources[_i].tenant);
}
END_TEST

static const struct {
	const char *list;
	size_t n;
	const char *flaw;
} tenants[] = {
	{ "null", 0, "" },
	{ "[]", 0, "" },
	{ "[\"a\"]", 1, "" },
	{ "[\"a\",\"b\",\"c\"]", 3, "" },
	{ "[\"a\",\"b\",\"c\",\"d\"]", 0, "names 4 tenants; at most 3" },
	{ "[\"a\",\"\"]", 0, "entry 2 is no tenant id" },
	{ "[7]", 0, "entry 1 is no tenant id" },
};

START_TEST(up_to_three_auxiliary_tenants_are_read)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = NULL;
	char text[256];

	(void)snprintf(text, sizeof(text), "{" META ",\"spec\":{\"AuxiliaryTenantIDs\":%s}}",
		       tenants[_i].list);
	i = identity(text, NULL);
	ck_assert_ptr_nonnull(i);
	if (*tenants[_i].flaw) {
		ck_assert_msg(strstr(i->flaw, tenants[_i].flaw) != NULL, "%s", i->flaw);
		return;
	}
	ck_assert_str_eq(i->flaw, "");
	ck_assert_uint_eq(i->n_aux_tenants, tenants[_i].n);
	ck_assert_str_eq(i->aux_tenants[0], tenants[_i].n ? "a" : "");
	ck_assert_str_eq(i->aux_tenants[2], tenants[_i].n == 3 ? "c" : "");
}
END_TEST

#define NOTE   AZURE_CLIENT_NOTE
#define CLIENT "11111111-aaaa-4000-8000-00000000000a"

static const struct {
	const char *annotations; /* of the ServiceAccount */
	const char *client;	 /* NULL: it names none */
	const char *tenant, *flaw;
} accounts[] = {
	{ "\"" NOTE "\":\"" CLIENT "\"", CLIENT, "", "" },
	{ "\"" NOTE "\":\"" CLIENT "\",\"" TENANT "\":\"t\"", CLIENT, "t", "" },
	{ "\"" NOTE "\":\"ABCDEF00-0000-0000-0000-000000000000\"",
	  "ABCDEF00-0000-0000-0000-000000000000", "", "" },
	{ "", NULL, NULL, NULL },
	{ "\"" TENANT "\":\"t\"", NULL, NULL, NULL },
	{ "\"azure.workload.identity/Client-id\":\"" CLIENT "\"", NULL, NULL, NULL },
	/* of what is for an AzureIdentity nothing is read */
	{ "\"" NOTE "\":\"" CLIENT "\",\"" SOURCE "\":7", CLIENT, "", "" },
	{ "\"" NOTE "\":\"web\"", "web", "", "annotation " NOTE " is \"web\", which is no GUID" },
	{ "\"" NOTE "\":\"\"", "", "", "annotation " NOTE " is \"\", which is no GUID: set it to" },
	{ "\"" NOTE "\":\" " CLIENT "\"", " " CLIENT, "", "is no GUID" },
	{ "\"" NOTE "\":\"a\\nb\"", "a\nb", "", "is \"a\\nb\"" },
};

START_TEST(annotations_of_an_account_are_an_identity)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = NULL;
	_cleanup_(jval_freep) struct jval *doc = NULL;
	char text[512];

	(void)snprintf(text, sizeof(text),
		       "{\"kind\":\"PartialObjectMetadata\",\"metadata\":{\"namespace\":\"n\","
		       "\"name\":\"x\",\"uid\":\"u\",\"annotations\":{%s}}}",
		       accounts[_i].annotations);
	doc = mk_json(text);
	ck_assert_int_eq(azure_identity_parse_account(doc, &i, NULL), 0);
	ck_assert_int_eq(i != NULL, accounts[_i].client != NULL);
	if (!i)
		return;
	ck_assert_str_eq(i->meta.namespace, "n");
	ck_assert_str_eq(i->meta.name, "x");
	ck_assert_str_eq(i->client_id, accounts[_i].client);
	ck_assert_str_eq(i->tenant_id, accounts[_i].tenant);
	ck_assert(i->federated && i->of_account && i->type == AZURE_IDENTITY_FEDERATED);
	ck_assert_str_eq(azure_identity_kind(i), "ServiceAccount");
	ck_assert_msg(strstr(i->flaw, accounts[_i].flaw) != NULL, "%s", i->flaw);
	ck_assert_int_eq(*i->flaw == '\0', *accounts[_i].flaw == '\0');
	ck_assert_str_eq(i->resource_id, "");
}
END_TEST

static const struct {
	const char *key, *flaw;
} long_notes[] = { { NOTE, "no GUID" }, { TENANT, "too long to be a tenant" } };

START_TEST(what_is_too_long_in_an_account_is_not_kept)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = NULL;
	_cleanup_(jval_freep) struct jval *doc = NULL;
	_cleanup_free_ char *text = NULL, *fill = xcalloc(1, 200001);
	const bool is_client = _i == 0;

	memset(fill, 'a', 200000);
	text = xasprintf("{\"metadata\":{\"namespace\":\"n\",\"name\":\"x\",\"annotations\":"
			 "{%s\"%s\":\"%s\"}}}",
			 is_client ? "" : "\"" NOTE "\":\"" CLIENT "\",", long_notes[_i].key, fill);
	doc = mk_json(text);
	ck_assert_int_eq(azure_identity_parse_account(doc, &i, NULL), 0);
	ck_assert_ptr_nonnull(i);
	ck_assert_str_eq(is_client ? i->client_id : i->tenant_id, "");
	ck_assert_msg(strstr(i->flaw, long_notes[_i].flaw) != NULL, "%s", i->flaw);
	ck_assert_uint_lt(strlen(i->flaw), ERR_MSG_MAX);
}
END_TEST

static const struct {
	const char *text, *why;
} bad_accounts[] = {
	{ "{\"metadata\":{\"name\":\"x\"}}", "metadata.namespace" },
	{ "{\"metadata\":{\"namespace\":\"n\",\"name\":\"\"}}", "metadata.name" },
	{ "{\"metadata\":{\"namespace\":\"n\",\"name\":\"x\",\"annotations\":[]}}",
	  "metadata.annotations" },
	{ "{\"metadata\":{\"namespace\":\"n\",\"name\":\"x\",\"annotations\":{\"" NOTE "\":7}}}",
	  "metadata.annotations: " NOTE " is not a string" },
	{ "{\"metadata\":{\"namespace\":\"n\",\"name\":\"x\",\"annotations\":{\"" TENANT
	  "\":false}}}",
	  "metadata.annotations: " TENANT " is not a string" },
};

START_TEST(a_malformed_account_is_refused_and_leaves_the_output_alone)
{
	_cleanup_(jval_freep) struct jval *doc = mk_json(bad_accounts[_i].text);
	struct azure_identity *out = (void *)0x1;
	struct err err = { 0 };

	ck_assert_int_eq(azure_identity_parse_account(doc, &out, &err), -ERR_INPUT);
	ck_assert_ptr_eq(out, (void *)0x1);
	ck_assert_msg(strstr(err.msg, bad_accounts[_i].why) != NULL, "%s", err.msg);
}
END_TEST

UNIT_MAIN("crd", UNIT(a_recorded_identity_is_read), UNIT(a_recorded_service_principal_is_read),
	  UNIT(a_recorded_binding_is_read), UNIT(a_recorded_exception_is_read),
	  UNIT_LOOP(field_names_of_an_identity_are_read_in_any_case, old_spellings),
	  UNIT(field_names_of_a_binding_and_an_exception_are_read_in_any_case),
	  UNIT(absent_and_null_fields_of_an_identity_are_empty),
	  UNIT(a_recorded_assigned_identity_is_read), UNIT(an_assigned_identity_of_old_is_read),
	  UNIT_LOOP(a_state_is_read_exactly_and_an_unknown_one_is_none_of_ours, states),
	  UNIT(an_assigned_identity_without_a_binding_is_one_all_the_same),
	  UNIT_LOOP(a_malformed_object_is_refused_with_the_field_named, malformed),
	  UNIT(an_identity_lives_until_its_last_reference_goes),
	  UNIT(annotation_of_behavior_is_compared_exactly),
	  UNIT_LOOP(an_annotation_moves_an_identity_to_federation, sources),
	  UNIT_LOOP(up_to_three_auxiliary_tenants_are_read, tenants),
	  UNIT_LOOP(annotations_of_an_account_are_an_identity, accounts),
	  UNIT_LOOP(what_is_too_long_in_an_account_is_not_kept, long_notes),
	  UNIT_LOOP(a_malformed_account_is_refused_and_leaves_the_output_alone, bad_accounts),
	  UNIT_LOOP(any_object_has_a_name_for_a_log_line, names),
	  UNIT(refused_labels_leave_the_output_alone),
	  UNIT_LOOP(labels_are_text_that_an_empty_key_ends, label_rows))
