/* SPDX-License-Identifier: MIT */

/* Fed by hand, as lib/kube/reflector.h promises to feed. */

#include "lib/loop/loop.h"
#include "nmi/pods/store.h"
#include "nmi/pods/watch.h"
#include "tests/unit/fake-kube.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/mk-pod.h"
#include "tests/unit/recorded.h"
#include "tests/unit/unit.h"

#define BAD(uid, version)                                                                          \
	"{\"metadata\":{\"uid\":\"" uid "\",\"namespace\":\"my-app\",\"name\":\"pod-" uid          \
	"\",\"resourceVersion\":\"" version "\"},\"status\":{\"podIP\":\"ten\"}}"

struct bench {
	struct loop *loop;
	struct pod_store *store;
	struct pod_watch *watch;
	struct reflector *reflector;
	unsigned synced;
};

static void on_synced(void *ctx)
{
	struct bench *b = ctx;

	b->synced++;
	ck_assert(pod_watch_has_synced(b->watch));
}

static struct bench *bench_new(void)
{
	struct bench *b = xnew(struct bench);

	fake_kube_reset();
	b->loop = loop_new_fake(NULL);
	b->store = pod_store_new();
	b->watch = pod_watch_new(b->loop, (void *)&fake_kube, "node-1", b->store);
	b->reflector = fake_kube.reflectors[0];
	pod_watch_on_synced(b->watch, on_synced, b);
	return b;
}

static void bench_end(struct bench *b)
{
	b->watch = pod_watch_free(b->watch);
	b->store = pod_store_free(b->store);
	b->loop = loop_free(b->loop);
	free(b);
}

static const char *uid_at(const struct bench *b, const char *ip)
{
	const struct inet_ip key = ip_from(ip);
	const struct pod *p;

	return pod_store_find_ip(b->store, &key, &p) == POD_FOUND ? p->uid : "";
}

static void upsert(struct bench *b, char *json)
{
	fake_upsert(b->reflector, json);
	free(json);
}

START_TEST(the_pods_of_one_node_are_watched)
{
	struct bench *b = bench_new();

	ck_assert_str_eq(b->reflector->spec.path, "/api/v1/pods");
	ck_assert_str_eq(b->reflector->spec.field_selector, "spec.nodeName=node-1");
	ck_assert_ptr_null(b->reflector->spec.label_selector);
	ck_assert(!b->reflector->spec.optional);
	ck_assert(!b->reflector->is_started);
	pod_watch_start(b->watch);
	ck_assert(b->reflector->is_started);
	ck_assert_ptr_eq(pod_watch_reflector(b->watch), b->reflector);
	ck_assert_str_eq(reflector_name(b->reflector), "pods");
	bench_end(b);
}
END_TEST

START_TEST(what_the_api_server_tells_is_in_the_store)
{
	struct bench *b = bench_new();

	fake_begin(b->reflector);
	fake_upsert(b->reflector, recorded_pod);
	upsert(b, pod_json(.uid = "a", .ip = "10.0.0.1"));
	fake_end(b->reflector);
	ck_assert_str_eq(uid_at(b, "10.244.0.5"), "ca7af12c-398f-460f-8acb-b85f08d8419f");
	ck_assert_str_eq(uid_at(b, "10.0.0.1"), "a");
	upsert(b, pod_json(.uid = "a", .ip = "10.0.0.2"));
	ck_assert_str_eq(uid_at(b, "10.0.0.1"), "");
	ck_assert_str_eq(uid_at(b, "10.0.0.2"), "a");
	fake_remove(b->reflector, recorded_pod);
	ck_assert_str_eq(uid_at(b, "10.244.0.5"), "");
	fake_begin(b->reflector);
	fake_end(b->reflector);
	ck_assert_uint_eq(pod_store_count(b->store), 0);
	bench_end(b);
}
END_TEST

START_TEST(the_first_whole_is_told_once_when_it_counts_as_seen)
{
	struct bench *b = bench_new();

	fake_begin(b->reflector);
	loop_fake_advance(b->loop, 0);
	ck_assert_uint_eq(b->synced, 0);
	fake_end(b->reflector);
	loop_fake_advance(b->loop, 0);
	ck_assert_uint_eq(b->synced, 1);
	fake_begin(b->reflector);
	fake_end(b->reflector);
	loop_fake_advance(b->loop, 0);
	ck_assert_uint_eq(b->synced, 1);
	bench_end(b);
}
END_TEST

