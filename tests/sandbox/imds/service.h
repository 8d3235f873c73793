/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"
#include "lib/loop/loop.h"
#include "tests/sandbox/imds/answer.h"
#include "tests/sandbox/imds/server.h"

/*
 * The metadata service as it is met over the network: limits, faults on request, and a record of who
 * asked what. One thread; owned by main().
 */
#define SERVICE_LAST	 512
#define SERVICE_RATE_MAX 1024

enum fault_kind {
	FAULT_NONE,
	FAULT_STATUS,	 /* answers with `status` */
	FAULT_CLOSE,	 /* closes without an answer */
	FAULT_HANG,	 /* never answers, until cleared */
	FAULT_GARBAGE,	 /* 200, and a body that is not JSON */
	FAULT_TRUNCATED, /* 200, and the first half of the real body */
	FAULT_EMPTY,	 /* 200, and {} */
	FAULT_HUGE,	 /* 200, and a body of 2 MiB */
	FAULT_KINDS,
};

struct fault {
	enum fault_kind kind;
	unsigned status;
	long times; /* < 0: until cleared */
	char retry_after[16];
};

/* At most `max` a second (0: any number): the moments of the last ones, oldest at `next`. */
struct rate {
	unsigned max;
	size_t next;
	struct mono at[SERVICE_RATE_MAX];
};

/* How many came within one second, at the most: the moments of the last ones. */
struct busiest {
	unsigned max; /* SERVICE_RATE_MAX: so many or more */
	uint64_t n;
	struct mono at[SERVICE_RATE_MAX];
};

struct last_request {
	int64_t time;
	char source[INET_IP_TEXT_MAX];
	char method[16];
	char target[512];
	unsigned status; /* 0: closed without an answer, or not answered yet */
};

struct service {
	struct loop *loop;
	struct imds imds;
	struct server *metadata, *control;
	struct fault faults[IMDS_AREAS];
	unsigned latency_msec[IMDS_AREAS];
	struct rate rates[IMDS_AREAS];
	unsigned concurrent_limit; /* of token requests; 0: none */
	unsigned concurrent, concurrent_max;
	struct busiest token_second;
	struct hmap sources; /* struct source */
	unsigned long total[IMDS_AREAS], throttled;
	struct last_request last[SERVICE_LAST]; /* a ring, `n_last` requests ever */
	uint64_t n_last;
};

void service_init(struct service *s, struct loop *l);
void service_deinit(struct service *s);
void service_on_request(void *ctx, struct request *rq);
void service_on_end(void *ctx, struct request *rq);
void service_reset(struct service *s);
void service_clear_faults(struct service *s);
json_t *service_stats(const struct service *s);
const char *fault_kind_name(enum fault_kind k);

/* control.c */
void control_on_request(void *ctx, struct request *rq);
