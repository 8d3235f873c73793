/* SPDX-License-Identifier: MIT */

/* A request's target as it was read: see asked.h. */

#include "nmi/front/asked.h"

#include "lib/base/mem.h"

#include <string.h>

struct asked *asked_new(const struct route *route, const struct query *q)
{
	const char *value = q->selector.value ? q->selector.value : "";
	size_t resource_size = strlen(q->resource) + 1, value_size = strlen(value) + 1;
	struct asked *a = xcalloc(1, sizeof(*a) + resource_size + value_size);

	memcpy(a->text, q->resource, resource_size);
	memcpy(a->text + resource_size, value, value_size);
	a->route = route;
	a->resource = a->text;
	a->selector = (struct selector){ q->selector.kind, a->text + resource_size };
	a->bypass_cache = q->bypass_cache;
	return a;
}
