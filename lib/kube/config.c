/* SPDX-License-Identifier: MIT */

/*
 * Where the API server is: see config.h.
 *
 * A kubeconfig names three things (contexts, clusters, users) in lists and points from one to the
 * other by name. libyaml loads it as a graph of nodes, which is read in place. Whatever we do not
 * support and which would change who we are or whom we talk to is refused, never skipped.
 */

#include "lib/kube/config.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define FILE_MAX  ((size_t)1 << 20) /* a kubeconfig with many clusters' certificates is ~100 KB */
#define TOKEN_MAX ((size_t)64 << 10)

/* files */

static int read_file(struct buf *out, const char *path, size_t max, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	ssize_t n;
	int r;

	if (fd < 0)
		return err_set_errno(err, errno, "%s", path);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? err_set_errno(err, errno, "%s", path)
			  : buf_append(out, chunk, (size_t)n, max, err);
		explicit_bzero(chunk, sizeof(chunk));
		if (r < 0)
			return n < 0 ? r : err_wrap(err, "%s", path);
	}
	return 0;
}

/* Files that hold secrets. */
static void wipe_buf(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	buf_deinit(b);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int token_set(struct secret *out, const char *p, size_t n, struct err *err)
{
	while (n && is_space(p[n - 1]))
		n--;
	while (n && is_space(*p)) {
		p++;
		n--;
	}
	if (!n)
		return err_set(err, ERR_INPUT, "the token is empty");
	for (size_t i = 0; i < n; i++) {
		if (p[i] <= ' ' || p[i] == 0x7f)
			return err_set(err, ERR_INPUT,
				       "the token holds a character that cannot be "
				       "sent");
	}
	secret_set(out, p, n);
	return 0;
}

int kube_token_read(struct secret *out, const char *path, struct err *err)
{
	_cleanup_(wipe_buf) struct buf b = { 0 };
	int r = read_file(&b, path, TOKEN_MAX, err);

	if (r < 0)
		return r;
	r = token_set(out, b.p ? b.p : "", b.n, err);
	return r < 0 ? err_wrap(err, "%s", path) : 0;
}

/* the struct */

static char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

void kube_config_copy(struct kube_config *to, const struct kube_config *from)
{
	*to = (struct kube_config){
		.server = copy(from->server),
		.ca_file = copy(from->ca_file),
		.ca_data = copy(from->ca_data),
		.cert_file = copy(from->cert_file),
		.cert_data = copy(from->cert_data),
		.key_file = copy(from->key_file),
		.token_file = copy(from->token_file),
		.server_name = copy(from->server_name),
		.namespace = copy(from->namespace),
		.insecure = from->insecure,
	};
	if (from->key_data.p)
		secret_set(&to->key_data, from->key_data.p, from->key_data.n);
	if (from->token.p)
		secret_set(&to->token, from->token.p, from->token.n);
}

void kube_config_deinit(struct kube_config *c)
{
	char *all[] = { c->server,   c->ca_file,    c->ca_data,	    c->cert_file, c->cert_data,
			c->key_file, c->token_file, c->server_name, c->namespace };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
	secret_deinit(&c->key_data);
	secret_deinit(&c->token);
	*c = (struct kube_config){ 0 };
}

/* The last step of every constructor: the output is written on success only. */
static int hand_over(struct kube_config *out, struct kube_config *c)
{
	*out = *c;
	*c = (struct kube_config){ 0 };
	return 0;
}

/* YAML nodes */

struct kubeconfig {
	yaml_document_t doc;
	const char *dir;
	struct err *err;
};

/* A list, the key of its elements' content, and the name looked for: enough to name a field. */
struct section {
	const char *list, *body, *name;
	yaml_node_t *node; /* the mapping under `body` */
};

static bool scalar_is(const yaml_node_t *n, const char *text)
{
	return n && n->type == YAML_SCALAR_NODE && n->data.scalar.length == strlen(text) &&
	       memcmp(n->data.scalar.value, text, n->data.scalar.length) == 0;
}

static bool is_null(const yaml_node_t *n)
{
	return !n ||
	       (n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		(scalar_is(n, "") || scalar_is(n, "~") || scalar_is(n, "null")));
}

/* Absent and null are the same; of a repeated key the first counts. */
static yaml_node_t *member(struct kubeconfig *k, const yaml_node_t *map, const char *key)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		yaml_node_t *v = yaml_document_get_node(&k->doc, p->value);

		if (scalar_is(yaml_document_get_node(&k->doc, p->key), key))
			return is_null(v) ? NULL : v;
	}
	return NULL;
}

