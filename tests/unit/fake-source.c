/* SPDX-License-Identifier: MIT */

/* A scripted token source: see fake-source.h. */

#include "tests/unit/fake-source.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/token/token.h"

#include <stdlib.h>
#include <utlist.h>

static struct fake_fetch *take(struct fake_source *s, struct fake_fetch *f)
{
	DL_DELETE(s->pending, f);
	s->n_pending--;
	return f;
}

static void fetch_free(struct fake_fetch *f)
{
	loop_timer_del(&f->answer);
	free(f->pod);
	free(f->client_id);
	free(f->resource);
	free(f);
}

static void answer(struct fake_fetch *f, const char *text, int64_t life_sec)
{
	struct fake_source *s = f->source;
	struct token *t = token_new(&(struct token_fields){
		.access_token = text,
		.client_id = f->client_id,
		.resource = f->resource,
		.expires_on = loop_wall(s->loop).s + s->ahead_sec + life_sec,
		.lives_sec = s->ahead_sec ? life_sec : 0,
		.not_before = loop_wall(s->loop).s });

	(void)take(s, f);
	f->done(f->ctx, t, NULL);
	(void)token_unref(t);
	fetch_free(f);
}

static void fail(struct fake_fetch *f, enum token_fault fault, unsigned retry_after_sec)
{
	struct token_failure fail = { .fault = fault, .retry_after_sec = retry_after_sec };

	(void)take(f->source, f);
	(void)err_set(&fail.err, ERR_UNAVAILABLE, "the fake fails");
	f->done(f->ctx, NULL, &fail);
	fetch_free(f);
}

static void on_answer(struct loop_timer *t)
{
	struct fake_fetch *f = container_of(t, struct fake_fetch, answer);

	if (f->source->fault < 0)
		answer(f, "auto", f->source->life_sec);
	else
		fail(f, (enum token_fault)f->source->fault, 0);
}

/* Those of the last second, this one included. */
static void note_rate(struct fake_source *s)
{
	struct mono now = loop_mono(s->loop);
	unsigned n = 0;

	s->asked_at[s->asked % FAKE_SOURCE_RATE_MAX] = now;
	s->asked++;
	while (n < s->asked && n < FAKE_SOURCE_RATE_MAX &&
	       s->asked_at[(s->asked - 1 - n) % FAKE_SOURCE_RATE_MAX].ns + NSEC_PER_SEC > now.ns)
		n++;
	s->most_in_second = n > s->most_in_second ? n : s->most_in_second;
}

static void *start(void *ctx, const struct token_ask *ask, token_done_fn *done, void *done_ctx,
		   struct token_failure *out_fail)
{
	struct fake_source *s = ctx;
	struct fake_fetch *f;

	note_rate(s);
	if (s->refuses) {
		out_fail->fault = TOKEN_FAULT_REFUSED;
		(void)err_set(&out_fail->err, ERR_REFUSED, "refused at once");
		return NULL;
	}
	f = xnew(struct fake_fetch);
	f->client_id = xstrdup(ask->identity ? ask->identity->client_id : "");
	f->source = s;
	f->pod = xstrdup(ask->pod ? ask->pod->uid : "");
	f->resource = xstrdup(ask->resource);
	f->bypass = ask->bypass_cache;
	f->done = done;
	f->ctx = done_ctx;
	DL_APPEND(s->pending, f);
	s->n_pending++;
	s->most_pending = s->n_pending > s->most_pending ? s->n_pending : s->most_pending;
	if (s->answers_msec)
		loop_timer_set_msec(s->loop, &f->answer, s->answers_msec, on_answer);
	return f;
}

static void cancel(void *ctx, void *handle)
{
	struct fake_source *s = ctx;
	struct fake_fetch *f;

	DL_FOREACH (s->pending, f) {
		if (f == handle) {
			s->cancelled++;
			fetch_free(take(s, f));
			return;
		}
	}
	abort();
}

void fake_source_init(struct fake_source *s, struct loop *l)
{
	*s = (struct fake_source){
		.loop = l,
		.fault = -1,
		.vtable = { .name = "fake", .ctx = s, .fetch = start, .cancel = cancel },
	};
}

void fake_source_deinit(struct fake_source *s)
{
	while (s->pending)
		fetch_free(take(s, s->pending));
}

bool fake_source_give(struct fake_source *s, const char *text, int64_t life_sec)
{
	if (!s->pending)
		return false;
	answer(s->pending, text, life_sec);
	return true;
}

bool fake_source_fail(struct fake_source *s, enum token_fault fault, unsigned retry_after_sec)
{
	if (!s->pending)
		return false;
	fail(s->pending, fault, retry_after_sec);
	return true;
}

const char *fake_source_oldest(const struct fake_source *s)
{
	return s->pending ? s->pending->resource : "";
}
