/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "nmi/token/cert.h"
#include "tests/unit/mk-cert.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct wall now = { MK_NOW };

static struct cert *parse(const struct secret *data, const char *password, struct err *err)
{
	struct secret pw = { (unsigned char *)(uintptr_t)password, strlen(password) };

	return cert_parse(data, &pw, now, err);
}

/* It is accepted, and what it signs bears the thumbprint of the certificate. */
static void is_taken(const struct secret *data, const char *password)
{
	struct err err = { 0 };
	_cleanup_(cert_freep) struct cert *c = parse(data, password, &err);
	_cleanup_(secret_deinit) struct secret jwt = { 0 };

	ck_assert_msg(c != NULL, "%s", err.msg);
	ck_assert_int_eq(err.kind, ERR_NONE);
	ck_assert_int_eq(
		cert_assert(c, &(struct cert_style){ 0 }, "https://aud", "id", now, &jwt, &err), 0);
	ck_assert_uint_gt(jwt.n, 300);
}

static void is_refused(const struct secret *data, const char *password, const char *why)
{
	struct err err = { 0 };

	ck_assert_ptr_null(parse(data, password, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_msg(strstr(err.msg, why) != NULL, "'%s' does not say '%s'", err.msg, why);
	ck_assert_msg(!*password || !strstr(err.msg, password), "the password stands in it");
}

START_TEST(pkcs12_is_read_with_its_password)
{
	struct mk_cert m = mk_cert();
	_cleanup_(secret_deinit) struct secret file = { 0 };

	mk_p12(&file, m.key, m.cert, "pass word", 0, 0, NULL);
	is_taken(&file, "pass word");
	is_refused(&file, "pass wore", "the password does not fit the PKCS#12 file");
	is_refused(&file, "", "the Secret has none (key password)");
	mk_cert_deinit(&m);
}
END_TEST

START_TEST(pkcs12_needs_no_password)
{
	struct mk_cert m = mk_cert();
	_cleanup_(secret_deinit) struct secret none = { 0 }, empty = { 0 };

	mk_p12(&none, m.key, m.cert, NULL, 0, 0, NULL);
	mk_p12(&empty, m.key, m.cert, "", 0, 0, NULL);
	is_taken(&none, "");
	is_taken(&empty, "");
	mk_cert_deinit(&m);
}
END_TEST

/* What old Windows and old OpenSSL write. */
static const int old_ciphers[] = {
	NID_pbe_WithSHA1And40BitRC2_CBC,
	NID_pbe_WithSHA1And3_Key_TripleDES_CBC,
};

START_TEST(pkcs12_with_ciphers_of_old_is_read)
{
	struct mk_cert m = mk_cert();
	_cleanup_(secret_deinit) struct secret file = { 0 };
	OSSL_LIB_CTX *lib = OSSL_LIB_CTX_new();
	OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(lib, "legacy");
	OSSL_PROVIDER *standard = OSSL_PROVIDER_load(lib, "default");

	ck_assert(legacy && standard);
	mk_p12(&file, m.key, m.cert, "old", old_ciphers[_i], 2048, lib);
	OSSL_PROVIDER_unload(legacy);
	OSSL_PROVIDER_unload(standard);
	OSSL_LIB_CTX_free(lib);
	is_taken(&file, "old");
	is_refused(&file, "new", "the password does not fit");
	mk_cert_deinit(&m);
}
END_TEST

START_TEST(a_file_that_takes_too_long_to_open_is_refused)
{
	struct mk_cert m = mk_cert();
	_cleanup_(secret_deinit) struct secret file = { 0 };

	/* PBES2 in both bags, and the MAC as cheap as it can be */
	mk_p12(&file, m.key, m.cert, "pass word", 0, 1000001, NULL);
	is_refused(&file, "pass word", "rounds of hashing");
	mk_cert_deinit(&m);
}
END_TEST

START_TEST(pem_is_read_in_any_order)
{
	struct mk_cert m = mk_cert();
	_cleanup_(secret_deinit) struct secret text = { 0 };

	mk_pem(&text, m.key, m.cert, MK_KEY_FIRST, NULL);
	is_taken(&text, "");
	is_taken(&text, "one that is not needed");
	mk_pem(&text, m.key, m.cert, MK_CERT_FIRST, NULL);
	is_taken(&text, "");
	mk_pem(&text, m.key, m.cert, MK_CERT_FIRST, "secret");
	is_taken(&text, "secret");
	is_refused(&text, "secrex", "the password does not fit the private key");
	is_refused(&text, "", "the Secret has none (key password)");
	mk_pem(&text, m.key, m.cert, MK_KEY_ONLY, NULL);
	is_refused(&text, "", "holds no certificate");
	mk_pem(&text, m.key, m.cert, MK_CERT_ONLY, NULL);
	is_refused(&text, "", "holds no private key");
	mk_cert_deinit(&m);
}
END_TEST

START_TEST(of_several_certificates_the_keys_own_is_found)
{
	struct mk_cert m = mk_cert(), other = mk_cert();
	_cleanup_(secret_deinit) struct secret text = { 0 };
	BIO *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(bio, other.cert);
	PEM_write_bio_X509(bio, m.cert);
	PEM_write_bio_PKCS8PrivateKey(bio, m.key, NULL, NULL, 0, NULL, NULL);
	mk_from_bio(&text, bio);
	is_taken(&text, "");
	mk_cert_deinit(&m);
	mk_cert_deinit(&other);
}
END_TEST

START_TEST(a_key_of_another_certificate_is_refused)
{
	struct mk_cert m = mk_cert(), other = mk_cert();
	_cleanup_(secret_deinit) struct secret text = { 0 };

	mk_pem(&text, m.key, other.cert, MK_KEY_FIRST, NULL);
	is_refused(&text, "", "is not that of the certificate");
	mk_cert_deinit(&m);
	mk_cert_deinit(&other);
}
END_TEST

static const struct {
	long from, to;
	const char *why;
} dates[] = {
	{ -7200, -3600, "the certificate expired on 2025-11-24" },
	{ 3600, 7200, "is valid from 2025-11-24 on only" },
};

START_TEST(a_certificate_that_is_not_valid_now_is_refused)
{
	EVP_PKEY *key = mk_rsa();
	X509 *x = mk_x509(key, "app", dates[_i].from, dates[_i].to);
	_cleanup_(secret_deinit) struct secret text = { 0 };

	mk_pem(&text, key, x, MK_KEY_FIRST, NULL);
	is_refused(&text, "", dates[_i].why);
	X509_free(x);
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(a_short_key_is_refused)
{
	EVP_PKEY *key = EVP_RSA_gen(1024);
	X509 *x = mk_x509(key, "app", -10, 10);
	_cleanup_(secret_deinit) struct secret text = { 0 };

	mk_pem(&text, key, x, MK_KEY_FIRST, NULL);
	is_refused(&text, "", "the key has 1024 bits");
	X509_free(x);
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(a_key_that_is_not_rsa_is_refused)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = mk_x509(key, "app", -10, 10);
	_cleanup_(secret_deinit) struct secret text = { 0 };

	mk_pem(&text, key, x, MK_KEY_FIRST, NULL);
	is_refused(&text, "", "the key is EC");
	X509_free(x);
	EVP_PKEY_free(key);
}
END_TEST

static const struct {
	const char *data, *why;
} garbage[] = {
	{ "", "neither PEM nor PKCS#12" },
	{ "not a certificate at all", "neither PEM nor PKCS#12" },
	{ "\x30\x82\x01", "neither PEM nor PKCS#12" },
	{ "MIIKMAIBAzCCCewGCSqGSIb3DQEHAaCCCd0EggnZ", "encoded twice" },
	{ "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key" },
	{ "-----BEGIN ", "no private key" },
};

START_TEST(garbage_is_refused)
{
	_cleanup_(secret_deinit) struct secret data = { 0 };

	secret_set(&data, garbage[_i].data, strlen(garbage[_i].data));
	is_refused(&data, "hidden", garbage[_i].why);
}
END_TEST

START_TEST(a_cut_file_is_refused_wherever_it_ends)
{
	struct mk_cert m = mk_cert();
	_cleanup_(secret_deinit) struct secret file = { 0 };

	mk_p12(&file, m.key, m.cert, "p", 0, 0, NULL);
	for (size_t n = 0; n < file.n; n += 97) {
		const struct secret cut = { file.p, n };
		struct err err = { 0 };

		ck_assert_ptr_null(parse(&cut, "p", &err));
		ck_assert_int_eq(err.kind, ERR_INPUT);
	}
	mk_cert_deinit(&m);
}
END_TEST

UNIT_MAIN("cert", UNIT(pkcs12_is_read_with_its_password), UNIT(pkcs12_needs_no_password),
	  UNIT_LOOP(pkcs12_with_ciphers_of_old_is_read, old_ciphers),
	  UNIT(a_file_that_takes_too_long_to_open_is_refused), UNIT(pem_is_read_in_any_order),
	  UNIT(of_several_certificates_the_keys_own_is_found),
	  UNIT(a_key_of_another_certificate_is_refused),
	  UNIT_LOOP(a_certificate_that_is_not_valid_now_is_refused, dates),
	  UNIT(a_short_key_is_refused), UNIT(a_key_that_is_not_rsa_is_refused),
	  UNIT_LOOP(garbage_is_refused, garbage), UNIT(a_cut_file_is_refused_wherever_it_ends))
