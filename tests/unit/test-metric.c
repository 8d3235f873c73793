/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "tests/unit/unit.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const double buckets[] = { .05, 1, 10 };

enum { PLAIN, LABELLED, GAUGE, HISTOGRAM, PLAIN_HISTOGRAM, METRICS };

static const struct metric_desc descs[METRICS] = {
	[PLAIN] = { "t_plain_total", METRIC_COUNTER, "Plain", { NULL }, NULL, 0 },
	[LABELLED] = { "t_labelled_total", METRIC_COUNTER, "With labels", { "a", "b" }, NULL, 0 },
	[GAUGE] = { "t_gauge", METRIC_GAUGE, "A gauge", { NULL }, NULL, 0 },
	[HISTOGRAM] = { "t_seconds", METRIC_HISTOGRAM, "Times", { "kind" }, buckets, 3 },
	[PLAIN_HISTOGRAM] = { "t_plain_seconds", METRIC_HISTOGRAM, "Times", { NULL }, buckets, 3 },
};

static const char *const *labels(const char *a, const char *b)
{
	static const char *values[2];

	values[0] = a;
	values[1] = b;
	return values;
}

START_TEST(the_page_is_what_prometheus_reads)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, PLAIN_HISTOGRAM, 100);
	size_t n = 0;
	char *page;

	metric_add(m, PLAIN, NULL, 1);
	metric_add(m, PLAIN, NULL, 2);
	metric_add(m, LABELLED, labels("x", "y"), 1.5);
	metric_set(m, GAUGE, NULL, 7);
	metric_set(m, GAUGE, NULL, -3);
	metric_observe(m, HISTOGRAM, labels("k", NULL), 0.05);
	metric_observe(m, HISTOGRAM, labels("k", NULL), 0.5);
	metric_observe(m, HISTOGRAM, labels("k", NULL), 0.6);
	metric_observe(m, HISTOGRAM, labels("k", NULL), 99);
	page = metrics_print(m, &n);
	ck_assert_str_eq(page, "# HELP t_plain_total Plain\n"
			       "# TYPE t_plain_total counter\n"
			       "t_plain_total 3\n"
			       "# HELP t_labelled_total With labels\n"
			       "# TYPE t_labelled_total counter\n"
			       "t_labelled_total{a=\"x\",b=\"y\"} 1.5\n"
			       "# HELP t_gauge A gauge\n"
			       "# TYPE t_gauge gauge\n"
			       "t_gauge -3\n"
			       "# HELP t_seconds Times\n"
			       "# TYPE t_seconds histogram\n"
			       "t_seconds_bucket{kind=\"k\",le=\"0.05\"} 1\n"
			       "t_seconds_bucket{kind=\"k\",le=\"1\"} 3\n"
			       "t_seconds_bucket{kind=\"k\",le=\"10\"} 3\n"
			       "t_seconds_bucket{kind=\"k\",le=\"+Inf\"} 4\n"
			       "t_seconds_sum{kind=\"k\"} 100.15\n"
			       "t_seconds_count{kind=\"k\"} 4\n");
	ck_assert_uint_eq(n, strlen(page));
	free(page);
}
END_TEST

