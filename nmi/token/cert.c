/* SPDX-License-Identifier: MIT */

/*
 * Certificates out of Secrets: see cert.h. Assertions are made in assertion.c.
 *
 * Theory of operation. Files exported by old Windows and old OpenSSL are encrypted with RC2-40, which
 * OpenSSL 3 has in its legacy provider only. That provider is loaded when a file needs it, into a library
 * context of that file alone, so nothing else ever comes to use its ciphers.
 *
 * A file says itself how often its password is to be hashed. A number that would keep this process busy
 * for long is refused, since everything here runs on the loop and whoever may write a Secret may write
 * such a file.
 */

#include "nmi/token/cert.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "nmi/token/cert_internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

/* What Entra takes (and NIST since 2014); above, a signature takes longer than the loop may rest. */
#define KEY_BITS_MIN 2048
#define KEY_BITS_MAX 8192
/* OpenSSL and Windows write 2,000 to 10,000, OWASP asks for 600,000 at most; a million takes 0.3 s. */
#define ROUNDS_MAX 1000000
/* A chain is three certificates or four. */
#define CHAIN_MAX 10
/* The heap for private keys: a power of two, inside the smallest usual limit of locked memory. */
#define LOCKED_HEAP_BYTES 65536
#define LOCKED_HEAP_MIN	  32
#define PASSWORD_MAX	  1024

/* OpenSSL's memory */

static void *crypto_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return n ? secret_malloc(n) : NULL;
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return secret_realloc(p, n);
}

static void crypto_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	secret_free(p);
}

int cert_init(struct err *err)
{
	if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
		return err_set(err, ERR_OS,
			       "OpenSSL has been used before its memory could be ours");
	/* 2: not locked, for want of a limit; wiped and kept out of core files all the same */
	switch (CRYPTO_secure_malloc_init(LOCKED_HEAP_BYTES, LOCKED_HEAP_MIN)) {
	case 0:
		return err_set(err, ERR_OS, "no memory for private keys");
	case 2:
		log_debug("private keys are not locked in memory: the limit of it (ulimit -l) is "
			  "too low");
		break;
	default:
		break;
	}
	return 0;
}

/* freeing */

DEFINE_CERT_CLEANUP(BIO, BIO_free_all)
DEFINE_CERT_CLEANUP(PKCS12, PKCS12_free)

static void pkcs7s_freep(STACK_OF(PKCS7) * *p)
{
	sk_PKCS7_pop_free(*p, PKCS7_free);
}

static void bags_freep(STACK_OF(PKCS12_SAFEBAG) * *p)
{
	sk_PKCS12_SAFEBAG_pop_free(*p, PKCS12_SAFEBAG_free);
}

static void certs_free(STACK_OF(X509) * certs)
{
	sk_X509_pop_free(certs, X509_free);
}

static void certs_freep(STACK_OF(X509) * *p)
{
	certs_free(*p);
}

struct cert *cert_free(struct cert *c)
{
	if (!c)
		return NULL;
	EVP_PKEY_free(c->key);
	X509_free(c->leaf);
	certs_free(c->chain);
	OSSL_PROVIDER_unload(c->legacy);
	OSSL_PROVIDER_unload(c->standard);
	OSSL_LIB_CTX_free(c->lib);
	free(c);
	return NULL;
}

/* what a file may cost */

/* How often the password is hashed, by any of the schemes; 0: not said. */
static int64_t rounds_of(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *what;
	const void *param;
	int type;
	int64_t rounds = 0;

	X509_ALGOR_get0(&what, &type, &param, alg);
	if (type != V_ASN1_SEQUENCE)
		return 0;
	if (OBJ_obj2nid(what) == NID_pbes2) {
		PBE2PARAM *two = ASN1_item_unpack(param, ASN1_ITEM_rptr(PBE2PARAM));
		PBKDF2PARAM *kdf = NULL;

		if (two && two->keyfunc->parameter &&
		    two->keyfunc->parameter->type == V_ASN1_SEQUENCE)
			kdf = ASN1_item_unpack(two->keyfunc->parameter->value.sequence,
					       ASN1_ITEM_rptr(PBKDF2PARAM));
		if (kdf && ASN1_INTEGER_get_int64(&rounds, kdf->iter) != 1)
			rounds = INT64_MAX;
		PBKDF2PARAM_free(kdf);
		PBE2PARAM_free(two);
	} else {
		PBEPARAM *one = ASN1_item_unpack(param, ASN1_ITEM_rptr(PBEPARAM));

		if (one && one->iter && ASN1_INTEGER_get_int64(&rounds, one->iter) != 1)
			rounds = INT64_MAX;
		PBEPARAM_free(one);
	}
	return rounds;
}

static bool is_dear(const X509_ALGOR *alg)
{
	return rounds_of(alg) > ROUNDS_MAX;
}

