/* SPDX-License-Identifier: MIT */

/*
 * Whole conversations of the reflector with an API server: lists and watches in any pieces, with ends, errors,
 * bookmarks and garbage where they may come. An input is played twice, the second time with the pieces cut again
 * (its first byte says where): what the consumer is told, and what the server is asked, is the same.
 *
 * The second byte: settings. Then ops, a byte each, of what the server does; see step().
 */

#include "lib/base/buf.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/kube/client.h"
#include "lib/kube/knock.h"
#include "lib/kube/reflector.h"
#include "lib/loop/loop.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PODS	"/api/v1/pods"
#define OPS_MAX 300

struct kube_call {
	struct kube_stream spec;
	char *path;
	unsigned retry_after;
	bool is_open, is_stopped;
};

static struct play {
	struct loop *loop;
	struct reflector *reflector;
	struct kube_call *call; /* there is one at most */
	const uint8_t *at;
	size_t left, cut;
	bool is_listing;   /* between begin() and end() */
	unsigned frees_at; /* the consumer frees the reflector in this callback; 0: never */
	unsigned n_told;
	uint64_t told; /* a sum of all that happened */
	struct knock door;
	uint32_t dice;
} play;

/* The linker is to find these in place of the C library's. */
#pragma GCC visibility push(default)
uint32_t arc4random_uniform(uint32_t n)
{
	play.dice = play.dice * 1664525 + 1013904223;
	return n ? (play.dice >> 8) % n : 0;
}
#pragma GCC visibility pop

static void note(const char *what, const char *more)
{
	for (const char *p = what; *p; p++)
		play.told = play.told * 1000003 + (unsigned char)*p;
	for (const char *p = more; *p; p++)
		play.told = play.told * 1000003 + (unsigned char)*p;
}

/* the client */

struct kube_call *kube_stream(struct kube_client *c, const struct kube_stream *s)
{
	struct kube_call *call = xnew(struct kube_call);

	assert(!play.call && strncmp(s->path, PODS "?", strlen(PODS "?")) == 0);
	assert(s->timeout_msec > 0);
	for (const char *p = s->path; *p; p++)
		assert(*p > ' ' && *p < 0x7f);
	note("ask", s->path);
	*call = (struct kube_call){ .spec = *s, .path = xstrdup(s->path) };
	return play.call = call;
}

static void call_free(struct kube_call *call)
{
	free(call->path);
	free(call);
}

void kube_cancel(struct kube_call *call)
{
	assert(call == play.call);
	if (call)
		call_free(call);
	play.call = NULL;
}

unsigned kube_call_retry_after(const struct kube_call *call)
{
	return call->retry_after;
}

struct knock *kube_client_knock(struct kube_client *c)
{
	return &play.door;
}

char *kube_escape(const char *s)
{
	struct buf b = { 0 };

	buf_put_percent(&b, s, strlen(s));
	buf_put(&b, "", 0);
	return buf_steal(&b, NULL);
}

/* the consumer */

static void tell(const char *what, const char *more)
{
	note(what, more);
	if (++play.n_told == play.frees_at)
		play.reflector = reflector_free(play.reflector);
}

static void on_begin(void *ctx)
{
	assert(play.reflector);
	play.is_listing = true;
	tell("begin", "");
}

static void on_object(const char *what, const struct jval *obj)
{
	const char *name = "", *version = "";
	const struct jval_field fields[] = {
		{ "metadata.name", JVAL_STR, JVAL_MAY, &name },
		{ "metadata.resourceVersion", JVAL_STR, JVAL_MAY, &version },
	};

	assert(play.reflector && obj);
	if (jval_read(obj, fields, 2, JVAL_CASE_EXACT, NULL) == 0)
		note(name ? name : "", version ? version : "");
	tell(what, "");
}

static void on_upsert(void *ctx, const struct jval *obj)
{
	/* a watch begins behind a whole */
	assert(play.is_listing || reflector_status(play.reflector)->has_synced);
	on_object("upsert", obj);
}

static void on_remove(void *ctx, const struct jval *obj)
{
	on_object("remove", obj);
}

static void on_end(void *ctx)
{
	assert(play.reflector && play.is_listing);
	assert(reflector_status(play.reflector)->has_synced);
	play.is_listing = false;
	tell("end", "");
}

static void on_failed(void *ctx, const struct err *err)
{
	assert(err->kind && err->msg[0]);
	note("failed", err->msg);
}

/* the server */

static uint8_t byte(void)
{
	if (!play.left)
		return 0;
	play.left--;
	return *play.at++;
}

static void open_call(void)
{
	struct kube_call *c = play.call;

	if (!c || c->is_open)
		return;
	c->is_open = true;
	if (c->spec.open)
		c->spec.open(c->spec.ctx);
}

static void finish(long status, enum err_kind kind)
{
	struct kube_call *c = play.call;
	struct err err = { 0 };

	if (!c)
		return;
	if (kind != ERR_NONE) {
		(void)err_set(&err, kind, "the script says so");
		err.http_status = (int)status;
	}
	/* the call is there until `done` is over: it is asked for its Retry-After */
	play.call = NULL;
	c->spec.done(c->spec.ctx, status, NULL, kind == ERR_NONE ? NULL : &err);
	call_free(c);
}

