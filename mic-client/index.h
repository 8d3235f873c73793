/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "mic-client/crd.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The identity objects of a cluster, indexed for the questions that match.c asks. Pure: no loop, no
 * I/O. Lookups do not depend on how many objects there are.
 */
struct identity_index;

struct identity_index *identity_index_new(void);
struct identity_index *identity_index_free(struct identity_index *x);
DEFINE_CLEANUP(struct identity_index, identity_index_free);

/* feeding: an object is replaced by its namespace and name; the index takes the reference */
void identity_index_put_identity_take(struct identity_index *x, struct azure_identity *i);
void identity_index_put_binding_take(struct identity_index *x, struct azure_binding *b);
void identity_index_put_exception_take(struct identity_index *x, struct azure_exception *e);
void identity_index_put_assigned_take(struct identity_index *x, struct azure_assigned_identity *a);
/* What a ServiceAccount names (azure_identity_parse_account()); one that names nothing is removed. */
void identity_index_put_account_take(struct identity_index *x, struct azure_identity *i);

enum identity_kind {
	KIND_IDENTITY,
	KIND_BINDING,
	KIND_EXCEPTION,
	KIND_ASSIGNED, /* AzureAssignedIdentity */
	KIND_ACCOUNT,  /* ServiceAccount */
	IDENTITY_KINDS,
};
void identity_index_remove(struct identity_index *x, enum identity_kind kind, const char *namespace,
			   const char *name);
/* A resync is a diff: what is not put between begin and end is dropped at end. */
void identity_index_resync_begin(struct identity_index *x, enum identity_kind kind);
void identity_index_resync_end(struct identity_index *x, enum identity_kind kind);
size_t identity_index_count(const struct identity_index *x, enum identity_kind kind);

/*
 * Do ServiceAccounts count? Not unless it is said; then, until they were all seen once, that one names
 * no identity is not known.
 */
enum identity_accounts { ACCOUNTS_UNUSED, ACCOUNTS_UNSEEN, ACCOUNTS_SEEN };
void identity_index_use_accounts(struct identity_index *x);
enum identity_accounts identity_index_accounts(const struct identity_index *x);

/* asking: results are borrowed until the next change */
const struct azure_identity *identity_index_identity(const struct identity_index *x,
						     const char *namespace, const char *name);
/* What the ServiceAccount names; NULL: nothing that is known. */
const struct azure_identity *identity_index_account(const struct identity_index *x,
						    const char *namespace, const char *name);
/* Has any AzureIdentity of the cluster this id? Without case; the empty one is nobody's. */
bool identity_index_has_client_id(const struct identity_index *x, const char *client_id);
bool identity_index_has_resource_id(const struct identity_index *x, const char *resource_id);
/*
 * Calls fn for each binding of the namespace with exactly this selector; those that name the same
 * identity come one after the other.
 */
typedef void binding_fn(void *ctx, const struct azure_binding *b);
void identity_index_bindings(const struct identity_index *x, const char *namespace,
			     const char *selector, binding_fn *fn, void *ctx);
/* Each exception of the namespace by name. True from fn ends the walk: that one, else NULL. */
typedef bool exception_fn(void *ctx, const struct azure_exception *e);
const struct azure_exception *identity_index_exceptions(const struct identity_index *x,
							const char *namespace, exception_fn *fn,
							void *ctx);
/*
 * Calls fn for each assigned identity of this pod, whatever its state; those of one identity come one
 * after the other.
 */
typedef void assigned_fn(void *ctx, const struct azure_assigned_identity *a);
void identity_index_assigned(const struct identity_index *x, const char *pod_namespace,
			     const char *pod, assigned_fn *fn, void *ctx);
