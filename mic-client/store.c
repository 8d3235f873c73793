/* SPDX-License-Identifier: MIT */

/*
 * The identity objects, kept in step with the API server: see store.h.
 *
 * A malformed object is dropped, also where an earlier version of it was well. A binding that was
 * changed into something unreadable was changed for a reason, perhaps to take an identity away; to go
 * on granting by the old one would be to fail open. The same holds for an exception.
 *
 * ServiceAccounts are watched beside the rest, and only where they are to count. Most name no identity, so
 * of those nothing is kept; and of all of them the API server sends the metadata alone.
 */

#include "mic-client/store.h"

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/kube/reflector.h"
#include "lib/loop/loop.h"
#include "mic-client/crd.h"
#include "mic-client/index.h"
#include "mic-client/rejects.h"

#define PATH "/apis/aadpodidentity.k8s.io/v1/"

struct feed {
	struct identity_store *store;
	enum identity_kind kind;
	struct reflector *reflector;
	struct rejects rejects;
	bool is_refused; /* the API server does not let us, and that was logged */
};

struct identity_store {
	struct loop *loop;
	struct identity_index *index;
	struct feed feeds[IDENTITY_KINDS]; /* those of the mode, then the accounts, if they count */
	unsigned n_feeds;
	char *on_node; /* label selector, or NULL */
	struct kube_client *client;
	struct loop_defer change; /* many changes of one turn are told once */
	void (*on_change)(void *ctx);
	void *on_change_ctx;
};

/* kinds: false with err when the object is malformed */

static bool put_identity(struct identity_index *x, const struct jval *obj, struct err *err)
{
	struct azure_identity *i = azure_identity_parse(obj, err);

	if (i)
		identity_index_put_identity_take(x, i);
	return i;
}

static bool put_binding(struct identity_index *x, const struct jval *obj, struct err *err)
{
	struct azure_binding *b = azure_binding_parse(obj, err);

	if (b)
		identity_index_put_binding_take(x, b);
	return b;
}

static bool put_exception(struct identity_index *x, const struct jval *obj, struct err *err)
{
	struct azure_exception *e = azure_exception_parse(obj, err);

	if (e)
		identity_index_put_exception_take(x, e);
	return e;
}

static bool put_assigned(struct identity_index *x, const struct jval *obj, struct err *err)
{
	struct azure_assigned_identity *a = azure_assigned_identity_parse(obj, err);

	if (a)
		identity_index_put_assigned_take(x, a);
	return a;
}

static bool put_account(struct identity_index *x, const struct jval *obj, struct err *err)
{
	struct azure_identity *i = NULL;
	struct object_id id;

	if (azure_identity_parse_account(obj, &i, err) < 0)
		return false;
	object_id_read(obj, &id);
	if (i)
		identity_index_put_account_take(x, i);
	else
		identity_index_remove(x, KIND_ACCOUNT, id.namespace, id.name);
	return true;
}

static const struct kind {
	const char *kind, *plural, *path;
	bool (*put)(struct identity_index *x, const struct jval *obj, struct err *err);
	const char *meanwhile; /* what it means that the object is ignored */
} kinds[IDENTITY_KINDS] = {
	[KIND_IDENTITY] = { "AzureIdentity", "azureidentities", PATH "azureidentities",
			    put_identity, "no pod gets a token of it" },
	[KIND_BINDING] = { "AzureIdentityBinding", "azureidentitybindings",
			   PATH "azureidentitybindings", put_binding, "no pod is bound by it" },
	[KIND_EXCEPTION] = { "AzurePodIdentityException", "azurepodidentityexceptions",
			     PATH "azurepodidentityexceptions", put_exception,
			     "no pod is excepted by it" },
	[KIND_ASSIGNED] = { "AzureAssignedIdentity", "azureassignedidentities",
			    PATH "azureassignedidentities", put_assigned,
			    "its pod gets no token by it" },
	[KIND_ACCOUNT] = { "ServiceAccount", "serviceaccounts", "/api/v1/serviceaccounts",
			   put_account, "its pods get no token by it" },
};

static const enum identity_kind of_managed_mode[] = { KIND_IDENTITY, KIND_BINDING, KIND_EXCEPTION };
static const enum identity_kind of_standard_mode[] = { KIND_ASSIGNED, KIND_EXCEPTION };

/* telling */

static void tell_change(struct loop_defer *d)
{
	struct identity_store *s = container_of(d, struct identity_store, change);

	if (s->on_change)
		s->on_change(s->on_change_ctx);
}

static void changed(struct identity_store *s)
{
	loop_defer(s->loop, &s->change, tell_change);
}

/* feeding */

static void on_begin(void *ctx)
{
	struct feed *f = ctx;

	identity_index_resync_begin(f->store->index, f->kind);
	rejects_resync_begin(&f->rejects);
}

