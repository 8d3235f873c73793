/* SPDX-License-Identifier: MIT */

/*
 * How a status is shown: see view.h.
 *
 * Whether pods are kept from the node's own identity is judged by what the kernel has, where it may be read:
 * an agent may be dead, or may say what is not so. Without that the agent's word counts, and without both it
 * is not known, which is said.
 */

#include "nmi/status/view.h"

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/status/ask.h"
#include "nmi/status/fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define COLUMNS 79
#define LABEL	18 /* the longest, with a blank */

/* reading the agent's document, which may lack anything */

static const char *read_str(const struct jval *doc, const char *path)
{
	const char *s = NULL;
	const struct jval_field field[] = { { path, JVAL_STR, JVAL_MAY, &s } };

	return doc && jval_read(doc, field, 1, JVAL_CASE_EXACT, NULL) == 0 ? s : NULL;
}

static bool read_bool(const struct jval *doc, const char *path)
{
	bool b = false;
	const struct jval_field field[] = { { path, JVAL_BOOL, JVAL_MAY, &b } };

	return doc && jval_read(doc, field, 1, JVAL_CASE_EXACT, NULL) == 0 && b;
}

static bool is_str(const struct jval *doc, const char *path, const char *want)
{
	const char *s = read_str(doc, path);

	return s && strcmp(s, want) == 0;
}

/* verdicts */

enum status_exit status_view_exit(const struct status_view *v)
{
	if (!v->agent)
		return STATUS_EXIT_NO_AGENT;
	return read_bool(v->agent, "ready") ? STATUS_EXIT_READY : STATUS_EXIT_NOT_READY;
}

static enum status_protected judge_kernel(const struct status_view *v, bool active,
					  const char **out)
{
	if (v->guards && active) {
		*out = "the agent answers for the metadata service; none of its pods reaches it";
		return STATUS_PROTECTED;
	}
	if (v->guards) {
		*out = "the guard in the kernel keeps pods from the metadata service; they are "
		       "refused until an agent is there";
		return STATUS_PROTECTED;
	}
	*out = active ? "the agent says that rules are in place, but here are none: is this the "
			"network namespace of the node?"
	       : *v->rules
		       ? "no guard stands in the kernel: pods may reach the metadata service, and "
			 "with it the node's own identity"
		       : "no rule of nmi stands in the kernel: pods may reach the metadata "
			 "service, and with it the node's own identity";
	return STATUS_OPEN;
}

enum status_protected status_view_protected(const struct status_view *v, const char **out)
{
	bool active = is_str(v->agent, "rules.state", "active");

	if (is_str(v->agent, "rules.backend", "none") && !v->guards) {
		*out = "there are no rules of nmi (--redirect-backend=none): what keeps pods from "
		       "the metadata service is up to the network plugin";
		return STATUS_UNKNOWN;
	}
	if (v->rules)
		return judge_kernel(v, active, out);
	if (active) {
		*out = "the agent says that its packet rules are in place";
		return STATUS_PROTECTED;
	}
	*out = "the packet rules cannot be read here";
	return STATUS_UNKNOWN;
}

/* text */