START_TEST(as_openmetrics_the_page_differs_where_it_must)
{
	static const struct metric_desc old[] = {
		{ "t_errors_count", METRIC_COUNTER, "An old name", { NULL }, NULL, 0 },
		{ "_total", METRIC_COUNTER, "Nothing else", { NULL }, NULL, 0 },
	};
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, METRICS, 100);
	_cleanup_(metrics_freep) struct metrics *o = metrics_new(old, 2, 100);
	size_t n = 0;
	char *page;

	metric_add(m, PLAIN, NULL, 3);
	metric_observe(m, HISTOGRAM, labels("k", NULL), 0.5);
	page = metrics_print_as(m, METRIC_OPENMETRICS, &n);
	ck_assert_str_eq(page, "# HELP t_plain Plain\n"
			       "# TYPE t_plain counter\n"
			       "t_plain_total 3\n"
			       "# HELP t_gauge A gauge\n"
			       "# TYPE t_gauge gauge\n"
			       "t_gauge 0\n"
			       "# HELP t_seconds Times\n"
			       "# TYPE t_seconds histogram\n"
			       "t_seconds_bucket{kind=\"k\",le=\"0.05\"} 0\n"
			       "t_seconds_bucket{kind=\"k\",le=\"1.0\"} 1\n"
			       "t_seconds_bucket{kind=\"k\",le=\"10.0\"} 1\n"
			       "t_seconds_bucket{kind=\"k\",le=\"+Inf\"} 1\n"
			       "t_seconds_sum{kind=\"k\"} 0.5\n"
			       "t_seconds_count{kind=\"k\"} 1\n"
			       "# HELP t_plain_seconds Times\n"
			       "# TYPE t_plain_seconds histogram\n"
			       "t_plain_seconds_bucket{le=\"0.05\"} 0\n"
			       "t_plain_seconds_bucket{le=\"1.0\"} 0\n"
			       "t_plain_seconds_bucket{le=\"10.0\"} 0\n"
			       "t_plain_seconds_bucket{le=\"+Inf\"} 0\n"
			       "t_plain_seconds_sum 0\n"
			       "t_plain_seconds_count 0\n"
			       "# EOF\n");
	ck_assert_uint_eq(n, strlen(page));
	free(page);
	page = metrics_print_as(o, METRIC_OPENMETRICS, &n);
	ck_assert_str_eq(page, "# HELP t_errors_count An old name\n"
			       "# TYPE t_errors_count unknown\n"
			       "t_errors_count 0\n"
			       "# HELP _total Nothing else\n"
			       "# TYPE _total unknown\n"
			       "_total 0\n"
			       "# EOF\n");
	free(page);
}
END_TEST

START_TEST(without_labels_a_metric_is_there_at_zero_with_labels_it_is_not)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, METRICS, 100);
	char *page = metrics_print(m, NULL);

	ck_assert(strstr(page, "\nt_plain_total 0\n"));
	ck_assert(strstr(page, "\nt_gauge 0\n"));
	ck_assert(strstr(page, "\nt_plain_seconds_bucket{le=\"+Inf\"} 0\n"));
	ck_assert(strstr(page, "\nt_plain_seconds_sum 0\n"));
	ck_assert(!strstr(page, "t_labelled_total"));
	ck_assert(!strstr(page, "t_seconds"));
	free(page);
}
END_TEST

START_TEST(values_are_read_back)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, METRICS, 100);

	ck_assert_double_eq(metric_get(m, LABELLED, labels("x", "y")), 0);
	metric_add(m, LABELLED, labels("x", "y"), 2);
	metric_add(m, LABELLED, labels("y", "x"), 3);
	metric_add(m, LABELLED, labels("xy", ""), 5);
	ck_assert_double_eq(metric_get(m, LABELLED, labels("x", "y")), 2);
	ck_assert_double_eq(metric_get(m, LABELLED, labels("y", "x")), 3);
	ck_assert_double_eq(metric_get(m, LABELLED, labels("xy", NULL)), 5);
	metric_observe(m, PLAIN_HISTOGRAM, NULL, 1);
	metric_observe(m, PLAIN_HISTOGRAM, NULL, 100);
	ck_assert_double_eq(metric_get(m, PLAIN_HISTOGRAM, NULL), 2);
}
END_TEST

START_TEST(no_metrics_is_no_work)
{
	metric_add(NULL, PLAIN, NULL, 1);
	metric_set(NULL, PLAIN, NULL, 1);
	metric_observe(NULL, HISTOGRAM, labels("k", NULL), 1);
	ck_assert_double_eq(metric_get(NULL, PLAIN, NULL), 0);
	ck_assert_ptr_null(metrics_free(NULL));
}
END_TEST

