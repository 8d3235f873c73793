/* SPDX-License-Identifier: MIT */

/* The identity half of IMDS and the checks in front of everything: see answer.h. */

#include "tests/sandbox/imds/answer.h"

#include "lib/base/mem.h"
#include "tests/sandbox/ledger.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

const char *const imds_area_names[IMDS_AREAS] = { "token", "instance", "other" };

#define TOKEN_PATH "/metadata/identity/oauth2/token"
/* Entra dates a token back this much, for clocks that are slow. */
#define NOT_BEFORE_SEC 300
/* IMDS asks Entra anew when a token of its cache has less than this left. */
#define CACHE_SPARE_SEC 300
/* The first version that had the token endpoint (Azure, "How managed identities work"). */
#define TOKEN_API_FIRST "2018-02-01"

/* clang-format off */
/* Azure, "Instance Metadata Service: supported API versions"; newest last. */
static const char *const api_versions[] = {
	"2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01",
	"2018-04-02", "2018-10-01", "2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01",
	"2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01", "2020-06-01", "2020-07-15",
	"2020-09-01", "2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01",
	"2021-05-01", "2021-08-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13",
	"2023-07-01",
};
/* clang-format on */

struct cached_token {
	struct hmap_node node;
	char *key; /* client id, a newline, the resource */
	char *jwt;
	int64_t not_before, expires_on;
};

/* ---- answers ---- */

void imds_answer_error(struct imds_answer *out, unsigned status, const char *code, const char *text)
{
	imds_answer_json(out, status,
			 json_pack("{s:s, s:s}", "error", code, "error_description", text));
}

static void bad_request(struct imds_answer *out, const char *text)
{
	imds_answer_error(out, 400, "invalid_request", text);
}

static void bad_version(struct imds_answer *out, const char *text)
{
	size_t n = ARRAY_SIZE(api_versions);

	imds_answer_json(out, 400,
			 json_pack("{s:s, s:[s,s,s]}", "error", text, "newest-versions",
				   api_versions[n - 1], api_versions[n - 2], api_versions[n - 3]));
}

static void versions(struct imds_answer *out)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(api_versions); i++)
		(void)json_array_append_new(list,
					    json_string(api_versions[i])); /* fails with list */
	imds_answer_json(out, 200, json_pack("{s:o}", "apiVersions", list));
}

/* ---- tokens ---- */

static struct str token_key(const struct hmap_node *n)
{
	return str_of(container_of(n, struct cached_token, node)->key);
}

static struct cached_token *token_free(struct imds *s, struct cached_token *t)
{
	hmap_del(&s->tokens, &t->node);
	free(t->key);
	free(t->jwt);
	free(t);
	return NULL;
}

void imds_forget_tokens(struct imds *s)
{
	hmap_for_each_safe (node, next, &s->tokens)
		(void)token_free(s, container_of(node, struct cached_token, node));
}

static struct cached_token *mint(struct imds *s, const struct imds_identity *id,
				 const char *resource, int64_t now, char *key_take)
{
	_cleanup_free_ char *iss = xasprintf("https://sts.windows.net/%s/", id->tenant_id);
	_cleanup_free_ char *uti = xasprintf("sandbox-%" PRIu64, ++s->minted);
	int64_t exp = now + s->lifetime_sec;
	json_t *claims = json_pack(
		"{s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}",
		"aud", resource, "iss", iss, "iat", (json_int_t)now - NOT_BEFORE_SEC, "nbf",
		(json_int_t)now - NOT_BEFORE_SEC, "exp", (json_int_t)exp, "appid", id->client_id,
		"appidacr", "2", "idp", iss, "idtyp", "app", "oid", id->object_id, "sub",
		id->object_id, "tid", id->tenant_id, "uti", uti, "ver", "1.0", "xms_mirid",
		id->resource_id);
	struct cached_token *t;
	char *jwt = jwt_sign(s->key, claims, NULL);

	json_decref(claims);
	if (!jwt) {
		free(key_take);
		return NULL;
	}
	ledger_write_take(s->ledger, json_pack("{s:s, s:s, s:s, s:s}", "kind", "token", "client",
					       id->client_id, "resource", resource, "value", jwt));
	t = xnew(struct cached_token);
	t->key = key_take;
	t->jwt = jwt;
	t->not_before = now - NOT_BEFORE_SEC;
	t->expires_on = exp;
	hmap_add(&s->tokens, &t->node, token_key);
	return t;
}

