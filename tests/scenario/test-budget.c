/* SPDX-License-Identifier: MIT */

/* A node full of pods, and what IMDS sees of it. */

#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "tests/scenario/world.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PODS	    50
#define PROCESSES   8
#define RESOURCES   20
#define STEP_MSEC   50
#define HOUR_SEC    INT64_C(3600)
#define MINUTE_MSEC UINT64_C(60000)

/* IMDS as it is published, and as quick as it usually is. */
static void begin(struct world *w)
{
	world_init(w);
	w->imds.vtable.budget.per_second = LIMIT_IMDS_PER_SECOND;
	w->imds.answers_msec = 60;
	w->imds.life_sec = 24 * HOUR_SEC;
}

/* Pod `i` with an identity of its own, or the one that all share. */
static void put_pod(struct world *w, unsigned i, bool shared)
{
	char uid[16], ip[16], name[16];

	(void)snprintf(uid, sizeof(uid), "u%u", i);
	(void)snprintf(ip, sizeof(ip), "10.1.0.%u", i);
	(void)snprintf(name, sizeof(name), "c%u", shared ? 0 : i);
	world_put_identity(w, name, name);
	world_put_binding(w, name, name, name);
	world_put_pod(w, .uid = uid, .ip = ip, .label = name);
}

/* As an SDK: asks, and when told to come back does so. */
struct client {
	struct told told;
	uint64_t again_msec;
};

static void client_ask(struct world *w, struct client *c, unsigned pod, const char *resource)
{
	char ip[16];

	(void)snprintf(ip, sizeof(ip), "10.1.0.%u", pod);
	world_ask(w, &c->told, .ip = ip, .resource = resource);
	c->again_msec = 0;
}

static bool client_has_token(const struct client *c)
{
	return c->told.calls && c->told.reason == REASON_NONE;
}

/* False: it has its token. */
static bool client_goes_on(struct world *w, struct client *c, unsigned pod, const char *resource)
{
	unsigned after = c->told.retry_after_sec ? c->told.retry_after_sec : 2;

	if (!c->told.calls)
		return true;
	if (c->told.reason == REASON_NONE)
		return false;
	ck_assert(c->told.reason == REASON_UPSTREAM_DOWN || c->told.reason == REASON_POD_LIMIT);
	if (!c->again_msec)
		c->again_msec = c->told.at_msec + UINT64_C(1000) * after;
	if (world_msec(w) >= c->again_msec)
		client_ask(w, c, pod, resource);
	return true;
}

static struct client clients[PODS][PROCESSES][RESOURCES];
static uint64_t done_msec[PODS]; /* when a pod had all its tokens */

static bool pod_goes_on(struct world *w, unsigned pod)
{
	char resource[32];
	bool more = false;

	for (unsigned p = 0; p < PROCESSES; p++) {
		for (unsigned r = 0; r < RESOURCES; r++) {
			(void)snprintf(resource, sizeof(resource), "https://r%u", r);
			more |= client_goes_on(w, &clients[pod][p][r], pod, resource);
		}
	}
	return more;
}

