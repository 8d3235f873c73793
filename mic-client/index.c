/* SPDX-License-Identifier: MIT */

/*
 * The identity objects of a cluster, indexed: see index.h.
 *
 * Two kinds of hash table. By namespace and name, one a kind of object: what feeding needs, and how an
 * identity is found. By what they select, for bindings (namespace and selector), exceptions (namespace)
 * and assigned identities (namespace and name of the pod, wherever the object itself is): a group, which holds its objects in a sorted array, so that a walk has one order
 * whatever the order of arrival, and so that a tenant who makes ten thousand bindings of one selector
 * costs a memmove and not a sort for every request.
 *
 * Keys are made of two strings with a NUL between them. Neither can hold one: JSON strings with an
 * embedded NUL are refused when they are read.
 */

#include "mic-client/index.h"

#include "lib/base/hmap.h"
#include "lib/base/mem.h"
#include "mic-client/id_set.h"

#include <assert.h>
#include <string.h>

struct entry {
	struct hmap_node node;
	void *object;
	unsigned epoch;
	unsigned key_len;
	char key[]; /* namespace, NUL, name */
};

struct group {
	struct hmap_node node;
	const void **objects; /* sorted; owned by their entries */
	unsigned n, cap;
	unsigned key_len;
	char key[]; /* see struct kind */
};

/* What the kinds differ in. A kind without `order` is found by name only. */
struct kind {
	const struct object_meta *(*meta)(const void *object);
	void (*unref)(void *object);
	int (*order)(const void *a, const void *b);
	const char *(*within)(const void *object);  /* first half of the group's key: a namespace */
	const char *(*selects)(const void *object); /* the second */
};

/* Of all identities; made when it is asked for, and anew only after an identity has changed. */
struct id_cache {
	struct id_set *set; /* NULL: none is up to date */
};

struct identity_index {
	struct hmap by_name[IDENTITY_KINDS];
	struct hmap groups[IDENTITY_KINDS];
	unsigned epoch[IDENTITY_KINDS];
	struct id_cache *ids;
	enum identity_accounts accounts;
};

/* kinds */

static const struct object_meta *identity_meta(const void *object)
{
	return &((const struct azure_identity *)object)->meta;
}

static void identity_unref(void *object)
{
	(void)azure_identity_unref(object);
}

static const struct object_meta *binding_meta(const void *object)
{
	return &((const struct azure_binding *)object)->meta;
}

static void binding_unref(void *object)
{
	(void)azure_binding_unref(object);
}

/* by identity first: the walk promises that bindings of one identity come together */
static int binding_order(const void *a, const void *b)
{
	const struct azure_binding *x = a, *y = b;
	int r = strcmp(x->azure_identity, y->azure_identity);

	return r ? r : strcmp(x->meta.name, y->meta.name);
}

static const char *binding_within(const void *object)
{
	return binding_meta(object)->namespace;
}

static const char *binding_selects(const void *object)
{
	return ((const struct azure_binding *)object)->selector;
}

static const struct object_meta *exception_meta(const void *object)
{
	return &((const struct azure_exception *)object)->meta;
}

static void exception_unref(void *object)
{
	(void)azure_exception_unref(object);
}

static int exception_order(const void *a, const void *b)
{
	return strcmp(exception_meta(a)->name, exception_meta(b)->name);
}

static const char *exception_within(const void *object)
{
	return exception_meta(object)->namespace;
}

static const char *exception_selects(const void *object)
{
	(void)object; /* its labels are compared one by one: any of them selects */
	return "";
}

static const struct object_meta *assigned_meta(const void *object)
{
	return &((const struct azure_assigned_identity *)object)->meta;
}

static void assigned_unref(void *object)
{
	(void)azure_assigned_identity_unref(object);
}

static int meta_order(const struct object_meta *a, const struct object_meta *b)
{
	int r = strcmp(a->name, b->name);

	return r ? r : strcmp(a->namespace, b->namespace);
}