/* `*out`: NULL when absent or empty, as for kubectl. On the heap. */
static int text_of(struct kubeconfig *k, const struct section *s, const char *key, char **out)
{
	const yaml_node_t *v = member(k, s->node, key);
	const char *p;
	size_t n;

	*out = NULL;
	if (!v)
		return 0;
	if (v->type != YAML_SCALAR_NODE)
		return err_set(k->err, ERR_INPUT, "%s[%s].%s: expected text", s->list, s->name,
			       key);
	p = (const char *)v->data.scalar.value;
	n = v->data.scalar.length;
	if (memchr(p, '\0', n))
		return err_set(k->err, ERR_INPUT, "%s[%s].%s: holds a NUL", s->list, s->name, key);
	if (n)
		*out = xstrndup(p, n);
	return 0;
}

static int path_of(struct kubeconfig *k, const struct section *s, const char *key, char **out)
{
	_cleanup_free_ char *path = NULL;
	int r = text_of(k, s, key, &path);

	if (r == 0 && path && path[0] != '/' && k->dir)
		*out = xasprintf("%s/%s", k->dir, path);
	else if (r == 0)
		*out = steal_ptr(path);
	return r;
}

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* In place; the result is shorter. False: not base64. YAML may have folded it over lines. */
static bool base64_decode(char *s, size_t *out_n)
{
	size_t n = 0, digits = 0, pads = 0;
	unsigned acc = 0;

	for (const char *p = s; *p; p++) {
		int d = base64_digit(*p);

		if (is_space(*p))
			continue;
		if (*p == '=')
			pads++;
		else if (d < 0 || pads)
			return false;
		else {
			acc = acc << 6 | (unsigned)d;
			if (++digits % 4 != 1)
				s[n++] = (char)(acc >> (6 - 2 * ((digits - 1) % 4)) & 0xff);
		}
	}
	s[n] = '\0';
	*out_n = n;
	return digits % 4 != 1 && pads == (4 - digits % 4) % 4;
}

/* Base64 of PEM: the only form that kubectl writes, and the one that libcurl is given. */
static int pem_of(struct kubeconfig *k, const struct section *s, const char *key, char **out,
		  size_t *out_n)
{
	_cleanup_free_ char *text = NULL;
	int r = text_of(k, s, key, &text);

	if (r < 0 || !text)
		return r;
	if (!base64_decode(text, out_n) || strlen(text) != *out_n || !strstr(text, "-----BEGIN ")) {
		explicit_bzero(text, strlen(text));
		return err_set(k->err, ERR_INPUT, "%s[%s].%s: not a PEM text in base64", s->list,
			       s->name, key);
	}
	*out = steal_ptr(text);
	return 0;
}

static int bool_of(struct kubeconfig *k, const struct section *s, const char *key, bool *out)
{
	const yaml_node_t *v = member(k, s->node, key);

	if (!v)
		return 0;
	*out = scalar_is(v, "true");
	if (!*out && !scalar_is(v, "false"))
		return err_set(k->err, ERR_INPUT, "%s[%s].%s: expected true or false", s->list,
			       s->name, key);
	return 0;
}

/* The element of a list whose `name` is s->name: sets s->node. */
static int find(struct kubeconfig *k, struct section *s)
{
	const yaml_node_t *list = member(k, yaml_document_get_root_node(&k->doc), s->list);

	if (!list || list->type != YAML_SEQUENCE_NODE)
		return err_set(k->err, ERR_INPUT, "%s: missing, or not a list", s->list);
	for (yaml_node_item_t *i = list->data.sequence.items.start;
	     i < list->data.sequence.items.top; i++) {
		const yaml_node_t *e = yaml_document_get_node(&k->doc, *i);

		if (!scalar_is(member(k, e, "name"), s->name))
			continue;
		s->node = member(k, e, s->body);
		if (s->node && s->node->type == YAML_MAPPING_NODE)
			return 0;
		return err_set(k->err, ERR_INPUT, "%s[%s].%s: missing", s->list, s->name, s->body);
	}
	return err_set(k->err, ERR_INPUT, "%s: there is no \"%s\", which %s names", s->list,
		       s->name,
		       strcmp(s->list, "contexts") == 0 ? "current-context" : "the context");
}

/* what a kubeconfig says */

/* https://host[:port][/prefix]: a query, a fragment or a user in it would end up in every request. */
static int check_server(const char *server, struct err *err)
{
	const char *host = strstr(server, "://");

	if (strncmp(server, "https://", 8) != 0 && strncmp(server, "http://", 7) != 0)
		return err_set(err, ERR_INPUT, "must start with https:// (or http://)");
	host += 3;
	if (!*host || *host == '/' || *host == ':' || host[strcspn(host, "?#@\\\"<> ")])
		return err_set(err, ERR_INPUT, "not the URL of a server");
	for (const char *p = host; *p; p++) {
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			return err_set(err, ERR_INPUT, "not the URL of a server");
	}
	return 0;
}