static void put(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

/* Words from column `at` on, wrapped to `indent`; ends the line. */
static void put_wrapped(struct buf *b, size_t at, size_t indent, const char *text)
{
	_cleanup_free_ char *clean = xstrdup(text);
	bool first = true;

	status_clean(clean);
	for (const char *p = clean; *(p += strspn(p, " \n\t")); first = false) {
		size_t n = strcspn(p, " \n\t");

		if (!first && at + 1 + n > COLUMNS) {
			char line[64];

			(void)snprintf(line, sizeof(line), "\n%*s", (int)indent, "");
			put(b, line);
			at = indent;
		} else if (!first) {
			put(b, " ");
			at++;
		}
		buf_put(b, p, n);
		at += n;
		p += n;
	}
	put(b, "\n");
}

static void put_line(struct buf *b, const char *label, const char *text)
{
	char left[80];

	(void)snprintf(left, sizeof(left), "  %-*.60s", LABEL, label);
	status_clean(left);
	put(b, left);
	if (strlen(left) > LABEL + 2 || left[LABEL + 1] != ' ')
		put(b, "\n                    "); /* as wide as the column of labels */
	put_wrapped(b, LABEL + 2, LABEL + 2, text);
}

static void print_seconds(char *out, size_t size, int64_t s)
{
	if (s < 120)
		(void)snprintf(out, size, "%" PRId64 " s", s);
	else if (s < (int64_t)2 * 3600)
		(void)snprintf(out, size, "%" PRId64 " min", s / 60);
	else if (s < (int64_t)48 * 3600)
		(void)snprintf(out, size, "%" PRId64 " h", s / 3600);
	else
		(void)snprintf(out, size, "%" PRId64 " d", s / 86400);
}

static void print_number(char *out, size_t size, enum status_kind kind, int64_t n)
{
	time_t at = n;
	struct tm tm;

	switch (kind) {
	case STATUS_TIME:
		if (!gmtime_r(&at, &tm) || !strftime(out, size, "%F %T UTC", &tm))
			(void)snprintf(out, size, "?");
		return;
	case STATUS_SECONDS:
		print_seconds(out, size, n);
		return;
	case STATUS_MSEC:
		(void)snprintf(out, size, "%" PRId64 " ms", n);
		return;
	case STATUS_USEC:
		(void)snprintf(out, size, "%" PRId64 " us", n);
		return;
	case STATUS_KIB:
		(void)snprintf(out, size, "%" PRId64 ".%" PRId64 " MiB", n / 1024,
			       n % 1024 * 10 / 1024);
		return;
	case STATUS_INT:
	case STATUS_STR:
	case STATUS_BOOL:
		(void)snprintf(out, size, "%" PRId64, n);
		return;
	}
}

/* NULL: it is absent, null, or of another type; `room` holds what is made here. */
static const char *print_value(const struct jval *obj, const char *key,
			       const struct status_field *f, char *room, size_t size)
{
	const struct jval *v = jval_get(obj, key);
	int64_t n;

	if (f->kind == STATUS_STR)
		return v ? jval_as_str(v) : NULL;
	if (f->kind == STATUS_BOOL)
		return !v ? NULL : read_bool(obj, key) ? "yes" : "no";
	if (!v || !jval_as_int(v, &n))
		return NULL;
	print_number(room, size, f->kind, n);
	return room;
}

static void put_title(struct buf *b, const char *title)
{
	put(b, "\n");
	put(b, title);
	put(b, "\n");
}

static void put_group(struct buf *b, const struct status_part *part, const struct jval *obj)
{
	const char *key;

	put_title(b, part->title);
	for (size_t i = 0; i < n_status_fields; i++) {
		const struct status_field *f = &status_fields[i];
		char room[64];
		const char *text;

		if (!status_is_in(part, f, &key))
			continue;
		text = print_value(obj, key, f, room, sizeof(room));
		if (text)
			put_line(b, f->label, text);
	}
}

/* "name   value, label value, ..." */
static void put_row(struct buf *b, const struct status_part *part, const struct jval *row)
{
	_cleanup_(buf_deinit) struct buf text = { 0 };
	const char *name = "?", *key;

	for (size_t i = 0; i < n_status_fields; i++) {
		const struct status_field *f = &status_fields[i];
		char room[64];
		const char *value;

		if (!status_is_in(part, f, &key))
			continue;
		value = print_value(row, key, f, room, sizeof(room));
		if (!value)
			continue;
		if (strcmp(key, "name") == 0) {
			name = value;
			continue;
		}
		put(&text, text.n ? ", " : "");
		put(&text, f->label);
		put(&text, *f->label ? " " : "");
		put(&text, value);
	}
	put_line(b, name, text.p ? text.p : "");
}

/* A check says what is wrong, or that nothing is. */
static void put_check(struct buf *b, const struct jval *row)
{
	const char *why = read_str(row, "why"), *name = read_str(row, "name");

	put_line(b, name ? name : "?",
		 read_bool(row, "ok") ? "ok"
		 : why && *why	      ? why
				      : "not as it should be");
}

static void put_list(struct buf *b, const struct status_part *part, const struct jval *list)
{
	size_t n = list ? jval_len(list) : 0;

	if (!n)
		return;
	put_title(b, part->title);
	for (size_t i = 0; i < n; i++) {
		const struct jval *row = jval_at(list, i);

		if (part->kind == STATUS_PART_SENTENCES && jval_as_str(row)) {
			put(b, "  ");
			put_wrapped(b, 2, 4, jval_as_str(row));
		} else if (part->list == STATUS_LIST_check) {
			put_check(b, row);
		} else if (part->kind == STATUS_PART_ROWS) {
			put_row(b, part, row);
		}
	}
}

/* What an operator does about a check that fails. */
static const struct {
	const char *check, *what;
} next_steps[] = {
	{ "redirect", "the rules are tried again by themselves; see below what the kernel has" },
	{ "pods", "see that the API server is reached, and deploy/rbac/nmi.yaml applied" },
	{ "identities", "see that the API server is reached, and deploy/rbac and deploy/crds are "
			"applied" },
	{ "self-test", "what stands in the way is above, and docs/troubleshooting.md has each" },
	{ "listeners", "nothing, if another agent of this node is being replaced; it ends first" },
};

static void put_not_ready(struct buf *b, const struct jval *agent)
{
	const struct jval *checks = jval_get(agent, "checks");
	size_t n = checks ? jval_len(checks) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct jval *row = jval_at(checks, i);
		const char *name = read_str(row, "name"), *why = read_str(row, "why");

		if (read_bool(row, "ok"))
			continue;
		put_line(b, name ? name : "?", why ? why : "?");
		for (size_t k = 0; name && k < ARRAY_SIZE(next_steps); k++)
			if (strcmp(name, next_steps[k].check) == 0)
				put_line(b, "  what to do", next_steps[k].what);
	}
}