START_TEST(past_the_limit_everything_new_is_other)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, METRICS, 10);
	char *page, name[16];
	size_t lines = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		metric_add(m, LABELLED, labels(name, "y"), 1);
	}
	metric_add(m, LABELLED, labels("3", "y"), 1);
	ck_assert_double_eq(metric_get(m, LABELLED, labels("3", "y")), 2);
	ck_assert_double_eq(metric_get(m, LABELLED, labels("9", "y")), 1);
	ck_assert_double_eq(metric_get(m, LABELLED, labels("10", "y")), 0);
	ck_assert_double_eq(metric_get(m, LABELLED, labels("other", "other")), 990);
	page = metrics_print(m, NULL);
	for (const char *p = page; (p = strstr(p, "\nt_labelled_total")); p++)
		lines++;
	ck_assert_uint_eq(lines, 11);
	free(page);
}
END_TEST

/*
 * The grammar of the text format 0.0.4, as promtool holds it: names, quoting, a value, HELP and TYPE
 * before the samples of a metric and once, samples of a metric together, no series twice; histograms
 * with ascending buckets whose counts never fall, an infinite one that equals the count, and a sum.
 */
static const char *after_name(const char *p)
{
	ck_assert_msg(isalpha((unsigned char)*p) || *p == '_' || *p == ':', "name at: %.40s", p);
	while (isalnum((unsigned char)*p) || *p == '_' || *p == ':')
		p++;
	return p;
}

static const char *after_labels(const char *p)
{
	if (*p != '{')
		return p;
	do {
		p = after_name(p + 1);
		ck_assert_msg(p[0] == '=' && p[1] == '"', "label at: %.40s", p);
		for (p += 2; *p != '"'; p++) {
			ck_assert_msg(*p && *p != '\n', "label value does not end");
			if (*p == '\\') {
				p++;
				ck_assert_msg(*p == '\\' || *p == '"' || *p == 'n', "escape \\%c",
					      *p);
			}
		}
		p++;
	} while (*p == ',');
	ck_assert_msg(*p == '}', "labels end in: %.40s", p);
	return p + 1;
}

static void check_sample(const char *line, const char *family, const char *type)
{
	const char *name_end = after_name(line), *labels_end = after_labels(name_end);
	size_t n = strlen(family);
	char *end;

	ck_assert_msg(strncmp(line, family, n) == 0, "%s under %s", line, family);
	if (strcmp(type, "histogram") == 0)
		ck_assert(strncmp(line + n, "_bucket{", 8) == 0 ||
			  strncmp(line + n, "_sum", 4) == 0 || strncmp(line + n, "_count", 6) == 0);
	else
		ck_assert_ptr_eq(name_end, line + n);
	ck_assert_msg(*labels_end == ' ', "no space before the value: %s", line);
	(void)strtod(labels_end + 1, &end);
	ck_assert_msg(end > labels_end + 1 && !*end, "value: %s", labels_end);
}

static void check_bucket(const char *line, double *last_le, double *last_count)
{
	const char *le = strstr(line, "le=\"");
	double bound, count;

	if (!le)
		return;
	bound = strtod(le + 4, NULL);
	count = strtod(strrchr(line, ' '), NULL);
	if (bound <= *last_le) /* the next series */
		*last_count = 0;
	ck_assert_double_ge(count, *last_count);
	*last_le = bound;
	*last_count = count;
	ck_assert(isinf(bound) || bound < 1e9);
}

