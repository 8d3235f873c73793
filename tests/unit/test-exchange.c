/* SPDX-License-Identifier: MIT */

#include "lib/base/metric.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/token/exchange.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct {
	long status; /* 0: no answer, because of: */
	enum err_kind kind;
	const char *label;
} rows[] = {
	{ 200, ERR_NONE, "200" },      { 429, ERR_NONE, "429" },	{ 599, ERR_NONE, "599" },
	{ 0, ERR_TIMEOUT, "timeout" }, { 0, ERR_UNAVAILABLE, "error" }, { 0, ERR_LIMIT, "error" },
	{ 600, ERR_NONE, "other" },    { 20000, ERR_NONE, "other" },	{ -1, ERR_NONE, "other" },
};

START_TEST(an_exchange_is_counted_by_source_and_outcome)
{
	struct metrics *m = metrics_new(nmi_metric_descs, NMI_METRICS, LIMIT_METRIC_SERIES);
	const struct http_reply reply = { .status = rows[_i].status };
	const struct err err = { .kind = rows[_i].kind };
	const char *const labels[] = { "imds", rows[_i].label };
	char *page;

	token_exchange_count(m, "imds", rows[_i].status ? &reply : NULL, &err, 0.25);
	token_exchange_count(m, "imds", rows[_i].status ? &reply : NULL, &err, 0.5);
	ck_assert_double_eq(metric_get(m, NMI_METRIC_UPSTREAM, labels), 2);
	ck_assert_double_eq(metric_sum(m, NMI_METRIC_UPSTREAM), 2);
	page = metrics_print(m, NULL);
	ck_assert_ptr_nonnull(strstr(page, "nmi_upstream_request_duration_seconds_sum{"));
	ck_assert_ptr_nonnull(strstr(page, "} 0.75\n"));
	free(page);
	metrics_free(m);
}
END_TEST

START_TEST(without_metrics_nothing_happens)
{
	token_exchange_count(NULL, "imds", NULL, NULL, 1);
}
END_TEST

UNIT_MAIN("exchange", UNIT_LOOP(an_exchange_is_counted_by_source_and_outcome, rows),
	  UNIT(without_metrics_nothing_happens))
