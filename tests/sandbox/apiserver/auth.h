/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct ledger;
struct req;

/* Who asks. The nameless may read the probes and the version; the others what rbac.h says. */
struct user {
	char *name;
	char **groups;
	size_t n_groups;
};

struct auth;

/* Lines "token user group ..."; `#` starts a comment. */
struct auth *auth_load(const char *path, struct err *err);
struct auth *auth_parse(const char *text, struct err *err);
struct auth *auth_free(struct auth *a);
DEFINE_CLEANUP(struct auth, auth_free);
/* Each of the tokens. */
void auth_note(const struct auth *a, struct ledger *l);

/* The user of the request; the anonymous one without credentials; NULL: they are wrong (401). */
const struct user *auth_find(const struct auth *a, const struct req *req);
bool user_is_in(const struct user *u, const char *group);
bool user_is_anonymous(const struct user *u);