static const struct cached_token *token_for(struct imds *s, const struct imds_identity *id,
					    const char *resource, bool bypass, int64_t now)
{
	_cleanup_free_ char *key = xasprintf("%s\n%s", id->client_id, resource);
	struct hmap_node *node = hmap_find(&s->tokens, key, strlen(key));
	struct cached_token *t = node ? container_of(node, struct cached_token, node) : NULL;

	if (t && (bypass || t->expires_on - now < CACHE_SPARE_SEC))
		t = token_free(s, t);
	return t ? t : mint(s, id, resource, now, steal_ptr(key));
}

static void token_answer(struct imds *s, const struct imds_identity *id, const char *resource,
			 bool bypass, int64_t now, struct imds_answer *out)
{
	const struct cached_token *t = token_for(s, id, resource, bypass, now);
	char in[24], on[24], from[24];

	if (!t) {
		imds_answer_error(out, 500, "unknown", "Failed to retrieve a token");
		return;
	}
	(void)snprintf(in, sizeof(in), "%" PRId64, t->expires_on - now);
	(void)snprintf(on, sizeof(on), "%" PRId64, t->expires_on);
	(void)snprintf(from, sizeof(from), "%" PRId64, t->not_before);
	imds_answer_json(out, 200,
			 json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "access_token",
				   t->jwt, "client_id", id->client_id, "expires_in", in,
				   "expires_on", on, "ext_expires_in", in, "not_before", from,
				   "resource", resource, "token_type", "Bearer"));
}

/* ---- which identity ---- */

struct chosen {
	const char *name, *value; /* the selector, or NULL */
	size_t n;		  /* how many stood there */
};

static struct chosen selector_of(const struct query *q)
{
	static const char *const names[] = { "client_id", "object_id", "msi_res_id", "mi_res_id" };
	struct chosen c = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *v = query_get(q, names[i]);

		if (v) {
			c.name = names[i];
			c.value = v;
			c.n++;
		}
	}
	return c;
}

static bool fits(const struct imds_identity *id, const struct chosen *c)
{
	const char *own = strcmp(c->name, "client_id") == 0   ? id->client_id
			  : strcmp(c->name, "object_id") == 0 ? id->object_id
							      : id->resource_id;

	return strcasecmp(own, c->value) == 0;
}

static const struct imds_identity *identity_for(const struct imds_conf *conf,
						const struct chosen *c, struct imds_answer *out)
{
	if (!c->name && (conf->system || conf->n_user == 1))
		return conf->system ? conf->system : &conf->user[0];
	if (!c->name && conf->n_user > 1) {
		bad_request(
			out,
			"Multiple user assigned identities exist, please specify the clientId / "
			"resourceId of the identity in the token request");
		return NULL;
	}
	if (c->name && conf->system && fits(conf->system, c))
		return conf->system;
	for (size_t i = 0; c->name && i < conf->n_user; i++) {
		if (fits(&conf->user[i], c))
			return &conf->user[i];
	}
	bad_request(out, "Identity not found");
	return NULL;
}

/* ---- checks ---- */

static bool well_formed_date(const char *s)
{
	if (strlen(s) != 10)
		return false;
	for (size_t i = 0; i < 10; i++) {
		if (i == 4 || i == 7 ? s[i] != '-' : !isdigit((unsigned char)s[i]))
			return false;
	}
	return true;
}

static bool version_known(enum imds_area area, const char *path, const char *v)
{
	if (area == IMDS_TOKEN || strncmp(path, "/metadata/identity", 18) == 0)
		return well_formed_date(v) && strcmp(v, TOKEN_API_FIRST) >= 0;
	for (size_t i = 0; i < ARRAY_SIZE(api_versions); i++) {
		if (strcmp(api_versions[i], v) == 0)
			return true;
	}
	return false;
}

static bool is_guid(const char *s)
{
	return strlen(s) == 36 && strspn(s, "0123456789abcdefABCDEF-") == 36;
}

/* An App ID URI or GUID. Names under .invalid (RFC 2606) are the resources that no tenant has. */
static bool resource_exists(const char *resource)
{
	return (strstr(resource, "://") || is_guid(resource)) && !strstr(resource, ".invalid");
}

static void answer_token(struct imds *s, const struct query *q, int64_t now,
			 struct imds_answer *out)
{
	const char *resource = query_get(q, "resource"), *bypass = query_get(q, "bypass_cache");
	struct chosen chosen = selector_of(q);
	const struct imds_identity *id;

