/* SPDX-License-Identifier: MIT */

/* On a fake clock. */

#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/pods/by_name.h"
#include "nmi/pods/store.h"
#include "tests/unit/mk-pod.h"
#include "tests/unit/unit.h"

#define WAIT_MSEC 10000

struct bench {
	struct loop *loop;
	struct pod_store *store;
	struct by_name *names;
};

struct caller {
	struct bench *bench;
	unsigned calls;
	char uid[16];		     /* "" for nobody */
	struct by_name_wait *cancel; /* another's, cancelled from the callback */
	bool free_all;
};

static void done(void *ctx, const struct pod *p)
{
	struct caller *c = ctx;

	c->calls++;
	(void)snprintf(c->uid, sizeof(c->uid), "%s", p ? p->uid : "");
	if (c->cancel)
		by_name_cancel(c->cancel);
	if (c->free_all)
		c->bench->names = by_name_free(c->bench->names);
	if (p && strcmp(c->uid, p->uid) != 0)
		ck_abort_msg("what was lent is ours for the whole call");
}

static struct bench bench_new(void)
{
	struct bench b = { .loop = loop_new_fake(NULL), .store = pod_store_new() };

	b.names = by_name_new(b.loop, b.store, WAIT_MSEC);
	return b;
}

static void bench_end(struct bench *b)
{
	b->names = by_name_free(b->names);
	b->store = pod_store_free(b->store);
	b->loop = loop_free(b->loop);
}

static struct by_name_wait *wait_for(struct bench *b, const char *name, struct caller *c)
{
	struct by_name_wait *w;

	c->bench = b;
	w = by_name_wait(b->names, "my-app", name, done, c);
	ck_assert_ptr_nonnull(w);
	ck_assert_uint_eq(c->calls, 0);
	return w;
}

static const char *who(const struct bench *b, const char *name)
{
	const struct pod *p = by_name_peek(b->names, "my-app", name);

	return p ? p->uid : "-";
}

START_TEST(a_pod_is_found_before_it_has_an_ip_and_on_the_hosts_network)
{
	struct bench b = bench_new();

	pod_store_put_take(b.store, pod(.uid = "a", .phase = "Pending"));
	pod_store_put_take(b.store, pod(.uid = "b", .ip = "10.0.0.1", .host_network = true));
	pod_store_put_take(b.store, pod(.uid = "c", .ip = "10.0.0.2"));
	ck_assert_str_eq(who(&b, "pod-a"), "a");
	ck_assert_str_eq(who(&b, "pod-b"), "b");
	ck_assert_str_eq(who(&b, "pod-c"), "c");
	ck_assert_str_eq(who(&b, "pod-"), "-");
	ck_assert_str_eq(who(&b, "pod-aa"), "-");
	ck_assert_ptr_null(by_name_peek(b.names, "other", "pod-a"));
	bench_end(&b);
}
END_TEST

static const char *const ended[] = { "Succeeded", "Failed", "Unknown" };

START_TEST(a_pod_that_has_ended_is_not_found)
{
	struct bench b = bench_new();

	pod_store_put_take(b.store, pod(.uid = "a", .ip = "10.0.0.1", .phase = ended[_i]));
	ck_assert_str_eq(who(&b, "pod-a"), "-");
	bench_end(&b);
}
END_TEST

START_TEST(a_wait_ends_with_the_pods_event)
{
	struct caller c = { 0 }, other = { 0 };
	struct bench b = bench_new();

	wait_for(&b, "pod-a", &c);
	wait_for(&b, "pod-b", &other);
	ck_assert_uint_eq(by_name_waiting(b.names), 2);
	loop_fake_advance(b.loop, 5000);
	pod_store_put_take(b.store, pod(.uid = "x"));
	loop_fake_advance(b.loop, 0);
	ck_assert_uint_eq(c.calls + other.calls, 0);
	pod_store_put_take(b.store, pod(.uid = "a", .phase = "Pending"));
	ck_assert_uint_eq(c.calls, 0);
	loop_fake_advance(b.loop, 0);
	ck_assert_uint_eq(c.calls, 1);
	ck_assert_str_eq(c.uid, "a");
	ck_assert_uint_eq(other.calls, 0);
	loop_fake_advance(b.loop, 5000);
	ck_assert_uint_eq(c.calls, 1);
	ck_assert_uint_eq(other.calls, 1);
	ck_assert_str_eq(other.uid, "");
	ck_assert_uint_eq(by_name_waiting(b.names), 0);
	bench_end(&b);
}
END_TEST

