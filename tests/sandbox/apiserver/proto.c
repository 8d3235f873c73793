/* SPDX-License-Identifier: MIT */

/*
 * Protobuf bodies: see proto.h. The envelope is "k8s\0" and a runtime.Unknown: { typeMeta { apiVersion,
 * kind }, raw }. Field numbers are those of the generated.proto files of k8s.io/api.
 */

#include "tests/sandbox/apiserver/proto.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/base64.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define DEPTH_MAX 8

enum type {
	TYPE_STRING,
	TYPE_INT,
	TYPE_BOOL,
	TYPE_MAP,	/* string to string */
	TYPE_BYTES_MAP, /* string to bytes */
	TYPE_MESSAGE,
};

struct field {
	unsigned number;
	const char *name;
	enum type type;
	bool repeated;
	const struct field *message; /* ended by number 0 */
};

/* clang-format off */
static const struct field owner[] = {
	{ 1, "kind", TYPE_STRING }, { 3, "name", TYPE_STRING }, { 4, "uid", TYPE_STRING },
	{ 5, "apiVersion", TYPE_STRING }, { 6, "controller", TYPE_BOOL },
	{ 7, "blockOwnerDeletion", TYPE_BOOL }, { 0 } };
static const struct field meta[] = {
	{ 1, "name", TYPE_STRING }, { 2, "generateName", TYPE_STRING },
	{ 3, "namespace", TYPE_STRING }, { 5, "uid", TYPE_STRING },
	{ 6, "resourceVersion", TYPE_STRING }, { 11, "labels", TYPE_MAP },
	{ 12, "annotations", TYPE_MAP }, { 13, "ownerReferences", TYPE_MESSAGE, true, owner },
	{ 14, "finalizers", TYPE_STRING, true }, { 0 } };
static const struct field namespace_spec[] = { { 1, "finalizers", TYPE_STRING, true }, { 0 } };
static const struct field namespace[] = {
	{ 1, "metadata", TYPE_MESSAGE, false, meta },
	{ 2, "spec", TYPE_MESSAGE, false, namespace_spec }, { 0 } };
static const struct field secret[] = {
	{ 1, "metadata", TYPE_MESSAGE, false, meta }, { 2, "data", TYPE_BYTES_MAP },
	{ 3, "type", TYPE_STRING }, { 4, "stringData", TYPE_MAP }, { 5, "immutable", TYPE_BOOL },
	{ 0 } };
static const struct field config_map[] = {
	{ 1, "metadata", TYPE_MESSAGE, false, meta }, { 2, "data", TYPE_MAP },
	{ 3, "binaryData", TYPE_BYTES_MAP }, { 4, "immutable", TYPE_BOOL }, { 0 } };
static const struct field service_account[] = {
	{ 1, "metadata", TYPE_MESSAGE, false, meta },
	{ 4, "automountServiceAccountToken", TYPE_BOOL }, { 0 } };
static const struct field bound[] = {
	{ 1, "kind", TYPE_STRING }, { 2, "apiVersion", TYPE_STRING }, { 3, "name", TYPE_STRING },
	{ 4, "uid", TYPE_STRING }, { 0 } };
static const struct field token_spec[] = {
	{ 1, "audiences", TYPE_STRING, true }, { 3, "boundObjectRef", TYPE_MESSAGE, false, bound },
	{ 4, "expirationSeconds", TYPE_INT }, { 0 } };
static const struct field token_request[] = {
	{ 1, "metadata", TYPE_MESSAGE, false, meta },
	{ 2, "spec", TYPE_MESSAGE, false, token_spec }, { 0 } };
static const struct field resource[] = {
	{ 1, "namespace", TYPE_STRING }, { 2, "verb", TYPE_STRING }, { 3, "group", TYPE_STRING },
	{ 4, "version", TYPE_STRING }, { 5, "resource", TYPE_STRING },
	{ 6, "subresource", TYPE_STRING }, { 7, "name", TYPE_STRING }, { 0 } };
