/* SPDX-License-Identifier: MIT */

#include "tests/unit/resolver-bench.h"
#include "tests/unit/unit.h"

START_TEST(a_known_ip_is_answered_at_once)
{
	struct bench b = bench_new(true);
	const struct pod *p = NULL;

	ck_assert_int_eq(resolver_peek(b.resolver, the_ip(), &p), RESOLVE_UNKNOWN);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	ck_assert_int_eq(resolver_peek(b.resolver, the_ip(), &p), RESOLVE_FOUND);
	ck_assert_str_eq(p->uid, "a");
	pod_store_put_take(b.store, pod(.uid = "b", .ip = "10.0.0.1"));
	ck_assert_int_eq(resolver_peek(b.resolver, the_ip(), &p), RESOLVE_AMBIGUOUS);
	bench_end(&b);
}
END_TEST

START_TEST(a_wait_ends_with_the_event_of_the_pod)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	ck_assert_uint_eq(resolver_waiting(b.resolver), 1);
	loop_fake_advance(b.loop, WAIT_MSEC - 1);
	ck_assert_uint_eq(c.calls, 0);
	pod_store_put_take(b.store, pod(.uid = "a", .phase = "Pending"));
	loop_fake_advance(b.loop, 0);
	ck_assert_uint_eq(c.calls, 0); /* it has no IP yet */
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_FOUND, "a");
	ck_assert_uint_eq(resolver_waiting(b.resolver), 0);
	loop_fake_advance(b.loop, 10 * WAIT_MSEC);
	ck_assert_uint_eq(c.calls, 1);
	ck_assert_uint_eq(fake_kube.n_calls, 0);
	bench_end(&b);
}
END_TEST

START_TEST(the_event_of_another_ip_answers_nobody)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.2"));
	loop_fake_advance(b.loop, 0);
	ck_assert_uint_eq(c.calls, 0);
	bench_end(&b);
}
END_TEST

START_TEST(a_wait_for_a_known_ip_is_answered_from_the_loop)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	wait_for(&b, &c);
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_FOUND, "a");
	bench_end(&b);
}
END_TEST

START_TEST(a_pod_that_came_and_went_before_the_answer_is_not_told)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	pod_store_remove(b.store, "a");
	loop_fake_advance(b.loop, 0);
	ck_assert_uint_eq(c.calls, 0);
	pod_store_put_take(b.store, pod(.uid = "b", .ip = "10.0.0.1"));
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_FOUND, "b");
	bench_end(&b);
}
END_TEST

START_TEST(after_the_wait_the_api_server_is_asked_once_for_all_waiters)
{
	struct bench b = bench_new(true);
	struct caller first = { &b }, second = { &b };

	wait_for(&b, &first);
	loop_fake_advance(b.loop, 10);
	wait_for(&b, &second);
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_assert_uint_eq(fake_kube.n_calls, 1);
	ck_assert_str_eq(fake_kube.calls[0]->path,
			 "/api/v1/pods?fieldSelector="
			 "spec.nodeName%3Dnode-1%2Cstatus.podIP%3D10.0.0.1");
	ck_assert_uint_eq(first.calls + second.calls, 0);
	answer_with(0, pod_json(.uid = "a", .ip = "10.0.0.1"), NULL);
	ck_assert_uint_eq(first.calls, 0); /* deferred */
	loop_fake_advance(b.loop, 0);
	ck_answer(first, 1, RESOLVE_FOUND, "a");
	ck_answer(second, 1, RESOLVE_FOUND, "a");
	ck_assert_uint_eq(pod_store_count(b.store), 0); /* the watch alone feeds the store */
	bench_end(&b);
}
END_TEST

/* status.podIP, which it would be selected by, is another pod's first address */
START_TEST(for_an_address_that_comes_second_all_pods_of_the_node_are_asked_for)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	pod_store_put_take(b.store, pod(.uid = "n", .ip = "fd00::4", .ip2 = "10.0.0.4",
					.host_network = true));
	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_assert_str_eq(fake_kube.calls[0]->path,
			 "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1");
	answer_with(0, pod_json(.uid = "z", .ip = "fd00::2", .ip2 = "10.0.0.2"),
		    pod_json(.uid = "a", .ip = "fd00::1", .ip2 = "10.0.0.1"));
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_FOUND, "a");
	bench_end(&b);
}
END_TEST