/* by identity first, as with bindings; a pod's may be in any namespace, so names are not enough */
static int assigned_order(const void *a, const void *b)
{
	const struct azure_assigned_identity *x = a, *y = b;
	int r = meta_order(&x->identity->meta, &y->identity->meta);

	return r ? r : meta_order(&x->meta, &y->meta);
}

static const char *assigned_within(const void *object)
{
	return ((const struct azure_assigned_identity *)object)->pod_namespace;
}

static const char *assigned_selects(const void *object)
{
	return ((const struct azure_assigned_identity *)object)->pod;
}

/* clang-format off */
static const struct kind kinds[IDENTITY_KINDS] = {
	[KIND_IDENTITY]  = { identity_meta,  identity_unref,  NULL,            NULL,             NULL },
	[KIND_BINDING]   = { binding_meta,   binding_unref,   binding_order,   binding_within,   binding_selects },
	[KIND_EXCEPTION] = { exception_meta, exception_unref, exception_order, exception_within, exception_selects },
	[KIND_ASSIGNED]  = { assigned_meta,  assigned_unref,  assigned_order,  assigned_within,  assigned_selects },
	[KIND_ACCOUNT]   = { identity_meta,  identity_unref,  NULL,            NULL,             NULL },
};
/* clang-format on */

/* keys: made on the stack for a lookup, unless they are longer than any that Kubernetes allows */

struct key {
	char *p;
	size_t n;
	char *heap;
	char small[384];
};

static void key_deinit(struct key *k)
{
	free(k->heap);
}

static void key_init(struct key *k, const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);

	k->n = na + 1 + nb;
	k->heap = k->n > sizeof(k->small) ? xcalloc(1, k->n) : NULL;
	k->p = k->heap ? k->heap : k->small;
	memcpy(k->p, a, na);
	k->p[na] = '\0';
	memcpy(k->p + na + 1, b, nb);
}

#define _cleanup_key_ _cleanup_(key_deinit)

/* groups */

static struct str group_key(const struct hmap_node *n)
{
	const struct group *g = container_of(n, struct group, node);

	return (struct str){ g->key, g->key_len };
}

static struct group *group_find(const struct identity_index *x, enum identity_kind kind,
				const char *namespace, const char *selects)
{
	_cleanup_key_ struct key key = { 0 };
	struct hmap_node *n;

	key_init(&key, namespace, selects);
	n = hmap_find(&x->groups[kind], key.p, key.n);
	return n ? container_of(n, struct group, node) : NULL;
}

static struct group *group_of(const struct identity_index *x, enum identity_kind kind,
			      const void *object)
{
	const struct kind *k = &kinds[kind];

	return group_find(x, kind, k->within(object), k->selects(object));
}

static struct group *group_new(struct identity_index *x, enum identity_kind kind,
			       const void *object)
{
	const struct kind *k = &kinds[kind];
	_cleanup_key_ struct key key = { 0 };
	struct group *g;

	key_init(&key, k->within(object), k->selects(object));
	g = xcalloc(1, sizeof(*g) + key.n);
	memcpy(g->key, key.p, key.n);
	g->key_len = (unsigned)key.n;
	hmap_add(&x->groups[kind], &g->node, group_key);
	return g;
}