static int read_cluster(struct kubeconfig *k, const char *name, struct kube_config *c)
{
	struct section s = { "clusters", "cluster", name, NULL };
	size_t ignored;
	int r = find(k, &s);

	if (r == 0 && member(k, s.node, "proxy-url"))
		r = err_set(k->err, ERR_INPUT,
			    "clusters[%s].proxy-url: proxies are not supported; give the API "
			    "server's own address",
			    name);
	if (r == 0)
		r = text_of(k, &s, "server", &c->server);
	if (r == 0 && !c->server)
		r = err_set(k->err, ERR_INPUT, "clusters[%s].server: missing", name);
	if (r == 0 && check_server(c->server, k->err) < 0)
		r = err_wrap(k->err, "clusters[%s].server", name);
	if (r == 0)
		r = path_of(k, &s, "certificate-authority", &c->ca_file);
	if (r == 0)
		r = pem_of(k, &s, "certificate-authority-data", &c->ca_data, &ignored);
	if (r == 0)
		r = text_of(k, &s, "tls-server-name", &c->server_name);
	if (r == 0)
		r = bool_of(k, &s, "insecure-skip-tls-verify", &c->insecure);
	if (r < 0)
		return r;
	if (c->insecure && (c->ca_file || c->ca_data))
		return err_set(k->err, ERR_INPUT,
			       "clusters[%s]: insecure-skip-tls-verify and a certificate-authority "
			       "contradict each other; drop one",
			       name);
	for (size_t n = strlen(c->server); n && c->server[n - 1] == '/'; n--)
		c->server[n - 1] = '\0';
	return 0;
}

/* clang-format off */
static const struct {
	const char *key, *advice;
} unsupported[] = {
	{ "exec", "credential plugins are not run; use a token, a tokenFile or a client certificate, "
		  "or run in the cluster" },
	{ "auth-provider", "auth providers are not supported; use a token, a tokenFile or a client "
			   "certificate" },
	{ "username", "passwords are not supported; use a token, a tokenFile or a client certificate" },
	{ "password", "passwords are not supported; use a token, a tokenFile or a client certificate" },
	{ "as", "impersonation is not supported; give the account itself the rights" },
	{ "as-uid", "impersonation is not supported; give the account itself the rights" },
	{ "as-groups", "impersonation is not supported; give the account itself the rights" },
	{ "as-user-extra", "impersonation is not supported; give the account itself the rights" },
};
/* clang-format on */

static int read_user_key(struct kubeconfig *k, const struct section *s, struct kube_config *c)
{
	_cleanup_free_ char *key = NULL;
	size_t n = 0;
	int r = path_of(k, s, "client-key", &c->key_file);

	if (r == 0)
		r = pem_of(k, s, "client-key-data", &key, &n);
	if (r == 0 && key) {
		secret_set(&c->key_data, key, n);
		explicit_bzero(key, n);
	}
	if (r == 0 && !(c->cert_file || c->cert_data) != !(c->key_file || c->key_data.p))
		r = err_set(k->err, ERR_INPUT,
			    "users[%s]: client-certificate and client-key belong together",
			    s->name);
	return r;
}

static int read_user(struct kubeconfig *k, const char *name, struct kube_config *c)
{
	struct section s = { "users", "user", name, NULL };
	_cleanup_free_ char *token = NULL;
	size_t ignored;
	int r = find(k, &s);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(unsupported); i++) {
		if (member(k, s.node, unsupported[i].key))
			r = err_set(k->err, ERR_INPUT, "users[%s].%s: %s", name, unsupported[i].key,
				    unsupported[i].advice);
	}
	if (r == 0)
		r = path_of(k, &s, "client-certificate", &c->cert_file);
	if (r == 0)
		r = pem_of(k, &s, "client-certificate-data", &c->cert_data, &ignored);
	if (r == 0)
		r = read_user_key(k, &s, c);
	if (r == 0)
		r = path_of(k, &s, "tokenFile", &c->token_file);
	if (r == 0)
		r = text_of(k, &s, "token", &token);
	if (r == 0 && token) {
		if (token_set(&c->token, token, strlen(token), k->err) < 0)
			r = err_wrap(k->err, "users[%s].token", name);
		explicit_bzero(token, strlen(token));
	}
	return r;
}

