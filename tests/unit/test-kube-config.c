/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/kube/config.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HEAD(cluster, user)                                                                        \
	"apiVersion: v1\nkind: Config\ncurrent-context: c\n"                                       \
	"contexts: [{name: other, context: {cluster: no, user: no}},\n"                            \
	"  {name: c, context: {cluster: k, user: u, namespace: ns}}]\n"                            \
	"clusters: [{name: k, cluster: {" cluster "}}]\n"                                          \
	"users: [{name: u, user: {" user "}}]\n"
#define SERVER "server: 'https://host:6443/'"
/* "-----BEGIN X-----\n" */
#define PEM64 "LS0tLS1CRUdJTiBYLS0tLS0K"
#define PEM   "-----BEGIN X-----\n"

static struct kube_config c;
static struct err err;

static int parse(const char *text)
{
	c = (struct kube_config){ 0 };
	err = (struct err){ 0 };
	return kube_config_parse(&c, text, strlen(text), "/etc/kube", &err);
}

static void good(const char *text)
{
	ck_assert_msg(parse(text) == 0, "%s", err.msg);
}

START_TEST(every_field_is_read)
{
	good(HEAD(SERVER ", certificate-authority: ca.pem, tls-server-name: api",
		  "client-certificate: /abs/c.pem, client-key: sub/k.pem, tokenFile: t, token: ' "
		  "tok '"));
	ck_assert_str_eq(c.server, "https://host:6443");
	ck_assert_str_eq(c.ca_file, "/etc/kube/ca.pem");
	ck_assert_str_eq(c.server_name, "api");
	ck_assert_str_eq(c.cert_file, "/abs/c.pem");
	ck_assert_str_eq(c.key_file, "/etc/kube/sub/k.pem");
	ck_assert_str_eq(c.token_file, "/etc/kube/t");
	ck_assert_uint_eq(c.token.n, 3);
	ck_assert_mem_eq(c.token.p, "tok", 3);
	ck_assert_str_eq(c.namespace, "ns");
	ck_assert(!c.insecure);
	kube_config_deinit(&c);
}
END_TEST

START_TEST(data_is_decoded)
{
	good(HEAD(SERVER ", certificate-authority-data: " PEM64,
		  "client-certificate-data: " PEM64 ", client-key-data: " PEM64));
	ck_assert_str_eq(c.ca_data, PEM);
	ck_assert_str_eq(c.cert_data, PEM);
	ck_assert_uint_eq(c.key_data.n, strlen(PEM));
	ck_assert_mem_eq(c.key_data.p, PEM, strlen(PEM));
	kube_config_deinit(&c);
}
END_TEST

static const char *const styles[] = {
	/* as kubectl writes it */
	"apiVersion: v1\n"
	"clusters:\n"
	"- cluster:\n"
	"    insecure-skip-tls-verify: true\n"
	"    server: https://host:6443\n"
	"  name: k\n"
	"contexts:\n"
	"- context:\n"
	"    cluster: k\n"
	"    user: u\n"
	"  name: c\n"
	"current-context: c\n"
	"kind: Config\n"
	"preferences: {}\n"
	"users:\n"
	"- name: u\n"
	"  user:\n"
	"    token: tok\n",
	/* JSON is YAML */
	"{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\","
	"\"user\":"
	"\"u\"}}],\"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":\"https://host:6443\","
	"\"insecure-skip-tls-verify\":true}}],\"users\":[{\"name\":\"u\",\"user\":{\"token\":"
	"\"tok\"}}]}",
	/* anchors */
	"x: &t tok\ny: &c {cluster: k, user: u}\ncurrent-context: c\n"
	"contexts: [{name: c, context: *c}]\n"
	"clusters: [{name: k, cluster: {server: 'https://host:6443', insecure-skip-tls-verify: "
	"true, "
	"certificate-authority: null}}]\n"
	"users: [{name: u, user: {token: *t, exec: ~}}]\n",
};

START_TEST(every_style_of_yaml_is_read)
{
	good(styles[_i]);
	ck_assert_str_eq(c.server, "https://host:6443");
	ck_assert(c.insecure);
	ck_assert_mem_eq(c.token.p, "tok", 3);
	ck_assert_ptr_null(c.namespace);
	kube_config_deinit(&c);
}
END_TEST

START_TEST(a_context_needs_no_user)
{
	good("current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
	     "clusters: [{name: k, cluster: {server: 'http://[::1]:8080/prefix//'}}]\n");
	ck_assert_str_eq(c.server, "http://[::1]:8080/prefix");
	ck_assert_ptr_null(c.token.p);
	kube_config_deinit(&c);
}
END_TEST

