/* SPDX-License-Identifier: MIT */

/* Waiting together for a server to answer well again: see knock.h. */

#include "lib/kube/knock.h"

#include <assert.h>
#include <stddef.h>
#include <utlist.h>

/*
 * Between two tries of whoever they are. With some six watches a node that each would wait 8 to 16 s, as client-go's
 * may, there is a try every 2 s; one by one they are as many, and one of them is enough for all.
 */
#define APART_MSEC 2000

void knock_wait(struct knock *k, struct knock_wait *w, knock_fn *opened)
{
	knock_leave(w);
	w->knock = k;
	w->opened = opened;
	DL_APPEND(k->waiting, w);
}

void knock_leave(struct knock_wait *w)
{
	if (w->knock)
		DL_DELETE(w->knock->waiting, w);
	w->knock = NULL;
}

bool knock_may(struct knock *k, struct mono now, unsigned *out_wait_msec)
{
	if (mono_before(now, k->next)) {
		*out_wait_msec = (unsigned)mono_msec_until(now, k->next);
		return false;
	}
	k->next = mono_add_msec(now, APART_MSEC);
	return true;
}

void knock_opened(struct knock *k)
{
	struct knock_wait *w;

	k->next = (struct mono){ 0 };
	while ((w = k->waiting)) {
		knock_leave(w);
		w->opened(w);
	}
}
