/* SPDX-License-Identifier: MIT */

/* Signing and checking tokens: see jwt.h. */

#include "tests/sandbox/imds/jwt.h"

#include "lib/base/mem.h"

#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_BITS    2048
#define MODULUS_MAX 1024
#define TOKEN_MAX   ((size_t)64 * 1024)

struct jwt_key {
	EVP_PKEY *pkey;
	char *kid;
};

static void pkey_freep(EVP_PKEY **p)
{
	EVP_PKEY_free(*p);
}

static void bn_freep(BIGNUM **p)
{
	BN_free(*p);
}

static void md_ctx_freep(EVP_MD_CTX **p)
{
	EVP_MD_CTX_free(*p);
}

static void json_freep(json_t **p)
{
	json_decref(*p);
}

static void filep(FILE **f)
{
	if (*f)
		(void)fclose(*f); /* read only, or flushed before */
}

/* base64url without padding (RFC 7515, appendix C), on the heap */
static char *b64url(const void *p, size_t n)
{
	char *out = xcalloc(n / 3 * 4 + 5, 1);
	int len = EVP_EncodeBlock((unsigned char *)out, p, (int)n);

	while (len > 0 && out[len - 1] == '=')
		len--;
	out[len] = '\0';
	for (char *c = out; *c; c++)
		*c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c);
	return out;
}

/* NULL if it is not base64url */
static unsigned char *b64url_decode(const char *s, size_t n, size_t *out_n)
{
	size_t padded = (n + 3) / 4 * 4;
	_cleanup_free_ char *std = xcalloc(padded + 1, 1);
	_cleanup_free_ unsigned char *out = xcalloc(padded + 1, 1);
	int len;

	if (n % 4 == 1)
		return NULL;
	memset(std, '=', padded);
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '+' || s[i] == '/' || s[i] == '=')
			return NULL;
		std[i] = (char)(s[i] == '-' ? '+' : s[i] == '_' ? '/' : s[i]);
	}
	len = EVP_DecodeBlock(out, (unsigned char *)std, (int)padded);
	if (len < 0)
		return NULL;
	*out_n = (size_t)len - (padded - n);
	return steal_ptr(out);
}

static EVP_PKEY *key_from_file(const char *path)
{
	_cleanup_(filep) FILE *f = fopen(path, "re");

	return f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
}

static int key_to_file(EVP_PKEY *pkey, const char *path, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	_cleanup_(filep) FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f)
		return err_set_errno(err, errno, "%s", path);
	(void)steal_fd(&fd);
	if (!PEM_write_PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL) || fflush(f) != 0)
		return err_set(err, ERR_OS, "%s: the key could not be written", path);
	return 0;
}

/* kid: the thumbprint of the modulus, as good as any other name */
static char *key_name(EVP_PKEY *pkey)
{
	_cleanup_(bn_freep) BIGNUM *n = NULL;
	unsigned char modulus[MODULUS_MAX], digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (!EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) ||
	    BN_num_bytes(n) > MODULUS_MAX ||
	    !EVP_Digest(modulus, (size_t)BN_bn2bin(n, modulus), digest, &len, EVP_sha256(), NULL))
		return NULL;
	return b64url(digest, 20);
}

struct jwt_key *jwt_key_new(const char *path, struct err *err)
{
	_cleanup_(pkey_freep) EVP_PKEY *pkey = path ? key_from_file(path) : NULL;
	_cleanup_free_ char *kid = NULL;
	struct jwt_key *k;

	if (!pkey) {
		pkey = EVP_RSA_gen(KEY_BITS);
		if (pkey && path && key_to_file(pkey, path, err) < 0)
			return NULL;
	}
	kid = pkey ? key_name(pkey) : NULL;
	if (!kid) {
		(void)err_set(err, ERR_OS, "no RSA key could be made");
		return NULL;
	}
	k = xnew(struct jwt_key);
	k->pkey = steal_ptr(pkey);
	k->kid = steal_ptr(kid);
	return k;
}

struct jwt_key *jwt_key_free(struct jwt_key *k)
{
	if (!k)
		return NULL;
	EVP_PKEY_free(k->pkey);
	free(k->kid);
	free(k);
	return NULL;
}

static char *part_of(const json_t *v)
{
	_cleanup_free_ char *text = json_dumps(v, JSON_COMPACT);

	return text ? b64url(text, strlen(text)) : NULL;
}

