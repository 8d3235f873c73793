/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/issue.h"

/*
 * An issuer that answers as a test tells it: at once with `answer`, or, with `hold`, when the test
 * calls fake_issue_finish().
 */
struct token {
	const char *body;
};

struct issuer {
	bool hold;
	struct issue_answer answer;
	unsigned started, cancelled, bodies, bodies_freed, admitted;
	struct inet_ip admitted_peer;	   /* the last one */
	void (*on_start)(const char *arg); /* called inside issue_start(), or NULL */
	const char *on_start_arg;
	const char *under_way; /* whose the waiting ones are, or NULL */
	const char *owner;     /* of whatever address, or NULL */
	struct issue *waiting; /* a list */
	size_t n_waiting;
	/* of the last request */
	struct inet_ip peer;
	char resource[2048], selector[2048], id[64];
	char pod_uid[64], pod[512]; /* "" unless pinned; namespace/name when asked by name */
	enum selector_kind selector_kind;
	bool bypass_cache;
};

/* Answers all that wait; the answer is `answer`. */
void fake_issue_finish(struct issuer *i);
