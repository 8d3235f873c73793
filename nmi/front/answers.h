/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

#include <stdint.h>

struct loop;
struct response;

/*
 * Finished answers of the second that is running, so that a pod which asks again costs no new body.
 * They hold tokens: none is kept longer than about two seconds.
 */
struct answers;

struct answers *answers_new(struct loop *l);
struct answers *answers_free(struct answers *a);
DEFINE_CLEANUP(struct answers, answers_free);

/* Borrowed until the loop runs again; NULL: not there. */
struct response *answers_find(struct answers *a, uint64_t body_id, struct wall now);
void answers_put(struct answers *a, uint64_t body_id, struct wall now, struct response *r);
