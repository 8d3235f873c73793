/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"
#include "lib/base/inet.h"

#include <stdbool.h>
#include <stddef.h>

struct front;
struct health;
struct identity_store;
struct loop;
struct metrics;
struct nmi_config;
struct pod_store;
struct pod_watch;
struct redirect;
struct token_cache;

/*
 * Asks every part of the agent how it is, for `nmi status`. All is borrowed from the agent; nothing is kept
 * from one question to the next.
 */
struct describe {
	const struct nmi_config *config;
	struct loop *loop;
	struct wall since;
	bool is_stopping;
	struct inet_ip metadata_ip, redirect_ip;
	const struct health *health;
	const struct redirect *redirect;
	struct pod_store *pods;
	struct pod_watch *pod_watch;
	struct identity_store *identities;
	struct token_cache *tokens;
	struct front *front;
	struct metrics *metrics;
	void (*before)(void *ctx); /* refreshes the gauges */
	void *before_ctx;

	/* Sentences for an operator, and a result, that other parts leave here; they outlive the agent. */
	const char *const *surroundings;
	size_t n_surroundings;
	const char *self_test; /* NULL: none was made */
	const char *restart;   /* settings that wait for one; NULL: none */
};

/* The document (nmi/status/document.h), on the heap. From the loop. */
char *describe_print(struct describe *d, size_t *out_n);
