/* SPDX-License-Identifier: MIT */

/* Credentials in Secrets: see credential.h. */

#include "nmi/token/credential.h"

#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* Entra makes secrets of 40 characters, and takes none of a kilobyte. */
#define SECRET_MAX 4096
#define KEYS_MAX   160

/*
 * Base64 as the API server writes it: one block, padded. EVP_DecodeBlock() counts the padding as zero
 * bytes, and skips white space at both ends.
 */
static int decode(const char *key, const struct jval *v, struct secret *out, struct err *err)
{
	const char *text = v ? jval_as_str(v) : NULL;
	size_t n = text ? strlen(text) : 0, pad = 0;
	unsigned char *bytes;
	int got;

	if (!n)
		return err_set(err, ERR_INPUT, "key %s is empty", key);
	while (pad < 2 && pad < n && text[n - 1 - pad] == '=')
		pad++;
	bytes = xcalloc(1, n);
	got = n % 4 || strcspn(text, "=") != n - pad
		      ? -1
		      : EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
	if (got >= (int)pad)
		secret_set(out, bytes, (size_t)got - pad);
	explicit_bzero(bytes, n);
	free(bytes);
	return got >= (int)pad ? 0 : err_set(err, ERR_INPUT, "key %s is not base64", key);
}

struct keys {
	char text[KEYS_MAX];
	size_t n;
	const char *only;
	const struct jval *value;
};

static int note_key(void *ctx, const char *key, const struct jval *v)
{
	struct keys *k = ctx;
	size_t at = strlen(k->text);

	if (k->n++)
		at += (size_t)snprintf(k->text + at, sizeof(k->text) - at, ", ");
	if (at < sizeof(k->text))
		(void)str_escape(k->text + at, sizeof(k->text) - at, str_of(key));
	k->only = key;
	k->value = v;
	return 0;
}

static int list_keys(const struct jval *data, struct keys *k, struct err *err)
{
	if (data)
		(void)jval_each(data, note_key, k);
	return k->n ? 0 : err_set(err, ERR_INPUT, "it holds no keys");
}

static int find_secret(const struct jval *data, const char **out_key, const struct jval **out,
		       struct err *err)
{
	/* the documented one, and those that were seen where any key would do */
	static const char *const names[] = { "clientSecret", "ClientSecret", "clientsecret" };
	struct keys k = { 0 };
	int r = list_keys(data, &k, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		*out = jval_get(data, names[i]);
		*out_key = names[i];
		if (*out)
			return 0;
	}
	if (r == 0 && k.n > 1)
		r = err_set(err, ERR_INPUT, "it has the keys %s, and none of them is clientSecret",
			    k.text);
	*out_key = k.only;
	*out = k.value;
	return r;
}

int credential_read_secret(const struct jval *data, struct secret *out, struct err *err)
{
	_cleanup_(secret_deinit) struct secret s = { 0 };
	const struct jval *v = NULL;
	const char *key = NULL;
	int r = find_secret(data, &key, &v, err);

	if (r == 0)
		r = decode(key, v, &s, err);
	if (r < 0)
		return r;
	/* what `echo` adds; no secret of Entra's ends so */
	while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.p[--s.n] = 0;
	if (!s.n)
		return err_set(err, ERR_INPUT, "key %s is empty", key);
	if (s.n > SECRET_MAX)
		return err_set(err, ERR_INPUT,
			       "key %s has %zu bytes, and a client secret %d at most", key, s.n,
			       SECRET_MAX);
	secret_set(out, s.p, s.n);
	return 0;
}

int credential_read_certificate(const struct jval *data, struct secret *out_certificate,
				struct secret *out_password, struct err *err)
{
	_cleanup_(secret_deinit) struct secret certificate = { 0 };
	_cleanup_(secret_deinit) struct secret password = { 0 };
	struct keys k = { 0 };
	const struct jval *v;
	int r = list_keys(data, &k, err);

	if (r < 0)
		return r;
	v = jval_get(data, "certificate");
	if (!v)
		return err_set(err, ERR_INPUT,
			       "it has no key certificate, but %s; put PKCS#12 or PEM there",
			       k.text);
	r = decode("certificate", v, &certificate, err);
	v = jval_get(data, "password");
	if (r == 0 && v && jval_as_str(v) && *jval_as_str(v))
		r = decode("password", v, &password, err);
	if (r < 0)
		return r;
	secret_set(out_certificate, certificate.p, certificate.n);
	if (password.n)
		secret_set(out_password, password.p, password.n);
	return 0;
}
