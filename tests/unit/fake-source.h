/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/loop/loop.h"
#include "nmi/token/source.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A token source whose answers the test gives when it likes, or that answers by itself after a while. It
 * records what was asked of it, and aborts if an answered or cancelled fetch is touched again.
 */
#define FAKE_SOURCE_RATE_MAX 256

struct fake_source;

struct fake_fetch {
	struct fake_source *source;
	char *client_id; /* of the identity; "" for the node's own */
	char *resource;
	char *pod; /* UID of who asks; "" for nobody */
	bool bypass;
	struct loop_timer answer;
	token_done_fn *done;
	void *ctx;
	struct fake_fetch *prev, *next;
};

struct fake_source {
	struct token_source vtable;
	struct loop *loop;
	struct fake_fetch *pending; /* the oldest first */
	size_t n_pending, most_pending;
	unsigned asked, cancelled;
	bool refuses; /* fetch() itself fails */
	/* how it answers by itself, if `answers_msec` is not 0 */
	unsigned answers_msec;
	int64_t life_sec;
	int64_t ahead_sec; /* its clock is ahead of ours by this, and it says how long its tokens live */
	int fault;	   /* -1: none */
	unsigned
		most_in_second; /* asked within any one second, but for FAKE_SOURCE_RATE_MAX at most */
	struct mono asked_at[FAKE_SOURCE_RATE_MAX];
};

void fake_source_init(struct fake_source *s, struct loop *l);
void fake_source_deinit(struct fake_source *s);
/* Answers the oldest; false if nothing is pending. */
bool fake_source_give(struct fake_source *s, const char *text, int64_t life_sec);
bool fake_source_fail(struct fake_source *s, enum token_fault fault, unsigned retry_after_sec);
/* The resource of the oldest, "" if there is none. */
const char *fake_source_oldest(const struct fake_source *s);
