/* SPDX-License-Identifier: MIT */

/* Label and field selectors: see select.h. */

#include "tests/sandbox/apiserver/select.h"

#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/kind.h"
#include "tests/sandbox/apiserver/names.h"

#include <ctype.h>
#include <string.h>

/* terms */

static void term_deinit(struct select_term *t)
{
	for (size_t i = 0; i < t->n_values; i++)
		free(t->values[i]);
	free(t->values);
	free(t->key);
	*t = (struct select_term){ 0 };
}

static void term_add_value(struct select_term *t, char *value_take)
{
	t->values = xrealloc(t->values, (t->n_values + 1) * sizeof(char *));
	t->values[t->n_values++] = value_take;
}

static void terms_free(struct select_term *terms, size_t n)
{
	for (size_t i = 0; i < n; i++)
		term_deinit(&terms[i]);
	free(terms);
}

struct terms {
	struct select_term *p;
	size_t n;
};

static void terms_deinit(struct terms *t)
{
	terms_free(t->p, t->n);
	*t = (struct terms){ 0 };
}

static struct select_term *terms_add(struct terms *t, enum select_op op, char *key_take)
{
	t->p = xrealloc(t->p, (t->n + 1) * sizeof(struct select_term));
	t->p[t->n] = (struct select_term){ .op = op, .key = key_take };
	return &t->p[t->n++];
}

static void append(struct select_term **to, size_t *n, struct terms *from)
{
	if (!from->n)
		return;
	*to = xrealloc(*to, (*n + from->n) * sizeof(struct select_term));
	memcpy(*to + *n, from->p, from->n * sizeof(struct select_term));
	*n += from->n;
	free(from->p);
	*from = (struct terms){ 0 };
}

void selector_deinit(struct selector *s)
{
	terms_free(s->labels, s->n_labels);
	terms_free(s->fields, s->n_fields);
	*s = (struct selector){ 0 };
}

/* labels: a lexer over what is left of the text, and one function a rule of the grammar */

static void skip_space(const char **p)
{
	*p += strspn(*p, " \t\r\n");
}

static char *take_word(const char **p)
{
	size_t n;
	char *word;

	skip_space(p);
	n = strcspn(*p, "=!(),<> \t\r\n");
	word = xstrndup(*p, n);
	*p += n;
	return word;
}

static bool take(const char **p, const char *token)
{
	size_t n = strlen(token);

	skip_space(p);
	if (strncmp(*p, token, n) != 0)
		return false;
	*p += n;
	return true;
}

static int bad(struct err *err, const char *p, const char *expected)
{
	size_t n = strcspn(p, ",");

	return err_set(err, ERR_INPUT, "unable to parse requirement: found '%.*s', expected: %s",
		       n > 60 ? 60 : (int)n, p, expected);
}

static int add_checked(struct select_term *t, char *value_take, struct err *err)
{
	const char *why = names_check_label_value(value_take);

	term_add_value(t, value_take);
	if (why)
		return err_set(err, ERR_INPUT,
			       "unable to parse requirement: values[0][%.60s]: Invalid value: "
			       "\"%.40s\": %.80s",
			       t->key, value_take, why);
	return 0;
}

static int parse_set(const char **p, struct select_term *t, struct err *err)
{
	if (!take(p, "("))
		return bad(err, *p, "'('");
	for (;;) {
		if (add_checked(t, take_word(p), err) < 0)
			return -ERR_INPUT;
		if (take(p, ")"))
			return 0;
		if (!take(p, ","))
			return bad(err, *p, "',', or ')'");
	}
}

static int parse_operand(const char **p, struct select_term *t, struct err *err)
{
	_cleanup_free_ char *word = NULL;

	if (take(p, "==") || take(p, "=")) {
		t->op = SELECT_IN;
		return add_checked(t, take_word(p), err);
	}
	if (take(p, "!=")) {
		t->op = SELECT_NOT_IN;
		return add_checked(t, take_word(p), err);
	}
	if (take(p, ">") || take(p, "<")) {
		t->op = (*p)[-1] == '>' ? SELECT_GT : SELECT_LT;
		word = take_word(p);
		if (!*word || strspn(word, "0123456789") != strlen(word))
			return bad(err, *p, "an integer");
		term_add_value(t, steal_ptr(word));
		return 0;
	}
	skip_space(p);
	if (!**p || **p == ',')
		return 0; /* the key alone: it exists */
	word = take_word(p);
	if (strcmp(word, "in") != 0 && strcmp(word, "notin") != 0)
		return bad(err, *word ? word : *p, "in, notin, =, ==, !=, gt, lt");
	t->op = word[0] == 'i' ? SELECT_IN : SELECT_NOT_IN;
	return parse_set(p, t, err);
}

