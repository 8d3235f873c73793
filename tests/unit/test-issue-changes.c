/* SPDX-License-Identifier: MIT */

#include "tests/unit/issue-bench.h"

/* The watch is behind: only the resolver's own question to the API server finds the pod. */
static void vouch(struct bench *b, struct got *g)
{
	b->resolver.result = RESOLVE_UNKNOWN;
	ck_assert_ptr_nonnull(start(b, g));
	b->resolver.vouched = b->pod;
	fake_resolver_tell(&b->resolver);
}

START_TEST(a_pod_that_only_the_api_server_knows_is_served)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	vouch(&b, &g);
	give(&b, "one");
	ck_assert_str_eq(g.token, "one");
	ck_assert_str_eq(g.a.pod_namespace, "shop");
	bench_deinit(&b);
}
END_TEST

START_TEST(the_watch_is_believed_over_what_the_api_server_said_before)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	vouch(&b, &g);
	b.resolver.result = RESOLVE_FOUND;
	b.resolver.pod = b.other_pod;
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	/* the log has the one whose request it was, with nothing of the other's */
	ck_assert_str_eq(g.uid, "u1");
	ck_assert_str_eq(g.pod, "web-0");
	ck_assert_ptr_null(g.a.identity);
	ck_assert_ptr_null(g.a.source);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_the_api_server_said_counts_while_the_address_leads_to_the_same_link)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	vouch(&b, &g);
	b.resolver.link = 2;
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_str_eq(g.token, "");
	bench_deinit(&b);
}
END_TEST

START_TEST(what_the_watch_told_is_nobodys_word_once_the_watch_takes_it_back)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	b.resolver.result = RESOLVE_UNKNOWN; /* the pod has ended */
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_str_eq(g.token, "");
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_that_leads_to_another_link_meanwhile_gets_nothing)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.result = RESOLVE_UNPLACED;
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_LINK_MISMATCH);
	ck_assert_str_eq(g.token, "");
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_that_passes_to_another_pod_meanwhile_gets_nothing)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.pod = b.other_pod;
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_str_eq(g.token, "");
	ck_assert_ptr_null(strstr(g.a.text, "web-1"));
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_that_passes_to_another_pod_during_the_sync_gets_nothing)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.is_ready = false;
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.pod = b.other_pod;
	b.is_ready = true;
	issuer_identities_changed(b.issuer);
	turn(&b);
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_uint_eq(b.source.asked, 0);
	bench_deinit(&b);
}
END_TEST

static const enum resolve_result losses[] = { RESOLVE_UNKNOWN, RESOLVE_AMBIGUOUS };

START_TEST(an_address_that_is_lost_meanwhile_gets_nothing)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.result = losses[_i];
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason,
			 losses[_i] == RESOLVE_UNKNOWN ? REASON_POD_UNKNOWN : REASON_AMBIGUOUS_IP);
	ck_assert_str_eq(g.a.began_as, uid_1); /* and what comes behind it is of that one */
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_that_is_lost_after_a_wait_for_it_gets_nothing_either)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	b.resolver.result = RESOLVE_UNKNOWN;
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_that_loses_its_identity_meanwhile_is_told_why)
{
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g[0]));
	b.match = (struct match_answer){ .result = MATCH_NO_LABEL };
	give(&b, "secret");
	ck_assert_int_eq(g[0].a.reason, REASON_NO_LABEL);
	ck_assert_ptr_null(start(&b, &g[1])); /* nor is it served from memory */
	ck_assert_int_eq(g[1].a.reason, REASON_NO_LABEL);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_decider_that_is_not_ready_any_more_hands_nothing_out)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.is_ready = false;
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_NOT_SYNCED);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_identity_that_changes_meanwhile_is_fetched_once_more)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.match.identity = b.other_identity;
	give(&b, "secret");
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_str_eq(b.source.pending->client_id, "c2");
	give(&b, "two");
	ck_assert_str_eq(g.token, "two");
	bench_deinit(&b);
}
END_TEST

START_TEST(an_identity_that_keeps_changing_is_given_up)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.match.identity = b.other_identity;
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_GARBLED, 0));
	turn(&b);
	b.match.identity = b.identity;
	give(&b, "secret");
	ck_assert_int_eq(g.a.reason, REASON_NOT_SYNCED);
	bench_deinit(&b);
}
END_TEST

