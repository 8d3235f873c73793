/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An API server by hand: what lib/kube/client.h and reflector.h promise, played by the test. Included by
 * the one file of a test that links a "bare" library instead of lib/kube. Variables are the process's:
 * each test runs in one of its own, and fake_kube_reset() is for those that do not (CK_FORK=no).
 */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/kube/client.h"
#include "lib/kube/reflector.h"

#include <check.h>
#include <string.h>

#define FAKE_MAX 64

struct kube_call {
	char method[8];
	char path[512];
	char accept[128];
	char content_type[64]; /* "" where none was asked for */
	bool is_secret;
	char *body; /* of a POST, else NULL */
	kube_done_fn *done;
	void *ctx;
};

struct reflector {
	struct reflector_spec spec; /* strings are borrowed, as the real one may */
	const struct reflector_ops *ops;
	void *ctx;
	struct reflector_status status;
	bool is_started;
};

static struct {
	struct kube_call *calls[FAKE_MAX]; /* NULL once answered or cancelled */
	unsigned n_calls, n_cancelled;
	unsigned retry_after_sec; /* what every answer says of it */
	struct reflector *reflectors[FAKE_MAX];
	unsigned n_reflectors;
} fake_kube;

static inline void fake_call_free(struct kube_call *call)
{
	if (call)
		free(call->body);
	free(call);
}

static inline void fake_kube_reset(void)
{
	for (unsigned i = 0; i < FAKE_MAX; i++)
		fake_call_free(fake_kube.calls[i]);
	memset(&fake_kube, 0, sizeof(fake_kube));
}

static inline struct jval *fake_json(const char *text)
{
	struct err err = { 0 };
	struct jval *doc = jval_parse(text, strlen(text), 1 << 20, &err);

	ck_assert_msg(doc != NULL, "%s: %s", err.msg, text);
	return doc;
}

/* Of many calls those that are answered give their places to others. */
static inline void fake_make_room(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_MAX; i++) {
		if (fake_kube.calls[i])
			fake_kube.calls[n++] = fake_kube.calls[i];
	}
	fake_kube.n_calls = n;
	while (n < FAKE_MAX)
		fake_kube.calls[n++] = NULL;
}

/* the client */

struct kube_call *kube_send(struct kube_client *c, const struct kube_request *req,
			    kube_done_fn *done, void *ctx)
{
	struct kube_call *call = xnew(struct kube_call);

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_gt(req->timeout_msec, 0);
	if (fake_kube.n_calls == FAKE_MAX)
		fake_make_room();
	ck_assert_uint_lt(fake_kube.n_calls, FAKE_MAX);
	(void)snprintf(call->method, sizeof(call->method), "%s", req->method ? req->method : "GET");
	(void)snprintf(call->path, sizeof(call->path), "%s", req->path);
	(void)snprintf(call->accept, sizeof(call->accept), "%s", req->accept ? req->accept : "");
	(void)snprintf(call->content_type, sizeof(call->content_type), "%s",
		       req->content_type ? req->content_type : "");
	call->is_secret = req->is_secret;
	call->body = req->body ? xstrndup(req->body, req->body_len) : NULL;
	call->done = done;
	call->ctx = ctx;
	fake_kube.calls[fake_kube.n_calls++] = call;
	return call;
}

struct kube_call *kube_get(struct kube_client *c, const char *path, unsigned timeout_msec,
			   kube_done_fn *done, void *ctx)
{
	return kube_send(c, &(struct kube_request){ .path = path, .timeout_msec = timeout_msec },
			 done, ctx);
}

struct kube_call *kube_post(struct kube_client *c, const char *path, const char *body,
			    size_t body_len, unsigned timeout_msec, kube_done_fn *done, void *ctx)
{
	return kube_send(c,
			 &(struct kube_request){ .path = path,
						 .body = body,
						 .body_len = body_len,
						 .timeout_msec = timeout_msec },
			 done, ctx);
}

void kube_cancel(struct kube_call *call)
{
	for (unsigned i = 0; i < FAKE_MAX; i++) {
		if (fake_kube.calls[i] == call)
			fake_kube.calls[i] = NULL;
	}
	fake_kube.n_cancelled++;
	fake_call_free(call);
}

unsigned kube_call_retry_after(const struct kube_call *call)
{
	ck_assert_ptr_nonnull(call);
	return fake_kube.retry_after_sec;
}

char *kube_escape(const char *s)
{
	char *out = xcalloc(1, 3 * strlen(s) + 1), *at = out;

	for (; *s; s++) {
		if (strchr("=,:", *s))
			at += snprintf(at, 4, "%%%02X", (unsigned char)*s);
		else
			*at++ = *s;
	}
	return out;
}

/* Ends call i; `text` NULL: without a body; `msg`: it failed, in these words. */
static inline void fake_finish(unsigned i, long status, const char *text, const char *msg)
{
	_cleanup_(jval_freep) struct jval *doc = text ? fake_json(text) : NULL;
	struct kube_call *call = fake_kube.calls[i];
	struct err err = { 0 };

	ck_assert_ptr_nonnull(call);
	fake_kube.calls[i] = NULL;
	if (msg)
		(void)err_set(&err, ERR_UNAVAILABLE, "%s", msg);
	call->done(call->ctx, status, doc, msg ? &err : NULL);
	fake_call_free(call);
}

static inline void fake_answer(unsigned i, long status, const char *text)
{
	bool good = status >= 200 && status < 300;

	fake_finish(i, status, text, good ? NULL : "the test says no");
}

#include "tests/unit/fake-reflector.h"