/* Where the object is, or would be. No two members are equal: their names, or namespaces, differ. */
static unsigned group_slot(const struct group *g, const struct kind *k, const void *object)
{
	unsigned low = 0, high = g->n;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (k->order(g->objects[mid], object) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void group_add(struct identity_index *x, enum identity_kind kind, const void *object)
{
	const struct kind *k = &kinds[kind];
	struct group *g;
	unsigned at;

	if (!k->order)
		return;
	g = group_of(x, kind, object);
	if (!g)
		g = group_new(x, kind, object);
	if (g->n == g->cap) {
		g->cap = g->cap ? g->cap * 2 : 1; /* nearly every selector has one binding */
		g->objects = xrealloc(g->objects, g->cap * sizeof(*g->objects));
	}
	at = group_slot(g, k, object);
	memmove(g->objects + at + 1, g->objects + at, (g->n - at) * sizeof(*g->objects));
	g->objects[at] = object;
	g->n++;
}

static void group_free(struct identity_index *x, enum identity_kind kind, struct group *g)
{
	hmap_del(&x->groups[kind], &g->node);
	free(g->objects);
	free(g);
}

static void group_remove(struct identity_index *x, enum identity_kind kind, const void *object)
{
	const struct kind *k = &kinds[kind];
	struct group *g;
	unsigned at;

	if (!k->order)
		return;
	g = group_of(x, kind, object);
	assert(g);
	at = group_slot(g, k, object);
	assert(at < g->n && g->objects[at] == object);
	g->n--;
	memmove(g->objects + at, g->objects + at + 1, (g->n - at) * sizeof(*g->objects));
	if (g->n == 0)
		group_free(x, kind, g);
}

/* ids */

static void ids_changed(struct identity_index *x, enum identity_kind kind)
{
	if (kind == KIND_IDENTITY)
		x->ids->set = id_set_free(x->ids->set);
}

static const struct id_set *ids_of(const struct identity_index *x)
{
	const struct hmap *all = &x->by_name[KIND_IDENTITY];

	if (x->ids->set)
		return x->ids->set;
	x->ids->set = id_set_new(hmap_count(all));
	for (struct hmap_node *n = hmap_first(all); n; n = hmap_next(n))
		id_set_add(x->ids->set, container_of(n, struct entry, node)->object);
	id_set_seal(x->ids->set);
	return x->ids->set;
}

/* entries */

static struct entry *entry_find(const struct identity_index *x, enum identity_kind kind,
				const char *namespace, const char *name)
{
	_cleanup_key_ struct key key = { 0 };
	struct hmap_node *n;

	key_init(&key, namespace, name);
	n = hmap_find(&x->by_name[kind], key.p, key.n);
	return n ? container_of(n, struct entry, node) : NULL;
}

static struct str entry_key(const struct hmap_node *n)
{
	const struct entry *e = container_of(n, struct entry, node);

	return (struct str){ e->key, e->key_len };
}

static struct entry *entry_new(struct identity_index *x, enum identity_kind kind,
			       const struct object_meta *m)
{
	_cleanup_key_ struct key key = { 0 };
	struct entry *e;

	key_init(&key, m->namespace, m->name);
	e = xcalloc(1, sizeof(*e) + key.n);
	memcpy(e->key, key.p, key.n);
	e->key_len = (unsigned)key.n;
	hmap_add(&x->by_name[kind], &e->node, entry_key);
	return e;
}

static void entry_remove(struct identity_index *x, enum identity_kind kind, struct entry *e)
{
	ids_changed(x, kind);
	group_remove(x, kind, e->object);
	hmap_del(&x->by_name[kind], &e->node);
	kinds[kind].unref(e->object);
	free(e);
}

/* feeding */

static void put_take(struct identity_index *x, enum identity_kind kind, void *object)
{
	const struct object_meta *m = kinds[kind].meta(object);
	struct entry *e = entry_find(x, kind, m->namespace, m->name);

	ids_changed(x, kind);
	if (!e) {
		e = entry_new(x, kind, m);
	} else {
		group_remove(x, kind, e->object);
		kinds[kind].unref(e->object);
	}
	e->object = object;
	e->epoch = x->epoch[kind];
	group_add(x, kind, object);
}

struct identity_index *identity_index_new(void)
{
	struct identity_index *x = xnew(struct identity_index);

	x->ids = xnew(struct id_cache);
	return x;
}

struct identity_index *identity_index_free(struct identity_index *x)
{
	if (!x)
		return NULL;
	for (unsigned kind = 0; kind < IDENTITY_KINDS; kind++) {
		hmap_for_each_safe (n, next, &x->by_name[kind])
			entry_remove(x, kind, container_of(n, struct entry, node));
	}
	(void)id_set_free(x->ids->set);
	free(x->ids);
	free(x);
	return NULL;
}

void identity_index_put_identity_take(struct identity_index *x, struct azure_identity *i)
{
	put_take(x, KIND_IDENTITY, i);
}

void identity_index_put_binding_take(struct identity_index *x, struct azure_binding *b)
{
	put_take(x, KIND_BINDING, b);
}

void identity_index_put_exception_take(struct identity_index *x, struct azure_exception *e)
{
	put_take(x, KIND_EXCEPTION, e);
}

void identity_index_put_assigned_take(struct identity_index *x, struct azure_assigned_identity *a)
{
	put_take(x, KIND_ASSIGNED, a);
}

void identity_index_put_account_take(struct identity_index *x, struct azure_identity *i)
{
	put_take(x, KIND_ACCOUNT, i);
}

void identity_index_remove(struct identity_index *x, enum identity_kind kind, const char *namespace,
			   const char *name)
{
	struct entry *e = entry_find(x, kind, namespace, name);

	if (e)
		entry_remove(x, kind, e);
}

/* A resync that was cut short is no harm: nothing is dropped, and the next one starts over. */
void identity_index_resync_begin(struct identity_index *x, enum identity_kind kind)
{
	x->epoch[kind]++;
}

void identity_index_resync_end(struct identity_index *x, enum identity_kind kind)
{
	hmap_for_each_safe (n, next, &x->by_name[kind]) {
		struct entry *e = container_of(n, struct entry, node);

		if (e->epoch != x->epoch[kind])
			entry_remove(x, kind, e);
	}
	if (kind == KIND_ACCOUNT && x->accounts == ACCOUNTS_UNSEEN)
		x->accounts = ACCOUNTS_SEEN;
}

void identity_index_use_accounts(struct identity_index *x)
{
	if (x->accounts == ACCOUNTS_UNUSED)
		x->accounts = ACCOUNTS_UNSEEN;
}

enum identity_accounts identity_index_accounts(const struct identity_index *x)
{
	return x->accounts;
}

size_t identity_index_count(const struct identity_index *x, enum identity_kind kind)
{
	return hmap_count(&x->by_name[kind]);
}

/* asking */

const struct azure_identity *identity_index_identity(const struct identity_index *x,
						     const char *namespace, const char *name)
{
	const struct entry *e = entry_find(x, KIND_IDENTITY, namespace, name);

	return e ? e->object : NULL;
}

const struct azure_identity *identity_index_account(const struct identity_index *x,
						    const char *namespace, const char *name)
{
	const struct entry *e = entry_find(x, KIND_ACCOUNT, namespace, name);

	return e ? e->object : NULL;
}

bool identity_index_has_client_id(const struct identity_index *x, const char *client_id)
{
	return id_set_has_client(ids_of(x), client_id);
}

bool identity_index_has_resource_id(const struct identity_index *x, const char *resource_id)
{
	return id_set_has_resource(ids_of(x), resource_id);
}

void identity_index_bindings(const struct identity_index *x, const char *namespace,
			     const char *selector, binding_fn *fn, void *ctx)
{
	const struct group *g = group_find(x, KIND_BINDING, namespace, selector);

	for (unsigned i = 0; g && i < g->n; i++)
		fn(ctx, g->objects[i]);
}

const struct azure_exception *identity_index_exceptions(const struct identity_index *x,
							const char *namespace, exception_fn *fn,
							void *ctx)
{
	const struct group *g = group_find(x, KIND_EXCEPTION, namespace, "");

	for (unsigned i = 0; g && i < g->n; i++) {
		if (fn(ctx, g->objects[i]))
			return g->objects[i];
	}
	return NULL;
}

void identity_index_assigned(const struct identity_index *x, const char *pod_namespace,
			     const char *pod, assigned_fn *fn, void *ctx)
{
	const struct group *g = group_find(x, KIND_ASSIGNED, pod_namespace, pod);

	for (unsigned i = 0; g && i < g->n; i++)
		fn(ctx, g->objects[i]);
}
