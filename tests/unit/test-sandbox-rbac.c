/* SPDX-License-Identifier: MIT */

#include "tests/sandbox/apiserver/auth.h"
#include "tests/sandbox/apiserver/rbac.h"
#include "tests/unit/unit.h"

#define OF_RBAC "apiVersion: rbac.authorization.k8s.io/v1\n"

static const char manifest[] =
	"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: agent, namespace: "
	"system}\n---\n" OF_RBAC "kind: ClusterRole\nmetadata: {name: reader}\nrules:\n"
	"- {apiGroups: [''], resources: [pods], verbs: [list, watch]}\n"
	"- {apiGroups: [x.io], resources: ['*'], verbs: ['*']}\n"
	"- {apiGroups: [''], resources: [secrets], verbs: [get, list], resourceNames: [one]}\n"
	"---\n" OF_RBAC "kind: ClusterRole\nmetadata: {name: asker}\nrules:\n"
	"- {apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]}\n---\n" OF_RBAC
	"kind: Role\nmetadata: {name: own, namespace: shop}\nrules:\n"
	"- {apiGroups: [''], resources: [events], verbs: [create]}\n---\n" OF_RBAC
	"kind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: ClusterRole, name: "
	"reader}\nsubjects: [{kind: ServiceAccount, name: agent, namespace: system}]\n---\n" OF_RBAC
	"kind: RoleBinding\nmetadata: {name: b, namespace: shop}\nroleRef: {kind: ClusterRole, "
	"name: asker}\nsubjects: [{kind: Group, name: agents}]\n---\n" OF_RBAC
	"kind: RoleBinding\nmetadata: {name: c, namespace: shop}\nroleRef: {kind: Role, "
	"name: own}\nsubjects: [{kind: User, name: bob}]\n---\n" OF_RBAC
	"kind: RoleBinding\nmetadata: {name: d, namespace: other}\nroleRef: {kind: Role, "
	"name: own}\nsubjects: [{kind: User, name: bob}]\n";

static char *groups[] = { (char *)(uintptr_t) "agents" };
static const struct user agent = { .name = (char *)(uintptr_t) "system:serviceaccount:system:agent",
				   .groups = groups,
				   .n_groups = 1 };
static const struct user bob = { .name = (char *)(uintptr_t) "bob" };
static const struct user other = { .name = (char *)(uintptr_t) "system:serviceaccount:x:agent" };

static struct rbac *parsed(const char *text)
{
	struct rbac *r = rbac_new();

	ck_assert_int_eq(rbac_parse(r, text, strlen(text), NULL), 0);
	return r;
}

/* clang-format off */
static const struct {
	const struct user *user;
	struct rbac_ask ask; /* verb, group, plural, sub, ns, name */
	bool allowed;
} rows[] = {
	{ &agent, { "list", "", "pods", "", "", "" }, true },
	{ &agent, { "watch", "", "pods", "", "shop", "" }, true },
	{ &agent, { "get", "", "pods", "", "shop", "web" }, false },
	{ &agent, { "list", "apps", "pods", "", "", "" }, false },
	{ &agent, { "list", "", "pods", "status", "", "" }, false },
	{ &agent, { "delete", "x.io", "things", "", "shop", "a" }, true },
	{ &agent, { "get", "", "secrets", "", "shop", "one" }, true },
	{ &agent, { "list", "", "secrets", "", "shop", "one" }, true },
	{ &agent, { "list", "", "secrets", "", "shop", "" }, false },
	{ &agent, { "get", "", "secrets", "", "shop", "two" }, false },
	{ &agent, { "create", "", "serviceaccounts", "token", "shop", "web" }, true },
	{ &agent, { "create", "", "serviceaccounts", "token", "other", "web" }, false },
	{ &agent, { "create", "", "serviceaccounts", "", "shop", "" }, false },
	{ &agent, { "create", "", "events", "", "shop", "" }, false },
	{ &bob, { "create", "", "events", "", "shop", "" }, true },
	/* the binding there is of a role that is here */
	{ &bob, { "create", "", "events", "", "other", "" }, false },
	{ &bob, { "list", "", "pods", "", "", "" }, false },
	{ &other, { "list", "", "pods", "", "", "" }, false },
};
/* clang-format on */

START_TEST(a_right_is_what_a_bound_role_has_for_this_verb_and_object)
{
	_cleanup_(rbac_freep) struct rbac *r = parsed(manifest);

	ck_assert_msg(rbac_allows(r, rows[_i].user, &rows[_i].ask) == rows[_i].allowed,
		      "%s %s/%s of %s", rows[_i].ask.verb, rows[_i].ask.plural, rows[_i].ask.sub,
		      rows[_i].user->name);
}
END_TEST

START_TEST(only_subjects_of_a_binding_are_known)
{
	_cleanup_(rbac_freep) struct rbac *r = parsed(manifest);

	ck_assert(rbac_knows(r, &agent));
	ck_assert(rbac_knows(r, &bob));
	ck_assert(!rbac_knows(r, &other));
}
END_TEST

START_TEST(a_binding_of_a_role_that_is_not_there_gives_nothing)
{
	static const struct rbac_ask ask = { "list", "", "pods", "", "", "" };
	_cleanup_(rbac_freep) struct rbac *r = parsed(
		OF_RBAC "kind: ClusterRoleBinding\nroleRef: {kind: ClusterRole, name: gone}\n"
			"subjects: [{kind: User, name: bob}]\n");

	ck_assert(rbac_knows(r, &bob));
	ck_assert(!rbac_allows(r, &bob, &ask));
}
END_TEST

static const char *const wrong[] = {
	"kind: ConfigMap\napiVersion: v1\n",
	"kind: ClusterRole\napiVersion: rbac.authorization.k8s.io/v1beta1\n",
	OF_RBAC "kind: Roles\n",
	"{",
};

START_TEST(what_is_not_of_rbac_is_an_error)
{
	_cleanup_(rbac_freep) struct rbac *r = rbac_new();
	struct err err = { 0 };

	ck_assert_int_eq(rbac_parse(r, wrong[_i], strlen(wrong[_i]), &err), -ERR_INPUT);
	ck_assert_str_ne(err.msg, "");
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
	_cleanup_(rbac_freep) struct rbac *r = rbac_new();
	struct err err = { 0 };

	ck_assert_int_lt(rbac_load(r, "/nonexistent/rbac.yaml", &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "/nonexistent/rbac.yaml"));
}
END_TEST

UNIT_MAIN("sandbox-rbac",
	  UNIT_LOOP(a_right_is_what_a_bound_role_has_for_this_verb_and_object, rows),
	  UNIT(only_subjects_of_a_binding_are_known),
	  UNIT(a_binding_of_a_role_that_is_not_there_gives_nothing),
	  UNIT_LOOP(what_is_not_of_rbac_is_an_error, wrong),
	  UNIT(a_file_that_is_not_there_is_named))
