/* SPDX-License-Identifier: MIT */

/* What an answer says of how it came about, for the log: whose, of what, from where, and the waits. */

#include "tests/unit/issue-bench.h"

/* What an answer had when it was given: the pointers are gone afterwards. */
struct facts {
	unsigned calls;
	char pod[32], identity[32], source[32];
	bool is_node;
	struct wall expires_on, renew_at;
	struct issue_waits waits;
	enum reason reason;
};

static void note(struct facts *f, const struct issue_answer *a)
{
	f->calls++;
	(void)snprintf(f->pod, sizeof(f->pod), "%s", a->pod_name ? a->pod_name : "");
	(void)snprintf(f->identity, sizeof(f->identity), "%s",
		       a->identity ? a->identity->meta.name : "");
	(void)snprintf(f->source, sizeof(f->source), "%s", a->source ? a->source : "");
	f->is_node = a->is_node;
	f->expires_on = a->expires_on;
	f->renew_at = a->renew_at;
	f->waits = a->waits;
	f->reason = a->reason;
}

static void on_facts(void *ctx, const struct issue_answer *a)
{
	note(ctx, a);
}

static void ask(struct bench *b, struct facts *f)
{
	struct issue_request req = request();
	struct issue_answer now;

	*f = (struct facts){ 0 };
	if (!issue_start(b->issuer, &req, &now, on_facts, f))
		note(f, &now);
}

START_TEST(each_wait_is_counted_as_what_it_was_for)
{
	struct facts f;
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	b.match = (struct match_answer){ .result = MATCH_NO_ASSIGNED };
	ask(&b, &f);
	loop_fake_advance(b.loop, 1000);
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	loop_fake_advance(b.loop, 2000);
	b.match = (struct match_answer){ .result = MATCH_GRANTED, .identity = b.identity };
	issuer_identities_changed(b.issuer);
	turn(&b);
	loop_fake_advance(b.loop, 3000);
	give(&b, "one");
	ck_assert_uint_eq(f.calls, 1);
	ck_assert_uint_eq(f.waits.pod_ns, NSEC_PER_SEC);
	ck_assert_uint_eq(f.waits.identity_ns, 2 * NSEC_PER_SEC);
	ck_assert_uint_eq(f.waits.token_ns, 3 * NSEC_PER_SEC);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_token_is_told_with_its_source_its_end_and_its_renewal)
{
	struct facts first, again;
	struct wall now;
	struct bench b;

	bench_init(&b);
	ask(&b, &first);
	now = loop_wall(b.loop);
	give(&b, "one");
	ck_assert_str_eq(first.pod, "web-0");
	ck_assert_str_eq(first.identity, "web");
	ck_assert(!first.is_node);
	ck_assert_str_eq(first.source, b.source.vtable.name);
	ck_assert_int_eq(first.expires_on.s, now.s + HOUR);
	ck_assert_int_gt(first.renew_at.s, now.s + HOUR / 2);
	ck_assert_int_lt(first.renew_at.s, now.s + HOUR);
	ask(&b, &again);
	ck_assert_str_eq(again.source, "cache");
	ck_assert_int_eq(again.renew_at.s, first.renew_at.s);
	ck_assert_uint_eq(again.waits.token_ns, 0);
	bench_deinit(&b);
}
END_TEST

static enum token_news unsure(void *ctx, const struct token_ask *what, uint64_t origin)
{
	(void)ctx;
	(void)what;
	(void)origin;
	return TOKEN_NEWS_UNSURE;
}

/* Long before its renewal, but its source had to look. */
START_TEST(a_token_that_was_at_hand_is_told_as_from_memory_whoever_was_asked)
{
	struct facts f;
	struct bench b;

	bench_init(&b);
	ask(&b, &f);
	give(&b, "one");
	loop_fake_advance(b.loop, 6000);
	b.source.vtable.check = unsure;
	ask(&b, &f);
	ck_assert_uint_eq(f.calls, 0);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_DOWN, 0));
	turn(&b);
	ck_assert_int_eq(f.reason, REASON_NONE);
	ck_assert_str_eq(f.source, "cache");
	/* and one that comes while it is waited for is not */
	loop_fake_advance(b.loop, 2000); /* that failure is not believed any more */
	ask(&b, &f);
	loop_fake_advance(b.loop, 100);
	give(&b, "two");
	ck_assert_str_eq(f.source, b.source.vtable.name);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_failure_is_told_with_the_source_that_was_asked)
{
	struct facts f;
	struct bench b;

	bench_init(&b);
	ask(&b, &f);
	ck_assert(fake_source_fail(&b.source, TOKEN_FAULT_REFUSED, 0));
	turn(&b);
	ck_assert_int_eq(f.reason, REASON_UPSTREAM_REFUSED);
	ck_assert_str_eq(f.source, b.source.vtable.name);
	ck_assert_str_eq(f.identity, "web");
	ck_assert_int_eq(f.expires_on.s, 0);
	ck_assert_int_eq(f.renew_at.s, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(the_nodes_own_identity_is_told_as_that)
{
	struct facts f;
	struct bench b;

	bench_init(&b);
	b.match = (struct match_answer){ .result = MATCH_EXCEPTED };
	ask(&b, &f);
	ck_assert(fake_source_give(&b.node, "one", HOUR));
	turn(&b);
	ck_assert_int_eq(f.reason, REASON_NONE);
	ck_assert(f.is_node);
	ck_assert_str_eq(f.identity, "");
	bench_deinit(&b);
}
END_TEST

START_TEST(who_may_have_none_is_told_with_none)
{
	struct facts f;
	struct bench b;

	bench_init(&b);
	b.match = (struct match_answer){ .result = MATCH_NO_LABEL };
	ask(&b, &f);
	ck_assert_int_eq(f.reason, REASON_NO_LABEL);
	ck_assert_str_eq(f.pod, "web-0");
	ck_assert_str_eq(f.identity, "");
	ck_assert(!f.is_node);
	ck_assert_str_eq(f.source, "");
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("issue-facts", UNIT(each_wait_is_counted_as_what_it_was_for),
	  UNIT(a_token_is_told_with_its_source_its_end_and_its_renewal),
	  UNIT(a_token_that_was_at_hand_is_told_as_from_memory_whoever_was_asked),
	  UNIT(a_failure_is_told_with_the_source_that_was_asked),
	  UNIT(the_nodes_own_identity_is_told_as_that), UNIT(who_may_have_none_is_told_with_none))
