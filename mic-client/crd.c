/* SPDX-License-Identifier: MIT */

/*
 * The custom resources of aadpodidentity.k8s.io/v1, decoded: see crd.h.
 *
 * An object and its strings are one block of memory: there can be a hundred thousand of them, and a
 * block for each string would cost more than the strings.
 */

#include "mic-client/crd.h"

#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Key and value are compared exactly, as the old agent does. */
#define BEHAVIOR_KEY	"aadpodidentity.k8s.io/Behavior"
#define BEHAVIOR_SPACED "namespaced"
/* Ours: one identity at a time moves from IMDS to federation, and back. */
#define SOURCE_KEY	  "aadpodidentity.k8s.io/token-source"
#define SOURCE_FEDERATION "federation"
/* A domain has 253 characters at most (RFC 1035, 2.3.4), a GUID 36. */
#define ACCOUNT_NOTE_MAX 253

/* A string on its way into the block: where its pointer goes, and the text; NULL counts as "". */
struct part {
	size_t offset;
	const char *text;
};

#define PART(type, member, text)                                                                   \
	{                                                                                          \
		offsetof(struct type, member), (text)                                              \
	}

static void *pack(size_t size, const struct part *parts, size_t n)
{
	size_t total = size;
	char *block, *at;

	for (size_t i = 0; i < n; i++)
		total += str_of(parts[i].text).n + 1;
	block = xcalloc(1, total);
	at = block + size;
	for (size_t i = 0; i < n; i++) {
		struct str s = str_of(parts[i].text);

		if (s.n)
			memcpy(at, s.p, s.n);
		memcpy(block + parts[i].offset, &at, sizeof(at));
		at += s.n + 1;
	}
	return block;
}

/* metadata, as strict as the API server itself: an object without a name cannot be told apart */
static int read_meta(const struct jval *obj, struct object_id *out, struct err *err)
{
	const struct jval_field fields[] = {
		{ "metadata.namespace", JVAL_STR, JVAL_MUST, &out->namespace },
		{ "metadata.name", JVAL_STR, JVAL_MUST, &out->name },
		{ "metadata.uid", JVAL_STR, JVAL_MAY, &out->uid },
		{ "metadata.resourceVersion", JVAL_STR, JVAL_MAY, &out->resource_version },
	};
	int r = jval_read(obj, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err);

	if (r < 0)
		return r;
	if (!*out->namespace)
		return err_set(err, ERR_INPUT, "metadata.namespace is empty");
	if (!*out->name)
		return err_set(err, ERR_INPUT, "metadata.name is empty");
	return 0;
}

/* What annotations say; the texts are borrowed, NULL where they are absent or not asked for. */
struct annotations {
	const char *behavior, *source, *client, *tenant;
};

struct annotation {
	const char *key;
	const char **out;
};

static int read_annotations(const struct jval *obj, const struct annotation *what, size_t n,
			    struct err *err)
{
	const struct jval *map = NULL, *v;
	const struct jval_field fields[] = {
		{ "metadata.annotations", JVAL_OBJ, JVAL_MAY, &map },
	};
	int r = jval_read(obj, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err);

	for (size_t i = 0; r == 0 && map && i < n; i++) {
		v = jval_get(map, what[i].key);
		*what[i].out = v ? jval_as_str(v) : NULL;
		if (v && !*what[i].out)
			r = err_set(err, ERR_INPUT, "metadata.annotations: %s is not a string",
				    what[i].key);
	}
	return r;
}

/*
 * A word that is not understood must not mean "as before": whoever wrote it believes that the managed
 * identity is no longer asked for.
 */
static int read_source(int64_t type, const char *source, bool *out_federated, struct err *err)
{
	*out_federated = type == AZURE_IDENTITY_FEDERATED;
	if (!source)
		return 0;
	if (strcmp(source, SOURCE_FEDERATION) != 0)
		return err_set(err, ERR_INPUT, "metadata.annotations: %s is %s, and can only be %s",
			       SOURCE_KEY, LOG_Q(source), SOURCE_FEDERATION);
	if (type != AZURE_IDENTITY_USER_ASSIGNED && type != AZURE_IDENTITY_FEDERATED)
		return err_set(
			err, ERR_INPUT,
			"metadata.annotations: %s is for identities of spec.type 0, and this "
			"one is of type %" PRId64,
			SOURCE_KEY, type);
	*out_federated = true;
	return 0;
}

