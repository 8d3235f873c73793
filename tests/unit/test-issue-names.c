/* SPDX-License-Identifier: MIT */

/* Requests in a pod's name, and requests on a connection that is a pod's. */

#include "tests/unit/issue-bench.h"

static struct issue_request named(void)
{
	struct issue_request req = request();

	req.by_name = true;
	req.pod_namespace = shop;
	req.pod_name = web_0;
	return req;
}

/* Nobody has the address, so nothing can come of it. */
static void bench_named(struct bench *b)
{
	bench_init(b);
	b->resolver.result = RESOLVE_UNKNOWN;
	b->resolver.full = true;
	b->names.pod = b->pod;
}

START_TEST(a_pod_that_is_known_by_name_is_served_whatever_the_address)
{
	struct issue_request req = named();
	struct got first = { 0 }, g = { 0 };
	struct bench b;

	bench_named(&b);
	ck_assert_ptr_nonnull(start_with(&b, &req, &first));
	ck_assert_str_eq(b.names.asked, "shop/web-0");
	ck_assert(b.no_exceptions);
	give(&b, "one");
	ck_assert_str_eq(first.token, "one");
	ck_assert_str_eq(first.client_id, b.identity->client_id);
	ck_assert_ptr_null(start_with(&b, &req, &g));
	ck_assert_str_eq(g.token, "one");
	ck_assert_str_eq(g.client_id, b.identity->client_id);
	ck_assert_str_eq(g.a.pod_namespace, "shop");
	ck_assert_str_eq(g.uid, uid_1);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_exception_never_gives_the_nodes_identity_by_name)
{
	struct azure_exception e = { .meta = { .namespace = shop, .name = web_1 } };
	struct issue_request req = named();
	struct got g = { 0 };
	struct bench b;

	bench_named(&b);
	/* as of a decider that does not heed no_exceptions */
	b.match = (struct match_answer){ .result = MATCH_EXCEPTED, .exception = &e };
	ck_assert_ptr_null(start_with(&b, &req, &g));
	ck_assert_int_eq(g.a.reason, REASON_INTERNAL);
	ck_assert_uint_eq(b.node.asked, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(exceptions_count_for_a_request_from_an_address)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.match = (struct match_answer){ .result = MATCH_EXCEPTED };
	ck_assert_ptr_nonnull(start(&b, &g));
	ck_assert(!b.no_exceptions);
	ck_assert(fake_source_give(&b.node, "node", HOUR));
	turn(&b);
	ck_assert_str_eq(g.token, "node");
	ck_assert_str_eq(g.client_id, "");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_name_that_is_not_known_waits_for_its_pod)
{
	struct issue_request req = named();
	struct got g = { 0 };
	struct bench b;

	bench_named(&b);
	b.names.pod = NULL;
	ck_assert_ptr_nonnull(start_with(&b, &req, &g));
	ck_assert_uint_eq(b.names.n_waits, 1);
	ck_assert_uint_eq(b.resolver.n_waits, 0);
	b.names.pod = b.pod;
	fake_by_name_tell(&b.names);
	give(&b, "one");
	ck_assert_str_eq(g.token, "one");
	ck_assert_str_eq(g.uid, uid_1);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_name_that_stays_unknown_is_refused_by_name)
{
	struct issue_request req = named();
	struct got g = { 0 };
	struct bench b;

	bench_named(&b);
	b.names.pod = NULL;
	ck_assert_ptr_nonnull(start_with(&b, &req, &g));
	fake_by_name_tell(&b.names);
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(g.a.text, "shop/web-0"));
	ck_assert_str_eq(g.uid, "");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_wait_for_a_name_can_be_cancelled_or_refused)
{
	struct issue_request req = named();
	struct got g[2] = { 0 };
	struct bench b;
	struct issue *q;

	bench_named(&b);
	b.names.pod = NULL;
	q = start_with(&b, &req, &g[0]);
	ck_assert_ptr_nonnull(q);
	issue_cancel(q);
	ck_assert_uint_eq(b.names.n_waits, 0);
	b.names.full = true;
	ck_assert_ptr_null(start_with(&b, &req, &g[1]));
	ck_assert_int_eq(g[1].a.reason, REASON_OVERLOADED);
	ck_assert_uint_eq(g[0].calls, 0);
	bench_deinit(&b);
}
END_TEST

