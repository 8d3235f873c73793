/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * JSON by declaration, on top of jansson, whose types stay in jval.c: the list of fields that a
 * caller writes is the shape of the document that it reads.
 *
 * As Kubernetes does, null counts as absent. Strings and nested values are borrowed from the document
 * and live as long as it does. Duplicate keys are refused (RFC 8259 leaves them undefined). Errors
 * never quote the document, and its memory is wiped when freed: it may hold a secret.
 */
struct jval; /* a value inside a document, or the document itself */

/* The document; `n` over `limit` is ERR_LIMIT. Depth is bounded by jansson (2048). */
struct jval *jval_parse(const char *p, size_t n, size_t limit, struct err *err);
struct jval *jval_free(struct jval *doc);

static inline void jval_freep(struct jval **p)
{
	*p = jval_free(*p);
}

enum jval_type {
	JVAL_STR,     /* const char *; embedded NUL is refused */
	JVAL_INT,     /* int64_t */
	JVAL_INT_ANY, /* int64_t, also from a numeric string ("86399") */
	JVAL_BOOL,    /* bool */
	JVAL_OBJ,     /* const struct jval * */
	JVAL_ARR,     /* const struct jval * */
};

struct jval_field {
	const char *path; /* dotted: "metadata.name"; a key with dots cannot be reached so */
	enum jval_type type;
	bool required;
	void *out; /* left alone when the field is absent */
};

#define JVAL_MUST true
#define JVAL_MAY  false

/*
 * Exact key names, or ASCII case ignored (the old agent's decoder did, so its users' objects do): then
 * the exact spelling wins, else the first in the document.
 */
enum jval_case { JVAL_CASE_EXACT, JVAL_CASE_IGNORED };

/*
 * All the fields or none: on ERR_INPUT, which names the path, what was expected and what was found,
 * no output was written.
 */
int jval_read(const struct jval *obj, const struct jval_field *fields, size_t n,
	      enum jval_case which, struct err *err);

/* arrays, objects */
size_t jval_len(const struct jval *array);
const struct jval *jval_at(const struct jval *array, size_t i);
const char *jval_as_str(const struct jval *v); /* NULL: not a string, or a NUL is inside */
bool jval_as_int(const struct jval *v,
		 int64_t *out_n); /* false, and nothing written: not an integer */
const struct jval *jval_get(const struct jval *obj, const char *key);
typedef int jval_pair_fn(void *ctx, const char *key, const struct jval *v);
/* Calls fn for each member until it returns non-zero, which is returned. */
int jval_each(const struct jval *obj, jval_pair_fn *fn, void *ctx);

/* writing */
struct jval_pair {
	const char *key;
	const char *value; /* NULL: the pair is left out */
};
/* An object of strings in the order given, compact, on the heap. */
char *jval_print_pairs(const struct jval_pair *pairs, size_t n, size_t *out_len);
/* A value as compact JSON text, on the heap. */
char *jval_print(const struct jval *v, size_t *out_len);
/*
 * The counterpart of jval_field: the list of items is the shape of the document. An object on the way
 * is made when it is first named; keys stand in the order in which they are named.
 */
struct jval_item {
	const char *path;    /* dotted: "metadata.name" */
	enum jval_type type; /* JVAL_STR or JVAL_INT */
	const char *str;     /* of JVAL_STR; NULL: the item is left out */
	int64_t num;	     /* of JVAL_INT */
};
/* Compact, on the heap. A path below what is no object, or named twice, is the caller's mistake. */
char *jval_print_items(const struct jval_item *items, size_t n, size_t *out_len);

/*
 * A document that is put together piece by piece, for what has lists: jval_new_obj() makes it, jval_free()
 * frees it, the rest is borrowed from it. Keys stand in the order in which they are put; a key that is
 * there is replaced. Text that is no UTF-8 is made ASCII.
 */
struct jval *jval_new_obj(void);
void jval_put_str(struct jval *obj, const char *key, const char *s); /* NULL: null */
void jval_put_int(struct jval *obj, const char *key, int64_t n);
void jval_put_bool(struct jval *obj, const char *key, bool b);
void jval_put_null(struct jval *obj, const char *key);
/* What another document has; it is shared, and lives as long as either. */
void jval_put_val(struct jval *obj, const char *key, const struct jval *v);
/* The object, or the array, of that key; made if it is missing. */
struct jval *jval_put_obj(struct jval *obj, const char *key);
struct jval *jval_put_arr(struct jval *obj, const char *key);
struct jval *jval_add_obj(struct jval *array);
void jval_add_str(struct jval *array, const char *s);
/* The same document for people's eyes too: two spaces a level. */
char *jval_print_indented(const struct jval *v, size_t *out_len);
