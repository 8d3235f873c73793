/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <string.h>

/* What the text format demands of names; and what the metric's printer relies on: no quoting needed. */
static bool is_name(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(s) &&
	       !strspn(s, "0123456789");
}

START_TEST(every_metric_has_a_valid_name_of_its_own_and_help)
{
	const struct metric_desc *d = &nmi_metric_descs[_i];

	ck_assert(is_name(d->name));
	ck_assert(strncmp(d->name, "nmi_", 4) == 0 || strncmp(d->name, "process_", 8) == 0 ||
		  strncmp(d->name, "aadpodidentity_", 15) == 0);
	ck_assert(*d->help && !strpbrk(d->help, "\n\\\""));
	for (int i = 0; i < _i; i++)
		ck_assert_str_ne(nmi_metric_descs[i].name, d->name);
}
END_TEST

START_TEST(labels_are_names_and_none_is_le)
{
	const struct metric_desc *d = &nmi_metric_descs[_i];

	for (size_t i = 0; i < METRIC_LABELS_MAX && d->labels[i]; i++) {
		ck_assert(is_name(d->labels[i]));
		ck_assert_str_ne(d->labels[i], "le");
		ck_assert_str_ne(d->labels[i], "quantile");
	}
}
END_TEST

START_TEST(buckets_belong_to_histograms_and_ascend)
{
	const struct metric_desc *d = &nmi_metric_descs[_i];

	ck_assert_int_eq(d->n_buckets > 0, d->type == METRIC_HISTOGRAM);
	for (size_t i = 1; i < d->n_buckets; i++)
		ck_assert_double_gt(d->buckets[i], d->buckets[i - 1]);
}
END_TEST

START_TEST(our_own_counters_end_in_total)
{
	const struct metric_desc *d = &nmi_metric_descs[_i];
	size_t n = strlen(d->name);

	if (strncmp(d->name, "aadpodidentity_", 15) != 0)
		ck_assert_int_eq(n > 6 && strcmp(d->name + n - 6, "_total") == 0,
				 d->type == METRIC_COUNTER);
}
END_TEST

/* aad-pod-identity's dashboards and alerts ask for these; a changed name breaks them silently. */
static const struct {
	enum nmi_metric id;
	const char *name;
	const char *labels[METRIC_LABELS_MAX];
} old[] = {
	{ NMI_METRIC_OPERATION,
	  "aadpodidentity_nmi_operations_duration_seconds",
	  { "namespace", "operation_type", "resource", "status_code" } },
	{ NMI_METRIC_IMDS_DURATION,
	  "aadpodidentity_imds_operations_duration_seconds",
	  { "operation_type" } },
	{ NMI_METRIC_IMDS_ERRORS,
	  "aadpodidentity_imds_operations_errors_count",
	  { "operation_type" } },
	{ NMI_METRIC_KUBE_ERRORS,
	  "aadpodidentity_kubernetes_api_operations_errors_count",
	  { "operation_type" } },
};

START_TEST(the_old_agents_metrics_keep_their_names_and_labels)
{
	const struct metric_desc *d = &nmi_metric_descs[old[_i].id];

	ck_assert_str_eq(d->name, old[_i].name);
	for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
		ck_assert_pstr_eq(d->labels[i], old[_i].labels[i]);
}
END_TEST

START_TEST(a_page_of_all_of_them_shows_those_without_labels)
{
	struct metrics *m = metrics_new(nmi_metric_descs, NMI_METRICS, LIMIT_METRIC_SERIES);
	char *page = metrics_print(m, NULL);

	for (size_t i = 0; i < NMI_METRICS; i++)
		ck_assert_int_eq(strstr(page, nmi_metric_descs[i].name) != NULL,
				 nmi_metric_descs[i].labels[0] == NULL);
	free(page);
	metrics_free(m);
}
END_TEST

UNIT_MAIN("metrics", UNIT_LOOP(every_metric_has_a_valid_name_of_its_own_and_help, nmi_metric_descs),
	  UNIT_LOOP(labels_are_names_and_none_is_le, nmi_metric_descs),
	  UNIT_LOOP(buckets_belong_to_histograms_and_ascend, nmi_metric_descs),
	  UNIT_LOOP(our_own_counters_end_in_total, nmi_metric_descs),
	  UNIT_LOOP(the_old_agents_metrics_keep_their_names_and_labels, old),
	  UNIT(a_page_of_all_of_them_shows_those_without_labels))