static void all_ask(struct world *w)
{
	char resource[32];

	for (unsigned pod = 0; pod < PODS; pod++) {
		for (unsigned p = 0; p < PROCESSES; p++) {
			for (unsigned r = 0; r < RESOURCES; r++) {
				(void)snprintf(resource, sizeof(resource), "https://r%u", r);
				client_ask(w, &clients[pod][p][r], pod, resource);
			}
		}
	}
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void worst_is_at_most_twice_the_median(void)
{
	uint64_t sorted[PODS];

	memcpy(sorted, done_msec, sizeof(sorted));
	qsort(sorted, PODS, sizeof(sorted[0]), compare);
	ck_assert_uint_gt(sorted[0], 0);
	ck_assert_uint_le(sorted[PODS - 1], 2 * sorted[PODS / 2]);
}

static void run_until_all_have_theirs(struct world *w, uint64_t within_msec)
{
	const uint64_t start = world_msec(w);
	unsigned left = PODS;

	memset(done_msec, 0, sizeof(done_msec));
	while (left) {
		world_pass(w, STEP_MSEC);
		for (unsigned pod = 0; pod < PODS; pod++) {
			if (done_msec[pod] || pod_goes_on(w, pod))
				continue;
			done_msec[pod] = world_msec(w) - start;
			left--;
		}
		ck_assert_uint_lt(world_msec(w) - start, within_msec);
	}
}

static void imds_saw_no_more_than_it_allows(const struct world *w)
{
	ck_assert_uint_le(w->imds.most_pending, LIMIT_IMDS_IN_FLIGHT);
	ck_assert_uint_le(w->imds.most_in_second, LIMIT_IMDS_PER_SECOND);
}

static const struct {
	bool shared;
	unsigned keys;
	uint64_t within_msec;
} starts[] = {
	{ true, RESOURCES, 2000 },
	/* 50 s at 20 a second; each process waits 20 s and comes back */
	{ false, PODS *RESOURCES, 60000 },
};

START_TEST(a_node_that_starts_fifty_pods_gives_them_all_their_tokens_at_the_same_pace)
{
	struct world w;

	begin(&w);
	for (unsigned i = 0; i < PODS; i++)
		put_pod(&w, i, starts[_i].shared);
	all_ask(&w);
	run_until_all_have_theirs(&w, starts[_i].within_msec);
	worst_is_at_most_twice_the_median();
	imds_saw_no_more_than_it_allows(&w);
	ck_assert_uint_eq(w.imds.asked, starts[_i].keys);
	world_deinit(&w);
}
END_TEST

START_TEST(a_pod_that_makes_up_resources_delays_nobody)
{
	static struct client flood[500], other[10];
	uint64_t took_msec[ARRAY_SIZE(other)];
	struct world w;

	begin(&w);
	put_pod(&w, 1, false);
	put_pod(&w, 2, false);
	for (unsigned i = 0; i < ARRAY_SIZE(flood); i++) {
		char resource[32];

		(void)snprintf(resource, sizeof(resource), "https://made-up-%u", i);
		client_ask(&w, &flood[i], 1, resource);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(other); i++) {
		char resource[32];
		uint64_t start = world_msec(&w);

		(void)snprintf(resource, sizeof(resource), "https://r%u", i);
		client_ask(&w, &other[i], 2, resource);
		while (!client_has_token(&other[i]) && world_msec(&w) < start + 20000)
			world_pass(&w, 10);
		took_msec[i] = world_msec(&w) - start;
	}
	qsort(took_msec, ARRAY_SIZE(other), sizeof(took_msec[0]), compare);
	/* what IMDS takes, and two turns */
	ck_assert_uint_le(took_msec[ARRAY_SIZE(other) / 2], 60 + 2 * 50 + 10);
	/* and once, what the first few that went together were ahead of the others */
	ck_assert_uint_le(took_msec[ARRAY_SIZE(other) - 1], 60 + 2 * 50 + 10 + 4 * 50);
	ck_assert_int_eq(flood[499].told.reason, REASON_POD_LIMIT);
	ck_assert_uint_eq(flood[499].told.retry_after_sec, 1);
	imds_saw_no_more_than_it_allows(&w);
	world_pass(&w, 30000);
	ck_assert_uint_eq(w.imds.asked, LIMIT_POD_FETCH_BURST + ARRAY_SIZE(other));
	world_deinit(&w);
}
END_TEST

/* outages */

#define TOKENS 200

/* The first time they have to wait. */
static void fetch_all(struct world *w)
{
	static struct told told[TOKENS];
	char ip[16];

	for (unsigned i = 0; i < TOKENS; i++) {
		(void)snprintf(ip, sizeof(ip), "10.1.0.%u", i);
		world_ask(w, &told[i], .ip = ip);
	}
	world_pass(w, 15000);
	for (unsigned i = 0; i < TOKENS; i++)
		ck_assert_str_eq(told[i].token, "auto");
}

/* Each pod asks for its token; whoever has to wait or is refused counts as an error. */
static void all_use(struct world *w, uint64_t *errors)
{
	static struct told t;
	char ip[16];

	for (unsigned i = 0; i < TOKENS; i++) {
		(void)snprintf(ip, sizeof(ip), "10.1.0.%u", i);
		world_ask(w, &t, .ip = ip);
		*errors += t.calls != 1 || t.reason != REASON_NONE;
		if (!t.calls)
			world_leave(&t);
	}
}

static uint64_t begun_msec;

static void live(struct world *w, uint64_t until_msec, uint64_t *errors)
{
	while (world_msec(w) - begun_msec < until_msec) {
		world_pass(w, 10000);
		all_use(w, errors);
	}
}

static const struct {
	enum token_fault fault;
	unsigned answers_msec; /* how long it takes to fail */
} outages[] = {
	{ TOKEN_FAULT_DOWN, 1 },       /* connection refused */
	{ TOKEN_FAULT_DOWN, 15000 },   /* no answer until the timeout */
	{ TOKEN_FAULT_UPDATING, 20 },  /* 410 */
	{ TOKEN_FAULT_THROTTLED, 20 }, /* 429 */
};

START_TEST(imds_is_away_for_half_an_hour_and_nobody_sees_it)
{
	uint64_t errors = 0;
	struct world w;
	unsigned asked;

	begin(&w);
	w.imds.life_sec = HOUR_SEC;
	for (unsigned i = 0; i < TOKENS; i++)
		put_pod(&w, i, false);
	begun_msec = world_msec(&w);
	fetch_all(&w);
	live(&w, 20 * MINUTE_MSEC, &errors);
	w.imds.fault = outages[_i].fault;
	w.imds.answers_msec = outages[_i].answers_msec;
	live(&w, 50 * MINUTE_MSEC, &errors);
	ck_assert_uint_gt(token_cache_stats(w.cache)->stale, 0);
	imds_saw_no_more_than_it_allows(&w);
	w.imds.fault = -1;
	w.imds.answers_msec = 60;
	asked = w.imds.asked;
	live(&w, 54 * MINUTE_MSEC, &errors);
	imds_saw_no_more_than_it_allows(&w); /* on its return too */
	/* all but those that were on their way when it came back */
	ck_assert_uint_ge(w.imds.asked - asked, TOKENS - LIMIT_IMDS_IN_FLIGHT);
	/* of which some failed once more */
	ck_assert_uint_le(w.imds.asked - asked, TOKENS + 10);
	live(&w, 90 * MINUTE_MSEC, &errors);
	ck_assert_uint_eq(errors, 0);
	world_deinit(&w);
}
END_TEST

UNIT_MAIN("budget",
	  UNIT_LOOP(a_node_that_starts_fifty_pods_gives_them_all_their_tokens_at_the_same_pace,
		    starts),
	  UNIT(a_pod_that_makes_up_resources_delays_nobody),
	  UNIT_LOOP(imds_is_away_for_half_an_hour_and_nobody_sees_it, outages))
