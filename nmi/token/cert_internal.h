/* SPDX-License-Identifier: MIT */
#pragma once

#include <openssl/provider.h>
#include <openssl/x509.h>

/* What cert.c, which reads a certificate, and assertion.c, which signs with it, share. */
struct cert {
	EVP_PKEY *key;
	X509 *leaf;
	STACK_OF(X509) * chain; /* without the leaf; may be NULL */
	/* only where the legacy provider was needed; NULL: OpenSSL's own */
	OSSL_LIB_CTX *lib;
	OSSL_PROVIDER *legacy, *standard;
};

#define DEFINE_CERT_CLEANUP(type, fn)                                                              \
	static void fn##p(type **p)                                                                \
	{                                                                                          \
		fn(*p);                                                                            \
	}