static bool has_dear_bag(const PKCS7 *p7)
{
	_cleanup_(bags_freep) STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
	bool dear = false;

	if (OBJ_obj2nid(p7->type) == NID_pkcs7_encrypted)
		return is_dear(p7->d.encrypted->enc_data->algorithm);
	bags = PKCS12_unpack_p7data((PKCS7 *)(uintptr_t)p7);
	for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++) {
		const PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(bags, i);
		const X509_ALGOR *alg = NULL;

		if (PKCS12_SAFEBAG_get_nid(bag) != NID_pkcs8ShroudedKeyBag)
			continue;
		X509_SIG_get0(PKCS12_SAFEBAG_get0_pkcs8(bag), &alg, NULL);
		dear |= is_dear(alg);
	}
	return dear;
}

static bool is_dear_file(const PKCS12 *p12)
{
	_cleanup_(pkcs7s_freep) STACK_OF(PKCS7) *parts = PKCS12_unpack_authsafes(p12);
	const ASN1_INTEGER *mac_rounds = NULL;
	int64_t rounds = 0;

	PKCS12_get0_mac(NULL, NULL, NULL, &mac_rounds, p12);
	if (mac_rounds && (ASN1_INTEGER_get_int64(&rounds, mac_rounds) != 1 || rounds > ROUNDS_MAX))
		return true;
	for (int i = 0; i < sk_PKCS7_num(parts); i++) {
		if (has_dear_bag(sk_PKCS7_value(parts, i)))
			return true;
	}
	return false;
}

/* PKCS#12 */

enum p12_result { P12_OK, P12_BAD, P12_NEEDS_LEGACY };

static int load_legacy(struct cert *c, struct err *err)
{
	c->lib = OSSL_LIB_CTX_new();
	if (c->lib) {
		c->legacy = OSSL_PROVIDER_load(c->lib, "legacy");
		c->standard = OSSL_PROVIDER_load(c->lib, "default");
	}
	if (c->legacy && c->standard)
		return 0;
	return err_set(err, ERR_INPUT,
		       "the PKCS#12 file is encrypted with ciphers of old, and OpenSSL's legacy "
		       "provider is not installed here: export it again with AES");
}

static PKCS12 *p12_new(const struct secret *data, OSSL_LIB_CTX *lib)
{
	PKCS12 *p12 = PKCS12_init_ex(NID_pkcs7_data, lib, NULL);
	const unsigned char *p = data->p;

	/* on failure it frees what it was given */
	return p12 ? d2i_PKCS12(&p12, &p, (long)data->n) : NULL;
}

/* The password as it was hashed: none may be an empty one or no text at all. False: it does not fit. */
static bool fits(PKCS12 *p12, const char **password)
{
	if (!PKCS12_mac_present(p12) || PKCS12_verify_mac(p12, *password, -1) == 1)
		return true;
	if (**password || PKCS12_verify_mac(p12, NULL, 0) != 1)
		return false;
	*password = NULL;
	return true;
}

/* True: what the bag holds, if it is of use, has been taken. */
static bool take_bag(struct cert *c, const PKCS12_SAFEBAG *bag, const char *password,
		     STACK_OF(X509) * certs)
{
	PKCS8_PRIV_KEY_INFO *open = NULL;
	X509 *x;

	switch (PKCS12_SAFEBAG_get_nid(bag)) {
	case NID_keyBag:
		if (!c->key)
			c->key = EVP_PKCS82PKEY_ex(PKCS12_SAFEBAG_get0_p8inf(bag), c->lib, NULL);
		return c->key != NULL;
	case NID_pkcs8ShroudedKeyBag:
		/* PKCS12_parse() would forget the library context here, and with it the legacy provider */
		open = PKCS12_decrypt_skey_ex(bag, password, -1, c->lib, NULL);
		if (open && !c->key)
			c->key = EVP_PKCS82PKEY_ex(open, c->lib, NULL);
		PKCS8_PRIV_KEY_INFO_free(open);
		return c->key != NULL;
	case NID_certBag:
		if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate ||
		    sk_X509_num(certs) >= CHAIN_MAX)
			return true;
		x = PKCS12_SAFEBAG_get1_cert(bag);
		if (!x || !sk_X509_push(certs, x)) {
			X509_free(x);
			return false;
		}
		return true;
	default:
		return true;
	}
}

static bool take_part(struct cert *c, const PKCS7 *p7, const char *password, STACK_OF(X509) * certs)
{
	PKCS7 *part = (PKCS7 *)(uintptr_t)p7;
	_cleanup_(bags_freep) STACK_OF(PKCS12_SAFEBAG) *bags = NULL;

	if (OBJ_obj2nid(p7->type) == NID_pkcs7_encrypted)
		bags = PKCS12_unpack_p7encdata(part, password, password ? -1 : 0);
	else if (OBJ_obj2nid(p7->type) == NID_pkcs7_data)
		bags = PKCS12_unpack_p7data(part);
	if (!bags)
		return false;
	for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++) {
		if (!take_bag(c, sk_PKCS12_SAFEBAG_value(bags, i), password, certs))
			return false;
	}
	return true;
}

