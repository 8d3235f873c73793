/* SPDX-License-Identifier: MIT */

/* Settings from a file: see opt_file.h. */

#include "lib/base/opt_file.h"

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

/* Longer than any name of ours: what is guessed at is cut there. */
#define NAME_MAX_BYTES 48

bool opt_file_takes(const struct opt *o)
{
	return o->type != OPT_IGNORED && strcmp(o->name, "config") != 0;
}

/* guessing what was meant */

/* Letters and digits in lower case: blockInstanceMetadata and block_instance_metadata are block-instance-metadata. */
static size_t fold(char out[static NAME_MAX_BYTES], const char *s)
{
	size_t n = 0;

	for (; *s && n < NAME_MAX_BYTES; s++)
		if (isalnum((unsigned char)*s))
			out[n++] = (char)tolower((unsigned char)*s);
	return n;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein's: how many letters to add, take away or change. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t row[NAME_MAX_BYTES + 1];

	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t left_above = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1,
				      left_above + (a[i - 1] != b[j - 1]));
			left_above = above;
		}
	}
	return row[nb];
}

/* The nearest name, if it is near: NULL otherwise. */
static const struct opt *guess(const struct opt_table *t, const char *name)
{
	char want[NAME_MAX_BYTES], have[NAME_MAX_BYTES];
	const struct opt *best = NULL;
	size_t n = fold(want, name), least = n / 3 + 2;

	for (size_t i = 0; i < t->n; i++) {
		const struct opt *o = &t->opts[i];
		size_t d;

		if (!opt_file_takes(o))
			continue;
		d = distance(want, n, have, fold(have, o->name));
		if (d < least && d < n) {
			least = d;
			best = o;
		}
	}
	return best;
}

static const struct opt *find_name(const struct opt_table *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->opts[i].name, name) == 0)
			return &t->opts[i];
	return NULL;
}

static const char *takes(const struct opt *o)
{
	return o->type == OPT_BOOL ? "true or false" : o->metavar;
}

/* YAML */

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the one at hand */
	const struct opt_table *table;
	struct opt_file *file;
	const char *text;
	size_t n;
	struct err *err;
};

static size_t line_of(const struct reader *r)
{
	return r->event.start_mark.line + 1;
}

/* A mistake at the line of the event at hand. */
#define FAIL(r, ...)                                                                               \
	(err_set((r)->err, ERR_INPUT, __VA_ARGS__),                                                \
	 err_wrap((r)->err, "%s:%zu", (r)->file->path, line_of(r)))

/* Of a mistake that the parser found: what cannot be read at all it tells by the byte. */
static size_t problem_line(const struct reader *r)
{
	size_t at = r->parser.problem_offset, line = 1;
	const char *p = r->text, *end = r->text + (at < r->n ? at : r->n);

	if (r->parser.error != YAML_READER_ERROR)
		return r->parser.problem_mark.line + 1;
	while ((p = memchr(p, '\n', (size_t)(end - p)))) {
		line++;
		p++;
	}
	return line;
}

static int next(struct reader *r)
{
	yaml_event_delete(&r->event);
	memset(&r->event, 0, sizeof(r->event));
	if (yaml_parser_parse(&r->parser, &r->event))
		return 0;
	return err_set(r->err, ERR_INPUT, "%s:%zu: this is not YAML: %s", r->file->path,
		       problem_line(r),
		       r->parser.problem ? r->parser.problem : "it cannot be read");
}