START_TEST(a_found_pod_answers_also_those_who_could_wait_longer)
{
	struct bench b = bench_new(true);
	struct caller first = { &b }, second = { &b };

	wait_for(&b, &first);
	loop_fake_advance(b.loop, WAIT_MSEC / 2);
	wait_for(&b, &second);
	loop_fake_advance(b.loop, WAIT_MSEC / 2);
	answer_with(0, pod_json(.uid = "a", .ip = "10.0.0.1"), NULL);
	loop_fake_advance(b.loop, 0);
	ck_answer(first, 1, RESOLVE_FOUND, "a");
	ck_answer(second, 1, RESOLVE_FOUND, "a");
	bench_end(&b);
}
END_TEST

START_TEST(an_answer_without_a_pod_leaves_the_others_their_time)
{
	struct bench b = bench_new(true);
	struct caller first = { &b }, second = { &b };

	wait_for(&b, &first);
	loop_fake_advance(b.loop, WAIT_MSEC / 2);
	wait_for(&b, &second);
	loop_fake_advance(b.loop, WAIT_MSEC / 2);
	answer_with(0, NULL, NULL);
	loop_fake_advance(b.loop, 0);
	ck_answer(first, 1, RESOLVE_UNKNOWN, "");
	ck_assert_uint_eq(second.calls, 0);
	loop_fake_advance(b.loop, WAIT_MSEC / 2);
	ck_assert_uint_eq(fake_kube.n_calls, 2);
	answer_with(1, NULL, NULL);
	loop_fake_advance(b.loop, 0);
	ck_answer(second, 1, RESOLVE_UNKNOWN, "");
	bench_end(&b);
}
END_TEST

START_TEST(an_event_wins_over_a_get_under_way)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_assert_uint_eq(fake_kube.n_calls, 1);
	pod_store_put_take(b.store, pod(.uid = "b", .ip = "10.0.0.1"));
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_FOUND, "b");
	ck_assert_uint_eq(fake_kube.n_cancelled, 1); /* nobody wants its answer any more */
	bench_end(&b);
}
END_TEST

START_TEST(what_the_store_says_meanwhile_wins_over_the_answer)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	answer_with(0, pod_json(.uid = "a", .ip = "10.0.0.1"), NULL);
	pod_store_put_take(b.store,
			   pod(.uid = "b", .ip = "10.0.0.1")); /* before the deferred call */
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_FOUND, "b");
	bench_end(&b);
}
END_TEST

START_TEST(the_server_may_not_be_reachable)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	fake_answer(0, 0, NULL);
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_UNKNOWN, "");
	bench_end(&b);
}
END_TEST

static const struct {
	const char *name;
	struct pod_args one, two;
	const char *uid; /* "" for unknown */
} answers[] = {
	{ "one that fits", { .uid = "a", .ip = "10.0.0.1" }, { 0 }, "a" },
	{ "its second address fits",
	  { .uid = "a", .ip = "fd00::1", .ip2 = "10.0.0.1" },
	  { 0 },
	  "a" },
	{ "one that has ended and one that fits",
	  { .uid = "a", .ip = "10.0.0.1", .phase = "Succeeded" },
	  { .uid = "b", .ip = "10.0.0.1" },
	  "b" },
	{ "two that fit", { .uid = "a", .ip = "10.0.0.1" }, { .uid = "b", .ip = "10.0.0.1" }, "" },
	{ "another address", { .uid = "a", .ip = "10.0.0.2" }, { 0 }, "" },
	{ "no address", { .uid = "a" }, { 0 }, "" },
	{ "another node", { .uid = "a", .ip = "10.0.0.1", .node = "node-2" }, { 0 }, "" },
	{ "on the host's network",
	  { .uid = "a", .ip = "10.0.0.1", .host_network = true },
	  { 0 },
	  "" },
	{ "malformed, and one that fits",
	  { .uid = "", .ip = "10.0.0.1" },
	  { .uid = "b", .ip = "10.0.0.1" },
	  "b" },
};

START_TEST(of_an_answer_only_the_one_active_pod_of_this_node_and_ip_is_taken)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	answer_with(0, pod_json_from(&answers[_i].one),
		    answers[_i].two.uid ? pod_json_from(&answers[_i].two) : NULL);
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, *answers[_i].uid ? RESOLVE_FOUND : RESOLVE_UNKNOWN, answers[_i].uid);
	bench_end(&b);
}
END_TEST

START_TEST(an_answer_that_is_no_list_finds_nobody)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	fake_answer(0, 200, "{\"items\":{\"a\":1}}");
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_UNKNOWN, "");
	bench_end(&b);
}
END_TEST

