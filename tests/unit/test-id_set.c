/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "mic-client/crd.h"
#include "mic-client/id_set.h"
#include "tests/unit/unit.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct id_set *s, const char *client, const char *resource)
{
	_cleanup_free_ char *c = xstrdup(client);
	_cleanup_free_ char *r = xstrdup(resource);

	id_set_add(s, &(struct azure_identity){ .client_id = c, .resource_id = r });
}

START_TEST(what_was_put_in_is_found_without_case_and_nothing_else)
{
	_cleanup_(id_set_freep) struct id_set *s = id_set_new(3);

	put(s, "ABCDEF00-aaaa", "/subscriptions/1/RG/a");
	put(s, "c-b", "");
	put(s, "", "/r/c");
	id_set_seal(s);
	ck_assert(id_set_has_client(s, "abcdef00-AAAA"));
	ck_assert(id_set_has_client(s, "c-b"));
	ck_assert(id_set_has_resource(s, "/Subscriptions/1/rg/A"));
	ck_assert(id_set_has_resource(s, "/r/c"));
	ck_assert(!id_set_has_client(s, "abcdef00-aaa"));
	ck_assert(!id_set_has_client(s, "abcdef00-aaaab"));
	ck_assert(!id_set_has_resource(s, "/r/d"));
}
END_TEST

START_TEST(an_id_of_one_kind_is_none_of_the_other)
{
	_cleanup_(id_set_freep) struct id_set *s = id_set_new(1);

	put(s, "client", "resource");
	id_set_seal(s);
	ck_assert(!id_set_has_client(s, "resource"));
	ck_assert(!id_set_has_resource(s, "client"));
}
END_TEST

START_TEST(the_empty_id_is_nobodys)
{
	_cleanup_(id_set_freep) struct id_set *none = id_set_new(0);
	_cleanup_(id_set_freep) struct id_set *s = id_set_new(1);

	put(s, "", "");
	id_set_seal(s);
	id_set_seal(none);
	ck_assert(!id_set_has_client(s, ""));
	ck_assert(!id_set_has_resource(s, ""));
	ck_assert(!id_set_has_client(none, "x"));
}
END_TEST

START_TEST(an_id_of_any_length_is_compared_wholly)
{
	_cleanup_free_ char *long_id = xcalloc(1, 100001);
	_cleanup_(id_set_freep) struct id_set *s = id_set_new(1);

	memset(long_id, 'X', 100000);
	put(s, "c", long_id);
	id_set_seal(s);
	ck_assert(id_set_has_resource(s, long_id));
	long_id[99999] = 'Y';
	ck_assert(!id_set_has_resource(s, long_id));
}
END_TEST

START_TEST(an_identity_takes_16_bytes)
{
	enum { N = 10000 };
	_cleanup_(id_set_freep) struct id_set *s = id_set_new(N);
	char client[32], resource[32];

	for (int i = 0; i < N; i++) {
		(void)snprintf(client, sizeof(client), "client-%d", i);
		(void)snprintf(resource, sizeof(resource), "/resource/%d", i);
		put(s, client, resource);
	}
	id_set_seal(s);
	/* and a page or two, to which a large block is rounded up */
	ck_assert_uint_le(malloc_usable_size(s), 16 * N + 8192);
	for (int i = 0; i < N; i++) {
		(void)snprintf(client, sizeof(client), "Client-%d", i);
		(void)snprintf(resource, sizeof(resource), "/Resource/%d", i);
		ck_assert(id_set_has_client(s, client) && id_set_has_resource(s, resource));
		ck_assert(!id_set_has_client(s, resource));
	}
}
END_TEST

UNIT_MAIN("id_set", UNIT(what_was_put_in_is_found_without_case_and_nothing_else),
	  UNIT(an_id_of_one_kind_is_none_of_the_other), UNIT(the_empty_id_is_nobodys),
	  UNIT(an_id_of_any_length_is_compared_wholly), UNIT(an_identity_takes_16_bytes))
