/* SPDX-License-Identifier: MIT */

/* The metrics page. */

#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "nmi/front/accept.h"
#include "nmi/front/internal.h"

/* Several Accept headers are one list; who scrapes sends one, and the last counts here. */
static void on_header(void *ctx, const char *name, const char *value)
{
	enum metric_format *format = ctx;

	if (value && str_ieq(str_of(name), STR("accept")))
		*format = accept_format(str_of(value));
}

void h_metrics(struct front *f, struct exchange *x, const struct target *t)
{
	enum metric_format format = METRIC_TEXT;
	size_t n = 0;
	char *text;

	(void)t;
	if (f->spec.metrics)
		exchange_each_header(x, on_header, &format);
	if (f->spec.before_metrics)
		f->spec.before_metrics(f->spec.before_metrics_ctx);
	text = f->spec.metrics ? metrics_print_as(f->spec.metrics, format, &n) : xstrdup("");
	front_page(f, x, 200, metric_content_type(format), text, n);
}
