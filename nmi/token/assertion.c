/* SPDX-License-Identifier: MIT */

/*
 * Client assertions: see cert.h. What is in them is Entra's wish (learn.microsoft.com, "Application
 * authentication certificate credentials"): who asks, for which endpoint, from when to when, and by its
 * thumbprint which of the application's certificates is to verify it.
 */

#include "lib/base/buf.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/token/cert.h"
#include "nmi/token/cert_internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* "5 to 10 minutes after nbf"; it is used within the second */
#define LIFE_SEC 600
#define GUID_MAX 37

DEFINE_CERT_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free)

static void put_base64(struct buf *b, const void *p, size_t n, bool url)
{
	size_t size = 4 * ((n + 2) / 3) + 1, out;
	char *text = xcalloc(1, size);

	out = (size_t)EVP_EncodeBlock((unsigned char *)text, p, (int)n);
	for (size_t i = 0; url && i < out; i++) {
		if (text[i] == '+')
			text[i] = '-';
		else if (text[i] == '/')
			text[i] = '_';
	}
	while (url && out && text[out - 1] == '=')
		out--;
	buf_put(b, text, out);
	explicit_bzero(text, size);
	free(text);
}

static void put_x5c(struct buf *b, X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);

	buf_put(b, "\"", 1);
	if (n > 0)
		put_base64(b, der, (size_t)n, false);
	buf_put(b, "\"", 1);
	OPENSSL_free(der);
}

static int put_header(struct buf *b, const struct cert *c, const struct cert_style *style,
		      struct err *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n_digest = 0;
	_cleanup_(buf_deinit) struct buf thumb = { 0 }, json = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t n;

	if (X509_digest(c->leaf, style->rs256 ? EVP_sha1() : EVP_sha256(), digest, &n_digest) != 1)
		return err_set(err, ERR_OS, "the certificate's thumbprint could not be made");
	put_base64(&thumb, digest, n_digest, true);
	const struct jval_pair pairs[] = {
		{ "alg", style->rs256 ? "RS256" : "PS256" },
		{ "typ", "JWT" },
		{ style->rs256 ? "x5t" : "x5t#S256", thumb.p },
	};
	text = jval_print_pairs(pairs, ARRAY_SIZE(pairs), &n);
	buf_put(&json, text, n - 1); /* without its brace */
	if (style->x5c) {
		buf_put(&json, ",\"x5c\":[", 8);
		put_x5c(&json, c->leaf);
		for (int i = 0; i < sk_X509_num(c->chain); i++) {
			buf_put(&json, ",", 1);
			put_x5c(&json, sk_X509_value(c->chain, i));
		}
		buf_put(&json, "]", 1);
	}
	buf_put(&json, "}", 1);
	put_base64(b, json.p, json.n, true);
	return 0;
}

/* Version 4 of RFC 9562. */
static void print_guid(char out[static GUID_MAX])
{
	unsigned char r[16];

	arc4random_buf(r, sizeof(r));
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	for (size_t i = 0, at = 0; i < sizeof(r); i++) {
		bool dash = i == 4 || i == 6 || i == 8 || i == 10;

		at += (size_t)snprintf(out + at, GUID_MAX - at, "%s%02x", dash ? "-" : "", r[i]);
	}
}

static void put_claims(struct buf *b, const char *audience, const char *client_id, struct wall now)
{
	char jti[GUID_MAX];
	_cleanup_free_ char *text = NULL;
	size_t n;

	print_guid(jti);
	const struct jval_item items[] = {
		{ "aud", JVAL_STR, audience, 0 },
		{ "iss", JVAL_STR, client_id, 0 },
		{ "sub", JVAL_STR, client_id, 0 },
		{ "jti", JVAL_STR, jti, 0 },
		{ "nbf", JVAL_INT, NULL, now.s },
		{ "iat", JVAL_INT, NULL, now.s },
		{ "exp", JVAL_INT, NULL, now.s + LIFE_SEC },
	};

	text = jval_print_items(items, ARRAY_SIZE(items), &n);
	put_base64(b, text, n, true);
}

static int put_signature(struct buf *b, const struct cert *c, const struct cert_style *style,
			 struct err *err)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	_cleanup_free_ unsigned char *signature = NULL;
	EVP_PKEY_CTX *ctx = NULL;
	size_t n = 0;
	bool ok = md && EVP_DigestSignInit_ex(md, &ctx, "SHA256", c->lib, NULL, c->key, NULL) == 1;

	if (ok && !style->rs256)
		ok = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
	if (ok)
		ok = EVP_DigestSign(md, NULL, &n, (const unsigned char *)b->p, b->n) == 1;
	if (ok) {
		signature = xcalloc(1, n);
		ok = EVP_DigestSign(md, signature, &n, (const unsigned char *)b->p, b->n) == 1;
	}
	ERR_clear_error();
	if (!ok)
		return err_set(err, ERR_OS, "OpenSSL did not sign with the private key");
	buf_put(b, ".", 1);
	put_base64(b, signature, n, true);
	return 0;
}

int cert_assert(const struct cert *c, const struct cert_style *style, const char *audience,
		const char *client_id, struct wall now, struct secret *out, struct err *err)
{
	_cleanup_(buf_deinit) struct buf b = { .wipe = true };
	int r = put_header(&b, c, style, err);

	if (r < 0)
		return r;
	buf_put(&b, ".", 1);
	put_claims(&b, audience, client_id, now);
	r = put_signature(&b, c, style, err);
	if (r < 0)
		return r;
	secret_set(out, b.p, b.n);
	return 0;
}
