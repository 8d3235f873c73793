/* SPDX-License-Identifier: MIT */

/* TokenRequest: see token.h. */

#include "tests/sandbox/apiserver/token.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/apiserver/api.h"
#include "tests/sandbox/apiserver/base64.h"
#include "tests/sandbox/apiserver/meta.h"
#include "tests/sandbox/apiserver/reply.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/apiserver/status.h"
#include "tests/sandbox/ledger.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define SECONDS_MIN	600
#define SECONDS_DEFAULT 3600
#define SECONDS_MAX	(INT64_C(1) << 32)

struct token_issuer {
	char *issuer, *jwks_uri;
	EVP_PKEY *key;
	char *kid;
	char *n, *e; /* of the public key, base64url */
	bool public_keys;
};

static const char discovery_path[] = "/.well-known/openid-configuration";
static const char keys_path[] = "/openid/v1/jwks";

/* the key */

static EVP_PKEY *load_key(const char *path, struct err *err)
{
	EVP_PKEY *key = NULL;
	FILE *f;

	if (!path)
		return EVP_RSA_gen(2048);
	f = fopen(path, "re");
	if (!f) {
		(void)err_set_errno(err, errno, "%s", path);
		return NULL;
	}
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	(void)fclose(f); /* only read */
	if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
		(void)err_set(err, ERR_INPUT, "%s: not an RSA private key in PEM", path);
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

static char *print_number(EVP_PKEY *key, const char *name)
{
	unsigned char bytes[1024];
	BIGNUM *bn = NULL;
	char *text = NULL;

	if (EVP_PKEY_get_bn_param(key, name, &bn) && BN_num_bytes(bn) <= (int)sizeof(bytes))
		text = base64url_encode(bytes, (size_t)BN_bn2bin(bn, bytes));
	BN_free(bn);
	return text;
}

/* As the real server names its key: the digest of the public key's DER. */
static char *print_kid(EVP_PKEY *key)
{
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	unsigned len = 0;
	char *kid = NULL;

	if (n > 0 && EVP_Digest(der, (size_t)n, digest, &len, EVP_sha256(), NULL))
		kid = base64url_encode(digest, len);
	OPENSSL_free(der);
	return kid;
}

struct token_issuer *token_issuer_new(const struct token_options *o, struct err *err)
{
	struct token_issuer *i = xnew(struct token_issuer);

	i->issuer = xstrdup(o->issuer);
	i->jwks_uri = xstrdup(o->jwks_uri);
	i->public_keys = o->public_keys;
	i->key = load_key(o->key_path, err);
	if (!i->key)
		return token_issuer_free(i);
	i->kid = print_kid(i->key);
	i->n = print_number(i->key, OSSL_PKEY_PARAM_RSA_N);
	i->e = print_number(i->key, OSSL_PKEY_PARAM_RSA_E);
	if (i->kid && i->n && i->e)
		return i;
	(void)err_set(err, ERR_OS, "the signing key cannot be used");
	return token_issuer_free(i);
}

struct token_issuer *token_issuer_free(struct token_issuer *i)
{
	if (!i)
		return NULL;
	EVP_PKEY_free(i->key);
	free(i->issuer);
	free(i->jwks_uri);
	free(i->kid);
	free(i->n);
	free(i->e);
	free(i);
	return NULL;
}

/* signing */

static char *encode_json(const json_t *doc)
{
	_cleanup_free_ char *text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);

	return base64url_encode(text, strlen(text));
}

static char *sign(const struct token_issuer *i, const json_t *claims)
{
	json_t *head = json_pack("{s:s, s:s}", "alg", "RS256", "kid", i->kid);
	_cleanup_free_ char *h = encode_json(head), *c = encode_json(claims);
	_cleanup_free_ char *body = xasprintf("%s.%s", h, c), *sig = NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char bytes[1024];
	size_t n = sizeof(bytes);
	bool ok;

	json_decref(head);
	ok = md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, i->key) == 1 &&
	     EVP_DigestSign(md, bytes, &n, (const unsigned char *)body, strlen(body)) == 1;
	EVP_MD_CTX_free(md);
	if (!ok)
		return NULL;
	sig = base64url_encode(bytes, n);
	return xasprintf("%s.%s", body, sig);
}

/* the request */

struct ask {
	const json_t *audiences, *bound;
	int64_t seconds;
	const json_t *pod; /* bound to, or NULL */
};

static json_t *ref(const json_t *obj)
{
	return json_pack("{s:s, s:s}", "name", meta_str(obj, "name"), "uid", meta_str(obj, "uid"));
}

