/* SPDX-License-Identifier: MIT */

/*
 * The metrics page. What some of its values are is asked of the kernel, in milliseconds where thousands of files are
 * open, and pods reach the port too. So it is made as often as anybody needs it; who asks more often has the
 * last one again. That is so for each format by itself, or who takes all that is made in one could keep whoever reads
 * the other at an old page, and nobody would be alerted.
 */

#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "lib/loop/loop.h"
#include "nmi/front/accept.h"
#include "nmi/front/internal.h"
#include "nmi/limits.h"

/* Several Accept headers are one list; who scrapes sends one, and the last counts here. */
static void on_header(void *ctx, const char *name, const char *value)
{
	enum metric_format *format = ctx;

	if (value && str_ieq(str_of(name), STR("accept")))
		*format = accept_format(str_of(value));
}

static struct response *make_page(struct front *f, enum metric_format format)
{
	struct response_spec spec = {
		.status = 200,
		.headers = { { "Content-Type", metric_content_type(format) } },
	};

	if (f->spec.before_metrics)
		f->spec.before_metrics(f->spec.before_metrics_ctx);
	spec.body = f->spec.metrics ? metrics_print_as(f->spec.metrics, format, &spec.body_len)
				    : xstrdup("");
	return response_new(&spec);
}

void h_metrics(struct front *f, struct exchange *x, const struct target *t)
{
	enum metric_format format = METRIC_TEXT;

	(void)t;
	if (f->spec.metrics)
		exchange_each_header(x, on_header, &format);
	/* the first of a format finds its bucket full */
	if (bucket_try(&f->metrics_pages[format].made, LIMIT_SCRAPE_MSEC * UINT64_C(1000000),
		       LIMIT_SCRAPE_BURST, loop_mono(f->loop))) {
		response_unref(f->metrics_pages[format].last);
		f->metrics_pages[format].last = make_page(f, format);
	}
	exchange_answer(x, f->metrics_pages[format].last);
}
