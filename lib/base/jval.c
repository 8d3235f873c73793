/* SPDX-License-Identifier: MIT */

/* JSON by declaration: see jval.h. */

#include "lib/base/jval.h"

#include "lib/base/mem.h"
#include "lib/base/secret.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const json_t *in(const struct jval *v)
{
	return (const void *)v;
}

static const struct jval *out(const json_t *j)
{
	return (const void *)j;
}

/* Documents hold tokens and secrets. Called by whatever makes jansson allocate; again is harmless. */
static void own_memory(void)
{
	json_set_alloc_funcs(secret_malloc, secret_free);
}

/* NUL is let in here, and refused where a string is read: one odd annotation must not hide a pod. */
struct jval *jval_parse(const char *p, size_t n, size_t limit, struct err *err)
{
	json_error_t why;
	json_t *j;

	own_memory();
	if (n > limit) {
		(void)err_set(err, ERR_LIMIT, "JSON of %zu bytes; at most %zu", n, limit);
		return NULL;
	}
	j = json_loadb(p ? p : "", n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	if (!j) {
		/* "... near 'xyz'" would quote the document, which may hold a secret */
		const char *near = strstr(why.text, " near ");
		size_t shown = near ? (size_t)(near - why.text) : strlen(why.text);

		(void)err_set(err, ERR_INPUT, "not JSON: %.*s at byte %d", (int)shown, why.text,
			      why.position);
	}
	return (void *)j;
}

struct jval *jval_free(struct jval *doc)
{
	json_decref((void *)doc);
	return NULL;
}

static const json_t *member(const json_t *obj, const char *key, size_t n, enum jval_case which)
{
	const char *k;
	json_t *v;

	if (which == JVAL_CASE_EXACT)
		return json_object_getn(obj, key, n);
	/* the exact spelling wins over another one of the same object */
	v = json_object_getn(obj, key, n);
	if (v)
		return v;
	json_object_foreach ((json_t *)(uintptr_t)obj, k, v) {
		if (strlen(k) == n && strncasecmp(k, key, n) == 0)
			return v;
	}
	return NULL;
}

static const char *type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "?";
}

/* The value at a dotted path. An intermediate that is not an object is a mistake, not an absence. */
static int walk(const json_t *obj, const char *path, enum jval_case which, const json_t **out_v,
		struct err *err)
{
	const json_t *v = obj;

	for (const char *p = path; *p;) {
		size_t n = strcspn(p, ".");

		if (!json_is_object(v))
			return err_set(err, ERR_INPUT, "%s: %.*s is not inside an object", path,
				       (int)n, p);
		v = member(v, p, n, which);
		if (!v || json_is_null(v)) {
			*out_v = NULL;
			return 0;
		}
		p += n + (p[n] == '.');
	}
	*out_v = v;
	return 0;
}

static bool int_from_text(const char *text, int64_t *out_n)
{
	char *end;
	long long n;

	if (strspn(text, "-0123456789") != strlen(text)) /* strtoll() takes spaces and '+' */
		return false;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return false;
	*out_n = n;
	return true;
}

/* NULL also for text with a NUL inside, which would end early for whoever reads it as a C string. */
static const char *text_of(const json_t *v)
{
	const char *s = json_string_value(v);

	return s && strlen(s) == json_string_length(v) ? s : NULL;
}

static bool store(const json_t *v, enum jval_type type, void *to)
{
	switch (type) {
	case JVAL_STR:
		if (!text_of(v))
			return false;
		*(const char **)to = text_of(v);
		return true;
	case JVAL_INT_ANY:
		if (json_is_string(v))
			return text_of(v) && int_from_text(text_of(v), to);
		__attribute__((fallthrough));
	case JVAL_INT:
		if (!json_is_integer(v))
			return false;
		*(int64_t *)to = json_integer_value(v);
		return true;
	case JVAL_BOOL:
		if (json_typeof(v) != JSON_TRUE && json_typeof(v) != JSON_FALSE)
			return false;
		*(bool *)to = json_is_true(v);
		return true;
	case JVAL_OBJ:
	case JVAL_ARR:
		if (type == JVAL_OBJ ? !json_is_object(v) : !json_is_array(v))
			return false;
		*(const struct jval **)to = out(v);
		return true;
	}
	return false;
}

/* One field into `to`, which stays as it was if the field is absent. */
static int read_field(const json_t *obj, const struct jval_field *f, enum jval_case which, void *to,
		      struct err *err)
{
	static const char *const wanted[] = {
		[JVAL_STR] = "a string",   [JVAL_INT] = "a whole number",
		[JVAL_OBJ] = "an object",  [JVAL_INT_ANY] = "a whole number",
		[JVAL_BOOL] = "a boolean", [JVAL_ARR] = "an array",
	};
	const json_t *v = NULL;
	int r = walk(obj, f->path, which, &v, err);

	if (r < 0)
		return r;
	if (!v && f->required)
		return err_set(err, ERR_INPUT, "%s is missing", f->path);
	if (json_is_string(v) && !text_of(v))
		return err_set(err, ERR_INPUT, "%s contains a NUL", f->path);
	if (v && !store(v, f->type, to))
		return err_set(err, ERR_INPUT, "%s: expected %s, found %s", f->path,
			       wanted[f->type], type_name(v));
	return 0;
}

int jval_read(const struct jval *obj, const struct jval_field *fields, size_t n,
	      enum jval_case which, struct err *err)
{
	union {
		const void *p;
		int64_t i;
		bool b;
	} scratch;