static const struct field path_and_verb[] = {
	{ 1, "path", TYPE_STRING }, { 2, "verb", TYPE_STRING }, { 0 } };
static const struct field review_spec[] = {
	{ 1, "resourceAttributes", TYPE_MESSAGE, false, resource },
	{ 2, "nonResourceAttributes", TYPE_MESSAGE, false, path_and_verb }, { 0 } };
static const struct field review[] = {
	{ 1, "metadata", TYPE_MESSAGE, false, meta },
	{ 2, "spec", TYPE_MESSAGE, false, review_spec }, { 0 } };
static const struct field preconditions[] = {
	{ 1, "uid", TYPE_STRING }, { 2, "resourceVersion", TYPE_STRING }, { 0 } };
static const struct field delete_options[] = {
	{ 1, "gracePeriodSeconds", TYPE_INT },
	{ 2, "preconditions", TYPE_MESSAGE, false, preconditions },
	{ 4, "propagationPolicy", TYPE_STRING }, { 0 } };

static const struct {
	const char *kind;
	const struct field *fields;
} kinds[] = {
	{ "Namespace", namespace }, { "Secret", secret }, { "ConfigMap", config_map },
	{ "ServiceAccount", service_account }, { "TokenRequest", token_request },
	{ "SelfSubjectAccessReview", review }, { "DeleteOptions", delete_options },
};
/* clang-format on */

/* the wire */

struct slice {
	const unsigned char *p;
	size_t n;
};

struct entry {
	unsigned number, wire;
	uint64_t value;	    /* wire type 0 */
	struct slice bytes; /* wire type 2 */
};

static bool take_varint(struct slice *s, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (!s->n)
			return false;
		v |= (uint64_t)(*s->p & 0x7f) << shift;
		s->n--;
		if (!(*s->p++ & 0x80)) {
			*out = v;
			return true;
		}
	}
	return false;
}

static bool skip(struct slice *s, size_t n)
{
	if (s->n < n)
		return false;
	s->p += n;
	s->n -= n;
	return true;
}

static bool take_entry(struct slice *s, struct entry *out)
{
	uint64_t tag, n;

	*out = (struct entry){ 0 };
	if (!take_varint(s, &tag) || tag >> 3 > UINT32_MAX)
		return false;
	out->number = (unsigned)(tag >> 3);
	out->wire = tag & 7;
	switch (out->wire) {
	case 0:
		return take_varint(s, &out->value);
	case 1:
		return skip(s, 8);
	case 2:
		if (!take_varint(s, &n) || n > s->n)
			return false;
		out->bytes = (struct slice){ s->p, (size_t)n };
		return skip(s, (size_t)n);
	case 5:
		return skip(s, 4);
	default:
		return false;
	}
}

/* values */

static json_t *text_of(struct slice s)
{
	return json_stringn((const char *)s.p, s.n); /* NULL if it is not UTF-8 */
}

static json_t *base64_of(struct slice s)
{
	_cleanup_free_ char *text = base64_encode(s.n ? s.p : (const unsigned char *)"", s.n);

	return json_string(text);
}

/* { key = 1, value = 2 } */
static bool add_pair(json_t *obj, const char *name, struct slice s, bool bytes)
{
	struct slice key = { 0 }, value = { 0 };
	struct entry e;
	json_t *map = json_object_get(obj, name);

	while (s.n) {
		if (!take_entry(&s, &e))
			return false;
		if (e.number == 1)
			key = e.bytes;
		else if (e.number == 2)
			value = e.bytes;
	}
	if (!map) {
		map = json_object();
		json_object_set_new(obj, name, map);
	}
	return json_object_setn_new(map, key.p ? (const char *)key.p : "", key.n,
				    bytes ? base64_of(value)
					  : json_stringn(value.p ? (const char *)value.p : "",
							 value.n)) == 0;
}

