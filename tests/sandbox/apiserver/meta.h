/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>
#include <stdint.h>

struct kind;

/* What all objects have in common: metadata. */
#define META_TIME_MAX 24
#define META_UID_MAX  37

void meta_print_time(char buf[static META_TIME_MAX], int64_t epoch_s);
void meta_new_uid(char buf[static META_UID_MAX]);

/* Borrowed; "" when absent or not a string. */
const char *meta_str(const json_t *obj, const char *field);
json_t *meta_of(const json_t *obj);

/* Members named in `order` (ended by NULL) come first, in that order. */
void meta_reorder(json_t *obj, const char *const *order);
/* As the real server prints the kind: apiVersion and kind set, members in the order of its structs. */
void meta_tidy(const struct kind *k, json_t *obj);

/* A new object: name from generateName, uid, time, generation. */
void meta_prepare_create(const struct kind *k, json_t *obj, const char *ns, int64_t now);
/* What an update cannot change is taken over from `old`. */
void meta_prepare_update(const struct kind *k, json_t *obj, const json_t *old);
/* The wrong JSON types are a refusal at once (400, as a decoder says it); NULL when fine. */
json_t *meta_check_types(const struct kind *k, const json_t *obj);
/* Appends to `causes`. */
void meta_validate(const struct kind *k, const json_t *obj, json_t *causes);