static int parse_label_term(const char **p, struct terms *terms, struct err *err)
{
	skip_space(p);
	bool absent = (*p)[0] == '!' && (*p)[1] != '=' && take(p, "!");
	char *key = take_word(p);
	struct select_term *t = terms_add(terms, SELECT_EXISTS, key);
	const char *why;

	if (!*key)
		return bad(err, *p, "!, identifier, or 'end of string'");
	why = names_check_qualified(key);
	if (why)
		return err_set(err, ERR_INPUT,
			       "unable to parse requirement: key: Invalid value: \"%.60s\": %.120s",
			       key, why);
	if (absent) {
		t->op = SELECT_NOT_EXISTS;
		return 0;
	}
	return parse_operand(p, t, err);
}

int selector_parse_labels(struct selector *s, const char *text, struct err *err)
{
	_cleanup_(terms_deinit) struct terms terms = { 0 };
	const char *p = text;

	skip_space(&p);
	while (*p) {
		int r = parse_label_term(&p, &terms, err);

		if (r < 0)
			return r;
		skip_space(&p);
		if (*p && !take(&p, ","))
			return bad(err, p, "',' or 'end of string'");
	}
	append(&s->labels, &s->n_labels, &terms);
	return 0;
}

/* fields */

/* Up to an unescaped comma or operator; the escapes \\ \, \= are undone. */
static char *take_field_part(const char **p, bool is_value, struct err *err)
{
	char *out = xstrdup(*p);
	size_t n = 0;

	while (**p && **p != ',') {
		if (!is_value && (**p == '=' || ((*p)[0] == '!' && (*p)[1] == '=')))
			break;
		if (is_value && **p == '=') {
			(void)err_set(err, ERR_INPUT, "invalid field selector: unescaped '='");
			free(out);
			return NULL;
		}
		if (is_value && **p == '\\') {
			(*p)++;
			if (!**p || !strchr("\\,=", **p)) {
				(void)err_set(err, ERR_INPUT,
					      "invalid field selector: invalid escape sequence");
				free(out);
				return NULL;
			}
		}
		out[n++] = *(*p)++;
	}
	out[n] = '\0';
	return out;
}

static int parse_field_term(const char **p, const char *text, struct terms *terms, struct err *err)
{
	struct select_term *t;
	char *value;

	t = terms_add(terms, SELECT_IN, take_field_part(p, false, err));
	if (strncmp(*p, "!=", 2) == 0) {
		t->op = SELECT_NOT_IN;
		*p += 2;
	} else if (strncmp(*p, "==", 2) == 0) {
		*p += 2;
	} else if (**p == '=') {
		*p += 1;
	} else {
		return err_set(err, ERR_INPUT,
			       "invalid selector: '%.80s'; can't understand '%.80s'", text, t->key);
	}
	value = take_field_part(p, true, err);
	if (!value)
		return -ERR_INPUT;
	term_add_value(t, value);
	return 0;
}

int selector_parse_fields(struct selector *s, const char *text, struct err *err)
{
	_cleanup_(terms_deinit) struct terms terms = { 0 };
	const char *p = text;

	while (*p) {
		int r = 0;

		if (*p != ',') /* an empty part means nothing */
			r = parse_field_term(&p, text, &terms, err);
		if (r < 0)
			return r;
		if (*p == ',')
			p++;
	}
	append(&s->fields, &s->n_fields, &terms);
	return 0;
}

