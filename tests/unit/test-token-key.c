/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "nmi/token/key.h"
#include "tests/unit/mk-identity.h"
#include "tests/unit/unit.h"

#include <string.h>

static bool same(struct azure_identity *a, struct azure_identity *b)
{
	const struct token_ask ask_a = { .identity = a, .resource = "r" };
	const struct token_ask ask_b = { .identity = b, .resource = "r" };
	bool eq = token_key_eq(&ask_a, &ask_b);

	(void)azure_identity_unref(a);
	(void)azure_identity_unref(b);
	return eq;
}

START_TEST(a_managed_identity_is_its_client_id)
{
	ck_assert(same(mk_identity(), mk_identity()));
	ck_assert(same(mk_identity(), mk_identity(.version = "2")));
	ck_assert(same(mk_identity(), mk_identity(.namespace = "other", .name = "x")));
	ck_assert(same(mk_identity(.client_id = "ABC-d"), mk_identity(.client_id = "abc-D")));
	ck_assert(!same(mk_identity(), mk_identity(.client_id = "c2")));
	ck_assert(!same(mk_identity(), mk_identity(.client_id = "c1 ")));
}
END_TEST

START_TEST(a_service_principal_is_also_the_object_that_names_its_secret)
{
	ck_assert(same(mk_identity(.type = 1), mk_identity(.type = 1, .version = "2")));
	ck_assert(!same(mk_identity(.type = 1), mk_identity(.type = 1, .namespace = "other")));
	ck_assert(!same(mk_identity(.type = 1), mk_identity(.type = 1, .name = "other")));
	ck_assert(!same(mk_identity(.type = 1), mk_identity(.type = 1, .tenant_id = "t")));
	ck_assert(!same(mk_identity(.type = 1), mk_identity(.type = 0)));
	ck_assert(!same(mk_identity(.type = 1), mk_identity(.type = 2)));
	ck_assert(!same(mk_identity(.type = 1),
			mk_identity(.type = 1, .spec = ",\"auxiliaryTenantIDs\":[\"a.b\"]")));
	ck_assert(!same(mk_identity(.type = 1),
			mk_identity(.type = 1, .spec = ",\"clientPassword\":{\"name\":"
						       "\"s\"}")));
}
END_TEST

#define FEDERATED "\"aadpodidentity.k8s.io/token-source\":\"federation\""

START_TEST(a_federated_identity_is_no_managed_one)
{
	ck_assert(!same(mk_identity(), mk_identity(.annotations = FEDERATED)));
	ck_assert(!same(mk_identity(.type = 3), mk_identity(.annotations = FEDERATED)));
	ck_assert(!same(mk_identity(.annotations = FEDERATED),
			mk_identity(.annotations = FEDERATED, .name = "x")));
}
END_TEST

/* Of the same words, and yet what one is refused for is not to be told of the other. */
START_TEST(an_account_is_not_the_identity_of_its_name)
{
	struct azure_identity *account = mk_identity(.type = 3, .resource_id = "");

	account->of_account = true;
	ck_assert(!same(account, mk_identity(.type = 3, .resource_id = "")));
}
END_TEST

START_TEST(one_that_was_made_anew_under_its_name_is_another)
{
	struct azure_identity *anew = mk_identity(.type = 1), *managed = mk_identity();

	anew->meta.uid[0] = 'x';
	ck_assert(!same(mk_identity(.type = 1), anew));
	anew = mk_identity(.annotations = FEDERATED);
	anew->meta.uid[0] = 'x';
	ck_assert(!same(mk_identity(.annotations = FEDERATED), anew));
	managed->meta.uid[0] = 'x'; /* the same identity of Azure, whoever names it */
	ck_assert(same(mk_identity(), managed));
}
END_TEST

START_TEST(identities_without_a_client_id_share_nothing)
{
	ck_assert(!same(mk_identity(.client_id = ""), mk_identity(.client_id = "", .name = "x")));
	ck_assert(!same(mk_identity(.client_id = " "), mk_identity(.client_id = " ", .name = "x")));
}
END_TEST