START_TEST(a_pod_that_is_there_is_told_from_the_loop)
{
	struct caller c = { 0 };
	struct bench b = bench_new();

	pod_store_put_take(b.store, pod(.uid = "a"));
	wait_for(&b, "pod-a", &c);
	loop_fake_advance(b.loop, 0);
	ck_assert_str_eq(c.uid, "a");
	bench_end(&b);
}
END_TEST

START_TEST(of_two_with_one_name_none_is_found_until_one_goes)
{
	struct caller c = { 0 };
	struct bench b = bench_new();

	pod_store_put_take(b.store, pod(.uid = "a"));
	pod_store_put_take(b.store, pod(.uid = "b", .name = "pod-a", .phase = "Pending"));
	ck_assert_str_eq(who(&b, "pod-a"), "-");
	wait_for(&b, "pod-a", &c);
	loop_fake_advance(b.loop, 10);
	ck_assert_uint_eq(c.calls, 0);
	pod_store_remove(b.store, "a");
	loop_fake_advance(b.loop, 0);
	ck_assert_str_eq(c.uid, "b");
	bench_end(&b);
}
END_TEST

START_TEST(one_that_has_ended_does_not_stand_in_the_way)
{
	struct bench b = bench_new();

	pod_store_put_take(b.store, pod(.uid = "a", .phase = "Failed"));
	pod_store_put_take(b.store, pod(.uid = "b", .name = "pod-a", .phase = "Pending"));
	ck_assert_str_eq(who(&b, "pod-a"), "b");
	bench_end(&b);
}
END_TEST

START_TEST(one_that_came_and_went_within_a_turn_is_waited_for)
{
	struct caller c = { 0 };
	struct bench b = bench_new();

	wait_for(&b, "pod-a", &c);
	loop_fake_advance(b.loop, 0);
	pod_store_put_take(b.store, pod(.uid = "a"));
	pod_store_remove(b.store, "a");
	loop_fake_advance(b.loop, 0);
	ck_assert_uint_eq(c.calls, 0);
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_assert_uint_eq(c.calls, 1);
	ck_assert_str_eq(c.uid, "");
	bench_end(&b);
}
END_TEST

START_TEST(a_cancelled_wait_is_silent_also_from_anothers_callback)
{
	struct caller c[3] = { 0 };
	struct bench b = bench_new();

	wait_for(&b, "pod-a", &c[0]);
	c[0].cancel = wait_for(&b, "pod-a", &c[1]);
	by_name_cancel(wait_for(&b, "pod-a", &c[2]));
	pod_store_put_take(b.store, pod(.uid = "a"));
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_assert_uint_eq(c[0].calls, 1);
	ck_assert_uint_eq(c[1].calls + c[2].calls, 0);
	bench_end(&b);
}
END_TEST

START_TEST(freeing_it_from_a_callback_silences_the_rest)
{
	struct caller c[2] = { { .free_all = true } };
	struct bench b = bench_new();

	wait_for(&b, "pod-a", &c[0]);
	wait_for(&b, "pod-a", &c[1]);
	pod_store_put_take(b.store, pod(.uid = "a"));
	loop_fake_advance(b.loop, WAIT_MSEC);
	ck_assert_uint_eq(c[0].calls, 1);
	ck_assert_uint_eq(c[1].calls, 0);
	pod_store_put_take(b.store, pod(.uid = "b")); /* nobody listens any more */
	bench_end(&b);
}
END_TEST

START_TEST(so_many_wait_and_no_more)
{
	static struct caller c[LIMIT_NAMES_WAITING];
	struct bench b = bench_new();

	for (size_t i = 0; i < LIMIT_NAMES_WAITING; i++)
		wait_for(&b, "pod-a", &c[i]);
	ck_assert_ptr_null(by_name_wait(b.names, "my-app", "pod-a", done, NULL));
	pod_store_put_take(b.store, pod(.uid = "a"));
	loop_fake_advance(b.loop, 0);
	for (size_t i = 0; i < LIMIT_NAMES_WAITING; i++)
		ck_assert_uint_eq(c[i].calls, 1);
	bench_end(&b);
}
END_TEST

UNIT_MAIN("by_name", UNIT(a_pod_is_found_before_it_has_an_ip_and_on_the_hosts_network),
	  UNIT_LOOP(a_pod_that_has_ended_is_not_found, ended),
	  UNIT(a_wait_ends_with_the_pods_event), UNIT(a_pod_that_is_there_is_told_from_the_loop),
	  UNIT(of_two_with_one_name_none_is_found_until_one_goes),
	  UNIT(one_that_has_ended_does_not_stand_in_the_way),
	  UNIT(one_that_came_and_went_within_a_turn_is_waited_for),
	  UNIT(a_cancelled_wait_is_silent_also_from_anothers_callback),
	  UNIT(freeing_it_from_a_callback_silences_the_rest), UNIT(so_many_wait_and_no_more))
