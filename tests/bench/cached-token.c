/* SPDX-License-Identifier: MIT */

/*
 * What a cached token costs, for a counter of instructions (instructions.sh): from the socket of a pod to its
 * answer, over one kept connection. The clock is a fake one and the client is in this process; what counts is
 * what happens inside loop_turn().
 *
 *	CK_FORK=no BENCH_MODE=same|each BENCH_REQUESTS=N
 *			N answers in the same second, or a second later each
 */

#include "lib/loop/loop.h"
#include "tests/scenario/whole-agent.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each of them is one, so that what is allocated once is there when it counts. */
#define WARM 200

static struct whole_agent agent;

#define VISIBLE __attribute__((visibility("default")))

/* How often the allocator is called inside loop_turn(), by us or by a library: --wrap has it come here. */
static bool is_inside;
static unsigned long calls;

int __real_loop_turn(struct loop *l, int msec, struct err *err);
int __wrap_loop_turn(struct loop *l, int msec, struct err *err);
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

int __wrap_loop_turn(struct loop *l, int msec, struct err *err)
{
	int r;

	is_inside = true;
	r = __real_loop_turn(l, msec, err);
	is_inside = false;
	return r;
}

VISIBLE void *malloc(size_t n)
{
	calls += is_inside;
	return __libc_malloc(n);
}

VISIBLE void *calloc(size_t n, size_t size)
{
	calls += is_inside;
	return __libc_calloc(n, size);
}

VISIBLE void *realloc(void *p, size_t n)
{
	calls += is_inside;
	return __libc_realloc(p, n);
}

START_TEST(cached_tokens)
{
	const char *mode = getenv("BENCH_MODE"), *count = getenv("BENCH_REQUESTS");
	unsigned long n = count ? strtoul(count, NULL, 10) : 0;
	static struct answer got;
	struct client *c;
	char body[512];

	ck_assert(mode && n);
	whole_agent_init(&agent, world_init);
	world_furnish(&agent.w);
	c = whole_agent_pod(&agent, "10.0.0.1");
	client_send(c, TOKEN_REQUEST);
	client_settle(agent.w.loop);
	(void)snprintf(body, sizeof(body),
		       "{\"access_token\":\"eyJ.x.y\",\"expires_on\":\"%" PRId64 "\"}",
		       loop_wall(agent.w.loop).s + 86399);
	whole_agent_imds_says(&agent, 200, body, NULL);
	ck_assert(client_next(c, &got));
	for (unsigned long i = 0; i < WARM + n; i++) {
		if (i == WARM)
			calls = 0;
		if (strcmp(mode, "each") == 0)
			world_pass(&agent.w, 1000);
		client_send(c, TOKEN_REQUEST);
		ck_assert(client_next(c, &got));
		ck_assert_int_eq(got.status, 200);
	}
	(void)fprintf(stderr, "%lu calls of the allocator\n", calls);
	(void)client_free(c);
	whole_agent_deinit(&agent);
}
END_TEST

UNIT_MAIN("cached-token", UNIT(cached_tokens))