char *jwt_sign(const struct jwt_key *k, const json_t *claims, struct err *err)
{
	_cleanup_(json_freep) json_t *head = json_pack("{s:s, s:s, s:s, s:s}", "typ", "JWT", "alg",
						       "RS256", "x5t", k->kid, "kid", k->kid);
	_cleanup_free_ char *h = part_of(head), *c = part_of(claims), *s = NULL,
			    *signed_part = NULL;
	_cleanup_(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[MODULUS_MAX];
	size_t n = sizeof(sig);

	if (!h || !c || !ctx) {
		(void)err_set(err, ERR_OS, "no memory for a token");
		return NULL;
	}
	signed_part = xasprintf("%s.%s", h, c);
	if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) != 1 ||
	    EVP_DigestSign(ctx, sig, &n, (unsigned char *)signed_part, strlen(signed_part)) != 1) {
		(void)err_set(err, ERR_OS, "the token could not be signed");
		return NULL;
	}
	s = b64url(sig, n);
	return xasprintf("%s.%s", signed_part, s);
}

static char *public_number(const struct jwt_key *k, const char *param)
{
	_cleanup_(bn_freep) BIGNUM *bn = NULL;
	unsigned char bytes[MODULUS_MAX];

	if (!EVP_PKEY_get_bn_param(k->pkey, param, &bn) || BN_num_bytes(bn) > MODULUS_MAX)
		return NULL;
	return b64url(bytes, (size_t)BN_bn2bin(bn, bytes));
}

json_t *jwt_key_set(const struct jwt_key *k)
{
	_cleanup_free_ char *n = public_number(k, OSSL_PKEY_PARAM_RSA_N);
	_cleanup_free_ char *e = public_number(k, OSSL_PKEY_PARAM_RSA_E);

	return json_pack("{s:[{s:s, s:s, s:s, s:s, s:s}]}", "keys", "kty", "RSA", "use", "sig",
			 "kid", k->kid, "n", n, "e", e);
}

static EVP_PKEY *key_from_numbers(const char *n_text, const char *e_text)
{
	size_t n_len = 0, e_len = 0;
	_cleanup_free_ unsigned char *n_bytes = b64url_decode(n_text, strlen(n_text), &n_len);
	_cleanup_free_ unsigned char *e_bytes = b64url_decode(e_text, strlen(e_text), &e_len);
	_cleanup_(bn_freep) BIGNUM *n = n_bytes ? BN_bin2bn(n_bytes, (int)n_len, NULL) : NULL;
	_cleanup_(bn_freep) BIGNUM *e = e_bytes ? BN_bin2bn(e_bytes, (int)e_len, NULL) : NULL;
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *pkey = NULL;

	if (n && e && bld && ctx && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e))
		params = OSSL_PARAM_BLD_to_param(bld);
	if (params && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY,
					params); /* NULL on failure */
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY *key_named(const json_t *key_set, const char *kid)
{
	const json_t *keys = json_object_get(key_set, "keys");
	size_t i;
	json_t *v;

	json_array_foreach (keys, i, v) {
		const char *name = json_string_value(json_object_get(v, "kid"));
		const char *n = json_string_value(json_object_get(v, "n"));
		const char *e = json_string_value(json_object_get(v, "e"));

		if (name && n && e && strcmp(name, kid) == 0)
			return key_from_numbers(n, e);
	}
	return NULL;
}

static json_t *decode_part(const char *p, size_t n)
{
	size_t len = 0;
	_cleanup_free_ unsigned char *text = b64url_decode(p, n, &len);

	return text ? json_loadb((char *)text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static json_t *verify_fail(struct err *err, const char *why)
{
	(void)err_set(err, ERR_REFUSED, "%s", why);
	return NULL;
}

json_t *jwt_verify(const json_t *key_set, const char *token, struct err *err)
{
	const char *dot1 = strchr(token, '.'), *dot2 = dot1 ? strchr(dot1 + 1, '.') : NULL;
	_cleanup_(json_freep) json_t *head = NULL;
	_cleanup_(pkey_freep) EVP_PKEY *pkey = NULL;
	_cleanup_(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	_cleanup_free_ unsigned char *sig = NULL;
	const char *alg, *kid;
	size_t sig_n = 0;
	json_t *claims;

	if (!dot2 || strchr(dot2 + 1, '.') || strlen(token) > TOKEN_MAX)
		return verify_fail(err, "not three parts with dots between them");
	head = decode_part(token, (size_t)(dot1 - token));
	alg = json_string_value(json_object_get(head, "alg"));
	kid = json_string_value(json_object_get(head, "kid"));
	if (!alg || !kid || strcmp(alg, "RS256") != 0)
		return verify_fail(err, "the head does not say RS256 and a kid");
	pkey = key_named(key_set, kid);
	if (!pkey)
		return verify_fail(err, "signed by a key that is not in the set");
	sig = b64url_decode(dot2 + 1, strlen(dot2 + 1), &sig_n);
	if (!sig || !ctx || EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) != 1 ||
	    EVP_DigestVerify(ctx, sig, sig_n, (const unsigned char *)token,
			     (size_t)(dot2 - token)) != 1)
		return verify_fail(err, "the signature is wrong");
	claims = decode_part(dot1 + 1, (size_t)(dot2 - dot1 - 1));
	return claims ? claims : verify_fail(err, "the claims are not JSON");
}