static int read_aux_tenants(const struct jval *list, const char **out, size_t *out_n,
			    struct err *err)
{
	const char *all[AZURE_AUX_TENANTS_MAX] = { 0 };
	size_t n = list ? jval_len(list) : 0;

	if (n > AZURE_AUX_TENANTS_MAX)
		return err_set(err, ERR_INPUT,
			       "spec.auxiliaryTenantIDs names %zu tenants; at most %d are possible",
			       n, AZURE_AUX_TENANTS_MAX);
	for (size_t i = 0; i < n; i++) {
		all[i] = jval_as_str(jval_at(list, i));
		if (!all[i] || !*all[i])
			return err_set(err, ERR_INPUT,
				       "spec.auxiliaryTenantIDs: entry %zu is no tenant id", i + 1);
	}
	memcpy(out, all, sizeof(all));
	*out_n = n;
	return 0;
}

/* identities */

/* What spec and annotations say; the texts are borrowed. */
struct identity_fields {
	const char *client, *resource, *tenant, *endpoint, *secret, *secret_ns;
	const char *aux[AZURE_AUX_TENANTS_MAX];
	size_t n_aux;
	int64_t type;
	bool namespaced, federated, of_account;
	struct err flaw; /* of what is no malformed object, but cannot be served */
};

static int read_identity(const struct jval *obj, struct identity_fields *f, struct err *err)
{
	const struct jval *aux = NULL;
	struct annotations notes = { 0 };
	const struct jval_field fields[] = {
		{ "spec.type", JVAL_INT, JVAL_MAY, &f->type },
		{ "spec.clientID", JVAL_STR, JVAL_MAY, &f->client },
		{ "spec.resourceID", JVAL_STR, JVAL_MAY, &f->resource },
		{ "spec.tenantID", JVAL_STR, JVAL_MAY, &f->tenant },
		{ "spec.auxiliaryTenantIDs", JVAL_ARR, JVAL_MAY, &aux },
		{ "spec.adEndpoint", JVAL_STR, JVAL_MAY, &f->endpoint },
		{ "spec.clientPassword.name", JVAL_STR, JVAL_MAY, &f->secret },
		{ "spec.clientPassword.namespace", JVAL_STR, JVAL_MAY, &f->secret_ns },
	};
	const struct annotation its[] = {
		{ BEHAVIOR_KEY, &notes.behavior },
		{ SOURCE_KEY, &notes.source },
		{ AZURE_TENANT_NOTE, &notes.tenant },
	};
	int r = read_annotations(obj, its, ARRAY_SIZE(its), err);

	if (r == 0)
		r = jval_read(obj, fields, ARRAY_SIZE(fields), JVAL_CASE_IGNORED, err);
	if (r < 0)
		return r;
	if (read_aux_tenants(aux, f->aux, &f->n_aux, &f->flaw) == 0)
		(void)read_source(f->type, notes.source, &f->federated, &f->flaw);
	f->namespaced = notes.behavior && strcmp(notes.behavior, BEHAVIOR_SPACED) == 0;
	/* as the workload identity webhook names it, for identities that never had a tenant */
	if (f->federated && (!f->tenant || !*f->tenant))
		f->tenant = notes.tenant;
	return 0;
}

static struct azure_identity *identity_new(const struct object_id *id,
					   const struct identity_fields *f)
{
	const struct part parts[] = {
		PART(azure_identity, meta.namespace, id->namespace),
		PART(azure_identity, meta.name, id->name),
		PART(azure_identity, meta.uid, id->uid),
		PART(azure_identity, meta.resource_version, id->resource_version),
		PART(azure_identity, client_id, f->client),
		PART(azure_identity, resource_id, f->resource),
		PART(azure_identity, tenant_id, f->tenant),
		PART(azure_identity, ad_endpoint, f->endpoint),
		PART(azure_identity, secret_name, f->secret),
		PART(azure_identity, secret_namespace, f->secret_ns),
		PART(azure_identity, flaw, f->flaw.msg),
		PART(azure_identity, aux_tenants[0], f->aux[0]),
		PART(azure_identity, aux_tenants[1], f->aux[1]),
		PART(azure_identity, aux_tenants[2], f->aux[2]),
	};
	static_assert(AZURE_AUX_TENANTS_MAX == 3, "one row each above");
	struct azure_identity *i = pack(sizeof(*i), parts, ARRAY_SIZE(parts));

	i->refs = 1;
	i->type = f->type;
	i->n_aux_tenants = f->n_aux;
	i->namespaced = f->namespaced;
	i->federated = f->federated;
	i->of_account = f->of_account;
	return i;
}

