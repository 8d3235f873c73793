/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"

#include <stddef.h>

/*
 * Counters, gauges and histograms from a table (metrics.def), printed in the Prometheus text format
 * 0.0.4 or as OpenMetrics 1.0. A metric without labels is there from the start, at 0; with labels, each
 * series appears with its first sample. There are at most `max_series` of a metric: past that every
 * label value becomes "other" in one series more, since label values can come from a pod. Names, help and
 * label names are ours and printed as they are; label values may be anything.
 *
 * OpenMetrics wants the samples of a counter to end in _total, which the names that are kept for
 * aad-pod-identity's dashboards do not. Such a counter is of type `unknown` there, as Prometheus' own
 * client library has it: the name stays, and rate() works as before.
 * https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
 */
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_LABELS_MAX 4

struct metric_desc {
	const char *name;
	enum metric_type type;
	const char *help;
	const char *labels[METRIC_LABELS_MAX]; /* names; NULL past the last */
	const double *buckets; /* histograms: upper bounds, ascending, without +Inf */
	size_t n_buckets;
};

struct metrics;

struct metrics *metrics_new(const struct metric_desc *descs, size_t n, size_t max_series);
struct metrics *metrics_free(struct metrics *m);
DEFINE_CLEANUP(struct metrics, metrics_free);

/*
 * `id` is the index in descs; `values` has as many entries as the metric has labels, NULL for none.
 * NULL metrics: nothing happens.
 */
void metric_add(struct metrics *m, size_t id, const char *const *values, double v);
void metric_set(struct metrics *m, size_t id, const char *const *values, double v);
void metric_observe(struct metrics *m, size_t id, const char *const *values, double v);
/*
 * A histogram's series, made if there is none, for whoever has many samples of it: it stays as long as the
 * metrics, and past the limit of series it is the one of "other".
 */
struct metric_series;
struct metric_series *metric_series(struct metrics *m, size_t id, const char *const *values);
void metric_series_observe(struct metric_series *s, double v);
/* A value, or a histogram's count of samples; 0 if absent. */
double metric_get(const struct metrics *m, size_t id, const char *const *values);
/* That of all series together. */
double metric_sum(const struct metrics *m, size_t id);

enum metric_format { METRIC_TEXT, METRIC_OPENMETRICS };
#define METRIC_FORMATS 2

/* The whole page, on the heap; its Content-Type. The first is of METRIC_TEXT. */
char *metrics_print(const struct metrics *m, size_t *out_len);
char *metrics_print_as(const struct metrics *m, enum metric_format format, size_t *out_len);
const char *metric_content_type(enum metric_format format);
