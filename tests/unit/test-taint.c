/* SPDX-License-Identifier: MIT */

#include "lib/loop/loop.h"
#include "nmi/health.h"
#include "nmi/limits.h"
#include "nmi/taint.h"
#include "tests/unit/fake-kube.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define KEY  "nmi.azure.com/not-ready"
#define OURS "{\"key\":\"" KEY "\",\"value\":\"true\",\"effect\":\"NoSchedule\"}"
#define OURS_X                                                                                     \
	"{\"key\":\"" KEY "\",\"effect\":\"NoExecute\",\"timeAdded\":\"2026-01-01T00:00:00Z\"}"
#define OTHER "{\"key\":\"sku\",\"value\":\"gpu\",\"effect\":\"NoSchedule\"}"
#define NODE(taints)                                                                               \
	"{\"kind\":\"Node\",\"metadata\":{\"name\":\"node-1\"},\"spec\":{\"taints\":" taints "}}"
#define OPS(i)                                                                                     \
	"{\"op\":\"test\",\"path\":\"/spec/taints/" i "/key\",\"value\":\"" KEY                    \
	"\"},{\"op\":\"remove\",\"path\":\"/spec/taints/" i "\"}"
#define SOON 500 /* more than a look at readiness takes */

struct bench {
	struct loop *loop;
	struct health health;
	struct taint *taint;
	bool is_ready;
	int own; /* its address stands for the client */
};

static bool check_ready(void *ctx, char *why, size_t size)
{
	const struct bench *b = ctx;

	(void)snprintf(why, size, "not yet");
	return b->is_ready;
}

static void bench_init(struct bench *b, bool is_ready)
{
	fake_kube_reset();
	*b = (struct bench){ .loop = loop_new_fake(NULL), .is_ready = is_ready };
	health_add(&b->health, "test", check_ready, b);
	b->taint = taint_new(b->loop, (void *)&b->own, &b->health, "node-1", KEY);
	log_lines_start();
}

static void bench_deinit(struct bench *b)
{
	log_set_fd(STDERR_FILENO);
	close(log_lines_fd);
	b->taint = taint_free(b->taint);
	b->loop = loop_free(b->loop);
	for (unsigned i = 0; i < FAKE_MAX; i++)
		ck_assert_ptr_null(fake_kube.calls[i]);
}

static void pass(struct bench *b, uint64_t msec)
{
	loop_fake_advance(b->loop, msec);
}

static void ck_get(unsigned i)
{
	ck_assert_uint_eq(fake_kube.n_calls, i + 1);
	ck_assert_ptr_nonnull(fake_kube.calls[i]);
	ck_assert_str_eq(fake_kube.calls[i]->method, "GET");
	ck_assert_str_eq(fake_kube.calls[i]->path, "/api/v1/nodes/node-1");
}

static void ck_patch(unsigned i, const char *body)
{
	ck_assert_uint_eq(fake_kube.n_calls, i + 1);
	ck_assert_ptr_nonnull(fake_kube.calls[i]);
	ck_assert_str_eq(fake_kube.calls[i]->method, "PATCH");
	ck_assert_str_eq(fake_kube.calls[i]->path, "/api/v1/nodes/node-1");
	ck_assert_str_eq(fake_kube.calls[i]->content_type, "application/json-patch+json");
	ck_assert_str_eq(fake_kube.calls[i]->body, body);
}

static const struct {
	const char *node, *patch; /* NULL: nothing to be done */
} nodes[] = {
	{ NODE("[" OURS "]"), "[" OPS("0") "]" },
	{ NODE("[" OURS_X "]"), "[" OPS("0") "]" },
	{ NODE("[" OTHER "," OURS "," OTHER "]"), "[" OPS("1") "]" },
	{ NODE("[" OURS "," OTHER "," OURS_X "]"), "[" OPS("2") "," OPS("0") "]" },
	{ NODE("[" OTHER "]"), NULL },
	{ NODE("[]"), NULL },
	{ NODE("null"), NULL },
	{ NODE("[7,null,{},{\"key\":7},\"" KEY "\"]"), NULL },
	{ NODE("[{\"key\":\"" KEY "-2\"},{\"key\":\"not-ready\"}]"), NULL },
	{ "{\"kind\":\"Node\",\"spec\":{}}", NULL },
	{ "{\"kind\":\"Node\"}", NULL },
};

START_TEST(of_the_taints_those_with_the_key_go_and_no_other)
{
	struct bench b;

	bench_init(&b, true);
	pass(&b, SOON);
	ck_get(0);
	fake_answer(0, 200, nodes[_i].node);
	if (nodes[_i].patch) {
		ck_patch(1, nodes[_i].patch);
		fake_answer(1, 200, NODE("[]"));
		ck_assert_ptr_nonnull(strstr(log_lines(), "removed from node node-1"));
	} else {
		ck_assert_ptr_nonnull(strstr(log_lines(), "node node-1 has no taint " KEY));
	}
	pass(&b, 10 * UINT64_C(3600000));
	ck_assert_uint_eq(fake_kube.n_calls, nodes[_i].patch ? 2 : 1);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 1);
	bench_deinit(&b);
}
END_TEST