/* clang-format off */
static const struct {
	enum kind_id id;
	const char *field;
} selectable[] = {
	{ KIND_POD, "spec.nodeName" },
	{ KIND_POD, "spec.restartPolicy" },
	{ KIND_POD, "spec.schedulerName" },
	{ KIND_POD, "spec.serviceAccountName" },
	{ KIND_POD, "spec.hostNetwork" },
	{ KIND_POD, "status.phase" },
	{ KIND_POD, "status.podIP" },
	{ KIND_POD, "status.nominatedNodeName" },
	{ KIND_EVENT, "involvedObject.kind" },
	{ KIND_EVENT, "involvedObject.namespace" },
	{ KIND_EVENT, "involvedObject.name" },
	{ KIND_EVENT, "involvedObject.uid" },
	{ KIND_EVENT, "involvedObject.apiVersion" },
	{ KIND_EVENT, "involvedObject.resourceVersion" },
	{ KIND_EVENT, "involvedObject.fieldPath" },
	{ KIND_EVENT, "reason" },
	{ KIND_EVENT, "reportingComponent" },
	{ KIND_EVENT, "source" },
	{ KIND_EVENT, "type" },
	{ KIND_SECRET, "type" },
	{ KIND_NAMESPACE, "status.phase" },
	{ KIND_NODE, "spec.unschedulable" },
};
/* clang-format on */

static bool is_selectable(const struct kind *k, const char *field)
{
	/* metadata.namespace is a label of cluster-wide core kinds too, always empty */
	if (strcmp(field, "metadata.name") == 0)
		return true;
	if (strcmp(field, "metadata.namespace") == 0 && k->id != KIND_NODE)
		return k->namespaced || k->id != KIND_CUSTOM;
	for (size_t i = 0; i < ARRAY_SIZE(selectable); i++) {
		if (selectable[i].id == k->id && strcmp(selectable[i].field, field) == 0)
			return true;
	}
	return false;
}

int selector_check_fields(const struct selector *s, const struct kind *k, struct err *err)
{
	for (size_t i = 0; i < s->n_fields; i++) {
		const char *field = s->fields[i].key;

		if (is_selectable(k, field))
			continue;
		if (k->id == KIND_OTHER || k->id == KIND_LEASE || k->id == KIND_SERVICE_ACCOUNT)
			return err_set(err, ERR_INPUT,
				       "\"%.100s\" is not a known field selector: only "
				       "\"metadata.name\", \"metadata.namespace\"",
				       field);
		return err_set(err, ERR_INPUT, "field label not supported: %.100s", field);
	}
	return 0;
}

bool selector_is_empty(const struct selector *s)
{
	return !s->n_labels && !s->n_fields;
}

/* matching */

static bool has_value(const struct select_term *t, const char *value)
{
	for (size_t i = 0; i < t->n_values; i++) {
		if (strcmp(t->values[i], value) == 0)
			return true;
	}
	return false;
}

static bool compare(const struct select_term *t, const char *value)
{
	char *end;
	long long have = strtoll(value, &end, 10);
	long long want = strtoll(t->values[0], NULL, 10);

	if (end == value || *end)
		return false;
	return t->op == SELECT_GT ? have > want : have < want;
}

static bool match_term(const struct select_term *t, const char *value)
{
	switch (t->op) {
	case SELECT_IN:
		return value && has_value(t, value);
	case SELECT_NOT_IN:
		return !value || !has_value(t, value);
	case SELECT_EXISTS:
		return value;
	case SELECT_NOT_EXISTS:
		return !value;
	case SELECT_GT:
	case SELECT_LT:
		return value && compare(t, value);
	}
	return false;
}

/* The field as the server's field set has it: always there, empty when it is not set. */
static const char *field_value(const json_t *obj, const char *path)
{
	const json_t *v = obj;

	if (strcmp(path, "source") == 0) /* of an Event: its component */
		path = "source.component";
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, ".");

		v = json_object_getn(v, p, n);
		p += n + (p[n] == '.');
	}
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	if (!v &&
	    (strcmp(path, "spec.hostNetwork") == 0 || strcmp(path, "spec.unschedulable") == 0))
		return "false";
	return json_is_string(v) ? json_string_value(v) : "";
}

bool selector_match(const struct selector *s, const json_t *obj)
{
	const json_t *labels = NULL;

	if (s->n_labels)
		labels = json_object_get(json_object_get(obj, "metadata"), "labels");
	for (size_t i = 0; i < s->n_labels; i++) {
		const char *v = json_string_value(json_object_get(labels, s->labels[i].key));

		if (!match_term(&s->labels[i], v))
			return false;
	}
	for (size_t i = 0; i < s->n_fields; i++) {
		if (!match_term(&s->fields[i], field_value(obj, s->fields[i].key)))
			return false;
	}
	return true;
}
