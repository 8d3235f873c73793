/* SPDX-License-Identifier: MIT */

/* The custom resources: whatever is accepted keeps what crd.h promises; what is refused says why. */

#include "lib/base/jval.h"
#include "lib/base/str.h"
#include "mic-client/crd.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void require(int holds)
{
	if (!holds)
		abort();
}

static void require_meta(const struct object_meta *m)
{
	require(*m->namespace && *m->name && m->uid && m->resource_version);
}

static void require_refusal(const struct err *err)
{
	require(err->kind == ERR_INPUT && err->msg[0]);
}

static void try_identity(const struct jval *doc)
{
	struct err err = { 0 };
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = azure_identity_parse(doc, &err);

	if (!i) {
		require_refusal(&err);
		return;
	}
	require(err.kind == ERR_NONE);
	require_meta(&i->meta);
	require(i->client_id && i->resource_id && i->tenant_id && i->ad_endpoint);
	require(i->secret_name && i->secret_namespace && i->refs == 1);
	require(i->n_aux_tenants <= AZURE_AUX_TENANTS_MAX);
	for (size_t k = 0; k < AZURE_AUX_TENANTS_MAX; k++)
		require(i->aux_tenants[k] && (!*i->aux_tenants[k] || k < i->n_aux_tenants));
	/* what cannot be served is not taken for something else */
	require(*i->flaw || !i->federated || i->type == 0 || i->type == AZURE_IDENTITY_FEDERATED);
	require(*i->flaw || i->type != AZURE_IDENTITY_FEDERATED || i->federated);
}

static void try_account(const struct jval *doc)
{
	struct azure_identity untouched = { 0 }, *out = &untouched;
	struct err err = { 0 };

	if (azure_identity_parse_account(doc, &out, &err) < 0) {
		require_refusal(&err);
		require(out == &untouched);
		return;
	}
	require(err.kind == ERR_NONE);
	if (!out)
		return;
	require_meta(&out->meta);
	require(out->federated && out->of_account && out->type == AZURE_IDENTITY_FEDERATED);
	require(out->tenant_id && out->refs == 1 && !out->n_aux_tenants);
	require(!*out->resource_id && !*out->ad_endpoint && !*out->secret_name);
	/* what Entra is asked with is a GUID, or nothing is asked */
	require(*out->flaw || strlen(out->client_id) == STR_GUID_LEN);
	(void)azure_identity_unref(out);
}

static void try_binding(const struct jval *doc)
{
	struct err err = { 0 };
	_cleanup_(azure_binding_unrefp) struct azure_binding *b = azure_binding_parse(doc, &err);

	if (!b) {
		require_refusal(&err);
		return;
	}
	require_meta(&b->meta);
	require(b->azure_identity && b->selector && b->refs == 1);
}

static void try_exception(const struct jval *doc)
{
	struct err err = { 0 };
	_cleanup_(azure_exception_unrefp) struct azure_exception *e = azure_exception_parse(doc,
											    &err);

	if (!e) {
		require_refusal(&err);
		return;
	}
	require_meta(&e->meta);
	require(*e->labels);
	for (const char *l = e->labels; *l; l = label_next(l))
		require(labels_find(e->labels, l) == label_value(l)); /* keys are unique */
}

static void try_assigned(const struct jval *doc)
{
	struct err err = { 0 };
	_cleanup_(azure_assigned_identity_unrefp) struct azure_assigned_identity *a =
		azure_assigned_identity_parse(doc, &err);

	if (!a) {
		require_refusal(&err);
		return;
	}
	require(err.kind == ERR_NONE);
	require_meta(&a->meta);
	require(*a->pod && *a->pod_namespace && a->refs == 1);
	require(a->state <= ASSIGNED_OTHER);
	require(a->identity && a->identity->refs == 1);
	require_meta(&a->identity->meta);
	if (a->binding)
		require_meta(&a->binding->meta);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse((const char *)data, size, 1 << 20,
							    NULL);
	char name[64];

	if (!doc)
		return 0;
	try_identity(doc);
	try_account(doc);
	try_binding(doc);
	try_exception(doc);
	try_assigned(doc);
	object_name_print(doc, name, sizeof(name));
	for (const char *p = name; *p; p++)
		require(*p >= 0x20 && *p < 0x7f);
	return 0;
}