static void give(const char *p, size_t n)
{
	size_t step = play.cut ? play.cut : n;

	open_call();
	for (size_t at = 0; at < n && play.call && !play.call->is_stopped; at += step) {
		struct kube_call *c = play.call;
		int stop = c->spec.data(c->spec.ctx, p + at, at + step < n ? step : n - at);

		if (play.call == c)
			c->is_stopped = stop != 0;
	}
	if (play.call && play.call->is_stopped)
		finish(200, ERR_CANCELLED);
}

static void give_raw(void)
{
	size_t n = byte();

	n |= (size_t)(byte() & 0x3f) << 8;
	n = n < play.left ? n : play.left;
	/* read before it is given: a callback may begin the next step of the conversation */
	play.at += n;
	play.left -= n;
	give((const char *)play.at - n, n);
}

/* A line as servers write them: its type, whose it is, its version. */
static void give_line(void)
{
	static const char *const types[] = { "ADDED",	 "MODIFIED", "DELETED", "BOOKMARK",
					     "BOOKMARK", "ERROR",    "NEW" };
	uint8_t type = byte() % 8, who = byte();
	_cleanup_free_ char *text = NULL;

	if (type == 5)
		text = xasprintf("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":%d,"
				 "\"message\":\"m\"}}\n",
				 who % 2 ? 410 : 400 + who);
	else
		text = xasprintf(
			"{\"type\":\"%s\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p%"
			"u\","
			"\"resourceVersion\":\"%u\"%s}}}\n",
			types[type % ARRAY_SIZE(types)], who % 8u, who * 10u,
			type == 4 ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"
				  : "");
	give(text, strlen(text));
}

static void give_page(void)
{
	static const char item[] = "{\"metadata\":{\"name\":\"p\",\"resourceVersion\":\"3\"}}";
	uint8_t what = byte();
	struct buf b = { 0 };
	_cleanup_free_ char *head =
		xasprintf("{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"%u\"%s},"
			  "\"items\":[",
			  what * 7u, what & 1 ? ",\"continue\":\"m+/=\"" : "");

	buf_put(&b, head, strlen(head));
	for (unsigned i = 0; i < what / 16u; i++) {
		if (i)
			buf_put(&b, ",", 1);
		buf_put(&b, what & 2 && i == 1 ? "{\"a\":nul}" : item,
			what & 2 && i == 1 ? 9 : strlen(item));
	}
	buf_put(&b, "]}", 2);
	give(b.p, b.n);
	buf_deinit(&b);
	finish(200, ERR_NONE);
}

static void step(void)
{
	static const long statuses[] = { 400, 401, 403, 404, 410, 422, 429, 500, 503, 504 };
	static const uint64_t pauses[] = { 1, 900, 1500, 11000, 45000, 61000, 155000, 700000 };
	uint8_t op = byte();
	long status;

	switch (op % 8) {
	case 0:
		open_call();
		break;
	case 1:
		give_raw();
		break;
	case 2:
		give_line();
		break;
	case 3:
		give_page();
		break;
	case 4:
		if (play.call && play.call->is_open)
			finish(200, ERR_NONE);
		break;
	case 5:
		status = statuses[byte() % ARRAY_SIZE(statuses)];
		if (play.call && play.call->is_open)
			break;
		if (play.call)
			play.call->retry_after = op / 8;
		finish(status, status == 429 || status >= 500 ? ERR_UNAVAILABLE : ERR_REFUSED);
		break;
	case 6:
		finish(0, op & 8 ? ERR_TIMEOUT : ERR_UNAVAILABLE);
		break;
	default:
		loop_fake_advance(play.loop, pauses[byte() % ARRAY_SIZE(pauses)]);
	}
}

/* However it went, it goes on: sooner or later it asks again. */
static void check_lives(void)
{
	if (!play.reflector)
		return;
	finish(0, ERR_UNAVAILABLE);
	for (unsigned i = 0; i < 100 && play.reflector && !play.call; i++)
		loop_fake_advance(play.loop, 1000);
	assert(!play.reflector || play.call);
}

static uint64_t run(const uint8_t *data, size_t size, bool is_cut)
{
	static const struct reflector_ops ops = { on_begin, on_upsert, on_remove, on_end,
						  on_failed };
	struct reflector_spec spec = { .name = "pods",
				       .path = PODS,
				       .field_selector = "spec.nodeName=n" };

	play = (struct play){ .loop = loop_new_fake(NULL), .at = data, .left = size, .dice = 1 };
	play.cut = is_cut ? byte() + 1u : byte() * 0u;
	spec.optional = play.left && *play.at & 1;
	spec.metadata_only = play.left && *play.at & 2;
	play.frees_at = byte() >> 4;
	play.reflector = reflector_new(play.loop, (void *)&play, &spec, &ops, NULL);
	reflector_start(play.reflector);
	for (unsigned i = 0; play.left && i < OPS_MAX; i++) {
		step();
		(void)loop_turn(play.loop, 0, NULL);
	}
	if (play.reflector)
		note("",
		     (const char[]){ (char)('0' + reflector_status(play.reflector)->state), 0 });
	check_lives();
	(void)reflector_free(play.reflector);
	assert(!play.call);
	(void)loop_free(play.loop);
	return play.told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole = run(data, size, false);

	assert(run(data, size, true) == whole);
	return 0;
}
