/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct user;

/*
 * Roles and their bindings, as manifests have them, of which Kubernetes' RBAC makes up who may do what.
 * Whoever is the subject of no binding is none of its business.
 */
struct rbac;

struct rbac_ask {
	const char *verb, *group, *plural, *sub, *ns, *name; /* "" where there is none */
};

struct rbac *rbac_new(void);
struct rbac *rbac_free(struct rbac *r);
DEFINE_CLEANUP(struct rbac, rbac_free);

/* Adds what stands in documents of YAML; ServiceAccounts in between are passed over. */
int rbac_parse(struct rbac *r, const char *text, size_t n, struct err *err);
int rbac_load(struct rbac *r, const char *path, struct err *err);

bool rbac_knows(const struct rbac *r, const struct user *u);
bool rbac_allows(const struct rbac *r, const struct user *u, const struct rbac_ask *ask);