struct azure_identity *azure_identity_parse(const struct jval *obj, struct err *err)
{
	struct identity_fields f = { .type = AZURE_IDENTITY_USER_ASSIGNED };
	struct object_id id = { 0 };

	if (read_meta(obj, &id, err) < 0 || read_identity(obj, &f, err) < 0)
		return NULL;
	return identity_new(&id, &f);
}

/*
 * A text that can be no client id and no tenant is not kept: an account's annotations may have 256 KiB, and
 * whoever may edit accounts in one namespace would fill the memory of the agents of all nodes.
 */
static const char *kept(const char *text)
{
	return text && strlen(text) <= ACCOUNT_NOTE_MAX ? text : "";
}

/* An id that Entra cannot know is told by us: Entra would call it an application that does not exist. */
int azure_identity_parse_account(const struct jval *obj, struct azure_identity **out,
				 struct err *err)
{
	struct annotations notes = { 0 };
	struct object_id id = { 0 };
	struct identity_fields f = { .type = AZURE_IDENTITY_FEDERATED,
				     .federated = true,
				     .of_account = true };
	const struct annotation its[] = {
		{ AZURE_CLIENT_NOTE, &notes.client },
		{ AZURE_TENANT_NOTE, &notes.tenant },
	};
	int r = read_meta(obj, &id, err);

	if (r == 0)
		r = read_annotations(obj, its, ARRAY_SIZE(its), err);
	if (r < 0)
		return r;
	f.client = kept(notes.client);
	f.tenant = kept(notes.tenant);
	if (notes.tenant && strlen(notes.tenant) > ACCOUNT_NOTE_MAX)
		(void)err_set(&f.flaw, ERR_INPUT,
			      "annotation " AZURE_TENANT_NOTE " is too long to be a tenant: set it "
			      "to the tenant's GUID or domain");
	if (notes.client && !str_is_guid(str_of(notes.client)))
		(void)err_set(&f.flaw, ERR_INPUT,
			      "annotation " AZURE_CLIENT_NOTE " is %s, which is no GUID: set it to "
			      "the client id of the application or managed identity",
			      LOG_Q(notes.client));
	*out = notes.client ? identity_new(&id, &f) : NULL;
	return 0;
}

const char *azure_identity_kind(const struct azure_identity *i)
{
	return i->of_account ? "ServiceAccount" : "AzureIdentity";
}

struct azure_identity *azure_identity_ref(const struct azure_identity *i)
{
	struct azure_identity *same = (void *)(uintptr_t)i; /* the count is not part of its value */

	same->refs++;
	return same;
}

struct azure_identity *azure_identity_unref(struct azure_identity *i)
{
	if (i && --i->refs == 0)
		free(i);
	return NULL;
}

/* bindings */

struct azure_binding *azure_binding_unref(struct azure_binding *b)
{
	if (b && --b->refs == 0)
		free(b);
	return NULL;
}

static struct azure_binding *binding_read(const struct jval *obj, struct err *err)
{
	struct object_id id = { 0 };
	const char *identity = NULL, *selector = NULL;
	int64_t weight = 0;
	const struct jval_field fields[] = {
		{ "spec.azureIdentity", JVAL_STR, JVAL_MAY, &identity },
		{ "spec.selector", JVAL_STR, JVAL_MAY, &selector },
		{ "spec.weight", JVAL_INT, JVAL_MAY, &weight },
	};
	struct azure_binding *b;