	if (!resource || !*resource) {
		bad_request(out, "Required query variable 'resource' is missing");
		return;
	}
	if (bypass && strcmp(bypass, "true") != 0) {
		bad_request(out,
			    "Invalid value of query variable 'bypass_cache': only true is allowed");
		return;
	}
	if (chosen.n > 1) {
		bad_request(
			out,
			"Query variables 'client_id', 'object_id' and 'msi_res_id' are mutually "
			"exclusive");
		return;
	}
	id = identity_for(s->conf, &chosen, out);
	if (!id)
		return;
	if (!resource_exists(resource)) {
		imds_answer_error(
			out, 400, "invalid_resource",
			"AADSTS500011: The resource principal was not found in the tenant.");
		return;
	}
	token_answer(s, id, resource, bypass != NULL, now, out);
}

/* IMDSv2: handing this to a pod would make it the node. The words are for a test to find. */
static void answer_node_credential(const struct imds_conf *c, struct imds_answer *out)
{
	const struct imds_identity *id = c->system ? c->system : c->n_user ? &c->user[0] : NULL;

	imds_answer_json(out, 200,
			 json_pack("{s:s, s:s, s:s, s:s, s:s}", "clientId", id ? id->client_id : "",
				   "tenantId", c->tenant_id, "cuId", c->vm, "certificate",
				   "node leak", "mtls_authentication_endpoint",
				   "https://mtlsauth.invalid"));
}

static bool method_fits(const struct imds_ask *ask, const char *path, struct imds_answer *out)
{
	bool post = strcmp(path, "/metadata/identity/issuecredential") == 0;
	const char *want = post ? "POST" : "GET";

	if (strcmp(ask->method, want) == 0)
		return true;
	imds_answer_error(out, 405, "method_not_allowed", "The method is not allowed");
	out->allow = want;
	return false;
}

/* The first segment in any case, the others exactly: as the real service is said to match. */
static bool below(const char *path, const char *rest)
{
	size_t n = strlen(rest);

	if (strncasecmp(path, "/metadata", 9) != 0)
		return false;
	path += 9;
	return strncmp(path, rest, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

enum imds_area imds_area(const char *path)
{
	if (below(path, "/identity/oauth2/token"))
		return IMDS_TOKEN;
	return below(path, "/instance") ? IMDS_INSTANCE : IMDS_OTHER;
}

static bool version_fits(enum imds_area area, const struct query *q, struct imds_answer *out)
{
	const char *v = query_get(q, "api-version");

	if (!v || !*v) {
		bad_version(out,
			    "Bad request. api-version was not specified in the request. For more "
			    "information refer to aka.ms/azureimds");
		return false;
	}
	if (!version_known(area, q->path, v)) {
		bad_version(out,
			    "Bad request. api-version is invalid or was not recognized. For more "
			    "information refer to aka.ms/azureimds");
		return false;
	}
	return true;
}

static void route(struct imds *s, const struct imds_ask *ask, const struct query *q,
		  struct imds_answer *out)
{
	enum imds_area area = imds_area(q->path);
	bool v2 = below(q->path, "/identity/getplatformmetadata") ||
		  below(q->path, "/identity/issuecredential");
	bool info = below(q->path, "/identity/info"), list = below(q->path, "/versions");
	const char *twice = query_duplicate(q);

	if (area == IMDS_OTHER && !v2 && !info && !list) {
		imds_answer_json(out, 404, json_pack("{s:s}", "error", "Not found"));
		return;
	}
	if (!method_fits(ask, q->path, out))
		return;
	if (twice) {
		_cleanup_free_ char *text = xasprintf("Query variable '%s' stands there twice",
						      twice);

		bad_request(out, text);
		return;
	}
	if (list) {
		versions(out);
		return;
	}
	if (v2) {
		answer_node_credential(s->conf, out);
		return;
	}
	if (!version_fits(area, q, out))
		return;
	if (area == IMDS_TOKEN)
		answer_token(s, q, ask->now, out);
	else if (area == IMDS_INSTANCE)
		imds_answer_instance(s->conf, q, out);
	else
		imds_answer_json(out, 200, json_pack("{s:s}", "tenantId", s->conf->tenant_id));
}

void imds_answer(struct imds *s, const struct imds_ask *ask, struct imds_answer *out)
{
	struct query q;
	bool parsed = query_parse(&q, ask->target);

	*out = (struct imds_answer){ 0 };
	if (ask->forwarded)
		bad_request(out, "Requests with the header X-Forwarded-For are not served");
	else if (!ask->metadata)
		bad_request(out, "Required metadata header not specified");
	else if (!parsed)
		bad_request(out, "Too many query variables");
	else
		route(s, ask, &q, out);
	query_deinit(&q);
}
