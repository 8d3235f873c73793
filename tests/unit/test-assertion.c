/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "nmi/token/cert.h"
#include "tests/unit/mk-cert.h"
#include "tests/unit/mk-json.h"
#include "tests/unit/unit.h"

#include <openssl/rsa.h>
#include <string.h>

#define AUDIENCE "https://login.microsoftonline.com/t/oauth2/v2.0/token"
#define CLIENT	 "44444444-aaaa-4000-8000-000000000004"

/* The reader of a JWT: not a line of the maker's. */

struct jwt {
	char *text;
	char *part[3]; /* decoded; the signature is binary */
	size_t n[3];
	size_t n_signed;
};

static void decode_part(struct jwt *j, size_t i, const char *p, size_t n)
{
	char *std = xcalloc(1, n + 4);
	int got;

	memcpy(std, p, n);
	for (char *c = std; *c; c++) {
		if (*c == '-')
			*c = '+';
		else if (*c == '_')
			*c = '/';
	}
	memset(std + n, '=', (4 - n % 4) % 4);
	j->part[i] = xcalloc(1, n + 4);
	got = EVP_DecodeBlock((unsigned char *)j->part[i], (unsigned char *)std, (int)strlen(std));
	ck_assert_int_gt(got, 0);
	j->n[i] = (size_t)got - (4 - n % 4) % 4;
	j->part[i][j->n[i]] = '\0';
	free(std);
}

static void read_jwt(struct jwt *j, const struct secret *s)
{
	const char *at;

	*j = (struct jwt){ .text = xstrndup((const char *)s->p, s->n) };
	ck_assert_uint_eq(strspn(j->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					  "0123456789-_."),
			  s->n);
	at = j->text;
	for (size_t i = 0; i < 3; i++) {
		size_t n = strcspn(at, ".");

		decode_part(j, i, at, n);
		if (i == 1)
			j->n_signed = (size_t)(at + n - j->text);
		at += n + (at[n] == '.');
	}
	ck_assert_int_eq(*at, '\0');
}

static void jwt_deinit(struct jwt *j)
{
	for (size_t i = 0; i < 3; i++)
		free(j->part[i]);
	free(j->text);
}

static bool verifies(const struct jwt *j, EVP_PKEY *key, bool pss)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx;
	bool ok;

	ck_assert_int_eq(EVP_DigestVerifyInit(md, &ctx, EVP_sha256(), NULL, key), 1);
	if (pss) {
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32); /* RFC 7518, 3.5 */
	}
	ok = EVP_DigestVerify(md, (unsigned char *)j->part[2], j->n[2], (unsigned char *)j->text,
			      j->n_signed) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

static const char *text_at(const struct jval *doc, const char *key)
{
	const struct jval *v = jval_get(doc, key);

	return v ? jval_as_str(v) : NULL;
}

static int64_t number_at(const struct jval *doc, const char *key)
{
	int64_t n = -1;

	ck_assert(jval_as_int(jval_get(doc, key), &n));
	return n;
}

static void make(struct jwt *j, const struct mk_cert *m, const struct cert_style *style)
{
	_cleanup_(secret_deinit) struct secret pem = { 0 }, out = { 0 };
	const struct secret none = { 0 };
	_cleanup_(cert_freep) struct cert *c = NULL;
	const struct wall now = { MK_NOW };

	mk_pem(&pem, m->key, m->cert, MK_KEY_FIRST, NULL);
	c = cert_parse(&pem, &none, now, NULL);
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(cert_assert(c, style, AUDIENCE, CLIENT, now, &out, NULL), 0);
	read_jwt(j, &out);
}

static const struct {
	struct cert_style style;
	const char *alg, *thumb, *not ;
	const EVP_MD *(*digest)(void);
} styles[] = {
	{ { 0 }, "PS256", "x5t#S256", "x5t", EVP_sha256 },
	{ { .rs256 = true }, "RS256", "x5t", "x5t#S256", EVP_sha1 },
	{ { .x5c = true }, "PS256", "x5t#S256", "x5t", EVP_sha256 },
	{ { .rs256 = true, .x5c = true }, "RS256", "x5t", "x5t#S256", EVP_sha1 },
};

