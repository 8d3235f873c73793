/* SPDX-License-Identifier: MIT */

/* Which refusals the issuer reports, to whom, and with which words. */

#include "tests/unit/issue-bench.h"

/* What was reported: the names of the pods in order, the rest of the last one. */
struct ear {
	unsigned calls;
	bool says; /* what it answers */
	enum reason reason;
	char pods[64], text[ISSUE_TEXT_MAX], id[64];
};

static bool on_refused(void *ctx, const struct pod *pod, enum reason reason, const char *text,
		       const char *request_id)
{
	struct ear *e = ctx;
	size_t n = strlen(e->pods);

	e->calls++;
	e->reason = reason;
	(void)snprintf(e->pods + n, sizeof(e->pods) - n, "%s ", pod->name);
	(void)snprintf(e->text, sizeof(e->text), "%s", text);
	(void)snprintf(e->id, sizeof(e->id), "%s", request_id);
	return e->says;
}

static void begin(struct bench *b, struct ear *e)
{
	*e = (struct ear){ .says = true };
	bench_init(b);
	b->issuer = issuer_free(b->issuer);
	b->issuer = issuer_new(b->loop, &(struct issuer_spec){ .resolver = &b->resolver,
							       .decider = &b->decider,
							       .tokens = b->cache,
							       .sync_wait_msec = 5000,
							       .token_wait_msec = 20000,
							       .refused = on_refused,
							       .refused_ctx = e });
}

START_TEST(a_refusal_is_reported_with_the_text_and_the_id_of_the_answer)
{
	struct got g = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	b.match = (struct match_answer){ .result = MATCH_NO_LABEL };
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_uint_eq(e.calls, 1);
	ck_assert_int_eq(e.reason, REASON_NO_LABEL);
	ck_assert_str_eq(e.pods, "web-0 ");
	ck_assert_str_eq(e.text, g.a.text);
	ck_assert_str_eq(e.id, "q1");
	ck_assert(g.a.is_reported);
	bench_deinit(&b);
}
END_TEST

START_TEST(the_answer_says_whether_the_report_was_taken)
{
	struct got g = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	e.says = false;
	b.match = (struct match_answer){ .result = MATCH_NO_LABEL };
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_uint_eq(e.calls, 1);
	ck_assert(!g.a.is_reported);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_refusal_after_a_wait_is_reported_once)
{
	struct got g = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	b.is_ready = false;
	ck_assert_ptr_nonnull(start(&b, &g));
	ck_assert_uint_eq(e.calls, 0);
	b.is_ready = true;
	b.match = (struct match_answer){ .result = MATCH_NO_LABEL };
	issuer_identities_changed(b.issuer);
	turn(&b);
	ck_assert_int_eq(g.a.reason, REASON_NO_LABEL);
	ck_assert_uint_eq(e.calls, 1);
	ck_assert_str_eq(e.id, "q1");
	ck_assert(g.a.is_reported);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_the_upstream_refuses_is_reported_to_the_pod)
{
	struct got g = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	ck_assert_ptr_nonnull(start(&b, &g));
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_REFUSED, 0));
	turn(&b);
	ck_assert_uint_eq(e.calls, 1);
	ck_assert_int_eq(e.reason, REASON_UPSTREAM_REFUSED);
	ck_assert_str_eq(e.pods, "web-0 ");
	ck_assert_str_eq(e.text, g.a.text);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_that_only_the_api_server_knows_is_told_too)
{
	struct got g = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	b.resolver.result = RESOLVE_UNKNOWN;
	b.match = (struct match_answer){ .result = MATCH_NO_LABEL };
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.vouched = b.other_pod;
	fake_resolver_tell(&b.resolver);
	ck_assert_int_eq(g.a.reason, REASON_NO_LABEL);
	ck_assert_str_eq(e.pods, "web-1 ");
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_of_two_pods_is_reported_to_both)
{
	struct got g = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	b.resolver.result = RESOLVE_AMBIGUOUS;
	b.resolver.claimants[0] = b.pod;
	b.resolver.claimants[1] = b.other_pod;
	ck_assert_ptr_nonnull(start(&b, &g));
	ck_assert_uint_eq(e.calls, 0); /* one of them may end */
	fake_resolver_tell(&b.resolver);
	ck_assert_int_eq(e.reason, REASON_AMBIGUOUS_IP);
	ck_assert_str_eq(e.pods, "web-0 web-1 ");
	ck_assert_ptr_nonnull(strstr(e.text, "10.1.2.3"));
	ck_assert(g.a.is_reported);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_that_became_one_of_two_pods_during_the_flight_too)
{
	struct got g = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.result = RESOLVE_AMBIGUOUS;
	b.resolver.claimants[0] = b.pod;
	b.resolver.claimants[1] = b.other_pod;
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_AMBIGUOUS_IP);
	ck_assert_str_eq(e.pods, "web-0 web-1 ");
	bench_deinit(&b);
}
END_TEST

START_TEST(the_successor_at_an_address_is_not_told_of_the_request_before_it)
{
	struct got g = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.pod = b.other_pod;
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_str_eq(e.pods, "web-0 ");
	bench_deinit(&b);
}
END_TEST

START_TEST(who_is_not_known_is_not_told_and_who_is_served_neither)
{
	struct got g[3] = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	ck_assert_ptr_nonnull(start(&b, &g[0]));
	give(&b, "one");
	ck_assert_ptr_null(start(&b, &g[1]));
	ck_assert_str_eq(g[1].token, "one");
	b.resolver.result = RESOLVE_UNKNOWN;
	ck_assert_ptr_nonnull(start(&b, &g[2]));
	fake_resolver_tell(&b.resolver);
	ck_assert_int_eq(g[2].a.reason, REASON_POD_UNKNOWN);
	ck_assert_uint_eq(e.calls, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_request_that_is_cancelled_is_not_reported)
{
	struct got g = { 0 };
	struct bench b;
	struct ear e;

	begin(&b, &e);
	b.is_ready = false;
	issue_cancel(start(&b, &g));
	loop_fake_advance(b.loop, 60000);
	ck_assert_uint_eq(e.calls, 0);
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("issue-reports", UNIT(a_refusal_is_reported_with_the_text_and_the_id_of_the_answer),
	  UNIT(the_answer_says_whether_the_report_was_taken),
	  UNIT(a_refusal_after_a_wait_is_reported_once),
	  UNIT(what_the_upstream_refuses_is_reported_to_the_pod),
	  UNIT(a_pod_that_only_the_api_server_knows_is_told_too),
	  UNIT(an_address_of_two_pods_is_reported_to_both),
	  UNIT(an_address_that_became_one_of_two_pods_during_the_flight_too),
	  UNIT(the_successor_at_an_address_is_not_told_of_the_request_before_it),
	  UNIT(who_is_not_known_is_not_told_and_who_is_served_neither),
	  UNIT(a_request_that_is_cancelled_is_not_reported))
