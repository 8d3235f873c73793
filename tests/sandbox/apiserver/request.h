/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct user;

/* A request, taken apart. The target is percent-decoded here: MHD's own decoding loses %2F and %00. */
#define REQ_SEGMENTS_MAX 16
#define REQ_QUERY_MAX	 32

struct req {
	const char *method; /* borrowed, as are the headers and the body */
	const char *accept, *content_type, *authorization, *accept_encoding;
	const char *body;
	size_t n_body;
	const struct user *user;

	char *path; /* as it came, without the query: for messages */
	char *segs[REQ_SEGMENTS_MAX];
	size_t n_segs;
	struct {
		char *key, *value;
	} query[REQ_QUERY_MAX];
	size_t n_query;
};

/* From all-zero; a refusal leaves nothing behind. */
int req_parse_target(struct req *r, const char *target, struct err *err);
void req_deinit(struct req *r);
static inline void req_deinitp(struct req *r)
{
	req_deinit(r);
}

/* "" when absent. */
const char *req_query(const struct req *r, const char *key);
bool req_has(const struct req *r, const char *key);
/* "1" and "true" are true; absent is false. */
bool req_flag(const struct req *r, const char *key);
bool req_number(const struct req *r, const char *key, int64_t *out); /* false: not a number */
bool req_is(const struct req *r, const char *method);