	if (!json_is_object(in(obj)))
		return err_set(err, ERR_INPUT, "expected an object");
	/* once to see that all is well, so that a refusal leaves every output alone */
	for (size_t i = 0; i < n; i++) {
		int r = read_field(in(obj), &fields[i], which, &scratch, err);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n; i++)
		(void)read_field(in(obj), &fields[i], which, fields[i].out, NULL); /* seen above */
	return 0;
}

size_t jval_len(const struct jval *array)
{
	return json_array_size(in(array));
}

const struct jval *jval_at(const struct jval *array, size_t i)
{
	return out(json_array_get(in(array), i));
}

const char *jval_as_str(const struct jval *v)
{
	return text_of(in(v));
}

bool jval_as_int(const struct jval *v, int64_t *out_n)
{
	if (!v || !json_is_integer(in(v)))
		return false;
	*out_n = json_integer_value(in(v));
	return true;
}

const struct jval *jval_get(const struct jval *obj, const char *key)
{
	const json_t *v = json_object_get(in(obj), key);

	return json_is_null(v) ? NULL : out(v);
}

int jval_each(const struct jval *obj, jval_pair_fn *fn, void *ctx)
{
	const char *k;
	json_t *v;
	int r;

	json_object_foreach ((json_t *)(uintptr_t)in(obj), k, v) {
		r = fn(ctx, k, out(v));
		if (r)
			return r;
	}
	return 0;
}

static char *dump(const json_t *j, size_t *out_len)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

	assert(text); /* only invalid UTF-8 fails, which neither the parser nor jval_string() lets in */
	if (out_len)
		*out_len = strlen(text);
	return text;
}

/* jansson takes UTF-8 only; text from a peer may be anything, so what it refuses is replaced. */
static json_t *jval_string(const char *s)
{
	json_t *j = json_string(s);
	char *copy;

	if (j)
		return j;
	copy = xstrdup(s);
	for (char *p = copy; *p; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	j = json_string(copy);
	free(copy);
	return j;
}

char *jval_print_pairs(const struct jval_pair *pairs, size_t n, size_t *out_len)
{
	json_t *obj;
	char *text;

	own_memory();
	obj = json_object();
	for (size_t i = 0; i < n; i++) {
		if (pairs[i].value)
			(void)json_object_set_new(obj, pairs[i].key, jval_string(pairs[i].value));
	}
	text = dump(obj, out_len);
	json_decref(obj);
	return text;
}

char *jval_print(const struct jval *v, size_t *out_len)
{
	own_memory();
	return dump(in(v), out_len);
}

/* The object that a path's last key stands in, made where it is missing; `key` is then that key. */
static json_t *home_of(json_t *obj, const char *path, const char **key)
{
	size_t n;

	while (path[n = strcspn(path, ".")] == '.') {
		json_t *next = json_object_getn(obj, path, n);

		if (!next) {
			next = json_object();
			(void)json_object_setn_new(obj, path, n, next);
		}
		assert(json_is_object(next));
		obj = next;
		path += n + 1;
	}
	assert(!json_object_get(obj, path));
	*key = path;
	return obj;
}

char *jval_print_items(const struct jval_item *items, size_t n, size_t *out_len)
{
	const char *key = NULL;
	json_t *root, *home;
	char *text;

	own_memory();
	root = json_object();
	for (size_t i = 0; i < n; i++) {
		const struct jval_item *item = &items[i];

		assert(item->type == JVAL_STR || item->type == JVAL_INT);
		if (item->type == JVAL_STR && !item->str)
			continue;
		home = home_of(root, item->path, &key);
		(void)json_object_set_new(home, key,
					  item->type == JVAL_STR ? jval_string(item->str)
								 : json_integer(item->num));
	}
	text = dump(root, out_len);
	json_decref(root);
	return text;
}

/* piece by piece */

static json_t *of(struct jval *v)
{
	return (void *)v;
}

struct jval *jval_new_obj(void)
{
	own_memory();
	return (void *)json_object();
}

void jval_put_str(struct jval *obj, const char *key, const char *s)
{
	(void)json_object_set_new(of(obj), key, s ? jval_string(s) : json_null());
}

void jval_put_int(struct jval *obj, const char *key, int64_t n)
{
	(void)json_object_set_new(of(obj), key, json_integer(n));
}

void jval_put_bool(struct jval *obj, const char *key, bool b)
{
	(void)json_object_set_new(of(obj), key, json_boolean(b));
}

void jval_put_null(struct jval *obj, const char *key)
{
	(void)json_object_set_new(of(obj), key, json_null());
}

void jval_put_val(struct jval *obj, const char *key, const struct jval *v)
{
	(void)json_object_set(of(obj), key, (json_t *)(uintptr_t)in(v));
}

static struct jval *put(struct jval *obj, const char *key, json_t *(*make)(void))
{
	json_t *had = json_object_get(of(obj), key);

	if (had)
		return (void *)had;
	(void)json_object_set_new(of(obj), key, make());
	return (void *)json_object_get(of(obj), key);
}

struct jval *jval_put_obj(struct jval *obj, const char *key)
{
	return put(obj, key, json_object);
}

struct jval *jval_put_arr(struct jval *obj, const char *key)
{
	return put(obj, key, json_array);
}

struct jval *jval_add_obj(struct jval *array)
{
	(void)json_array_append_new(of(array), json_object());
	return (void *)json_array_get(of(array), json_array_size(of(array)) - 1);
}

void jval_add_str(struct jval *array, const char *s)
{
	(void)json_array_append_new(of(array), jval_string(s));
}

char *jval_print_indented(const struct jval *v, size_t *out_len)
{
	char *text;

	own_memory();
	text = json_dumps(in(v), JSON_INDENT(2) | JSON_ENCODE_ANY);
	assert(text); /* as in dump() */
	if (out_len)
		*out_len = strlen(text);
	return text;
}