static int read_doc(struct kubeconfig *k, struct kube_config *c)
{
	struct section top = { "kubeconfig", NULL, "", yaml_document_get_root_node(&k->doc) };
	_cleanup_free_ char *current = NULL, *cluster = NULL, *user = NULL;
	struct section context;
	int r;

	if (!top.node || top.node->type != YAML_MAPPING_NODE)
		return err_set(k->err, ERR_INPUT, "not a kubeconfig: expected a mapping");
	r = text_of(k, &top, "current-context", &current);
	if (r == 0 && !current)
		r = err_set(k->err, ERR_INPUT,
			    "current-context: missing; choose one with kubectl config use-context");
	if (r < 0)
		return r;
	context = (struct section){ "contexts", "context", current, NULL };
	r = find(k, &context);
	if (r == 0)
		r = text_of(k, &context, "cluster", &cluster);
	if (r == 0 && !cluster)
		r = err_set(k->err, ERR_INPUT, "contexts[%s].cluster: missing", current);
	if (r == 0)
		r = text_of(k, &context, "user", &user);
	if (r == 0)
		r = text_of(k, &context, "namespace", &c->namespace);
	if (r == 0)
		r = read_cluster(k, cluster, c);
	if (r == 0 && user)
		r = read_user(k, user, c);
	return r;
}

int kube_config_parse(struct kube_config *out, const char *text, size_t n, const char *dir,
		      struct err *err)
{
	_cleanup_(kube_config_deinit) struct kube_config c = { 0 };
	struct err local = { 0 };
	struct kubeconfig k = { .dir = dir, .err = err ? err : &local };
	yaml_parser_t parser;
	int r;

	if (n > FILE_MAX)
		return err_set(err, ERR_LIMIT, "kubeconfig of %zu bytes; at most %zu", n, FILE_MAX);
	if (!yaml_parser_initialize(&parser))
		return err_set(err, ERR_OS, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
	if (yaml_parser_load(&parser, &k.doc)) {
		r = read_doc(&k, &c);
		yaml_document_delete(&k.doc);
	} else {
		r = err_set(err, ERR_INPUT, "line %zu: not YAML: %s", parser.problem_mark.line + 1,
			    parser.problem ? parser.problem : "unknown");
	}
	yaml_parser_delete(&parser);
	return r < 0 ? r : hand_over(out, &c);
}

/* where from */

/* A host that is an IPv6 address goes into brackets. */
int kube_config_in_cluster(struct kube_config *out, const char *host, const char *port,
			   const char *dir, struct err *err)
{
	_cleanup_(kube_config_deinit) struct kube_config c = { 0 };
	_cleanup_(buf_deinit) struct buf text = { 0 };
	int r;

	if (!host || !*host || !port || !*port)
		return err_set(err, ERR_INPUT,
			       "not inside a cluster (KUBERNETES_SERVICE_HOST and _PORT are not "
			       "set); give --kubeconfig");
	c.server = strchr(host, ':') ? xasprintf("https://[%s]:%s", host, port)
				     : xasprintf("https://%s:%s", host, port);
	if (check_server(c.server, err) < 0)
		return err_wrap(err, "KUBERNETES_SERVICE_HOST and _PORT");
	c.ca_file = xasprintf("%s/ca.crt", dir);
	c.token_file = xasprintf("%s/token", dir);
	r = kube_token_read(&c.token, c.token_file, err);
	if (r == 0 && access(c.ca_file, R_OK) < 0)
		r = err_set_errno(err, errno, "%s", c.ca_file);
	if (r < 0)
		return err_wrap(err, "service account (see automountServiceAccountToken)");
	_cleanup_free_ char *ns = xasprintf("%s/namespace", dir);
	if (read_file(&text, ns, 256, NULL) == 0 && text.n)
		c.namespace = xstrndup(text.p, strcspn(text.p, " \t\r\n"));
	return hand_over(out, &c);
}

static int load_file(struct kube_config *c, const char *path, struct err *err)
{
	_cleanup_(wipe_buf) struct buf text = { 0 };
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	int r = read_file(&text, path, FILE_MAX, err);

	if (r < 0)
		return err_wrap(err, "kubeconfig");
	r = kube_config_parse(c, text.p ? text.p : "", text.n, dir, err);
	return r < 0 ? err_wrap(err, "kubeconfig %s", path) : 0;
}

int kube_config_load(struct kube_config *c, const char *path, struct err *err)
{
	if (!path || !*path)
		return kube_config_in_cluster(c, getenv("KUBERNETES_SERVICE_HOST"),
					      getenv("KUBERNETES_SERVICE_PORT"), KUBE_ACCOUNT_DIR,
					      err);
	/* a file whose name has a colon in it is still found */
	if (!strchr(path, ':') || access(path, F_OK) == 0)
		return load_file(c, path, err);
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, ":");
		_cleanup_free_ char *one = xstrndup(p, n);

		if (n && access(one, F_OK) == 0)
			return load_file(c, one, err);
		p += n + (p[n] == ':');
	}
	return err_set(err, ERR_INPUT, "kubeconfig: none of these files exists: %s", path);
}
