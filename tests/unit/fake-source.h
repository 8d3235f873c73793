/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/token/source.h"

#include <stdbool.h>
#include <stddef.h>

struct loop;

/*
 * A token source whose answers the test gives when it likes. It records what was asked of it, and
 * aborts if an answered or cancelled fetch is touched again.
 */
struct fake_fetch {
	char *client_id; /* of the identity; "" for the node's own */
	char *resource;
	bool bypass;
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
};

void fake_source_init(struct fake_source *s, struct loop *l);
void fake_source_deinit(struct fake_source *s);
/* Answers the oldest; false if nothing is pending. */
bool fake_source_give(struct fake_source *s, const char *text, int64_t life_sec);
bool fake_source_fail(struct fake_source *s, enum token_fault fault, unsigned retry_after_sec);
/* The resource of the oldest, "" if there is none. */
const char *fake_source_oldest(const struct fake_source *s);
