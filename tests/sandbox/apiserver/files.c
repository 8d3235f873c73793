/* SPDX-License-Identifier: MIT */

/* Files and YAML: see files.h. Anchors are not supported: no manifest here uses them. */

#include "tests/sandbox/apiserver/files.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 64

char *file_read(const char *path, size_t limit, size_t *out_n, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	ssize_t got;

	if (fd < 0) {
		(void)err_set_errno(err, errno, "%s", path);
		return NULL;
	}
	text = xcalloc(limit + 1, 1);
	while ((got = read(fd, text + n, limit - n)) > 0)
		n += (size_t)got;
	if (got < 0) {
		(void)err_set_errno(err, errno, "%s", path);
		return NULL;
	}
	if (n == limit) {
		(void)err_set(err, ERR_LIMIT, "%s: over %zu bytes", path, limit);
		return NULL;
	}
	if (out_n)
		*out_n = n;
	return steal_ptr(text);
}

/* YAML 1.1's plain scalars, as far as Kubernetes' own reader takes them for something else than text. */
static json_t *plain_scalar(const char *s)
{
	char *end;
	long long n;
	double d;

	if (!*s || strcmp(s, "~") == 0 || strcmp(s, "null") == 0)
		return json_null();
	if (strcmp(s, "true") == 0 || strcmp(s, "false") == 0)
		return json_boolean(*s == 't');
	if (!strchr("+-.0123456789", *s))
		return json_string(s);
	errno = 0;
	n = strtoll(s, &end, 10);
	if (!*end && !errno)
		return json_integer(n);
	d = strtod(s, &end);
	return *end || errno ? json_string(s) : json_real(d);
}

struct builder {
	yaml_parser_t parser;
	json_t *stack[DEPTH_MAX];
	char *keys[DEPTH_MAX]; /* of a mapping: the key whose value comes next */
	size_t depth;
	json_t *docs;
	const char *why;
};

static void pop(struct builder *b)
{
	b->depth--;
	free(b->keys[b->depth]);
	b->keys[b->depth] = NULL;
}

/* The value goes where the document is at; a mapping's scalar may be a key. */
static void put_take(struct builder *b, json_t *v, const char *text)
{
	json_t *top;

	if (!b->depth) {
		json_array_append_new(b->docs, v);
		return;
	}
	top = b->stack[b->depth - 1];
	if (json_is_array(top)) {
		json_array_append_new(top, v);
	} else if (b->keys[b->depth - 1]) {
		json_object_set_new(top, b->keys[b->depth - 1], v);
		free(b->keys[b->depth - 1]);
		b->keys[b->depth - 1] = NULL;
	} else if (text) {
		b->keys[b->depth - 1] = xstrdup(text);
		json_decref(v);
	} else {
		b->why = "a key that is not a scalar";
		json_decref(v);
	}
}

static void push_take(struct builder *b, json_t *container)
{
	put_take(b, json_incref(container), NULL);
	if (b->depth == DEPTH_MAX)
		b->why = "too deep";
	if (!b->why)
		b->stack[b->depth++] = container; /* borrowed: its parent holds it */
	json_decref(container);
}

/* False at the end of the stream, or at a mistake. */
static bool on_event(struct builder *b, const yaml_event_t *e)
{
	const char *text;
	json_t *v;

	switch ((int)e->type) {
	case YAML_SCALAR_EVENT:
		text = (const char *)e->data.scalar.value;
		v = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_scalar(text)
								    : json_string(text);
		if (v)
			put_take(b, v, text);
		else
			b->why = "text that is not UTF-8";
		break;
	case YAML_SEQUENCE_START_EVENT:
		push_take(b, json_array());
		break;
	case YAML_MAPPING_START_EVENT:
		push_take(b, json_object());
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		pop(b);
		break;
	case YAML_ALIAS_EVENT:
		b->why = "an alias";
		break;
	case YAML_STREAM_END_EVENT:
		return false;
	default:
		break;
	}
	return !b->why;
}

json_t *yaml_parse(const char *text, size_t n, struct err *err)
{
	struct builder b = { .docs = json_array() };
	size_t line;
	bool more = true;

	yaml_parser_initialize(&b.parser);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, n);
	while (more) {
		yaml_event_t e;

		if (!yaml_parser_parse(&b.parser, &e)) {
			b.why = b.parser.problem ? b.parser.problem : "not YAML";
			break;
		}
		more = on_event(&b, &e);
		yaml_event_delete(&e);
	}
	line = b.parser.mark.line + 1;
	while (b.depth)
		pop(&b);
	yaml_parser_delete(&b.parser);
	if (!b.why)
		return b.docs;
	json_decref(b.docs);
	(void)err_set(err, ERR_INPUT, "YAML, line %zu: %s", line, b.why);
	return NULL;
}