static void check_thumbprint(const struct jval *head, const struct mk_cert *m, size_t i)
{
	unsigned char want[EVP_MAX_MD_SIZE];
	unsigned n_want;
	struct jwt j = { 0 };
	const char *text = text_at(head, styles[i].thumb);

	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_null(text_at(head, styles[i].not ));
	ck_assert_int_eq(X509_digest(m->cert, styles[i].digest(), want, &n_want), 1);
	decode_part(&j, 0, text, strlen(text));
	ck_assert_uint_eq(j.n[0], n_want);
	ck_assert_mem_eq(j.part[0], want, n_want);
	jwt_deinit(&j);
}

START_TEST(its_head_says_how_and_by_which_certificate_it_was_signed)
{
	struct mk_cert m = mk_cert();
	_cleanup_(jval_freep) struct jval *head = NULL;
	struct jwt j;

	make(&j, &m, &styles[_i].style);
	head = mk_json(j.part[0]);
	ck_assert_str_eq(text_at(head, "alg"), styles[_i].alg);
	ck_assert_str_eq(text_at(head, "typ"), "JWT");
	check_thumbprint(head, &m, (size_t)_i);
	ck_assert(verifies(&j, m.key, !styles[_i].style.rs256));
	ck_assert(!verifies(&j, m.key, styles[_i].style.rs256)); /* the other padding */
	j.text[5] ^= 1;
	ck_assert(!verifies(&j, m.key, !styles[_i].style.rs256)); /* so the check is one */
	jwt_deinit(&j);
	mk_cert_deinit(&m);
}
END_TEST

START_TEST(the_certificate_goes_with_it_where_that_is_wanted)
{
	struct mk_cert m = mk_cert();
	_cleanup_(jval_freep) struct jval *head = NULL;
	unsigned char der[8192], *at = der;
	const struct jval *x5c;
	const char *text;
	struct jwt j;
	int n, got;

	make(&j, &m, &(struct cert_style){ .x5c = true });
	head = mk_json(j.part[0]);
	x5c = jval_get(head, "x5c");
	ck_assert_ptr_nonnull(x5c);
	ck_assert_uint_eq(jval_len(x5c), 1);
	text = jval_as_str(jval_at(x5c, 0)); /* base64, not base64url: RFC 7515, 4.1.6 */
	got = EVP_DecodeBlock(der + 4096, (const unsigned char *)text, (int)strlen(text));
	n = i2d_X509(m.cert, &at);
	ck_assert_int_ge(got, n);
	ck_assert_mem_eq(der + 4096, der, (size_t)n);
	jwt_deinit(&j);
	mk_cert_deinit(&m);
}
END_TEST

START_TEST(its_claims_are_of_this_client_for_this_endpoint_for_ten_minutes)
{
	struct mk_cert m = mk_cert();
	_cleanup_(jval_freep) struct jval *claims = NULL, *again = NULL;
	struct jwt j, k;

	make(&j, &m, &(struct cert_style){ 0 });
	make(&k, &m, &(struct cert_style){ 0 });
	claims = mk_json(j.part[1]);
	again = mk_json(k.part[1]);
	ck_assert_str_eq(text_at(claims, "aud"), AUDIENCE);
	ck_assert_str_eq(text_at(claims, "iss"), CLIENT);
	ck_assert_str_eq(text_at(claims, "sub"), CLIENT);
	ck_assert_int_eq(number_at(claims, "nbf"), MK_NOW);
	ck_assert_int_eq(number_at(claims, "iat"), MK_NOW);
	ck_assert_int_eq(number_at(claims, "exp"), MK_NOW + 600);
	ck_assert_uint_eq(strlen(text_at(claims, "jti")), 36);
	ck_assert_str_ne(text_at(claims, "jti"), text_at(again, "jti"));
	jwt_deinit(&j);
	jwt_deinit(&k);
	mk_cert_deinit(&m);
}
END_TEST

UNIT_MAIN("assertion", UNIT_LOOP(its_head_says_how_and_by_which_certificate_it_was_signed, styles),
	  UNIT(the_certificate_goes_with_it_where_that_is_wanted),
	  UNIT(its_claims_are_of_this_client_for_this_endpoint_for_ten_minutes))
