/* SPDX-License-Identifier: MIT */

/*
 * Finished answers: see answers.h. A direct-mapped table: the ids are consecutive numbers, so they are
 * their own hash, and a collision only costs the making of a body.
 */

#include "nmi/front/answers.h"

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/front/server.h"

#include <stddef.h>

/* A power of two; more than the identities that one node's pods use at the same time. */
#define SLOTS 256
/* expires_in counts in seconds: an answer is right for the rest of its second only. */
#define SWEEP_MSEC 1500

struct slot {
	uint64_t body_id;
	struct wall second;
	struct response *response; /* NULL: free */
};

struct answers {
	struct loop *loop;
	struct loop_timer sweep;
	struct slot slots[SLOTS];
};

struct answers *answers_new(struct loop *l)
{
	struct answers *a = xnew(struct answers);

	a->loop = l;
	return a;
}

struct answers *answers_free(struct answers *a)
{
	if (!a)
		return NULL;
	loop_timer_del(&a->sweep);
	for (size_t i = 0; i < SLOTS; i++)
		response_unref(a->slots[i].response);
	free(a);
	return NULL;
}

struct response *answers_find(struct answers *a, uint64_t body_id, struct wall now)
{
	const struct slot *s = &a->slots[body_id % SLOTS];

	return s->response && s->body_id == body_id && s->second.s == now.s ? s->response : NULL;
}

static void on_sweep(struct loop_timer *t)
{
	struct answers *a = container_of(t, struct answers, sweep);
	struct wall now = loop_wall(a->loop);
	bool some = false;

	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &a->slots[i];

		if (s->response && s->second.s != now.s)
			s->response = response_unref(s->response);
		some |= s->response != NULL;
	}
	if (some)
		loop_timer_set_msec(a->loop, t, SWEEP_MSEC, on_sweep);
}

void answers_put(struct answers *a, uint64_t body_id, struct wall now, struct response *r)
{
	struct slot *s = &a->slots[body_id % SLOTS];

	response_ref(r);
	response_unref(s->response);
	*s = (struct slot){ body_id, now, r };
	if (!a->sweep.loop)
		loop_timer_set_msec(a->loop, &a->sweep, SWEEP_MSEC, on_sweep);
}