static const struct {
	const char *name;
	struct pod_args known;
	enum resolve_result result;
} contradictions[] = {
	{ "known, without an address yet", { .uid = "a", .phase = "Pending" }, RESOLVE_FOUND },
	{ "known to have ended",
	  { .uid = "a", .ip = "10.0.0.1", .phase = "Failed" },
	  RESOLVE_UNKNOWN },
	{ "known at another address", { .uid = "a", .ip = "10.0.0.9" }, RESOLVE_UNKNOWN },
	{ "known on the host's network", { .uid = "a", .host_network = true }, RESOLVE_UNKNOWN },
};

START_TEST(an_answer_is_not_believed_against_what_the_watch_told)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	pod_store_put_take(b.store, pod_from(&contradictions[_i].known));
	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	answer_with(0, pod_json(.uid = "a", .ip = "10.0.0.1"), NULL);
	loop_fake_advance(b.loop, 0);
	ck_assert_msg(c.calls == 1 && c.result == contradictions[_i].result, "%s",
		      contradictions[_i].name);
	bench_end(&b);
}
END_TEST

START_TEST(a_duplicate_that_clears_in_time_is_served)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	pod_store_put_take(b.store, pod(.uid = "b", .ip = "10.0.0.1"));
	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC - 1);
	ck_assert_uint_eq(c.calls, 0);
	pod_store_remove(b.store, "a");
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_FOUND, "b");
	bench_end(&b);
}
END_TEST

START_TEST(a_duplicate_that_stays_is_ambiguous_and_nobody_is_asked)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	pod_store_put_take(b.store, pod(.uid = "b", .ip = "10.0.0.1"));
	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_answer(c, 1, RESOLVE_AMBIGUOUS, "");
	ck_assert_uint_eq(fake_kube.n_calls, 0);
	bench_end(&b);
}
END_TEST

START_TEST(a_duplicate_that_appears_during_the_get_is_ambiguous)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	pod_store_put_take(b.store, pod(.uid = "b", .ip = "10.0.0.1"));
	answer_with(0, pod_json(.uid = "c", .ip = "10.0.0.1"), NULL);
	loop_fake_advance(b.loop, 0);
	ck_answer(c, 1, RESOLVE_AMBIGUOUS, "");
	bench_end(&b);
}
END_TEST

START_TEST(without_a_client_the_wait_ends_as_unknown)
{
	struct bench b = bench_new(false);
	struct caller c = { &b };

	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_answer(c, 1, RESOLVE_UNKNOWN, "");
	ck_assert_uint_eq(fake_kube.n_calls, 0);
	bench_end(&b);
}
END_TEST

START_TEST(a_cancelled_wait_is_never_answered)
{
	struct bench b = bench_new(true);
	struct caller c = { &b }, d = { &b };
	struct resolver_wait *w = wait_for(&b, &c);

	wait_for(&b, &d);
	resolver_cancel(w);
	ck_assert_uint_eq(resolver_waiting(b.resolver), 1);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	loop_fake_advance(b.loop, 2 * WAIT_MSEC);
	ck_assert_uint_eq(c.calls, 0);
	ck_answer(d, 1, RESOLVE_FOUND, "a");
	bench_end(&b);
}
END_TEST

START_TEST(a_wait_can_be_cancelled_between_the_event_and_its_answer)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };
	struct resolver_wait *w = wait_for(&b, &c);

	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	resolver_cancel(w);
	loop_fake_advance(b.loop, 2 * WAIT_MSEC);
	ck_assert_uint_eq(c.calls, 0);
	bench_end(&b);
}
END_TEST

START_TEST(with_the_last_wait_the_get_is_cancelled)
{
	struct bench b = bench_new(true);
	struct caller c = { &b }, d = { &b };
	struct resolver_wait *w = wait_for(&b, &c), *v = wait_for(&b, &d);

	loop_fake_advance(b.loop, WAIT_MSEC);
	resolver_cancel(w);
	ck_assert_uint_eq(fake_kube.n_cancelled, 0);
	resolver_cancel(v);
	ck_assert_uint_eq(fake_kube.n_cancelled, 1);
	ck_assert_uint_eq(resolver_waiting(b.resolver), 0);
	bench_end(&b);
}
END_TEST

START_TEST(a_callback_may_cancel_another_wait_of_the_same_ip)
{
	struct bench b = bench_new(true);
	struct caller first = { &b }, second = { &b }, third = { &b };

	wait_for(&b, &first);
	first.cancel = wait_for(&b, &second);
	wait_for(&b, &third);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	loop_fake_advance(b.loop, 0);
	ck_answer(first, 1, RESOLVE_FOUND, "a");
	ck_assert_uint_eq(second.calls, 0);
	ck_answer(third, 1, RESOLVE_FOUND, "a");
	bench_end(&b);
}
END_TEST