static const struct {
	const char *text;
	const char *says; /* the field, and where there is one the way out */
} bad[] = {
	{ "", "expected a mapping" },
	{ "- a\n", "expected a mapping" },
	{ "a: [\n", "line 2: not YAML" },
	{ "a: {}\n", "current-context: missing" },
	{ "current-context: ''\n", "kubectl config use-context" },
	{ "current-context: []\n", "current-context: expected text" },
	{ "current-context: c\n", "contexts: missing" },
	{ "current-context: c\ncontexts: {}\n", "contexts: missing, or not a list" },
	{ "current-context: c\ncontexts: []\n", "contexts: there is no \"c\"" },
	{ "current-context: c\ncontexts: [1, {name: c}]\n", "contexts[c].context: missing" },
	{ "current-context: c\ncontexts: [{name: c, context: {user: u}}]\n",
	  "contexts[c].cluster: missing" },
	{ "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\nclusters: [{name: "
	  "z}]\n",
	  "clusters: there is no \"k\"" },
	{ HEAD("a: b", "token: t"), "clusters[k].server: missing" },
	{ HEAD("server: [x]", "token: t"), "clusters[k].server: expected text" },
	{ HEAD("server: 'host:6443'", "token: t"), "clusters[k].server: must start with https://" },
	{ HEAD("server: 'https://'", "token: t"), "clusters[k].server: not the URL" },
	{ HEAD("server: 'https://a b'", "token: t"), "clusters[k].server: not the URL" },
	{ HEAD("server: 'https://u@h'", "token: t"), "clusters[k].server: not the URL" },
	{ HEAD("server: 'https://h/?q'", "token: t"), "clusters[k].server: not the URL" },
	{ HEAD("server: \"https://h\\n\"", "token: t"), "clusters[k].server: not the URL" },
	{ HEAD(SERVER ", proxy-url: 'http://p'", "token: t"), "clusters[k].proxy-url: proxies" },
	{ HEAD(SERVER ", insecure-skip-tls-verify: yes", "token: t"),
	  "clusters[k].insecure-skip-tls-verify: expected true or false" },
	{ HEAD(SERVER ", insecure-skip-tls-verify: true, certificate-authority: x", "token: t"),
	  "contradict" },
	{ HEAD(SERVER ", certificate-authority-data: '!!!'", "token: t"),
	  "clusters[k].certificate-authority-data: not a PEM" },
	{ HEAD(SERVER ", certificate-authority-data: LS0tLS1CRUdJTiBYLS0tLS0", "token: t"),
	  "clusters[k].certificate-authority-data: not a PEM" },
	{ HEAD(SERVER ", certificate-authority-data: AAAA", "token: t"),
	  "clusters[k].certificate-authority-data: not a PEM" },
	{ HEAD(SERVER ", certificate-authority-data: aGVsbG8=", "token: t"),
	  "clusters[k].certificate-authority-data: not a PEM" },
	{ HEAD(SERVER, "exec: {command: aws}"),
	  "users[u].exec: credential plugins are not run; use" },
	{ HEAD(SERVER, "auth-provider: {name: gcp}"), "users[u].auth-provider: auth providers" },
	{ HEAD(SERVER, "username: a, password: b"), "users[u].username: passwords" },
	{ HEAD(SERVER, "token: t, as: root"), "users[u].as: impersonation" },
	{ HEAD(SERVER, "token: \"a\\nb\""), "users[u].token: the token holds a character" },
	{ HEAD(SERVER, "token: \"a\\0b\""), "users[u].token: holds a NUL" },
	{ HEAD(SERVER, "token: ' '"), "users[u].token: the token is empty" },
	{ HEAD(SERVER, "client-certificate: a"),
	  "client-certificate and client-key belong together" },
	{ HEAD(SERVER, "client-key-data: " PEM64), "belong together" },
	{ HEAD(SERVER, "tokenFile: {}"), "users[u].tokenFile: expected text" },
};

START_TEST(a_bad_kubeconfig_is_refused_by_the_name_of_the_field)
{
	ck_assert_int_eq(parse(bad[_i].text), -ERR_INPUT);
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_msg(strstr(err.msg, bad[_i].says), "%s", err.msg);
	ck_assert_ptr_null(c.server);
	ck_assert_ptr_null(c.token.p);
}
END_TEST

/* files */

static char dir[64];