static const struct {
	struct token_ask a, b;
	bool eq;
} nodes[] = {
	{ { .resource = "r" }, { .resource = "r" }, true },
	{ { .resource = "r" }, { .resource = "r", .bypass_cache = true }, true },
	{ { .resource = "r" }, { .resource = "R" }, false },
	{ { .resource = "r" }, { .resource = "r/" }, false },
	{ { .resource = "r", .selector = { SELECTOR_CLIENT_ID, "A" } },
	  { .resource = "r", .selector = { SELECTOR_CLIENT_ID, "a" } },
	  true },
	{ { .resource = "r", .selector = { SELECTOR_CLIENT_ID, "a" } },
	  { .resource = "r", .selector = { SELECTOR_OBJECT_ID, "a" } },
	  false },
	{ { .resource = "r", .selector = { SELECTOR_CLIENT_ID, "a" } },
	  { .resource = "r" },
	  false },
	/* one field must not run over into the next */
	{ { .resource = "b", .selector = { SELECTOR_CLIENT_ID, "a" } },
	  { .resource = "ab", .selector = { SELECTOR_CLIENT_ID, "" } },
	  false },
	{ { .resource = "1:b", .selector = { SELECTOR_CLIENT_ID, "a" } },
	  { .resource = "b", .selector = { SELECTOR_CLIENT_ID, "a1:" } },
	  false },
};

START_TEST(the_nodes_own_is_told_apart_by_selector_and_resource)
{
	ck_assert_int_eq(token_key_eq(&nodes[_i].a, &nodes[_i].b), nodes[_i].eq);
	ck_assert_int_eq(token_key_eq(&nodes[_i].b, &nodes[_i].a), nodes[_i].eq);
}
END_TEST

START_TEST(an_identity_is_never_the_nodes_own)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *i = mk_identity();
	const struct token_ask a = { .identity = i, .resource = "r" };
	const struct token_ask b = { .selector = { SELECTOR_CLIENT_ID, "c1" }, .resource = "r" };

	ck_assert(!token_key_eq(&a, &b));
}
END_TEST

START_TEST(a_long_key_is_kept_whole)
{
	char one[2000], other[2000];

	memset(one, 'x', sizeof(one) - 1);
	one[sizeof(one) - 1] = '\0';
	memcpy(other, one, sizeof(other));
	ck_assert(token_key_eq(&(struct token_ask){ .resource = one },
			       &(struct token_ask){ .resource = other }));
	other[sizeof(other) - 2] = 'y';
	ck_assert(!token_key_eq(&(struct token_ask){ .resource = one },
				&(struct token_ask){ .resource = other }));
}
END_TEST

START_TEST(a_federated_token_is_of_one_service_account)
{
	struct azure_identity *i = mk_identity();
	const struct token_pod a = { "n", "p1", "u1", "sa" }, b = { "n", "p2", "u2", "sa" };
	const struct token_pod c = { "n", "p3", "u3", "sb" };
	struct token_ask of_a = { .pod = &a, .identity = i, .resource = "r" };
	struct token_ask of_b = { .pod = &b, .identity = i, .resource = "r" };
	struct token_ask of_c = { .pod = &c, .identity = i, .resource = "r" };

	i->federated = true;
	ck_assert(token_key_eq(&of_a, &of_b));
	ck_assert(!token_key_eq(&of_a, &of_c));
	(void)azure_identity_unref(i);
}
END_TEST

UNIT_MAIN("token-key", UNIT(a_managed_identity_is_its_client_id),
	  UNIT(a_service_principal_is_also_the_object_that_names_its_secret),
	  UNIT(a_federated_identity_is_no_managed_one),
	  UNIT(one_that_was_made_anew_under_its_name_is_another),
	  UNIT(identities_without_a_client_id_share_nothing),
	  UNIT_LOOP(the_nodes_own_is_told_apart_by_selector_and_resource, nodes),
	  UNIT(an_identity_is_never_the_nodes_own), UNIT(a_long_key_is_kept_whole),
	  UNIT(an_account_is_not_the_identity_of_its_name),
	  UNIT(a_federated_token_is_of_one_service_account))
