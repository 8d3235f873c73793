/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "nmi/token/source.h"

struct entra;
struct kube_client;
struct metrics;

/*
 * Tokens by federation: the asking pod's service-account token, shown to Entra as an assertion. The API
 * server is asked for one each time, and it is wiped once shown: none is kept.
 */
struct federation;

struct federation_spec {
	struct kube_client *kube;
	struct entra *entra;
	struct metrics *metrics;
	const char *audience;  /* of service-account tokens; outlives the source, as tenant_id */
	const char *tenant_id; /* of identities that name none; may be "" */
};

/* NULL: the settings are wrong, which err says of the one by its name. */
struct federation *federation_new(const struct federation_spec *spec, struct err *err);
struct federation *federation_free(struct federation *f); /* silently cancels all */
DEFINE_CLEANUP(struct federation, federation_free);
struct token_source federation_vtable(struct federation *f);