static json_t *decode(struct slice s, const struct field *fields, unsigned depth);

/* NOLINTNEXTLINE(misc-no-recursion): see decode() */
static json_t *value_of(const struct field *f, const struct entry *e, unsigned depth)
{
	switch (f->type) {
	case TYPE_STRING:
		return e->bytes.p ? text_of(e->bytes) : NULL;
	case TYPE_INT:
		return json_integer((json_int_t)e->value);
	case TYPE_BOOL:
		return json_boolean(e->value);
	case TYPE_MESSAGE:
		return depth < DEPTH_MAX ? decode(e->bytes, f->message, depth + 1) : NULL;
	case TYPE_MAP:
	case TYPE_BYTES_MAP:
		break;
	}
	return NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion): see decode() */
static bool add_field(json_t *obj, const struct field *f, const struct entry *e, unsigned depth)
{
	json_t *value, *list;

	if (f->type == TYPE_MAP || f->type == TYPE_BYTES_MAP)
		return add_pair(obj, f->name, e->bytes, f->type == TYPE_BYTES_MAP);
	value = value_of(f, e, depth);
	if (!value)
		return false;
	/* Go writes empty strings out where JSON would leave them out */
	if (f->type == TYPE_STRING && !f->repeated && !json_string_length(value)) {
		json_decref(value);
		return true;
	}
	if (!f->repeated)
		return json_object_set_new(obj, f->name, value) == 0;
	list = json_object_get(obj, f->name);
	if (!list) {
		list = json_array();
		json_object_set_new(obj, f->name, list);
	}
	return json_array_append_new(list, value) == 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, and DEPTH_MAX */
static json_t *decode(struct slice s, const struct field *fields, unsigned depth)
{
	json_t *obj = json_object();
	struct entry e;

	while (s.n) {
		const struct field *f = fields;

		if (!take_entry(&s, &e)) {
			json_decref(obj);
			return NULL;
		}
		while (f->number && f->number != e.number)
			f++;
		if (f->number && !add_field(obj, f, &e, depth)) {
			json_decref(obj);
			return NULL;
		}
	}
	return obj;
}

static json_t *decode_kind(const json_t *type, struct slice raw, struct err *err)
{
	const char *kind = json_string_value(json_object_get(type, "kind"));
	const char *version = json_string_value(json_object_get(type, "apiVersion"));
	json_t *obj;

	for (size_t i = 0; kind && version && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].kind, kind) != 0)
			continue;
		obj = decode(raw, kinds[i].fields, 0);
		if (!obj)
			break;
		json_object_set_new(obj, "kind", json_string(kind));
		json_object_set_new(obj, "apiVersion", json_string(version));
		return obj;
	}
	(void)err_set(err, ERR_INPUT, "protobuf of a %.60s cannot be read here; send JSON",
		      kind ? kind : "nameless kind");
	return NULL;
}

json_t *proto_decode(const char *p, size_t n, struct err *err)
{
	static const struct field type_meta[] = { { 1, "apiVersion", TYPE_STRING },
						  { 2, "kind", TYPE_STRING },
						  { 0 } };
	struct slice s = { (const unsigned char *)p, n }, raw = { 0 };
	json_t *type = NULL, *obj;
	struct entry e;

	if (n < 4 || memcmp(p, "k8s", 4) != 0) {
		(void)err_set(err, ERR_INPUT, "not Kubernetes' protobuf");
		return NULL;
	}
	(void)skip(&s, 4); /* there are four */
	while (s.n) {
		if (!take_entry(&s, &e))
			break;
		if (e.number == 1) {
			json_decref(type);
			type = decode(e.bytes, type_meta, 0);
		} else if (e.number == 2) {
			raw = e.bytes;
		}
	}
	if (s.n) {
		json_decref(type);
		(void)err_set(err, ERR_INPUT, "broken protobuf");
		return NULL;
	}
	obj = decode_kind(type, raw, err);
	json_decref(type);
	return obj;
}
