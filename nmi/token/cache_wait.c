/* SPDX-License-Identifier: MIT */

/* Callers, and what they are told: see cache.c. */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/token/cache_internal.h"

#include <stdlib.h>
#include <utlist.h>

struct cache_outcome *cache_outcome_new(struct token *tok, const struct token_failure *fail)
{
	struct cache_outcome *o = xnew(struct cache_outcome);

	o->refs = 1;
	o->tok = tok ? token_ref(tok) : NULL;
	if (!tok)
		o->fail = *fail;
	return o;
}

struct cache_outcome *cache_outcome_unref(struct cache_outcome *o)
{
	if (!o || --o->refs)
		return NULL;
	(void)token_unref(o->tok);
	free(o);
	return NULL;
}

struct token_failure cache_failure_make(enum token_fault fault, enum err_kind kind,
					const char *text)
{
	struct token_failure fail = { .fault = fault };

	(void)err_set(&fail.err, kind, "%s", text);
	return fail;
}

/* waits */

void cache_wait_free(struct token_wait *w)
{
	loop_timer_del(&w->deadline);
	loop_defer_del(&w->tell);
	w->outcome = cache_outcome_unref(w->outcome);
	free(w);
}

void cache_wait_tell(struct token_wait *w, const struct cache_outcome *o)
{
	w->done(w->ctx, o->tok, o->tok ? NULL : &o->fail);
}

static void on_tell(struct loop_defer *d)
{
	struct token_wait *w = container_of(d, struct token_wait, tell);
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = steal_ptr(w->outcome);

	DL_DELETE(w->cache->settled, w);
	cache_wait_tell(w, o);
	cache_wait_free(w);
}

void cache_wait_leave(struct token_wait *w)
{
	cache_lane_take(w);
	cache_lane_leave(w->lane);
	DL_DELETE(w->flight->waiters, w);
	w->flight = NULL;
	w->cache->stats.waiting--;
}

void cache_wait_settle(struct token_wait *w, struct cache_outcome *o)
{
	if (w->flight)
		cache_wait_leave(w);
	loop_timer_del(&w->deadline);
	o->refs++;
	w->outcome = o;
	DL_APPEND(w->cache->settled, w);
	loop_defer(w->cache->loop, &w->tell, on_tell);
}

void cache_wait_refuse(struct token_wait *w, const struct token_failure *fail)
{
	_cleanup_(cache_outcome_unrefp) struct cache_outcome *o = cache_outcome_new(NULL, fail);

	cache_wait_settle(w, o);
}