	if (read_meta(obj, &id, err) < 0 ||
	    jval_read(obj, fields, ARRAY_SIZE(fields), JVAL_CASE_IGNORED, err) < 0)
		return NULL;
	const struct part parts[] = {
		PART(azure_binding, meta.namespace, id.namespace),
		PART(azure_binding, meta.name, id.name),
		PART(azure_binding, meta.uid, id.uid),
		PART(azure_binding, meta.resource_version, id.resource_version),
		PART(azure_binding, azure_identity, identity),
		PART(azure_binding, selector, selector),
	};
	b = pack(sizeof(*b), parts, ARRAY_SIZE(parts));
	b->refs = 1;
	b->weight = weight;
	return b;
}

/* A schema may leave out what a binding cannot do without: whoever wrote it is waiting for it to work. */
struct azure_binding *azure_binding_parse(const struct jval *obj, struct err *err)
{
	struct azure_binding *b = binding_read(obj, err);

	if (!b || (*b->selector && *b->azure_identity))
		return b;
	(void)err_set(err, ERR_INPUT, "spec.%s is missing or empty",
		      *b->selector ? "azureIdentity" : "selector");
	return azure_binding_unref(b);
}

/* exceptions */

struct azure_exception *azure_exception_parse(const struct jval *obj, struct err *err)
{
	struct object_id id = { 0 };
	const struct jval *map = NULL;
	_cleanup_free_ char *labels = NULL;
	size_t size;
	const struct jval_field fields[] = {
		{ "spec.podLabels", JVAL_OBJ, JVAL_MAY, &map },
	};
	struct azure_exception *e;

	if (read_meta(obj, &id, err) < 0 ||
	    jval_read(obj, fields, ARRAY_SIZE(fields), JVAL_CASE_IGNORED, err) < 0)
		return NULL;
	labels = labels_parse(map, &size, err);
	if (!labels) {
		(void)err_wrap(err, "spec.podLabels");
		return NULL;
	}
	if (!*labels) {
		(void)err_set(err, ERR_INPUT, "spec.podLabels is missing or empty");
		return NULL;
	}
	const struct part parts[] = {
		PART(azure_exception, meta.namespace, id.namespace),
		PART(azure_exception, meta.name, id.name),
		PART(azure_exception, meta.uid, id.uid),
		PART(azure_exception, meta.resource_version, id.resource_version),
	};
	e = pack(sizeof(*e), parts, ARRAY_SIZE(parts));
	e->refs = 1;
	e->labels = steal_ptr(labels);
	return e;
}

struct azure_exception *azure_exception_unref(struct azure_exception *e)
{
	if (e && --e->refs == 0) {
		free(e->labels);
		free(e);
	}
	return NULL;
}

/* assigned identities */

static enum assigned_state read_state(const char *text)
{
	static const char *const names[] = {
		[ASSIGNED_UNTOLD] = "",
		[ASSIGNED_CREATED] = "Created",
		[ASSIGNED_READY] = "Assigned",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0)
			return i;
	}
	return ASSIGNED_OTHER;
}

/*
 * The objects inside say what kind they are by the name of a Go type ("v1.AzureIdentity"), so nobody
 * looks. Without a binding an old controller wrote an empty object, which is the same as none.
 */
static int read_refs(const struct jval *identity, const struct jval *binding,
		     struct azure_identity **out_identity, struct azure_binding **out_binding,
		     struct err *err)
{
	struct object_id id;

	object_id_read(binding, &id);
	if (*id.name) {
		*out_binding = binding_read(binding, err); /* as the controller copied it */
		if (!*out_binding)
			return err_wrap(err, "spec.azureBindingRef");
	}
	*out_identity = azure_identity_parse(identity, err);
	return *out_identity ? 0 : err_wrap(err, "spec.azureIdentityRef");
}

