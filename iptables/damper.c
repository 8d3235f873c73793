/* SPDX-License-Identifier: MIT */

/* A bucket of tokens: see damper.h. */

#include "iptables/damper.h"

bool damper_take(struct damper *d, struct mono now)
{
	if (!d->filled.ns)
		d->tokens = d->burst;
	else
		d->tokens += mono_seconds_between(d->filled, now) * d->per_sec;
	if (d->tokens > d->burst)
		d->tokens = d->burst;
	d->filled = now;
	if (d->tokens < 1)
		return false;
	d->tokens -= 1;
	return true;
}