/* The node that the pod is on, where there is such an object. */
static void add_node(const struct api *api, const json_t *pod, json_t *out)
{
	const struct kind *nk = kinds_find_id(&api->kinds, KIND_NODE);
	const char *name =
		json_string_value(json_object_get(json_object_get(pod, "spec"), "nodeName"));
	struct version *node = name ? coll_find(&nk->coll, name) : NULL;

	if (node)
		json_object_set_new(out, "node", ref(version_json(node)));
	else if (name)
		json_object_set_new(out, "node", json_pack("{s:s}", "name", name));
}

static json_t *claims_of(const struct api *api, const json_t *sa, const struct ask *ask,
			 int64_t now)
{
	const char *ns = meta_str(sa, "namespace");
	_cleanup_free_ char *sub = xasprintf("system:serviceaccount:%s:%s", ns,
					     meta_str(sa, "name"));
	json_t *k8s = json_pack("{s:s, s:o}", "namespace", ns, "serviceaccount", ref(sa));
	char jti[META_UID_MAX];

	meta_new_uid(jti);
	if (ask->pod) {
		json_object_set_new(k8s, "pod", ref(ask->pod));
		add_node(api, ask->pod, k8s);
	}
	return json_pack("{s:O, s:I, s:I, s:s, s:s, s:o, s:I, s:s}", "aud", ask->audiences, "exp",
			 (json_int_t)now + ask->seconds, "iat", (json_int_t)now, "iss",
			 api->issuer->issuer, "jti", jti, "kubernetes.io", k8s, "nbf",
			 (json_int_t)now, "sub", sub);
}

static json_t *check_seconds(const struct ask *ask)
{
	json_t *causes = json_array();

	if (ask->seconds < SECONDS_MIN)
		status_cause(causes, "FieldValueInvalid", "spec.expirationSeconds",
			     "Invalid value: %lld: may not specify a duration less than 10 minutes",
			     (long long)ask->seconds);
	if (ask->seconds > SECONDS_MAX)
		status_cause(causes, "FieldValueInvalid", "spec.expirationSeconds",
			     "Invalid value: %lld: may not specify a duration larger than 2^32 "
			     "seconds",
			     (long long)ask->seconds);
	return status_invalid_take("authentication.k8s.io", "TokenRequest", "", causes);
}

/* A token is bound to a pod that exists, runs under the account, and has the UID that was said. */
static json_t *find_pod(const struct api *api, const json_t *sa, struct ask *ask)
{
	const struct kind *pk = kinds_find_id(&api->kinds, KIND_POD);
	const char *kind = json_string_value(json_object_get(ask->bound, "kind"));
	const char *name = json_string_value(json_object_get(ask->bound, "name"));
	const char *uid = json_string_value(json_object_get(ask->bound, "uid")), *runs_as;
	_cleanup_free_ char *key = NULL;
	struct version *v;

	if (!json_is_object(ask->bound))
		return NULL;
	if (!kind || strcmp(kind, "Pod") != 0)
		return status_bad_request(
			"cannot bind token for serviceaccount \"%s\" to object of "
			"type %s",
			meta_str(sa, "name"), kind ? kind : "");
	key = kind_key(pk, meta_str(sa, "namespace"), name ? name : "");
	v = coll_find(&pk->coll, key);
	if (!v)
		return status_not_found(pk, name ? name : "");
	ask->pod = version_json(v);
	if (uid && *uid && strcmp(uid, meta_str(ask->pod, "uid")) != 0)
		return status_conflict(pk, name,
				       "the UID in the bound object reference (%s) does not match "
				       "the UID in record. The object might have been deleted and "
				       "then recreated",
				       uid);
	runs_as = json_string_value(
		json_object_get(json_object_get(ask->pod, "spec"), "serviceAccountName"));
	if (!runs_as || strcmp(runs_as, meta_str(sa, "name")) != 0)
		return status_bad_request("cannot bind token for serviceaccount \"%s\" to pod "
					  "running with different serviceaccount name.",
					  meta_str(sa, "name"));
	return NULL;
}

static void answer(const struct api *api, const json_t *sa, const struct ask *ask,
		   struct reply *reply)
{
	int64_t now = loop_wall(api->loop).s;
	json_t *claims = claims_of(api, sa, ask, now);
	_cleanup_free_ char *token = sign(api->issuer, claims);
	char created[META_TIME_MAX], expires[META_TIME_MAX];