struct azure_assigned_identity *azure_assigned_identity_parse(const struct jval *obj,
							      struct err *err)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *identity = NULL;
	_cleanup_(azure_binding_unrefp) struct azure_binding *binding = NULL;
	const struct jval *identity_ref = NULL, *binding_ref = NULL;
	const char *pod = NULL, *pod_namespace = NULL, *state = "";
	struct object_id id = { 0 };
	const struct jval_field fields[] = {
		{ "spec.azureIdentityRef", JVAL_OBJ, JVAL_MUST, &identity_ref },
		{ "spec.azureBindingRef", JVAL_OBJ, JVAL_MAY, &binding_ref },
		{ "spec.pod", JVAL_STR, JVAL_MUST, &pod },
		{ "spec.podNamespace", JVAL_STR, JVAL_MUST, &pod_namespace },
		{ "status.status", JVAL_STR, JVAL_MAY, &state },
	};
	struct azure_assigned_identity *a;

	if (read_meta(obj, &id, err) < 0 ||
	    jval_read(obj, fields, ARRAY_SIZE(fields), JVAL_CASE_IGNORED, err) < 0)
		return NULL;
	if (!*pod || !*pod_namespace) {
		(void)err_set(err, ERR_INPUT, "spec.%s is empty", *pod ? "podNamespace" : "pod");
		return NULL;
	}
	if (read_refs(identity_ref, binding_ref, &identity, &binding, err) < 0)
		return NULL;
	const struct part parts[] = {
		PART(azure_assigned_identity, meta.namespace, id.namespace),
		PART(azure_assigned_identity, meta.name, id.name),
		PART(azure_assigned_identity, meta.uid, id.uid),
		PART(azure_assigned_identity, meta.resource_version, id.resource_version),
		PART(azure_assigned_identity, pod, pod),
		PART(azure_assigned_identity, pod_namespace, pod_namespace),
	};
	a = pack(sizeof(*a), parts, ARRAY_SIZE(parts));
	a->refs = 1;
	a->identity = steal_ptr(identity);
	a->binding = steal_ptr(binding);
	a->state = read_state(state);
	return a;
}

struct azure_assigned_identity *azure_assigned_identity_unref(struct azure_assigned_identity *a)
{
	if (a && --a->refs == 0) {
		(void)azure_identity_unref(a->identity);
		(void)azure_binding_unref(a->binding);
		free(a);
	}
	return NULL;
}

/* of any object */

static const char *meta_string(const struct jval *meta, const char *key)
{
	const struct jval *v = meta ? jval_get(meta, key) : NULL;
	const char *s = v ? jval_as_str(v) : NULL;

	return s ? s : "";
}

void object_id_read(const struct jval *obj, struct object_id *out)
{
	const struct jval *meta = obj ? jval_get(obj, "metadata") : NULL;

	out->namespace = meta_string(meta, "namespace");
	out->name = meta_string(meta, "name");
	out->uid = meta_string(meta, "uid");
	out->resource_version = meta_string(meta, "resourceVersion");
}

void object_name_print(const struct jval *obj, char *buf, size_t size)
{
	struct object_id id;
	size_t n;

	object_id_read(obj, &id);
	n = str_escape(buf, size, str_of(*id.namespace ? id.namespace : "?"));
	if (n + 1 >= size)
		return;
	buf[n++] = '/';
	(void)str_escape(buf + n, size - n, str_of(*id.name ? id.name : "?"));
}

/* labels */

struct label_walk {
	size_t size;
	char *to; /* NULL: count only */
	struct err *err;
};

static void label_put(struct label_walk *w, const char *s)
{
	size_t size = strlen(s) + 1;

	if (w->to)
		memcpy(w->to + w->size, s, size);
	w->size += size;
}

static int label_visit(void *ctx, const char *key, const struct jval *v)
{
	struct label_walk *w = ctx;
	const char *value = jval_as_str(v);

	if (!value)
		return err_set(w->err, ERR_INPUT, "the value of %s is not a string", LOG_Q(key));
	if (!*key)
		return 0;
	label_put(w, key);
	label_put(w, value);
	return 0;
}

char *labels_parse(const struct jval *map, size_t *size, struct err *err)
{
	struct label_walk w = { .err = err };

	if (map && jval_each(map, label_visit, &w) < 0)
		return NULL;
	w.to = xcalloc(1, w.size + 1);
	w.size = 0;
	if (map)
		(void)jval_each(map, label_visit, &w); /* it was seen whole a moment ago */
	*size = w.size + 1;
	return w.to;
}

const char *label_value(const char *label)
{
	return label + strlen(label) + 1;
}

const char *label_next(const char *label)
{
	const char *value = label_value(label);

	return value + strlen(value) + 1;
}

const char *labels_find(const char *labels, const char *key)
{
	for (const char *l = labels; l && *l; l = label_next(l)) {
		if (strcmp(l, key) == 0)
			return label_value(l);
	}
	return NULL;
}
