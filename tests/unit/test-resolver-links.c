/* SPDX-License-Identifier: MIT */

/* Where places are known: what the API server says at the end of a wait, and what the watch says. */

#include "tests/unit/mk-place.h"
#include "tests/unit/resolver-bench.h"
#include "tests/unit/unit.h"

static const struct {
	struct place now;
	uint32_t newest; /* when the server was asked */
	bool deleting;
	enum resolve_result result;
} vouched[] = {
	{ { PLACE_LINK, 2, 0 }, 2, false, RESOLVE_FOUND },
	{ { PLACE_LINK, 3, 0 }, 2, false, RESOLVE_UNKNOWN }, /* another pod's: it came later */
	{ { PLACE_LINK, 1, 3 }, 2, false, RESOLVE_UNKNOWN },
	{ { PLACE_LINK, 2, 0 }, 2, true, RESOLVE_UNKNOWN },
	{ { PLACE_NOWHERE }, 2, false, RESOLVE_UNKNOWN },
	{ { PLACE_SHARED, 1, 0 }, 2, false, RESOLVE_UNKNOWN },
	{ { PLACE_UNASKED }, 2, false, RESOLVE_UNKNOWN },
};

START_TEST(a_pod_of_an_answer_must_have_had_its_link_before_the_question)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };
	struct mk_links links;

	mk_links_init(&links, b.store);
	wait_for(&b, &c);
	links.newest = vouched[_i].newest;
	loop_fake_advance(b.loop, WAIT_MSEC);
	mk_route(&links, "10.0.0.1", vouched[_i].now);
	answer_with(0, pod_json(.uid = "a", .ip = "10.0.0.1", .deleting = vouched[_i].deleting),
		    NULL);
	loop_fake_advance(b.loop, 0);
	ck_assert_uint_eq(c.calls, 1);
	ck_assert_int_eq(c.result, vouched[_i].result);
	bench_end(&b);
}
END_TEST

START_TEST(an_answer_is_not_believed_of_a_pod_that_was_seen_to_go)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };
	struct mk_links links;

	mk_links_init(&links, b.store);
	mk_route(&links, "10.0.0.1", MK_LINK(1));
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	pod_store_remove(b.store, "a");
	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	answer_with(0, pod_json(.uid = "a", .ip = "10.0.0.1"), NULL);
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_UNKNOWN, "");
	bench_end(&b);
}
END_TEST

static void vouch_nothing(struct bench *b, struct mk_links *links)
{
}

static void vouch_moved(struct bench *b, struct mk_links *links)
{
	mk_route(links, "10.0.0.1", MK_LINK(2));
}

static void vouch_cut(struct bench *b, struct mk_links *links)
{
	mk_route(links, "10.0.0.1", MK_NOWHERE);
}

static void vouch_ended(struct bench *b, struct mk_links *links)
{
	pod_store_put_take(b->store, pod(.uid = "a", .ip = "10.0.0.1", .phase = "Succeeded"));
}

static void vouch_removed(struct bench *b, struct mk_links *links)
{
	vouch_ended(b, links);
	pod_store_remove(b->store, "a");
}

static void vouch_without_ip(struct bench *b, struct mk_links *links)
{
	pod_store_put_take(b->store, pod(.uid = "a", .phase = "Pending"));
}

static const struct {
	void (*fn)(struct bench *b, struct mk_links *links);
	bool still;
} after_vouching[] = {
	{ vouch_nothing, true }, { vouch_moved, false },   { vouch_cut, false },
	{ vouch_ended, false },	 { vouch_removed, false }, { vouch_without_ip, true },
};

START_TEST(the_servers_word_counts_while_the_ip_leads_to_the_same_link_and_the_watch_agrees)
{
	struct bench b = bench_new(true);
	struct pod *p = pod(.uid = "a", .ip = "10.0.0.1");
	struct mk_links links;
	struct place at;

	mk_links_init(&links, b.store);
	mk_route(&links, "10.0.0.1", MK_LINK(1));
	ck_assert(resolver_vouch(b.resolver, the_ip(), &at));
	after_vouching[_i].fn(&b, &links);
	ck_assert(resolver_vouches(b.resolver, the_ip(), p, &at) == after_vouching[_i].still);
	pod_unref(p);
	bench_end(&b);
}
END_TEST

START_TEST(what_the_watch_knows_needs_nobodys_word)
{
	struct bench b = bench_new(true);
	struct mk_links links;
	struct place at;

	mk_links_init(&links, b.store);
	ck_assert(!resolver_vouch(b.resolver, the_ip(), &at)); /* leads nowhere */
	mk_route(&links, "10.0.0.1", MK_LINK(1));
	ck_assert(resolver_vouch(b.resolver, the_ip(), &at));
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	ck_assert(!resolver_vouch(b.resolver, the_ip(), &at));
	bench_end(&b);
}
END_TEST