START_TEST(a_callback_may_wait_again)
{
	struct bench b = bench_new(false);
	struct caller again = { &b }, first = { &b, .wait_again = &again };

	wait_for(&b, &first);
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_answer(first, 1, RESOLVE_UNKNOWN, "");
	ck_assert_ptr_nonnull(first.again);
	ck_assert_uint_eq(again.calls, 0);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	loop_fake_advance(b.loop, 0);
	ck_answer(again, 1, RESOLVE_FOUND, "a");
	bench_end(&b);
}
END_TEST

START_TEST(a_callback_may_free_the_resolver)
{
	struct bench b = bench_new(true);
	struct caller first = { &b, .free_all = true }, second = { &b };

	wait_for(&b, &first);
	wait_for(&b, &second);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	loop_fake_advance(b.loop, 2 * WAIT_MSEC);
	ck_answer(first, 1, RESOLVE_FOUND, "a");
	ck_assert_uint_eq(second.calls, 0);
	bench_end(&b);
}
END_TEST

START_TEST(freeing_the_resolver_cancels_all_and_forgets_the_store)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	wait_for(&b, &c);
	loop_fake_advance(b.loop, WAIT_MSEC);
	b.resolver = resolver_free(b.resolver);
	ck_assert_uint_eq(fake_kube.n_cancelled, 1);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	loop_fake_advance(b.loop, 2 * WAIT_MSEC);
	ck_assert_uint_eq(c.calls, 0);
	bench_end(&b);
}
END_TEST

START_TEST(there_is_a_limit_to_those_who_wait)
{
	struct bench b = bench_new(true);
	struct caller c = { &b };

	for (size_t i = 0; i < LIMIT_WAITING; i++)
		(void)resolver_wait(b.resolver, the_ip(), done,
				    &c); /* an assert for each is slow */
	ck_assert_ptr_null(resolver_wait(b.resolver, the_ip(), done, &c));
	ck_assert_uint_eq(resolver_waiting(b.resolver), LIMIT_WAITING);
	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1"));
	loop_fake_advance(b.loop, 0);
	ck_assert_uint_eq(c.calls, LIMIT_WAITING);
	ck_assert_uint_eq(resolver_waiting(b.resolver), 0);
	bench_end(&b);
}
END_TEST

UNIT_MAIN("resolver", UNIT(a_known_ip_is_answered_at_once),
	  UNIT(a_wait_ends_with_the_event_of_the_pod), UNIT(the_event_of_another_ip_answers_nobody),
	  UNIT(a_wait_for_a_known_ip_is_answered_from_the_loop),
	  UNIT(a_pod_that_came_and_went_before_the_answer_is_not_told),
	  UNIT(after_the_wait_the_api_server_is_asked_once_for_all_waiters),
	  UNIT(for_an_address_that_comes_second_all_pods_of_the_node_are_asked_for),
	  UNIT(a_found_pod_answers_also_those_who_could_wait_longer),
	  UNIT(an_answer_without_a_pod_leaves_the_others_their_time),
	  UNIT(an_event_wins_over_a_get_under_way),
	  UNIT(what_the_store_says_meanwhile_wins_over_the_answer),
	  UNIT(the_server_may_not_be_reachable),
	  UNIT_LOOP(of_an_answer_only_the_one_active_pod_of_this_node_and_ip_is_taken, answers),
	  UNIT(an_answer_that_is_no_list_finds_nobody),
	  UNIT_LOOP(an_answer_is_not_believed_against_what_the_watch_told, contradictions),
	  UNIT(a_duplicate_that_clears_in_time_is_served),
	  UNIT(a_duplicate_that_stays_is_ambiguous_and_nobody_is_asked),
	  UNIT(a_duplicate_that_appears_during_the_get_is_ambiguous),
	  UNIT(without_a_client_the_wait_ends_as_unknown), UNIT(a_cancelled_wait_is_never_answered),
	  UNIT(a_wait_can_be_cancelled_between_the_event_and_its_answer),
	  UNIT(with_the_last_wait_the_get_is_cancelled),
	  UNIT(a_callback_may_cancel_another_wait_of_the_same_ip), UNIT(a_callback_may_wait_again),
	  UNIT(a_callback_may_free_the_resolver),
	  UNIT(freeing_the_resolver_cancels_all_and_forgets_the_store),
	  UNIT(there_is_a_limit_to_those_who_wait))