static void reject(struct feed *f, const struct jval *obj, const struct object_id *id,
		   const struct err *err)
{
	const struct kind *k = &kinds[f->kind];
	char name[OBJECT_NAME_MAX];

	identity_index_remove(f->store->index, f->kind, id->namespace, id->name);
	if (!rejects_note(&f->rejects, id))
		return;
	object_name_print(obj, name, sizeof(name));
	log_warn("%s %s is ignored: %s; correct the object, until then %s", k->kind, name, err->msg,
		 k->meanwhile);
}

static void on_upsert(void *ctx, const struct jval *obj)
{
	struct feed *f = ctx;
	struct err err = { 0 };
	struct object_id id;

	object_id_read(obj, &id);
	if (!kinds[f->kind].put(f->store->index, obj, &err))
		reject(f, obj, &id, &err);
	else if (rejects_forget(&f->rejects, &id))
		log_info("%s %s/%s can be read again", kinds[f->kind].kind, id.namespace, id.name);
	changed(f->store);
}

static void on_remove(void *ctx, const struct jval *obj)
{
	struct feed *f = ctx;
	struct object_id id;

	object_id_read(obj, &id);
	(void)rejects_forget(&f->rejects, &id); /* gone is gone, either way */
	identity_index_remove(f->store->index, f->kind, id.namespace, id.name);
	changed(f->store);
}

static void on_end(void *ctx)
{
	struct feed *f = ctx;

	identity_index_resync_end(f->store->index, f->kind);
	rejects_resync_end(&f->rejects);
	if (f->is_refused)
		log_info("%s can be listed and watched again", kinds[f->kind].plural);
	f->is_refused = false;
	changed(f->store);
}

/* A right that is missing is an operator's to give, and nothing else would say so as long as nobody asks. */
static void on_failed(void *ctx, const struct err *err)
{
	struct feed *f = ctx;

	if ((err->http_status != 403 && err->http_status != 401) || f->is_refused)
		return;
	f->is_refused = true;
	log_err("%s; until then what changes there is not known", err->msg);
}

static const struct reflector_ops ops = {
	.begin = on_begin,
	.upsert = on_upsert,
	.remove = on_remove,
	.end = on_end,
	.failed = on_failed,
};

/* the store */

static void add_feed(struct identity_store *s, enum identity_kind kind)
{
	struct feed *f = &s->feeds[s->n_feeds++];

	f->store = s;
	f->kind = kind;
	f->reflector =
		reflector_new(s->loop, s->client,
			      &(struct reflector_spec){
				      .name = kinds[kind].plural,
				      .path = kinds[kind].path,
				      .label_selector = kind == KIND_ASSIGNED ? s->on_node : NULL,
				      .metadata_only = kind == KIND_ACCOUNT,
				      .optional = kind != KIND_ACCOUNT,
			      },
			      &ops, f);
}

struct identity_store *identity_store_new(struct loop *l, struct kube_client *client,
					  const char *node)
{
	const enum identity_kind *of_mode = node ? of_standard_mode : of_managed_mode;
	size_t n = node ? ARRAY_SIZE(of_standard_mode) : ARRAY_SIZE(of_managed_mode);
	struct identity_store *s = xnew(struct identity_store);

	s->loop = l;
	s->client = client;
	s->index = identity_index_new();
	s->on_node = node ? xasprintf("nodename=%s", node) : NULL;
	for (size_t i = 0; i < n; i++)
		add_feed(s, of_mode[i]);
	return s;
}

struct identity_store *identity_store_free(struct identity_store *s)
{
	if (!s)
		return NULL;
	for (unsigned i = 0; i < s->n_feeds; i++) {
		s->feeds[i].reflector = reflector_free(s->feeds[i].reflector);
		rejects_deinit(&s->feeds[i].rejects);
	}
	loop_defer_del(&s->change);
	s->index = identity_index_free(s->index);
	free(s->on_node);
	free(s);
	return NULL;
}

void identity_store_use_accounts(struct identity_store *s)
{
	identity_index_use_accounts(s->index);
	add_feed(s, KIND_ACCOUNT);
}

void identity_store_start(struct identity_store *s)
{
	for (unsigned i = 0; i < s->n_feeds; i++)
		reflector_start(s->feeds[i].reflector);
}

const struct identity_index *identity_store_index(const struct identity_store *s)
{
	return s->index;
}

bool identity_store_has_synced(const struct identity_store *s)
{
	for (unsigned i = 0; i < s->n_feeds; i++) {
		if (s->feeds[i].kind != KIND_ACCOUNT &&
		    !reflector_status(s->feeds[i].reflector)->has_synced)
			return false;
	}
	return true;
}

const struct reflector *identity_store_reflector(const struct identity_store *s, size_t i)
{
	return i < s->n_feeds ? s->feeds[i].reflector : NULL;
}

void identity_store_on_change(struct identity_store *s, void (*fn)(void *ctx), void *ctx)
{
	s->on_change = fn;
	s->on_change_ctx = ctx;
}