static const struct {
	bool is_replaced; /* else: it is gone */
} fates[] = { { true }, { false } };

START_TEST(a_pod_that_is_replaced_meanwhile_gets_nothing_by_name)
{
	struct issue_request req = named();
	struct got g = { 0 };
	struct bench b;

	bench_named(&b);
	ck_assert_ptr_nonnull(start_with(&b, &req, &g));
	b.names.pod = fates[_i].is_replaced ? b.other_pod : NULL;
	give(&b, "secret");
	ck_assert_str_eq(g.token, "");
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(g.a.text, "shop/web-0"));
	bench_deinit(&b);
}
END_TEST

/* connections */

START_TEST(every_answer_that_was_decided_for_a_pod_says_which)
{
	struct got g[3] = { 0 };
	struct bench b;

	bench_init(&b);
	b.is_ready = false;
	ck_assert_ptr_nonnull(start(&b, &g[0]));
	loop_fake_advance(b.loop, 5000);
	ck_assert_int_eq(g[0].a.reason, REASON_NOT_SYNCED);
	ck_assert_str_eq(g[0].uid, uid_1);
	b.is_ready = true;
	b.match.result = MATCH_NO_LABEL;
	ck_assert_ptr_null(start(&b, &g[1]));
	ck_assert_str_eq(g[1].uid, uid_1);
	b.resolver.result = RESOLVE_AMBIGUOUS;
	ck_assert_ptr_nonnull(start(&b, &g[2]));
	fake_resolver_tell(&b.resolver);
	ck_assert_str_eq(g[2].uid, "");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_that_only_the_api_server_knows_is_told_too)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	b.resolver.vouched = b.pod;
	b.match.result = MATCH_NO_LABEL;
	ck_assert_ptr_nonnull(start(&b, &g));
	fake_resolver_tell(&b.resolver);
	ck_assert_int_eq(g.a.reason, REASON_NO_LABEL);
	ck_assert_str_eq(g.uid, uid_1);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_connection_of_the_same_pod_is_served)
{
	struct issue_request req = request();
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	req.pod_uid = uid_1;
	ck_assert_ptr_nonnull(start_with(&b, &req, &g));
	give(&b, "one");
	ck_assert_str_eq(g.token, "one");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_connection_of_another_pod_gets_nothing_cached_or_not)
{
	struct issue_request req = request();
	struct got first = { 0 }, g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &first));
	give(&b, "one");
	req.pod_uid = uid_2;
	ck_assert_ptr_null(start_with(&b, &req, &g));
	ck_assert_int_eq(g.a.reason, REASON_STALE_CONNECTION);
	ck_assert_ptr_null(strstr(g.a.text, "web"));
	ck_assert_str_eq(g.a.pod_namespace, "");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_connection_whose_address_comes_to_another_pod_gets_nothing)
{
	struct issue_request req = request();
	struct got g = { 0 };
	char uid[] = "u2";
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	req.pod_uid = uid;
	ck_assert_ptr_nonnull(start_with(&b, &req, &g));
	memset(uid, 'x', 2); /* the issuer has a copy */
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	ck_assert_int_eq(g.a.reason, REASON_STALE_CONNECTION);
	ck_assert_uint_eq(b.source.asked, 0);
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("issue-names", UNIT(a_pod_that_is_known_by_name_is_served_whatever_the_address),
	  UNIT(an_exception_never_gives_the_nodes_identity_by_name),
	  UNIT(exceptions_count_for_a_request_from_an_address),
	  UNIT(a_name_that_is_not_known_waits_for_its_pod),
	  UNIT(a_name_that_stays_unknown_is_refused_by_name),
	  UNIT(a_wait_for_a_name_can_be_cancelled_or_refused),
	  UNIT_LOOP(a_pod_that_is_replaced_meanwhile_gets_nothing_by_name, fates),
	  UNIT(every_answer_that_was_decided_for_a_pod_says_which),
	  UNIT(a_pod_that_only_the_api_server_knows_is_told_too),
	  UNIT(a_connection_of_the_same_pod_is_served),
	  UNIT(a_connection_of_another_pod_gets_nothing_cached_or_not),
	  UNIT(a_connection_whose_address_comes_to_another_pod_gets_nothing))
