/* SPDX-License-Identifier: MIT */
#pragma once

#include "tests/sandbox/apiserver/store.h"

struct str;

/*
 * The kinds of objects that are served: a fixed table of core ones, and those that a
 * CustomResourceDefinition brings. What differs between kinds is data here as far as it can be.
 */
enum kind_id {
	KIND_OTHER, /* nothing special about it */
	KIND_NAMESPACE,
	KIND_POD,
	KIND_SECRET,
	KIND_SERVICE_ACCOUNT,
	KIND_EVENT,
	KIND_NODE,
	KIND_LEASE,
	KIND_CRD,
	KIND_CUSTOM,
};

struct kind {
	struct kind *next;
	enum kind_id id;
	char *group, *version; /* group "" is the core */
	char *plural, *singular, *name, *list_name;
	char *short_names; /* separated by commas, or NULL */
	bool namespaced;
	bool status_sub;	   /* status is written through the subresource only */
	bool unconditional_update; /* an update need not say which version it replaces */
	bool create_on_update;
	bool returns_deleted; /* a deletion answers with the object, not with a Status */
	json_t *schema;	      /* custom: openAPIV3Schema; or NULL */
	json_t *columns;      /* custom: additionalPrinterColumns; or NULL */
	size_t type_len; /* bytes of `{"kind":"Pod","apiVersion":"v1",`, which lists leave out */
	struct coll coll;
};

struct kinds {
	struct kind *first; /* in the order of adding */
	struct store *store;
};

void kinds_init(struct kinds *ks, struct store *store);
void kinds_deinit(struct kinds *ks);

/* Appends the kind, which the table then owns, and starts its history. */
void kinds_add_take(struct kinds *ks, struct kind *k);
void kinds_remove(struct kinds *ks, struct kind *k);

struct kind *kinds_find(const struct kinds *ks, const char *group, const char *version,
			const char *plural);
struct kind *kinds_find_id(const struct kinds *ks, enum kind_id id);

/* "v1" or "group/version"; the caller frees. */
char *kind_api_version(const struct kind *k);
/* "pods", "leases.coordination.k8s.io" */
char *kind_resource(const struct kind *k);
/* The key in the store; `ns` is ignored for cluster-wide kinds. */
char *kind_key(const struct kind *k, const char *ns, const char *name);
