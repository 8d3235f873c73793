/* SPDX-License-Identifier: MIT */

/* Opening the front, and passing it on: see succession.h. */

#include "nmi/succession.h"

#include "lib/base/backoff.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/front/front.h"
#include "nmi/handover.h"
#include "nmi/health.h"
#include "nmi/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct succession {
	struct loop *loop;
	const struct health *health;
	struct handover *handover;
	struct front *front; /* borrowed; NULL before it is open */
	succession_charge_fn *charge;
	void *charge_ctx;
};

/* what the hand-over asks of the front */

static size_t listeners(void *ctx, struct handover_listener out[static HANDOVER_LISTENERS_MAX])
{
	const struct succession *s = ctx;

	return front_listeners(s->front, out);
}

static bool is_ready(void *ctx)
{
	const struct succession *s = ctx;

	return health_may_serve(s->health);
}

static void in_charge(void *ctx, enum handover_cause cause)
{
	struct succession *s = ctx;

	if (cause == HANDOVER_BACK)
		front_take_back(s->front);
	else
		front_start(s->front);
	s->charge(s->charge_ctx, true);
}

static void given(void *ctx, uint32_t roles)
{
	struct succession *s = ctx;

	front_hand_over(s->front, roles);
	s->charge(s->charge_ctx, false);
}

static void settled(void *ctx)
{
	struct succession *s = ctx;

	front_settle(s->front);
}

static int adopt(void *ctx, const struct handover_listener *want)
{
	const struct succession *s = ctx;

	return handover_adopt(s->handover, want);
}

/* opening */

/* `told`: the last reason that was logged. */
static void ask(struct succession *s, struct err *told)
{
	struct err err = { 0 };

	if (handover_ask(s->handover, &err) != HANDOVER_REFUSED || strcmp(err.msg, told->msg) == 0)
		return;
	*told = err;
	log_warn("the agent in charge does not hand over its listeners, so that this one starts "
		 "when they are closed: %s",
		 err.msg);
}

static void pause_for(struct succession *s, uint64_t msec, const bool *stopping)
{
	struct mono until = mono_add_msec(loop_mono(s->loop), msec);

	/* a turn that fails is told by the loop when it runs; here it only ends the pause */
	while (!*stopping && mono_before(loop_mono(s->loop), until))
		if (loop_turn(s->loop, 50, NULL) < 0)
			return;
}

struct front *succession_open(struct succession *s, const struct front_spec *spec,
			      const bool *stopping, struct err *err)
{
	struct mono until = mono_add_msec(loop_mono(s->loop), LIMIT_LISTEN_WAIT_MSEC);
	struct backoff backoff = { .min_msec = 100, .max_msec = 1000, .reset_msec = 60000 };
	struct front_spec with = *spec;
	struct err told = { 0 };

	with.adopt = adopt;
	with.adopt_ctx = s;
	for (bool first = true;; first = false) {
		struct err why = { 0 };
		struct mono now;

		ask(s, &told);
		s->front = front_new(s->loop, &with, &why);
		now = loop_mono(s->loop);
		if (s->front)
			return s->front;
		if (why.os_errno != EADDRINUSE || *stopping || !mono_before(now, until)) {
			if (err)
				*err = why;
			return NULL;
		}
		if (first)
			log_warn("%s; trying again for %d s", why.msg,
				 LIMIT_LISTEN_WAIT_MSEC / 1000);
		pause_for(s, backoff_next(&backoff, now), stopping);
	}
}

void succession_start(struct succession *s)
{
	handover_start(s->handover);
}

bool succession_stop(struct succession *s)
{
	bool given = handover_stop(s->handover);

	front_drain(s->front, !given);
	return given;
}

bool succession_check(void *ctx, char *why, size_t size)
{
	const struct succession *s = ctx;

	if (handover_is_in_charge(s->handover))
		return true;
	(void)snprintf(why, size, "another agent of this node is in charge");
	return false;
}

bool succession_is_expected(const char *dir)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, HANDOVER_SOCKET);
	struct stat st;

	return *dir && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

struct succession *succession_new(struct loop *l, const char *dir, const struct health *health,
				  succession_charge_fn *charge, void *ctx)
{
	struct succession *s = xnew(struct succession);
	const struct handover_spec spec = { .dir = dir,
					    .listeners = listeners,
					    .is_ready = is_ready,
					    .in_charge = in_charge,
					    .given = given,
					    .settled = settled,
					    .ctx = s };

	s->loop = l;
	s->health = health;
	s->charge = charge;
	s->charge_ctx = ctx;
	s->handover = handover_new(l, &spec);
	return s;
}

struct succession *succession_free(struct succession *s)
{
	if (!s)
		return NULL;
	s->handover = handover_free(s->handover);
	free(s);
	return NULL;
}
