/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/http/client.h"

struct metrics;

/*
 * One exchange with an upstream of tokens, counted: how long it took, by source and by what came of it,
 * which is the HTTP status, "timeout", or "error" where there was no answer for another reason. Either
 * `reply` or `err`, as in http_done_fn. `source` is the name of a token_source: one of three.
 */
void token_exchange_count(struct metrics *m, const char *source, const struct http_reply *reply,
			  const struct err *err, double seconds);
