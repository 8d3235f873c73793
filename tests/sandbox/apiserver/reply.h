/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/buf.h"

#include <jansson.h>
#include <stdbool.h>

struct watch;

/* An answer, before it is HTTP. All-zero is "nothing yet". */
struct reply {
	int code;
	const char *type;  /* a literal */
	const char *cache; /* Cache-Control, a literal; NULL: none of it */
	char *body;
	size_t n;
	struct watch *watch; /* instead of a body: the stream */
	char *warning;	     /* text of a Warning header, or NULL */
	unsigned retry_after_s;
	bool nosniff;
};

void reply_text(struct reply *r, int code, const char *text);
void reply_json_take(struct reply *r, int code, json_t *body);
void reply_status_take(struct reply *r, json_t *status);
/* The bytes of `b`, which is empty afterwards. */
void reply_buf(struct reply *r, int code, struct buf *b);
void reply_deinit(struct reply *r); /* the watch is not touched */

/* For text that has no limit of its own: what was stored once had one. */
void add_bytes(struct buf *b, const void *p, size_t n);
void add_str(struct buf *b, const char *s);
