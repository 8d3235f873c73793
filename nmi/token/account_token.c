/* SPDX-License-Identifier: MIT */

/* A pod's service-account token: see account_token.h. */

#include "nmi/token/account_token.h"

#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#include <openssl/evp.h>
#include <string.h>

/* Kubernetes gives no shorter one; it is shown to Entra at once, and cannot be called back there. */
#define LIFE_SEC  600
#define TOKEN_MAX ((size_t)16384)

void account_claims_deinit(struct account_claims *c)
{
	free(c->issuer);
	free(c->subject);
	free(c->audience);
	*c = (struct account_claims){ 0 };
}

char *account_token_request(const struct token_pod *pod, const char *audience, size_t *out_len)
{
	const struct jval_pair one[] = { { "a", audience } };
	size_t n;
	/* {"a":"…"}: the audience as a JSON string, for the list that jval does not print */
	_cleanup_free_ char *pair = jval_print_pairs(one, 1, &n);
	const struct jval_pair ref[] = { { "apiVersion", "v1" },
					 { "kind", "Pod" },
					 { "name", pod->name },
					 { "uid", pod->uid } };
	_cleanup_free_ char *bound = jval_print_pairs(ref, ARRAY_SIZE(ref), NULL);
	char *body =
		xasprintf("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\","
			  "\"spec\":{\"audiences\":[%.*s],\"expirationSeconds\":%d,"
			  "\"boundObjectRef\":%s}}",
			  (int)(n - 6), pair + 5, LIFE_SEC, bound);

	*out_len = strlen(body);
	return body;
}

/* base64url differs from base64 in two characters. */
static char plain_of(char c)
{
	if (c == '-')
		return '+';
	return (char)(c == '_' ? '/' : c);
}

/* The middle part of a JWT, which is not encrypted, as JSON; NULL if it is none. */
static struct jval *parse_claims(const char *token)
{
	const char *from = strchr(token, '.'), *to = from ? strchr(from + 1, '.') : NULL;
	size_t n = to ? (size_t)(to - from - 1) : 0, padded = (n + 3) / 4 * 4;
	char *text = xcalloc(1, padded + 1);
	unsigned char *bytes = xcalloc(1, padded + 1);
	struct jval *claims = NULL;
	int got;

	memset(text, '=', padded);
	for (size_t i = 0; i < n; i++)
		text[i] = plain_of(from[1 + i]);
	got = n ? EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)padded) : -1;
	if (got >= (int)(padded - n))
		claims = jval_parse((const char *)bytes, (size_t)got - (padded - n), TOKEN_MAX,
				    NULL);
	explicit_bzero(text, padded);
	explicit_bzero(bytes, padded);
	free(text);
	free(bytes);
	return claims;
}

static const char *audience_of(const struct jval *claims)
{
	const struct jval *aud = jval_get(claims, "aud");
	const char *only = aud ? jval_as_str(aud) : NULL;

	if (aud && !only && jval_len(aud) == 1)
		only = jval_as_str(jval_at(aud, 0));
	return only;
}

int account_token_parse(const struct jval *doc, struct secret *out,
			struct account_claims *out_claims, struct err *err)
{
	_cleanup_(jval_freep) struct jval *claims = NULL;
	const char *token = NULL, *issuer = NULL, *subject = NULL, *audience;
	const struct jval_field of_doc[] = { { "status.token", JVAL_STR, JVAL_MUST, &token } };
	const struct jval_field of_token[] = { { "iss", JVAL_STR, JVAL_MUST, &issuer },
					       { "sub", JVAL_STR, JVAL_MUST, &subject } };

	if (jval_read(doc, of_doc, ARRAY_SIZE(of_doc), JVAL_CASE_EXACT, err) < 0)
		return -ERR_INPUT;
	if (strlen(token) > TOKEN_MAX)
		return err_set(err, ERR_INPUT, "status.token is too long");
	claims = parse_claims(token);
	if (!claims || jval_read(claims, of_token, ARRAY_SIZE(of_token), JVAL_CASE_EXACT, NULL) < 0)
		return err_set(err, ERR_INPUT, "status.token is no token with iss and sub");
	audience = audience_of(claims);
	if (!audience)
		return err_set(err, ERR_INPUT, "status.token is not for exactly one audience");
	secret_set(out, token, strlen(token));
	*out_claims = (struct account_claims){ xstrdup(issuer), xstrdup(subject),
					       xstrdup(audience) };
	return 0;
}