START_TEST(a_pod_without_its_link_is_told_as_such)
{
	struct bench b = bench_new(true);
	const struct pod *p = NULL;
	struct mk_links links;
	char text[PLACE_NAME_MAX];

	mk_links_init(&links, b.store);
	mk_route(&links, "10.0.0.1", MK_SHARED(7));
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	ck_assert_int_eq(resolver_peek(b.resolver, the_ip(), &p), RESOLVE_UNPLACED);
	ck_assert_str_eq(p->uid, "a");
	resolver_print_place(b.resolver, the_ip(), text);
	ck_assert_str_eq(text, "veth7");
	bench_end(&b);
}
END_TEST

/* As under a flood of news: what is late must not let one pod be taken for another. */
START_TEST(while_news_are_left_for_later_each_answer_is_asked_for)
{
	struct bench b = bench_new(true);
	const struct pod *p = NULL;
	struct mk_links links;
	unsigned before;

	mk_links_init(&links, b.store);
	mk_route(&links, "10.0.0.1", MK_PORT(1, 2));
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	mk_route(&links, "10.0.0.1", MK_PORT(1, 3));
	links.is_behind = true;
	ck_assert_int_eq(resolver_peek(b.resolver, the_ip(), &p), RESOLVE_UNPLACED);
	mk_route(&links, "10.0.0.1", MK_PORT(1, 2));
	ck_assert_int_eq(resolver_peek(b.resolver, the_ip(), &p), RESOLVE_FOUND);
	links.is_behind = false;
	before = links.asked;
	ck_assert_int_eq(resolver_peek(b.resolver, the_ip(), &p), RESOLVE_FOUND);
	ck_assert_uint_eq(links.asked, before);
	bench_end(&b);
}
END_TEST

/* A bridge has forgotten its port; the pod is asked by the kernel, and answers. */
START_TEST(a_pod_that_the_kernel_has_forgotten_is_found_once_it_is_heard_of)
{
	struct bench b = bench_new(true);
	struct caller c[2] = { { &b }, { &b } };
	const struct inet_ip *ip = the_ip();
	const struct pod *p = NULL;
	struct mk_links links;

	mk_links_init(&links, b.store);
	mk_route(&links, "10.0.0.1", MK_PORT(1, 2));
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	mk_route(&links, "10.0.0.1", ((struct place){ PLACE_NOWHERE, 1, 0 }));
	pod_store_moved(b.store, ip, 128);
	ck_assert_int_eq(resolver_peek(b.resolver, ip, &p), RESOLVE_UNSEEN);
	ck_assert_str_eq(p->uid, "a");
	wait_for(&b, &c[0]);
	loop_fake_advance(b.loop, WAIT_MSEC - 1);
	ck_assert_uint_eq(c[0].calls, 0);
	mk_route(&links, "10.0.0.1", MK_PORT(1, 2));
	pod_store_moved(b.store, ip, 128);
	loop_fake_advance(b.loop, 0);
	ck_answer(c[0], 1, RESOLVE_FOUND, "a");
	/* and if it is not heard of, the API server would have nothing to add */
	mk_route(&links, "10.0.0.1", MK_NOWHERE);
	pod_store_moved(b.store, ip, 128);
	wait_for(&b, &c[1]);
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_answer(c[1], 1, RESOLVE_UNSEEN, "a");
	bench_end(&b);
}
END_TEST

START_TEST(admitting_asks_where_the_ip_leads_to_and_peeking_reads_the_news)
{
	struct bench b = bench_new(true);
	const struct pod *p = NULL;
	struct mk_links links;
	unsigned before;

	mk_links_init(&links, b.store);
	mk_route(&links, "10.0.0.1", MK_LINK(1));
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	mk_route(&links, "10.0.0.1", MK_LINK(2));
	before = links.caught_up;
	ck_assert_int_eq(resolver_peek(b.resolver, the_ip(), &p), RESOLVE_FOUND);
	ck_assert_uint_gt(links.caught_up, before);
	resolver_admit(b.resolver, the_ip());
	ck_assert_int_eq(resolver_peek(b.resolver, the_ip(), &p), RESOLVE_UNKNOWN);
	bench_end(&b);
}
END_TEST

UNIT_MAIN(
	"resolver-links",
	UNIT_LOOP(a_pod_of_an_answer_must_have_had_its_link_before_the_question, vouched),
	UNIT(an_answer_is_not_believed_of_a_pod_that_was_seen_to_go),
	UNIT_LOOP(the_servers_word_counts_while_the_ip_leads_to_the_same_link_and_the_watch_agrees,
		  after_vouching),
	UNIT(what_the_watch_knows_needs_nobodys_word), UNIT(a_pod_without_its_link_is_told_as_such),
	UNIT(while_news_are_left_for_later_each_answer_is_asked_for),
	UNIT(a_pod_that_the_kernel_has_forgotten_is_found_once_it_is_heard_of),
	UNIT(admitting_asks_where_the_ip_leads_to_and_peeking_reads_the_news))