static void write_file(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/nmi-config-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
	static const char *const names[] = { "token", "ca.crt", "namespace", "config", "second" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, names[i]);

		(void)unlink(path); /* not every test makes each */
	}
	ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(a_pod_finds_its_account)
{
	make_dir();
	write_file("token", "tok\n");
	write_file("ca.crt", PEM);
	write_file("namespace", "kube-system\n");
	ck_assert_int_eq(kube_config_in_cluster(&c, "10.0.0.1", "443", dir, &err), 0);
	ck_assert_str_eq(c.server, "https://10.0.0.1:443");
	ck_assert_str_eq(c.namespace, "kube-system");
	ck_assert_uint_eq(c.token.n, 3);
	ck_assert_ptr_nonnull(strstr(c.ca_file, "/ca.crt"));
	ck_assert_ptr_nonnull(strstr(c.token_file, "/token"));
	kube_config_deinit(&c);
	ck_assert_int_eq(kube_config_in_cluster(&c, "fd00::1", "443", dir, &err), 0);
	ck_assert_str_eq(c.server, "https://[fd00::1]:443");
	kube_config_deinit(&c);
	remove_dir();
}
END_TEST

START_TEST(an_account_that_is_not_whole_is_named)
{
	make_dir();
	ck_assert_int_lt(kube_config_in_cluster(&c, "10.0.0.1", "443", dir, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "/token: No such file"));
	ck_assert_ptr_nonnull(strstr(err.msg, "automountServiceAccountToken"));
	write_file("token", "tok");
	ck_assert_int_lt(kube_config_in_cluster(&c, "10.0.0.1", "443", dir, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "/ca.crt: No such file"));
	ck_assert_int_lt(kube_config_in_cluster(&c, NULL, NULL, dir, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "--kubeconfig"));
	ck_assert_ptr_null(c.server);
	remove_dir();
}
END_TEST

START_TEST(of_several_files_the_first_that_exists_is_read)
{
	_cleanup_free_ char *paths = NULL;

	make_dir();
	write_file("config",
		   HEAD("server: 'https://first', certificate-authority: ca", "token: t"));
	write_file("second", "not read");
	paths = xasprintf(":%s/none:%s/config:%s/second", dir, dir, dir);
	ck_assert_msg(kube_config_load(&c, paths, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(c.server, "https://first");
	ck_assert_int_eq(strncmp(c.ca_file, dir, strlen(dir)), 0);
	ck_assert_str_eq(c.ca_file + strlen(dir), "/ca");
	kube_config_deinit(&c);
	remove_dir();
}
END_TEST

START_TEST(a_file_that_is_missing_or_wrong_is_named)
{
	_cleanup_free_ char *path = NULL, *two = NULL;

	make_dir();
	path = xasprintf("%s/config", dir);
	two = xasprintf("%s/a:%s/b", dir, dir);
	ck_assert_int_lt(kube_config_load(&c, path, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, path));
	ck_assert_int_lt(kube_config_load(&c, two, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, two));
	write_file("config", HEAD("server: x", "token: t"));
	ck_assert_int_lt(kube_config_load(&c, path, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, path));
	ck_assert_ptr_nonnull(strstr(err.msg, "clusters[k].server"));
	ck_assert_int_lt(kube_config_load(&c, dir, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "Is a directory"));
	remove_dir();
}
END_TEST

START_TEST(a_copy_is_complete_and_independent)
{
	struct kube_config copy;

	good(HEAD(SERVER ", certificate-authority: a, tls-server-name: n",
		  "client-certificate: b, client-key: d, tokenFile: e, token: f"));
	kube_config_copy(&copy, &c);
	ck_assert_str_eq(copy.server, c.server);
	ck_assert_ptr_ne(copy.server, c.server);
	ck_assert_str_eq(copy.ca_file, c.ca_file);
	ck_assert_str_eq(copy.server_name, c.server_name);
	ck_assert_str_eq(copy.cert_file, c.cert_file);
	ck_assert_str_eq(copy.key_file, c.key_file);
	ck_assert_str_eq(copy.token_file, c.token_file);
	ck_assert_str_eq(copy.namespace, c.namespace);
	ck_assert_mem_eq(copy.token.p, "f", 1);
	kube_config_deinit(&c);
	kube_config_deinit(&copy);
}
END_TEST

UNIT_MAIN("kube-config", UNIT(every_field_is_read), UNIT(data_is_decoded),
	  UNIT_LOOP(every_style_of_yaml_is_read, styles), UNIT(a_context_needs_no_user),
	  UNIT_LOOP(a_bad_kubeconfig_is_refused_by_the_name_of_the_field, bad),
	  UNIT(a_pod_finds_its_account), UNIT(an_account_that_is_not_whole_is_named),
	  UNIT(of_several_files_the_first_that_exists_is_read),
	  UNIT(a_file_that_is_missing_or_wrong_is_named), UNIT(a_copy_is_complete_and_independent))
