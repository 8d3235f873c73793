/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/* Calls fn with each order of n things, n!, the given one first. */
#define ORDERS_MAX 6

static inline void for_each_order(size_t n,
				  void (*fn)(const void *ctx, const size_t *order, size_t n),
				  const void *ctx)
{
	size_t order[ORDERS_MAX] = { 0 }, turns[ORDERS_MAX] = { 0 };

	for (size_t i = 0; i < n; i++)
		order[i] = i;
	fn(ctx, order, n);
	/* Heap's algorithm, without recursion */
	for (size_t i = 1; i < n;) {
		size_t j = i % 2 ? turns[i] : 0, was = order[i];

		if (turns[i] == i) {
			turns[i++] = 0;
			continue;
		}
		order[i] = order[j];
		order[j] = was;
		fn(ctx, order, n);
		turns[i]++;
		i = 1;
	}
}
