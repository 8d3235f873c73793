/* SPDX-License-Identifier: MIT */

/* Answers: see reply.h. */

#include "tests/sandbox/apiserver/reply.h"

#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/status.h"

#include <string.h>

void add_bytes(struct buf *b, const void *p, size_t n)
{
	(void)buf_append(b, p, n, SIZE_MAX / 4, NULL);
}

void add_str(struct buf *b, const char *s)
{
	add_bytes(b, s, strlen(s));
}

void reply_text(struct reply *r, int code, const char *text)
{
	r->code = code;
	r->type = "text/plain; charset=utf-8";
	r->nosniff = true;
	r->body = xstrdup(text);
	r->n = strlen(text);
}

void reply_json_take(struct reply *r, int code, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);

	r->code = code;
	r->type = "application/json";
	r->body = xasprintf("%s\n", text ? text : "{}");
	r->n = strlen(r->body);
	free(text);
	json_decref(body);
}

void reply_status_take(struct reply *r, json_t *status)
{
	json_t *retry = json_object_get(json_object_get(status, "details"), "retryAfterSeconds");

	r->retry_after_s = (unsigned)json_integer_value(retry);
	r->nosniff = status_code(status) == 403;
	reply_json_take(r, status_code(status), status);
}

void reply_buf(struct reply *r, int code, struct buf *b)
{
	r->code = code;
	r->type = "application/json";
	r->body = buf_steal(b, &r->n);
}

void reply_deinit(struct reply *r)
{
	free(r->body);
	free(r->warning);
	*r = (struct reply){ 0 };
}