START_TEST(a_malformed_pod_is_left_out_with_one_warning_a_version)
{
	struct bench *b = bench_new();
	const char *text;

	log_lines_start();
	upsert(b, pod_json(.uid = "a", .ip = "10.0.0.1"));
	fake_upsert(b->reflector, BAD("b", "1"));
	fake_upsert(b->reflector, BAD("b", "1"));
	ck_assert_str_eq(uid_at(b, "10.0.0.1"), "a"); /* others work */
	fake_upsert(b->reflector, BAD("b", "2"));
	text = log_lines_end();
	ck_assert_msg(log_lines_count(text,
				      "pod my-app/pod-b is ignored: status.podIP: 'ten' is not "
				      "an IP address; it gets no token until the object is "
				      "corrected") == 2,
		      "%s", text);
	ck_assert_uint_eq(pod_store_count(b->store), 1);
	bench_end(b);
}
END_TEST

START_TEST(a_pod_that_becomes_malformed_is_served_no_longer)
{
	struct bench *b = bench_new();
	const char *text;

	log_lines_start();
	upsert(b, pod_json(.uid = "a", .ip = "10.0.0.1"));
	fake_upsert(b->reflector, BAD("a", "2"));
	ck_assert_str_eq(uid_at(b, "10.0.0.1"), "");
	ck_assert_uint_eq(pod_store_count(b->store), 0);
	upsert(b, pod_json(.uid = "a", .ip = "10.0.0.1"));
	ck_assert_str_eq(uid_at(b, "10.0.0.1"), "a");
	text = log_lines_end();
	ck_assert_msg(log_lines_count(text, "pod my-app/pod-a can be read again") == 1, "%s", text);
	bench_end(b);
}
END_TEST

START_TEST(a_malformed_pod_is_removed_by_its_uid_all_the_same)
{
	struct bench *b = bench_new();

	upsert(b, pod_json(.uid = "a", .ip = "10.0.0.1"));
	log_lines_start();
	fake_remove(b->reflector, BAD("a", "2"));
	fake_remove(b->reflector, "{}");
	ck_assert_str_eq(log_lines_end(), "");
	ck_assert_uint_eq(pod_store_count(b->store), 0);
	bench_end(b);
}
END_TEST

static void on_change(void *ctx)
{
	unsigned *n = ctx;

	(*n)++;
}

#define CHANGES(n)                                                                                 \
	do {                                                                                       \
		ck_assert_uint_eq(changes, 0); /* from the loop only */                            \
		loop_fake_advance(b->loop, 0);                                                     \
		ck_assert_uint_eq(changes, (n));                                                   \
		changes = 0;                                                                       \
	} while (0)

START_TEST(changes_are_told_once_a_turn)
{
	struct bench *b = bench_new();
	_cleanup_free_ char *one = pod_json(.uid = "a", .ip = "10.0.0.1");
	_cleanup_free_ char *two = pod_json(.uid = "b", .ip = "10.0.0.2");
	unsigned changes = 0;

	pod_watch_on_change(b->watch, on_change, &changes);
	fake_begin(b->reflector);
	fake_upsert(b->reflector, one);
	fake_upsert(b->reflector, two);
	fake_end(b->reflector);
	CHANGES(1);
	fake_upsert(b->reflector, one); /* perhaps another label: what changed is not told */
	CHANGES(1);
	fake_remove(b->reflector, two);
	CHANGES(1);
	fake_begin(b->reflector); /* what is not brought is gone at its end */
	CHANGES(0);
	fake_end(b->reflector);
	CHANGES(1);
	fake_upsert(b->reflector, BAD("a", "2"));
	CHANGES(1);
	bench_end(b);
}
END_TEST

UNIT_MAIN("pod_watch", UNIT(the_pods_of_one_node_are_watched),
	  UNIT(what_the_api_server_tells_is_in_the_store),
	  UNIT(the_first_whole_is_told_once_when_it_counts_as_seen),
	  UNIT(a_malformed_pod_is_left_out_with_one_warning_a_version),
	  UNIT(a_pod_that_becomes_malformed_is_served_no_longer),
	  UNIT(a_malformed_pod_is_removed_by_its_uid_all_the_same),
	  UNIT(changes_are_told_once_a_turn))
