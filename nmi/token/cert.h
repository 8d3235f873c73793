/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"

#include <stdbool.h>

/*
 * An application's certificate with its private key, and the assertions that are signed with it. Pure,
 * but for the random jti. It lives for one assertion: the owner frees it at once, which wipes the key.
 */
struct cert;

/*
 * Once, before anything else uses OpenSSL: its memory is wiped when freed, and private keys go into a
 * locked heap of their own, where the limit of locked memory allows.
 */
int cert_init(struct err *err);

/*
 * `data` is PKCS#12, also with the ciphers of old, or PEM with certificate and key in any order. No
 * password: an empty one. The key must be RSA of 2,048 bits or more, the certificate its own and valid
 * now. ERR_INPUT says what is wrong, without a word of what was read.
 */
struct cert *cert_parse(const struct secret *data, const struct secret *password, struct wall now,
			struct err *err);
struct cert *cert_free(struct cert *c);
DEFINE_CLEANUP(struct cert, cert_free);

/* How Entra is shown which certificate signed (settings --certificate-assertion, --send-x5c). */
struct cert_style {
	bool rs256; /* RS256 and x5t (SHA-1), as ADFS wants; else PS256 and x5t#S256 */
	bool x5c; /* with the certificate itself and its chain: subject name and issuer authentication */
};

/* A client assertion for one token endpoint. */
int cert_assert(const struct cert *c, const struct cert_style *style, const char *audience,
		const char *client_id, struct wall now, struct secret *out, struct err *err);