START_TEST(the_second_fetch_does_not_get_a_second_wait)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	loop_fake_advance(b.loop, 15000);
	b.match.identity = b.other_identity;
	give(&b, "secret");
	loop_fake_advance(b.loop, 4999);
	ck_assert_uint_eq(g.calls, 0);
	loop_fake_advance(b.loop, 1);
	ck_assert_int_eq(g.a.reason, REASON_UPSTREAM_DOWN);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_identity_that_is_only_written_anew_meanwhile_is_the_same)
{
	_cleanup_(azure_identity_unrefp) struct azure_identity *again = mk_identity(.version = "9");
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.match.identity = again;
	give(&b, "one");
	ck_assert_str_eq(g.token, "one");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_that_is_excepted_meanwhile_is_not_given_what_was_fetched)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.match = (struct match_answer){ .result = MATCH_EXCEPTED };
	give(&b, "secret");
	ck_assert(fake_source_give(&b.node, "node", HOUR));
	turn(&b);
	ck_assert_str_eq(g.token, "node");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_that_the_kernel_has_forgotten_meanwhile_is_served_once_it_is_heard_of)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.result = RESOLVE_UNSEEN;
	give(&b, "one");
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_uint_eq(b.resolver.n_waits, 1);
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	ck_assert_str_eq(g.token, "one");
	ck_assert_uint_eq(b.source.asked, 1); /* the cache had kept it */
	bench_deinit(&b);
}
END_TEST

/* What has become of the address when the wait to see its pod is over. */
static const struct {
	enum resolve_result result;
	bool is_another;
	enum reason reason;
} unseen[] = {
	{ RESOLVE_UNSEEN, false, REASON_LINK_MISMATCH }, /* no second wait */
	{ RESOLVE_UNPLACED, false, REASON_LINK_MISMATCH },
	{ RESOLVE_AMBIGUOUS, false, REASON_AMBIGUOUS_IP },
	{ RESOLVE_UNKNOWN, false, REASON_POD_UNKNOWN },
	{ RESOLVE_FOUND, true, REASON_POD_UNKNOWN },
};

START_TEST(a_pod_that_the_kernel_had_forgotten_gets_nothing_unless_it_is_seen)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.result = RESOLVE_UNSEEN;
	give(&b, "secret");
	b.resolver.result = unseen[_i].result;
	if (unseen[_i].is_another)
		b.resolver.pod = b.other_pod;
	fake_resolver_tell(&b.resolver);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.a.reason, unseen[_i].reason);
	ck_assert_str_eq(g.token, "");
	bench_deinit(&b);
}
END_TEST

/* The watch forgets the pod during that wait, and the API server names another. */
START_TEST(who_is_named_at_the_end_of_a_wait_to_be_seen_must_be_the_one_that_asked)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNSEEN;
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.result = RESOLVE_UNKNOWN;
	b.resolver.vouched = b.other_pod;
	fake_resolver_tell(&b.resolver);
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_uint_eq(b.source.asked, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_that_is_forgotten_during_the_sync_waits_for_both)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.is_ready = false;
	ck_assert_ptr_nonnull(start(&b, &g));
	b.is_ready = true;
	b.resolver.result = RESOLVE_UNSEEN;
	issuer_identities_changed(b.issuer);
	turn(&b);
	ck_assert_uint_eq(b.resolver.n_waits, 1);
	ck_assert_uint_eq(issuer_waiting(b.issuer), 0); /* the resolver counts it */
	loop_fake_advance(b.loop, 6000);		/* the limit of the sync was another's */
	ck_assert_uint_eq(g.calls, 0);
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	give(&b, "one");
	ck_assert_str_eq(g.token, "one");
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("issue-changes", UNIT(a_pod_that_only_the_api_server_knows_is_served),
	  UNIT(the_watch_is_believed_over_what_the_api_server_said_before),
	  UNIT(what_the_api_server_said_counts_while_the_address_leads_to_the_same_link),
	  UNIT(what_the_watch_told_is_nobodys_word_once_the_watch_takes_it_back),
	  UNIT(an_address_that_leads_to_another_link_meanwhile_gets_nothing),
	  UNIT(an_address_that_passes_to_another_pod_meanwhile_gets_nothing),
	  UNIT(an_address_that_passes_to_another_pod_during_the_sync_gets_nothing),
	  UNIT_LOOP(an_address_that_is_lost_meanwhile_gets_nothing, losses),
	  UNIT(an_address_that_is_lost_after_a_wait_for_it_gets_nothing_either),
	  UNIT(a_pod_that_loses_its_identity_meanwhile_is_told_why),
	  UNIT(a_decider_that_is_not_ready_any_more_hands_nothing_out),
	  UNIT(an_identity_that_changes_meanwhile_is_fetched_once_more),
	  UNIT(an_identity_that_keeps_changing_is_given_up),
	  UNIT(the_second_fetch_does_not_get_a_second_wait),
	  UNIT(an_identity_that_is_only_written_anew_meanwhile_is_the_same),
	  UNIT(a_pod_that_is_excepted_meanwhile_is_not_given_what_was_fetched),
	  UNIT(a_pod_that_the_kernel_has_forgotten_meanwhile_is_served_once_it_is_heard_of),
	  UNIT_LOOP(a_pod_that_the_kernel_had_forgotten_gets_nothing_unless_it_is_seen, unseen),
	  UNIT(who_is_named_at_the_end_of_a_wait_to_be_seen_must_be_the_one_that_asked),
	  UNIT(a_pod_that_is_forgotten_during_the_sync_waits_for_both))
