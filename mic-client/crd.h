/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jval;

/*
 * The custom resources of aadpodidentity.k8s.io/v1, decoded. Pure. Field names of specs are matched
 * without case, as the old agent's decoder did; a wrong type is an error that names the field.
 * Objects are immutable once parsed and reference-counted: an answer under way keeps its identity
 * while the store moves on.
 */
struct object_meta {
	char *namespace, *name, *uid, *resource_version; /* namespace and name are never empty */
};

enum azure_identity_type {
	AZURE_IDENTITY_USER_ASSIGNED = 0,
	AZURE_IDENTITY_SERVICE_PRINCIPAL = 1,
	AZURE_IDENTITY_CERTIFICATE = 2,
	AZURE_IDENTITY_FEDERATED = 3,
	AZURE_IDENTITY_TYPES,
};

/* As many as a token request of Azure Resource Manager can carry (x-ms-authorization-auxiliary). */
#define AZURE_AUX_TENANTS_MAX 3

struct azure_identity {
	unsigned refs;
	struct object_meta meta;
	int64_t type; /* enum azure_identity_type, or a number that we do not know */
	char *client_id, *resource_id, *tenant_id, *ad_endpoint;
	char *secret_name, *secret_namespace; /* clientPassword */
	char *aux_tenants
		[AZURE_AUX_TENANTS_MAX]; /* auxiliaryTenantIDs; none is empty, "" past the last */
	size_t n_aux_tenants;
	/* Why it must not be used, for whoever asks for it; "" if nothing is wrong. */
	char *flaw;
	bool namespaced; /* annotation aadpodidentity.k8s.io/Behavior: namespaced */
	/* Type 3, or a type 0 with the annotation aadpodidentity.k8s.io/token-source: federation. */
	bool federated;
	bool of_account; /* made of a ServiceAccount's annotations; `meta` is the account's */
};

/* The workload identity webhook's annotations: of a ServiceAccount, the tenant also of an AzureIdentity. */
#define AZURE_CLIENT_NOTE "azure.workload.identity/client-id"
#define AZURE_TENANT_NOTE "azure.workload.identity/tenant-id"

struct azure_binding {
	unsigned refs;
	struct object_meta meta;
	char *azure_identity; /* name */
	char *selector;
	int64_t weight;
};

/* How far the controller is with assigning the identity to the node's VM. */
enum assigned_state {
	ASSIGNED_UNTOLD,  /* "": written by a controller from before there were states; usable */
	ASSIGNED_CREATED, /* not yet usable */
	ASSIGNED_READY,	  /* "Assigned" */
	ASSIGNED_OTHER,	  /* "Unassigned", or what we do not know: not usable */
};

/* What the controller has decided for a pod, in standard mode. */
struct azure_assigned_identity {
	unsigned refs;
	struct object_meta meta;
	struct azure_identity *identity; /* as it was when it was decided, never NULL */
	struct azure_binding *binding;	 /* the same; NULL where an old controller wrote none */
	char *pod, *pod_namespace;	 /* never empty */
	enum assigned_state state;
};

struct azure_exception {
	unsigned refs;
	struct object_meta meta;
	char *labels; /* as of labels_parse(); not empty */
};

/* NULL with err set (ERR_INPUT) when the object is malformed; absent strings become "". NULL may be unref'd. */
struct azure_identity *azure_identity_parse(const struct jval *obj, struct err *err);
/*
 * The identity that a ServiceAccount names by its annotations, as one of type 3; `out` becomes NULL where
 * it names none. The object may be its metadata alone.
 */
int azure_identity_parse_account(const struct jval *obj, struct azure_identity **out,
				 struct err *err);
/* What kubectl calls the object that it was read from. */
const char *azure_identity_kind(const struct azure_identity *i);
struct azure_identity *azure_identity_ref(const struct azure_identity *i);
struct azure_identity *azure_identity_unref(struct azure_identity *i);
DEFINE_CLEANUP(struct azure_identity, azure_identity_unref);

struct azure_binding *azure_binding_parse(const struct jval *obj, struct err *err);
struct azure_binding *azure_binding_unref(struct azure_binding *b);
DEFINE_CLEANUP(struct azure_binding, azure_binding_unref);

struct azure_exception *azure_exception_parse(const struct jval *obj, struct err *err);
struct azure_exception *azure_exception_unref(struct azure_exception *e);
DEFINE_CLEANUP(struct azure_exception, azure_exception_unref);

struct azure_assigned_identity *azure_assigned_identity_parse(const struct jval *obj,
							      struct err *err);
struct azure_assigned_identity *azure_assigned_identity_unref(struct azure_assigned_identity *a);
DEFINE_CLEANUP(struct azure_assigned_identity, azure_assigned_identity_unref);

/*
 * What identifies an object, also a malformed one: borrowed from the document, "" where it is absent
 * or not a string. Never fails.
 */
struct object_id {
	const char *namespace, *name, *uid, *resource_version;
};
void object_id_read(const struct jval *obj, struct object_id *out);
/* "namespace/name", escaped for a log line. */
void object_name_print(const struct jval *obj, char *buf, size_t size);
#define OBJECT_NAME_MAX 512 /* a name and a namespace are at most 253 and 63 characters */

/*
 * Labels are text in one piece, since every pod has some: a key, NUL, its value, NUL, and so on, in the
 * document's order. An empty key is the end: "app\0shop\0" in C.
 */

/*
 * metadata.labels or any object of strings, on the heap; NULL is an empty map. `size` becomes its bytes, the
 * end among them. What has an empty key is left out: no API server takes it, and nobody can ask for it.
 */
char *labels_parse(const struct jval *map, size_t *size, struct err *err);
/* The value of a key, compared exactly; NULL when it is absent, as it is in labels that are NULL. */
const char *labels_find(const char *labels, const char *key);
/* Of one label, which is where its key is: its value, and the label after it, or the end. */
const char *label_value(const char *label);
const char *label_next(const char *label);
