/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"
#include "nmi/token/source.h"

#include <stddef.h>

struct http_client;
struct loop;
struct metrics;

/*
 * Tokens from the instance metadata service, for user-assigned identities (type 0) and, for excepted
 * pods, for the node's own. GET only, one attempt a fetch: whether it is worth another is the
 * cache's to say (policy.h).
 */
struct imds_source;

struct imds_source *imds_source_new(struct loop *l, struct http_client *http, const char *base_url,
				    unsigned timeout_msec, struct metrics *metrics);
struct imds_source *imds_source_free(struct imds_source *s);
struct token_source imds_source_vtable(struct imds_source *s);

/*
 * Pure: what IMDS answered, into a token, or NULL with `out_fail` filled. Of the body of a failure only
 * `error` and `error_description` are copied. A Retry-After that is a date is ignored: IMDS sends
 * seconds, and a date would need both clocks to agree.
 */
struct token *imds_answer_parse(long status, const char *body, size_t n, const char *retry_after,
				const struct token_ask *ask, struct wall now,
				struct token_failure *out_fail);
/* Pure: the request's path and query, on the heap. */
char *imds_request_path(const struct token_ask *ask);
