/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "nmi/token/source.h"

struct jval;

/*
 * A pod's service-account token, by TokenRequest of Kubernetes. Pure. It is asked for one exchange, bound
 * to the pod's UID, and wiped with it.
 */

/* What the token says of itself; heap strings. */
struct account_claims {
	char *issuer, *subject, *audience;
};
void account_claims_deinit(struct account_claims *c);

/* Body of the POST, on the heap. */
char *account_token_request(const struct token_pod *pod, const char *audience, size_t *out_len);
/* Its answer. ERR_INPUT never quotes the token. On failure the outputs are left alone. */
int account_token_parse(const struct jval *doc, struct secret *out,
			struct account_claims *out_claims, struct err *err);
