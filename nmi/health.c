/* SPDX-License-Identifier: MIT */

/* Readiness: see health.h. */

#include "nmi/health.h"

#include <assert.h>
#include <stdio.h>

void health_add(struct health *h, const char *name, health_check_fn *fn, void *ctx)
{
	assert(h->n < HEALTH_CHECKS_MAX);
	h->checks[h->n++] = (struct health_check){ name, fn, ctx, false };
}

void health_add_traffic(struct health *h, const char *name, health_check_fn *fn, void *ctx)
{
	health_add(h, name, fn, ctx);
	h->checks[h->n - 1].needs_traffic = true;
}

bool health_may_serve(const struct health *h)
{
	char why[HEALTH_LINE_MAX];

	for (size_t i = 0; i < h->n; i++) {
		const struct health_check *c = &h->checks[i];

		if (!c->needs_traffic && !c->fn(c->ctx, why, sizeof(why)))
			return false;
	}
	return true;
}

bool health_ready(const struct health *h, char *buf, size_t size)
{
	size_t used = 0;
	bool ready = true;

	assert(size > 0);
	buf[0] = '\0';
	/* every check is asked even when buf is full: the result counts, the text explains */
	for (size_t i = 0; i < h->n; i++) {
		const struct health_check *c = &h->checks[i];
		char line[HEALTH_LINE_MAX], why[HEALTH_LINE_MAX] = "";
		bool ok = c->fn(c->ctx, why, sizeof(why));
		int n;

		ready &= ok;
		n = ok ? snprintf(line, sizeof(line), "[+]%s ok", c->name)
		       : snprintf(line, sizeof(line), "[-]%s: %s", c->name, why);
		if (n < 0)
			continue;
		n = snprintf(buf + used, size - used, "%s\n", line);
		if (n > 0)
			used += (size_t)n < size - used ? (size_t)n : size - used - 1;
	}
	return ready;
}
