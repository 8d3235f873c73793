/* SPDX-License-Identifier: MIT */

/*
 * Metrics: see metric.h.
 *
 * A series is found by its label values joined with 0x1f, which no label value may contain (it is
 * replaced). The two formats differ in the counters' names, in how a bucket's bound is spelt, and in
 * the end. A histogram's series therefore changes with the format that is asked for (le="1" or "1.0"),
 * as it does with every exporter; Prometheus 3 evens it out.
 */

#include "lib/base/metric.h"

#include "lib/base/hmap.h"
#include "lib/base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 255 /* the old agent's library dropped samples with longer label values */
#define KEY_MAX	  (METRIC_LABELS_MAX * (VALUE_MAX + 1) + 1)
#define SEPARATOR '\x1f'

struct metric_series {
	struct hmap_node node;
	const struct metric_desc *desc;
	char *key;	  /* label values, each followed by SEPARATOR */
	double value;	  /* counter, gauge; a histogram's sum */
	uint64_t *counts; /* histogram: by bucket, +Inf last; not cumulated */
};

struct family {
	const struct metric_desc *desc;
	size_t n_labels;
	struct hmap series;
	struct metric_series *only; /* without labels */
};

struct metrics {
	struct family *families;
	size_t n, max_series;
};

/* Values are cut and made printable here, once, so that printing only has to quote. */
static size_t make_key(char key[static KEY_MAX], const struct family *f, const char *const *values)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_labels; i++) {
		const char *v = values[i] ? values[i] : "";

		for (size_t k = 0; k < VALUE_MAX && v[k]; k++)
			key[n++] = (char)(v[k] >= ' ' && v[k] < 0x7f ? v[k] : '?');
		key[n++] = SEPARATOR;
	}
	key[n] = '\0';
	return n;
}

static struct str key_of(const struct hmap_node *n)
{
	return str_of(container_of(n, struct metric_series, node)->key);
}

static struct metric_series *find(const struct family *f, const char *key, size_t n)
{
	struct hmap_node *node = hmap_find(&f->series, key, n);

	return node ? container_of(node, struct metric_series, node) : NULL;
}

static struct metric_series *get_labelled(struct metrics *m, size_t id, const char *const *values)
{
	static const char *const other[METRIC_LABELS_MAX] = { "other", "other", "other", "other" };
	struct family *f = &m->families[id];
	char key[KEY_MAX];
	size_t n = make_key(key, f, values);
	struct metric_series *s = find(f, key, n);

	if (!s && f->n_labels && hmap_count(&f->series) >= m->max_series) {
		n = make_key(key, f, other);
		s = find(f, key, n);
	}
	if (s)
		return s;
	s = xnew(struct metric_series);
	s->key = xstrdup(key);
	s->desc = f->desc;
	if (f->desc->type == METRIC_HISTOGRAM)
		s->counts = xcalloc(f->desc->n_buckets + 1, sizeof(uint64_t));
	hmap_add(&f->series, &s->node, key_of);
	return s;
}

/* The series of these values, made if there is none. */
static struct metric_series *get(struct metrics *m, size_t id, const char *const *values)
{
	struct family *f = &m->families[id];

	if (f->n_labels)
		return get_labelled(m, id, values);
	if (!f->only)
		f->only = get_labelled(m, id, NULL);
	return f->only;
}

struct metrics *metrics_new(const struct metric_desc *descs, size_t n, size_t max_series)
{
	struct metrics *m = xnew(struct metrics);

	m->families = xcalloc(n, sizeof(struct family));
	m->n = n;
	m->max_series = max_series;
	for (size_t i = 0; i < n; i++) {
		m->families[i].desc = &descs[i];
		while (m->families[i].n_labels < METRIC_LABELS_MAX &&
		       descs[i].labels[m->families[i].n_labels])
			m->families[i].n_labels++;
		if (!m->families[i].n_labels)
			(void)get(m, i,
				  NULL); /* a counter that never counted reads 0, not nothing */
	}
	return m;
}

struct metrics *metrics_free(struct metrics *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < m->n; i++) {
		hmap_for_each_safe (node, next, &m->families[i].series) {
			struct metric_series *s = container_of(node, struct metric_series, node);

			hmap_del(&m->families[i].series, node);
			free(s->counts);
			free(s->key);
			free(s);
		}
	}
	free(m->families);
	free(m);
	return NULL;
}

void metric_add(struct metrics *m, size_t id, const char *const *values, double v)
{
	if (m)
		get(m, id, values)->value += v;
}

void metric_set(struct metrics *m, size_t id, const char *const *values, double v)
{
	if (m)
		get(m, id, values)->value = v;
}

struct metric_series *metric_series(struct metrics *m, size_t id, const char *const *values)
{
	assert(m->families[id].desc->type == METRIC_HISTOGRAM);
	return get(m, id, values);
}

void metric_series_observe(struct metric_series *s, double v)
{
	const struct metric_desc *d = s->desc;
	size_t i = 0;

	while (i < d->n_buckets && v > d->buckets[i])
		i++;
	s->counts[i]++;
	s->value += v;
}

