/* SPDX-License-Identifier: MIT */

/* What exchanges with upstreams take: see exchange.h. */

#include "nmi/token/exchange.h"

#include "nmi/metrics.h"

#include <stdio.h>

void token_exchange_count(struct metrics *m, const char *source, const struct http_reply *reply,
			  const struct err *err, double seconds)
{
	char status[4];
	const char *labels[] = { source, status };

	if (!reply)
		labels[1] = err && err->kind == ERR_TIMEOUT ? "timeout" : "error";
	else if (reply->status < 100 || reply->status > 599)
		labels[1] = "other"; /* what is no status must not become a label of its own */
	else
		(void)snprintf(status, sizeof(status), "%ld", reply->status);
	metric_observe(m, NMI_METRIC_UPSTREAM, labels, seconds);
}