static bool is_plain(const yaml_event_t *e)
{
	return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static const char *text_of(const yaml_event_t *e)
{
	return (const char *)e->data.scalar.value;
}

static bool is_null(const yaml_event_t *e)
{
	const char *s = text_of(e);

	return is_plain(e) && (!*s || strcmp(s, "~") == 0 || strcasecmp(s, "null") == 0);
}

/* A scalar without anything of YAML's that gives it another meaning, and without NUL. */
static bool is_text(const yaml_event_t *e)
{
	return e->type == YAML_SCALAR_EVENT && !e->data.scalar.anchor && !e->data.scalar.tag &&
	       strlen(text_of(e)) == e->data.scalar.length;
}

/* NULL: a mistake. */
static const struct opt *read_name(struct reader *r)
{
	const struct opt_file_entry *twice;
	const struct opt *o, *near;
	const char *name;

	if (!is_text(&r->event)) {
		(void)FAIL(r, "the name of a setting is expected");
		return NULL;
	}
	name = text_of(&r->event);
	o = find_name(r->table, name);
	if (!o) {
		near = guess(r->table, name);
		(void)FAIL(r, "'%.64s': no such setting; %s%s%s", name,
			   near ? "did you mean " : "see ", near ? near->name : r->table->prog,
			   near ? "?" : " --help");
		return NULL;
	}
	twice = opt_file_find(r->file, o);
	if (!opt_file_takes(o))
		(void)FAIL(r, "%s %s: take it out", name,
			   o->type == OPT_IGNORED ? "has no meaning any more"
						  : "cannot be set in the file that it names");
	else if (twice)
		(void)FAIL(r, "%s stands in line %zu already", name, twice->line);
	else
		return o;
	return NULL;
}

static int read_value(struct reader *r, const struct opt *o)
{
	const char *value;

	if (!is_text(&r->event))
		return FAIL(r, "%s: one value is expected: %s", o->name, takes(o));
	if (is_null(&r->event))
		return FAIL(r, "%s has no value: %s; for an empty one write \"\"", o->name,
			    takes(o));
	value = text_of(&r->event);
	/* the flag takes more words than a file of now needs */
	if (o->type == OPT_BOOL && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return FAIL(r, "%s: '%.64s' is neither true nor false", o->name, value);
	r->file->entries[r->file->n++] = (struct opt_file_entry){
		.opt = o,
		.value = xstrdup(value),
		.line = line_of(r),
	};
	return 0;
}

static int read_settings(struct reader *r)
{
	const struct opt *o;

	for (;;) {
		if (next(r) < 0)
			return -ERR_INPUT;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			return 0;
		o = read_name(r);
		if (!o || next(r) < 0 || read_value(r, o) < 0)
			return -ERR_INPUT;
	}
}

/* An event that says nothing. */
static int skip(struct reader *r)
{
	return next(r);
}

/* No document, one that is empty, or one mapping; and nothing behind it. */
static int read_stream(struct reader *r)
{
	if (skip(r) < 0 || next(r) < 0) /* the stream's beginning; the document's, or its end */
		return -ERR_INPUT;
	if (r->event.type == YAML_STREAM_END_EVENT)
		return 0;
	if (next(r) < 0)
		return -ERR_INPUT;
	if (r->event.type == YAML_MAPPING_START_EVENT && !r->event.data.mapping_start.anchor &&
	    !r->event.data.mapping_start.tag) {
		if (read_settings(r) < 0)
			return -ERR_INPUT;
	} else if (!is_text(&r->event) || !is_null(&r->event)) {
		return FAIL(r, "lines of 'name: value' are expected");
	}
	if (skip(r) < 0 || next(r) < 0) /* the document's end, and what follows */
		return -ERR_INPUT;
	if (r->event.type != YAML_STREAM_END_EVENT)
		return FAIL(r, "a second document begins: a settings file has one");
	return 0;
}

int opt_file_parse(struct opt_file *out, const struct opt_table *t, const char *path,
		   const char *text, size_t n, struct err *err)
{
	struct opt_file file = { 0 };
	struct err local = { 0 };
	struct reader r = {
		.table = t, .file = &file, .text = text, .n = n, .err = err ? err : &local
	};
	int e;

	if (n > OPT_FILE_MAX)
		return err_set(err, ERR_LIMIT, "%s: more than %zu bytes are no settings", path,
			       OPT_FILE_MAX);
	if (!yaml_parser_initialize(&r.parser))
		out_of_memory();
	file.path = xstrdup(path);
	file.entries = xcalloc(t->n, sizeof(*file.entries)); /* none twice, so all fit */
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
	e = read_stream(&r);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	if (e < 0) {
		opt_file_deinit(&file);
		return e;
	}
	*out = file;
	return 0;
}

/* the file */

static int read_all(int fd, struct buf *out, struct err *err)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(err, errno, "reading it");
		if (buf_append(out, chunk, (size_t)n, OPT_FILE_MAX, NULL) < 0)
			return err_set(err, ERR_LIMIT, "more than %zu bytes are no settings",
				       OPT_FILE_MAX);
	}
	return 0;
}

int opt_file_read(struct opt_file *out, const struct opt_table *t, const char *path,
		  struct err *err)
{
	/* not to wait for the other end of a FIFO */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_(buf_deinit) struct buf text = { 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set_errno(err, errno, "settings file %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "settings file %s is not a file", path);
	if (st.st_mode & S_IWOTH)
		return err_set(err, ERR_INPUT,
			       "settings file %s: anybody may write it (mode %03o), so it is not "
			       "believed: "
			       "chmod o-w",
			       path, st.st_mode & 0777U);
	if (read_all(fd, &text, err) < 0)
		return err_wrap(err, "settings file %s", path);
	return opt_file_parse(out, t, path, text.p ? text.p : "", text.n, err);
}

void opt_file_deinit(struct opt_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->entries[i].value);
	free(f->entries);
	free(f->path);
	*f = (struct opt_file){ 0 };
}

const struct opt_file_entry *opt_file_find(const struct opt_file *f, const struct opt *o)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->entries[i].opt == o)
			return &f->entries[i];
	return NULL;
}