	json_decref(claims);
	meta_print_time(created, now);
	meta_print_time(expires, now + ask->seconds);
	if (!token) {
		reply_status_take(reply, status_internal("the token could not be signed"));
		return;
	}
	ledger_write_take(api->ledger, json_pack("{s:s, s:s++, s:s}", "kind", "account-token",
						 "account", meta_str(sa, "namespace"), "/",
						 meta_str(sa, "name"), "value", token));
	reply_json_take(
		reply, 201,
		json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:{s:O, s:I, s:o}, s:{s:s, s:s}}", "kind",
			  "TokenRequest", "apiVersion", "authentication.k8s.io/v1", "metadata",
			  "name", meta_str(sa, "name"), "namespace", meta_str(sa, "namespace"),
			  "creationTimestamp", created, "spec", "audiences", ask->audiences,
			  "expirationSeconds", (json_int_t)ask->seconds, "boundObjectRef",
			  ask->bound ? json_incref((json_t *)(uintptr_t)ask->bound) : json_null(),
			  "status", "token", token, "expirationTimestamp", expires));
}

static void handle_body(const struct api *api, const struct target *t, const json_t *body,
			struct reply *reply)
{
	const json_t *spec = json_object_get(body, "spec");
	const json_t *seconds = json_object_get(spec, "expirationSeconds");
	_cleanup_free_ char *key = kind_key(t->kind, t->ns, t->name);
	struct version *sa = coll_find(&t->kind->coll, key);
	struct ask ask = { .audiences = json_object_get(spec, "audiences"),
			   .bound = json_object_get(spec, "boundObjectRef"),
			   .seconds = SECONDS_DEFAULT };
	json_t *defaults = json_pack("[s]", api->issuer->issuer), *problem = NULL;

	if (json_is_integer(seconds))
		ask.seconds = json_integer_value(seconds);
	if (!json_array_size(ask.audiences))
		ask.audiences = defaults; /* the server's own */
	if (!sa)
		problem = status_not_found(t->kind, t->name);
	if (!problem)
		problem = check_seconds(&ask);
	if (!problem)
		problem = find_pod(api, version_json(sa), &ask);
	if (problem)
		reply_status_take(reply, problem);
	else
		answer(api, version_json(sa), &ask, reply);
	json_decref(defaults);
}

void token_handle(struct api *api, const struct req *req, const struct target *t,
		  struct reply *reply)
{
	json_t *problem = NULL, *body;

	if (!req_is(req, "POST")) {
		reply_status_take(reply, status_no_method());
		return;
	}
	body = rest_decode(req, "TokenRequest", &problem);
	if (body)
		handle_body(api, t, body, reply);
	else
		reply_status_take(reply, problem);
	json_decref(body);
}

/* keys */

static void answer_keys(const struct token_issuer *i, const struct req *req, struct reply *reply)
{
	static const char *const type = "application/jwk-set+json";

	if (req->accept && !strstr(req->accept, type) && !strstr(req->accept, "*/*") &&
	    !strstr(req->accept, "application/*")) {
		reply_status_take(reply,
				  status_failure(406, "NotAcceptable", json_object(),
						 "406: Not Acceptable\n\nAvailable "
						 "representations: application/jwk-set+json"));
		return;
	}
	reply_json_take(reply, 200,
			json_pack("{s:[{s:s, s:s, s:s, s:s, s:s, s:s}]}", "keys", "use", "sig",
				  "kty", "RSA", "kid", i->kid, "alg", "RS256", "n", i->n, "e",
				  i->e));
	reply->type = type;
}

bool token_handle_keys(struct api *api, const struct req *req, struct reply *reply)
{
	const struct token_issuer *i = api->issuer;

	if (!req_is(req, "GET"))
		return false;
	if (strcmp(req->path, discovery_path) == 0)
		reply_json_take(reply, 200,
				json_pack("{s:s, s:s, s:[s], s:[s], s:[s]}", "issuer", i->issuer,
					  "jwks_uri", i->jwks_uri, "response_types_supported",
					  "id_token", "subject_types_supported", "public",
					  "id_token_signing_alg_values_supported", "RS256"));
	else if (strcmp(req->path, keys_path) == 0)
		answer_keys(i, req, reply);
	else
		return false;
	if (reply->code == 200)
		reply->cache = "public, max-age=3600";
	return true;
}

bool token_keys_are_public(const struct token_issuer *i, const struct req *req)
{
	return i->public_keys &&
	       (strcmp(req->path, discovery_path) == 0 || strcmp(req->path, keys_path) == 0);
}
