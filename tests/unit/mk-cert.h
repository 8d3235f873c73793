/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/secret.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

/* Certificates made by the test; the clock of these tests is MK_NOW. */
#define MK_NOW INT64_C(1764000000)

struct mk_cert {
	EVP_PKEY *key;
	X509 *cert;
};

/* Made before the tests are forked off: a key takes seconds under a sanitizer, and a test has four. */
static EVP_PKEY *mk_keys[2];

__attribute__((constructor)) static void mk_keys_make(void)
{
	for (size_t i = 0; i < 2; i++)
		mk_keys[i] = EVP_RSA_gen(2048);
}

__attribute__((destructor)) static void mk_keys_free(void)
{
	for (size_t i = 0; i < 2; i++)
		EVP_PKEY_free(mk_keys[i]);
}

/* A key of 2,048 bits, another one than the last time. */
static inline EVP_PKEY *mk_rsa(void)
{
	static unsigned n;
	EVP_PKEY *key = mk_keys[n++ % 2];

	ck_assert_ptr_nonnull(key);
	EVP_PKEY_up_ref(key);
	return key;
}

/* Valid from `from` to `to`, seconds counted from MK_NOW. */
static inline X509 *mk_x509(EVP_PKEY *key, const char *name, long from, long to)
{
	X509 *x = X509_new();
	X509_NAME *n = X509_get_subject_name(x);
	time_t now = MK_NOW;

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_time_adj(X509_getm_notBefore(x), from, &now);
	X509_time_adj(X509_getm_notAfter(x), to, &now);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, n);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	return x;
}

static inline struct mk_cert mk_cert(void)
{
	struct mk_cert m = { .key = mk_rsa() };

	m.cert = mk_x509(m.key, "app", -3600, 3600);
	return m;
}

static inline void mk_cert_deinit(struct mk_cert *m)
{
	EVP_PKEY_free(m->key);
	X509_free(m->cert);
}

static inline void mk_from_bio(struct secret *out, BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	secret_set(out, p, (size_t)n);
	BIO_free_all(bio);
}

/* nid: of key and certificate, 0 for OpenSSL's own; password NULL: none. */
static inline void mk_p12(struct secret *out, EVP_PKEY *key, X509 *cert, const char *password,
			  int nid, int rounds, OSSL_LIB_CTX *lib)
{
	PKCS12 *p12 = PKCS12_create_ex(password, "app", key, cert, NULL, nid, nid, rounds, 1, 0,
				       lib, NULL);
	BIO *bio = BIO_new(BIO_s_mem());

	ck_assert_ptr_nonnull(p12);
	ck_assert_int_eq(i2d_PKCS12_bio(bio, p12), 1);
	PKCS12_free(p12);
	mk_from_bio(out, bio);
}

enum mk_pem { MK_KEY_FIRST, MK_CERT_FIRST, MK_KEY_ONLY, MK_CERT_ONLY };

static inline void mk_pem(struct secret *out, EVP_PKEY *key, X509 *cert, enum mk_pem order,
			  const char *password)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const EVP_CIPHER *cipher = password ? EVP_aes_256_cbc() : NULL;

	if (order == MK_CERT_FIRST || order == MK_CERT_ONLY)
		PEM_write_bio_X509(bio, cert);
	if (order != MK_CERT_ONLY)
		ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(
					 bio, key, cipher, (char *)(uintptr_t)password,
					 password ? (int)strlen(password) : 0, NULL, NULL),
				 1);
	if (order == MK_KEY_FIRST)
		PEM_write_bio_X509(bio, cert);
	mk_from_bio(out, bio);
}