START_TEST(nothing_is_asked_before_the_agent_is_ready)
{
	struct bench b;

	bench_init(&b, false);
	pass(&b, 600000);
	ck_assert_uint_eq(fake_kube.n_calls, 0);
	b.is_ready = true;
	pass(&b, SOON);
	ck_get(0);
	bench_deinit(&b);
	ck_assert_uint_eq(fake_kube.n_cancelled, 1);
}
END_TEST

START_TEST(an_agent_that_is_not_ready_any_more_does_not_try_again)
{
	struct bench b;

	bench_init(&b, true);
	pass(&b, SOON);
	fake_answer(0, 503, NULL);
	b.is_ready = false;
	pass(&b, 600000);
	ck_assert_uint_eq(fake_kube.n_calls, 1);
	b.is_ready = true;
	pass(&b, SOON);
	ck_get(1);
	bench_deinit(&b);
}
END_TEST

static const int overtaken[] = { 409, 422 };

START_TEST(a_list_that_has_changed_meanwhile_is_read_again_without_a_word)
{
	struct bench b;

	bench_init(&b, true);
	pass(&b, SOON);
	fake_answer(0, 200, NODE("[" OURS "]"));
	fake_answer(1, overtaken[_i], NULL);
	ck_assert_uint_eq(fake_kube.n_calls, 2);
	pass(&b, UINT64_C(2) * LIMIT_TAINT_RETRY_MSEC);
	ck_get(2);
	fake_answer(2, 200, NODE("[" OTHER "," OURS "]"));
	ck_patch(3, "[" OPS("1") "]");
	fake_answer(3, 200, NODE("[" OTHER "]"));
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 1);
	ck_assert_ptr_nonnull(strstr(log_lines(), "removed from node node-1"));
	bench_deinit(&b);
}
END_TEST

START_TEST(a_policy_that_always_refuses_is_told_once)
{
	struct bench b;

	bench_init(&b, true);
	for (unsigned i = 0; i < 10; i++) {
		pass(&b, 4 * UINT64_C(60000) + SOON);
		fake_answer(2 * i, 200, NODE("[" OURS "]"));
		fake_finish(2 * i + 1, 422, NULL, "HTTP 422: denied by a policy");
		ck_assert_uint_eq(log_lines_count(log_lines(), "\n"),
				  i + 1 >= LIMIT_TAINT_OVERTAKEN);
	}
	ck_assert_ptr_nonnull(strstr(log_lines(), "denied by a policy"));
	bench_deinit(&b);
}
END_TEST

START_TEST(a_missing_right_is_told_once_and_tried_again_ever_more_slowly)
{
	struct bench b;
	unsigned fast;

	bench_init(&b, true);
	pass(&b, SOON);
	for (unsigned i = 0; fake_kube.n_calls > i && i < 8; i++) {
		fake_finish(i, 403, NULL, "HTTP 403: nodes is forbidden");
		pass(&b, UINT64_C(2) * LIMIT_TAINT_RETRY_MSEC << i);
	}
	fast = fake_kube.n_calls;
	ck_assert_uint_eq(fast, 9);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 1);
	ck_assert_ptr_nonnull(strstr(log_lines(), "so that no pod may be put there"));
	ck_assert_ptr_nonnull(strstr(log_lines(),
				     "nodes is forbidden; nmi's account needs get and "
				     "patch on nodes (deploy/rbac/startup-taint.yaml)"));
	/* it was given: nobody has to start the agent anew */
	fake_answer(8, 200, NODE("[" OURS "]"));
	fake_answer(9, 200, NODE("[]"));
	ck_assert_ptr_nonnull(strstr(log_lines(), "removed from node node-1"));
	bench_deinit(&b);
}
END_TEST

START_TEST(another_reason_is_told_by_itself)
{
	struct bench b;

	bench_init(&b, true);
	pass(&b, SOON);
	fake_finish(0, 403, NULL, "HTTP 403: forbidden");
	pass(&b, 10000);
	fake_finish(1, 404, NULL, "HTTP 404: not found");
	pass(&b, 10000);
	fake_answer(2, 200, "{\"spec\":{\"taints\":7}}");
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 3);
	ck_assert_ptr_nonnull(strstr(log_lines(), "404"));
	ck_assert_ptr_nonnull(strstr(log_lines(), "spec.taints: expected an array"));
	bench_deinit(&b);
}
END_TEST

START_TEST(the_api_server_may_say_when_to_come_back)
{
	struct bench b;

	bench_init(&b, true);
	pass(&b, SOON);
	fake_kube.retry_after_sec = 60;
	fake_answer(0, 429, NULL);
	pass(&b, 59000);
	ck_assert_uint_eq(fake_kube.n_calls, 1);
	pass(&b, 2000);
	ck_get(1);
	bench_deinit(&b);
	ck_assert_ptr_null(taint_free(NULL));
}
END_TEST

UNIT_MAIN("taint", UNIT_LOOP(of_the_taints_those_with_the_key_go_and_no_other, nodes),
	  UNIT(nothing_is_asked_before_the_agent_is_ready),
	  UNIT(an_agent_that_is_not_ready_any_more_does_not_try_again),
	  UNIT_LOOP(a_list_that_has_changed_meanwhile_is_read_again_without_a_word, overtaken),
	  UNIT(a_policy_that_always_refuses_is_told_once),
	  UNIT(a_missing_right_is_told_once_and_tried_again_ever_more_slowly),
	  UNIT(another_reason_is_told_by_itself), UNIT(the_api_server_may_say_when_to_come_back))
