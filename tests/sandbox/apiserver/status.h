/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>

struct kind;

/*
 * Status objects, the API server's way to say no. A function that can refuse returns one (the caller
 * owns it), or NULL when all is well. Wording, order and details are those of the real server.
 */
json_t *status_failure(int code, const char *reason, json_t *details_take, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
int status_code(const json_t *status);

json_t *status_bad_request(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A plain Go error: code 500 without a reason. */
json_t *status_internal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
json_t *status_not_found(const struct kind *k, const char *name);
json_t *status_exists(const struct kind *k, const char *name);
json_t *status_modified(const struct kind *k, const char *name);
json_t *status_conflict(const struct kind *k, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
json_t *status_forbidden(const struct kind *k, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
json_t *status_no_resource(void); /* "the server could not find the requested resource" */
json_t *status_no_method(void);
json_t *status_expired(json_t *meta_take, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* What a deletion answers. */
json_t *status_deleted(const struct kind *k, const char *name, const char *uid);

/* Causes are gathered in an array, then made one refusal: 422. Takes `causes`; NULL if it is empty. */
void status_cause(json_t *causes, const char *reason, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
json_t *status_invalid_take(const char *group, const char *kind, const char *name, json_t *causes);