static void check_page(char *page)
{
	char family[128] = "", type[32] = "", *seen[2000], *save = NULL;
	double last_le = INFINITY, last_count = 0;
	size_t n_seen = 0;

	ck_assert(!*page || page[strlen(page) - 1] == '\n');
	for (char *line = strtok_r(page, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "# HELP ", 7) == 0) {
			ck_assert_int_eq(sscanf(line + 7, "%127s", family), 1);
			type[0] = '\0';
			last_le = INFINITY;
		} else if (strncmp(line, "# TYPE ", 7) == 0) {
			char name[128];

			ck_assert_int_eq(sscanf(line + 7, "%127s %31s", name, type), 2);
			ck_assert_str_eq(name, family);
		} else {
			ck_assert_msg(type[0], "a sample before its TYPE: %s", line);
			check_sample(line, family, type);
			check_bucket(line, &last_le, &last_count);
			*strrchr(line, ' ') = '\0';
		}
		for (size_t i = 0; i < n_seen; i++)
			ck_assert_msg(strcmp(seen[i], line) != 0, "twice: %s", line);
		ck_assert_uint_lt(n_seen, 2000);
		seen[n_seen++] = line;
	}
}

static const char *const hostile[] = {
	"",	    "\"} 1\nt_forged 1\n", "back\\slash", "\\",	       "\"",
	"\xff\xfe", "\x1f\x1f\x1f",	   "{},=",	  "newline\n", "unprintable \x7f\x01",
};

START_TEST(hostile_label_values_cannot_leave_their_quotes)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, METRICS, 100);
	char *page;

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(hostile); k++)
			metric_add(m, LABELLED, labels(hostile[i], hostile[k]), 1);
		metric_observe(m, HISTOGRAM, labels(hostile[i], NULL), (double)i);
	}
	page = metrics_print(m, NULL);
	ck_assert_ptr_null(strstr(page, "\nt_forged"));
	ck_assert_ptr_null(strpbrk(page, "\x1f\x7f\x01\xff"));
	check_page(page);
	free(page);
}
END_TEST

START_TEST(a_very_long_label_value_is_cut_and_still_a_series)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, METRICS, 100);
	char *value = xcalloc(1, 100001), *page;

	memset(value, '"', 100000);
	metric_add(m, LABELLED, labels(value, value), 1);
	metric_add(m, LABELLED, labels(value, value), 1);
	ck_assert_double_eq(metric_get(m, LABELLED, labels(value, value)), 2);
	page = metrics_print(m, NULL);
	ck_assert_uint_lt(strlen(page), 4000);
	check_page(page);
	free(page);
	free(value);
}
END_TEST

START_TEST(large_counts_keep_their_digits)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, METRICS, 100);
	char *page;

	metric_add(m, PLAIN, NULL, 123456789012.0);
	metric_add(m, PLAIN, NULL, 1);
	page = metrics_print(m, NULL);
	ck_assert(strstr(page, "\nt_plain_total 123456789013\n"));
	free(page);
}
END_TEST

START_TEST(all_series_of_a_metric_are_summed)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new(descs, METRICS, 100);

	ck_assert_double_eq(metric_sum(m, LABELLED), 0);
	metric_add(m, LABELLED, labels("x", "y"), 2);
	metric_add(m, LABELLED, labels("y", "x"), 3);
	metric_add(m, PLAIN, NULL, 7);
	metric_observe(m, HISTOGRAM, labels("k", NULL), 0.5);
	metric_observe(m, HISTOGRAM, labels("l", NULL), 99);
	ck_assert_double_eq(metric_sum(m, LABELLED), 5);
	ck_assert_double_eq(metric_sum(m, PLAIN), 7);
	ck_assert_double_eq(metric_sum(m, HISTOGRAM), 2); /* samples */
	ck_assert_double_eq(metric_sum(NULL, PLAIN), 0);
}
END_TEST

UNIT_MAIN("metric", UNIT(all_series_of_a_metric_are_summed),
	  UNIT(the_page_is_what_prometheus_reads),
	  UNIT(as_openmetrics_the_page_differs_where_it_must),
	  UNIT(without_labels_a_metric_is_there_at_zero_with_labels_it_is_not),
	  UNIT(values_are_read_back), UNIT(no_metrics_is_no_work),
	  UNIT(past_the_limit_everything_new_is_other),
	  UNIT(hostile_label_values_cannot_leave_their_quotes),
	  UNIT(a_very_long_label_value_is_cut_and_still_a_series),
	  UNIT(large_counts_keep_their_digits))