static void put_head(struct buf *b, const struct status_view *v)
{
	static const char *const verdicts[] = {
		[STATUS_PROTECTED] = "Protected: ",
		[STATUS_OPEN] = "NOT PROTECTED: ",
		[STATUS_UNKNOWN] = "Protection not known: ",
	};
	const char *words, *verdict = verdicts[status_view_protected(v, &words)];

	put(b, verdict);
	put_wrapped(b, strlen(verdict), 2, words);
	switch (status_view_exit(v)) {
	case STATUS_EXIT_READY:
		put(b, "Ready: the agent serves pods\n");
		return;
	case STATUS_EXIT_NOT_READY:
		put(b, "NOT READY: pods wait, or are refused\n");
		put_not_ready(b, v->agent);
		return;
	case STATUS_EXIT_NO_AGENT:
		put(b, "NO AGENT: ");
		put_wrapped(b, 10, 2, v->agent_error ? v->agent_error : "it does not answer");
		return;
	}
}

static void put_rules(struct buf *b, const struct status_view *v)
{
	_cleanup_free_ char *clean = v->rules ? xstrdup(v->rules) : NULL;

	put_title(b, "Rules in the kernel");
	if (!clean) {
		put(b, "  ");
		put_wrapped(b, 2, 4, v->rules_error ? v->rules_error : "not read");
	} else if (!*clean) {
		put(b, "  none of nmi\n");
	} else {
		status_clean(clean);
		put(b, clean);
	}
}

char *status_view_text(const struct status_view *v)
{
	struct buf b = { 0 };

	put_head(&b, v);
	for (size_t i = 0; v->agent && i < n_status_parts; i++) {
		const struct status_part *part = &status_parts[i];
		const struct jval *at = *part->key ? jval_get(v->agent, part->key) : v->agent;

		if (at && part->kind == STATUS_PART_GROUP)
			put_group(&b, part, at);
		else
			put_list(&b, part, at);
	}
	put_rules(&b, v);
	return buf_steal(&b, NULL);
}

char *status_view_json(const struct status_view *v)
{
	struct jval *doc = jval_new_obj();
	enum status_protected protected;
	const char *words;
	char *text;
	size_t n;

	protected = status_view_protected(v, &words);
	jval_put_int(doc, "schema", STATUS_SCHEMA);
	if (protected == STATUS_UNKNOWN)
		jval_put_null(doc, "protected");
	else
		jval_put_bool(doc, "protected", protected == STATUS_PROTECTED);
	jval_put_str(doc, "protected_why", words);
	jval_put_bool(doc, "ready", status_view_exit(v) == STATUS_EXIT_READY);
	if (v->agent)
		jval_put_val(doc, "agent", v->agent);
	else
		jval_put_null(doc, "agent");
	jval_put_str(doc, "agent_error", v->agent ? NULL : v->agent_error);
	jval_put_str(doc, "rules", v->rules);
	jval_put_str(doc, "rules_error", v->rules ? NULL : v->rules_error);
	text = jval_print_indented(doc, &n);
	(void)jval_free(doc);
	text = xrealloc(text, n + 2);
	memcpy(text + n, "\n", 2);
	return text;
}