void metric_observe(struct metrics *m, size_t id, const char *const *values, double v)
{
	if (m)
		metric_series_observe(get(m, id, values), v);
}

static double value_of(const struct family *f, const struct metric_series *s)
{
	double count = 0;

	if (!s->counts)
		return s->value;
	for (size_t i = 0; i <= f->desc->n_buckets; i++)
		count += (double)s->counts[i];
	return count;
}

double metric_sum(const struct metrics *m, size_t id)
{
	double sum = 0;

	if (!m)
		return 0;
	for (struct hmap_node *n = hmap_first(&m->families[id].series); n; n = hmap_next(n))
		sum += value_of(&m->families[id], container_of(n, struct metric_series, node));
	return sum;
}

double metric_get(const struct metrics *m, size_t id, const char *const *values)
{
	const struct metric_series *s;
	char key[KEY_MAX];

	if (!m)
		return 0;
	s = find(&m->families[id], key, make_key(key, &m->families[id], values));
	return s ? value_of(&m->families[id], s) : 0;
}

static void print_labels(FILE *f, const struct family *fam, const char *key, const char *le)
{
	const char *p = key;

	if (!fam->n_labels && !le)
		return;
	fputc('{', f);
	for (size_t i = 0; i < fam->n_labels; i++) {
		fprintf(f, "%s%s=\"", i ? "," : "", fam->desc->labels[i]);
		for (; *p != SEPARATOR; p++) {
			if (*p == '"' || *p == '\\')
				fputc('\\', f);
			fputc(*p, f);
		}
		p++;
		fputc('"', f);
	}
	if (le)
		fprintf(f, "%sle=\"%s\"", fam->n_labels ? "," : "", le);
	fputc('}', f);
}

/* OpenMetrics wants a bound to be a float at sight. */
static void print_bound(char *le, size_t size, double bound, enum metric_format format)
{
	snprintf(le, size, "%g", bound);
	if (format == METRIC_OPENMETRICS && !strpbrk(le, ".e"))
		snprintf(le, size, "%g.0", bound);
}

static void print_histogram(FILE *f, const struct family *fam, const struct metric_series *s,
			    enum metric_format format)
{
	const struct metric_desc *d = fam->desc;
	uint64_t sum = 0;

	for (size_t i = 0; i <= d->n_buckets; i++) {
		char le[32] = "+Inf";

		if (i < d->n_buckets)
			print_bound(le, sizeof(le), d->buckets[i], format);
		sum += s->counts[i];
		fprintf(f, "%s_bucket", d->name);
		print_labels(f, fam, s->key, le);
		fprintf(f, " %" PRIu64 "\n", sum);
	}
	fprintf(f, "%s_sum", d->name);
	print_labels(f, fam, s->key, NULL);
	fprintf(f, " %.15g\n%s_count", s->value, d->name);
	print_labels(f, fam, s->key, NULL);
	fprintf(f, " %" PRIu64 "\n", sum);
}

/* HELP and TYPE; of a counter OpenMetrics has the name without _total. */
static void print_head(FILE *f, const struct metric_desc *d, enum metric_format format)
{
	static const char *const types[] = { [METRIC_COUNTER] = "counter",
					     [METRIC_GAUGE] = "gauge",
					     [METRIC_HISTOGRAM] = "histogram" };
	static const char total[] = "_total";
	const size_t suffix = sizeof(total) - 1;
	const char *type = types[d->type];
	size_t n = strlen(d->name);

	if (format == METRIC_OPENMETRICS && d->type == METRIC_COUNTER) {
		if (n > suffix && strcmp(d->name + n - suffix, total) == 0)
			n -= suffix;
		else
			type = "unknown";
	}
	fprintf(f, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)n, d->name, d->help, (int)n, d->name,
		type);
}

static void print_family(FILE *f, const struct family *fam, enum metric_format format)
{
	print_head(f, fam->desc, format);
	hmap_for_each_safe (node, next, &fam->series) {
		const struct metric_series *s = container_of(node, struct metric_series, node);

		if (s->counts) {
			print_histogram(f, fam, s, format);
			continue;
		}
		fputs(fam->desc->name, f);
		print_labels(f, fam, s->key, NULL);
		fprintf(f, " %.15g\n", s->value);
	}
}

char *metrics_print_as(const struct metrics *m, enum metric_format format, size_t *out_len)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		out_of_memory();
	for (size_t i = 0; i < m->n; i++) {
		if (hmap_count(&m->families[i].series))
			print_family(f, &m->families[i], format);
	}
	if (format == METRIC_OPENMETRICS)
		fputs("# EOF\n", f);
	if (fclose(f) != 0)
		out_of_memory();
	if (out_len)
		*out_len = len;
	return text;
}

char *metrics_print(const struct metrics *m, size_t *out_len)
{
	return metrics_print_as(m, METRIC_TEXT, out_len);
}

const char *metric_content_type(enum metric_format format)
{
	switch (format) {
	case METRIC_TEXT:
		break;
	case METRIC_OPENMETRICS:
		return "application/openmetrics-text; version=1.0.0; charset=utf-8";
	}
	return "text/plain; version=0.0.4; charset=utf-8";
}
