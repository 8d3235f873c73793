/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stddef.h>

/* What the virtual machine is and which identities it has: a JSON file such as
 * tests/sandbox/identities.json. */
struct imds_identity {
	char *client_id;
	char *object_id;
	char *resource_id;
	char *tenant_id;
};

struct imds_conf {
	char *tenant_id;
	char *subscription_id;
	char *resource_group;
	char *vm;
	char *location;
	struct imds_identity *system; /* NULL: the machine has no system-assigned identity */
	struct imds_identity *user;
	size_t n_user;
};

struct imds_conf *imds_conf_parse(const char *text, size_t n, struct err *err);
struct imds_conf *imds_conf_load(const char *path, struct err *err);
struct imds_conf *imds_conf_free(struct imds_conf *c);
DEFINE_CLEANUP(struct imds_conf, imds_conf_free);
/* ARM id of the machine itself, on the heap. */
char *imds_conf_vm_id(const struct imds_conf *c);