/* The certificate whose key it is, out of all that came with it; the others are its chain. */
static int take_leaf(struct cert *c, STACK_OF(X509) * *certs, struct err *err)
{
	int n = sk_X509_num(*certs);

	for (int i = 0; i < n && !c->leaf; i++) {
		if (X509_check_private_key(sk_X509_value(*certs, i), c->key) == 1)
			c->leaf = sk_X509_delete(*certs, i);
	}
	if (!c->leaf && n == 1)
		return err_set(err, ERR_INPUT, "the private key is not that of the certificate");
	if (!c->leaf)
		return err_set(err, ERR_INPUT,
			       "the private key belongs to none of the %d certificates", n);
	c->chain = steal_ptr(*certs);
	return 0;
}

static enum p12_result p12_take(struct cert *c, const PKCS12 *p12, const char *password,
				struct err *err)
{
	_cleanup_(pkcs7s_freep) STACK_OF(PKCS7) *parts = PKCS12_unpack_authsafes(p12);
	_cleanup_(certs_freep) STACK_OF(X509) *certs = sk_X509_new_null();

	for (int i = 0; i < sk_PKCS7_num(parts); i++) {
		if (!take_part(c, sk_PKCS7_value(parts, i), password, certs)) {
			(void)err_set(err, ERR_INPUT,
				      "the PKCS#12 file cannot be decrypted, though the password "
				      "fits: export it again with AES");
			return P12_NEEDS_LEGACY;
		}
	}
	if (!c->key || sk_X509_num(certs) == 0) {
		(void)err_set(err, ERR_INPUT, "the PKCS#12 file holds no %s",
			      c->key ? "certificate" : "private key");
		return P12_BAD;
	}
	return take_leaf(c, &certs, err) < 0 ? P12_BAD : P12_OK;
}

static enum p12_result p12_open(struct cert *c, const struct secret *data, const char *password,
				struct err *err)
{
	_cleanup_(PKCS12_freep) PKCS12 *p12 = p12_new(data, c->lib);

	if (!p12) {
		(void)err_set(err, ERR_INPUT, "it is neither PEM nor PKCS#12");
		return P12_BAD;
	}
	if (is_dear_file(p12)) {
		(void)err_set(err, ERR_INPUT,
			      "the PKCS#12 file asks for more than %d rounds of hashing its "
			      "password: export it again with less",
			      ROUNDS_MAX);
		return P12_BAD;
	}
	if (!fits(p12, &password)) {
		(void)err_set(err, ERR_INPUT, "the password does not fit the PKCS#12 file%s",
			      *password ? "" : ", and the Secret has none (key password)");
		return P12_BAD;
	}
	return p12_take(c, p12, password, err);
}

static int read_p12(struct cert *c, const struct secret *data, const char *password,
		    struct err *err)
{
	enum p12_result r = p12_open(c, data, password, err);

	if (r == P12_NEEDS_LEGACY) {
		EVP_PKEY_free(c->key);
		c->key = NULL;
		if (load_legacy(c, err) < 0)
			return -ERR_INPUT;
		r = p12_open(c, data, password, err);
	}
	if (r != P12_OK)
		return -ERR_INPUT;
	if (err)
		*err = (struct err){ 0 };
	return 0;
}

/* PEM */

struct pem_password {
	const char *text;
	bool asked;
};

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's */
static int give_password(char *buf, int size, int writing, void *ctx)
{
	struct pem_password *p = ctx;
	size_t n = strlen(p->text);

	(void)writing;
	p->asked = true;
	if (n > (size_t)size)
		return -1;
	memcpy(buf, p->text, n);
	return (int)n;
}

static bool is_dear_pem(const struct secret *data)
{
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(data->p, (int)data->n);
	X509_SIG *sig = bio ? PEM_read_bio_PKCS8(bio, NULL, NULL, NULL) : NULL;
	const X509_ALGOR *alg = NULL;
	bool dear = false;

	if (sig) {
		X509_SIG_get0(sig, &alg, NULL);
		dear = is_dear(alg);
	}
	X509_SIG_free(sig);
	return dear;
}

static int read_pem_key(struct cert *c, const struct secret *data, const char *password,
			struct err *err)
{
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(data->p, (int)data->n);
	struct pem_password pw = { password, false };

