/* SPDX-License-Identifier: MIT */

/* The metrics page. */

#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "nmi/front/internal.h"

void h_metrics(struct front *f, struct exchange *x, const struct target *t)
{
	size_t n = 0;
	char *text;

	(void)t;
	if (f->spec.before_metrics)
		f->spec.before_metrics(f->spec.before_metrics_ctx);
	text = f->spec.metrics ? metrics_print(f->spec.metrics, &n) : xstrdup("");
	front_page(f, x, 200, "text/plain; version=0.0.4; charset=utf-8", text, n);
}
