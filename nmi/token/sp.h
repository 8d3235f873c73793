/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "nmi/token/cert.h"
#include "nmi/token/source.h"

#include <stdbool.h>

struct entra;
struct loop;
struct secrets;

/*
 * Tokens of service principals: a client secret (type 1) or a certificate (type 2) out of a Kubernetes
 * Secret, shown to Entra. The Secret is read for each token and wiped with it. An identity of type 1 with
 * auxiliary tenants has a token of each, the primary tenant's first.
 */
struct sp_source;

struct sp_spec {
	struct entra *entra;
	struct secrets *secrets;
	struct cert_style style;
	bool across_namespaces; /* an AzureIdentity may name a Secret of another namespace than its own */
};

struct sp_source *sp_source_new(struct loop *l, const struct sp_spec *spec);
/*
 * What is asked from now on. A token at hand that was made with a Secret of another namespace is not given out any
 * more once that is not allowed.
 */
void sp_source_set(struct sp_source *s, const struct cert_style *style, bool across_namespaces);
struct sp_source *sp_source_free(struct sp_source *s);
DEFINE_CLEANUP(struct sp_source, sp_source_free);
struct token_source sp_source_vtable(struct sp_source *s);