	if (is_dear_pem(data))
		return err_set(err, ERR_INPUT,
			       "the private key asks for more than %d rounds of hashing its "
			       "password: encrypt it again with less",
			       ROUNDS_MAX);
	c->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, &pw) : NULL;
	if (c->key)
		return 0;
	if (pw.asked)
		return err_set(err, ERR_INPUT, "the password does not fit the private key%s",
			       *password ? "" : ", and the Secret has none (key password)");
	return err_set(err, ERR_INPUT, "the PEM text holds no private key that can be read");
}

static int read_pem_certs(struct cert *c, const struct secret *data, struct err *err)
{
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(data->p, (int)data->n);
	_cleanup_(certs_freep) STACK_OF(X509) *all = sk_X509_new_null();
	X509 *x;

	while (bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (sk_X509_num(all) >= CHAIN_MAX || !sk_X509_push(all, x)) {
			X509_free(x);
			return err_set(err, ERR_INPUT,
				       "the PEM text holds more than %d certificates", CHAIN_MAX);
		}
	}
	if (sk_X509_num(all) == 0)
		return err_set(err, ERR_INPUT, "the PEM text holds no certificate");
	return take_leaf(c, &all, err);
}

/* both */

static void print_day(const ASN1_TIME *at, char out[static 32])
{
	struct tm tm = { 0 };

	if (ASN1_TIME_to_tm(at, &tm) != 1 || strftime(out, 32, "%Y-%m-%d", &tm) == 0)
		memcpy(out, "?", 2);
}

static int check_dates(const struct cert *c, struct wall now, struct err *err)
{
	time_t at = (time_t)now.s;
	char day[32];

	if (X509_cmp_time(X509_get0_notAfter(c->leaf), &at) < 0) {
		print_day(X509_get0_notAfter(c->leaf), day);
		return err_set(err, ERR_INPUT, "the certificate expired on %s: renew it", day);
	}
	if (X509_cmp_time(X509_get0_notBefore(c->leaf), &at) > 0) {
		print_day(X509_get0_notBefore(c->leaf), day);
		return err_set(
			err, ERR_INPUT,
			"the certificate is valid from %s on only; is this node's clock right?",
			day);
	}
	return 0;
}

static int check(const struct cert *c, struct wall now, struct err *err)
{
	int bits = EVP_PKEY_get_bits(c->key);

	if (!EVP_PKEY_is_a(c->key, "RSA"))
		return err_set(err, ERR_INPUT, "the key is %.32s; Entra takes RSA only",
			       EVP_PKEY_get0_type_name(c->key));
	if (bits < KEY_BITS_MIN || bits > KEY_BITS_MAX)
		return err_set(err, ERR_INPUT, "the key has %d bits; %d to %d are possible", bits,
			       KEY_BITS_MIN, KEY_BITS_MAX);
	if (X509_check_private_key(c->leaf, c->key) != 1)
		return err_set(err, ERR_INPUT, "the private key is not that of the certificate");
	return check_dates(c, now, err);
}

static bool is_pem(const struct secret *data)
{
	return memmem(data->p, data->n, "-----BEGIN ", 11) != NULL;
}

/* PKCS#12 as text is what tools show; in a Secret it would be encoded twice. */
static bool is_base64(const struct secret *data)
{
	size_t n = 0;

	while (n < data->n &&
	       (strchr("+/=\r\n", data->p[n]) || (data->p[n] >= '0' && data->p[n] <= '9') ||
		(data->p[n] >= 'A' && data->p[n] <= 'Z') ||
		(data->p[n] >= 'a' && data->p[n] <= 'z')))
		n++;
	return n == data->n && n > 4 && data->p[0] == 'M'; /* a SEQUENCE, as PKCS#12 is */
}

static int read_any(struct cert *c, const struct secret *data, const char *password,
		    struct err *err)
{
	int r;

	if (!is_pem(data)) {
		if (is_base64(data))
			return err_set(err, ERR_INPUT,
				       "it is base64 once more: was it encoded twice?");
		return read_p12(c, data, password, err);
	}
	r = read_pem_key(c, data, password, err);
	return r < 0 ? r : read_pem_certs(c, data, err);
}

struct cert *cert_parse(const struct secret *data, const struct secret *password, struct wall now,
			struct err *err)
{
	_cleanup_(cert_freep) struct cert *c = xnew(struct cert);
	char text[PASSWORD_MAX + 1] = "";
	int r = 0;

	if (password->n > PASSWORD_MAX || (password->n && memchr(password->p, '\0', password->n)))
		r = err_set(err, ERR_INPUT, "the password is over %d bytes, or has a NUL in it",
			    PASSWORD_MAX);
	else if (password->n)
		memcpy(text, password->p, password->n);
	if (r == 0)
		r = read_any(c, data, text, err);
	if (r == 0)
		r = check(c, now, err);
	explicit_bzero(text, sizeof(text));
	ERR_clear_error();
	return r < 0 ? NULL : steal_ptr(c);
}
