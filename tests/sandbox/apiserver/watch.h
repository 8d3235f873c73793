/* SPDX-License-Identifier: MIT */
#pragma once

#include "tests/sandbox/apiserver/format.h"
#include "tests/sandbox/apiserver/select.h"

#include <sys/types.h>

struct api;

/*
 * Watches: each is a place in the history of a kind, and a buffer of lines made from there on. A slow
 * reader stops its own watch from going on, and is ended when the history moves past it, as the real
 * server does. Whoever reads is told through `wake` that there is something to read.
 */
struct watches;
struct watch;

struct watches *watches_new(struct api *api);
struct watches *watches_free(struct watches *ws); /* no watch may be left */

struct watch_spec {
	struct kind *kind;
	const char *ns;	      /* "" is all of them; copied */
	struct selector *sel; /* taken over */
	struct format_spec format;
	uint64_t from;	     /* changes after this version */
	bool initial;	     /* first, what is there, as ADDED; `from` is ignored */
	bool end_of_initial; /* then, a bookmark that says so */
	bool bookmarks;
	unsigned timeout_s; /* 0: the server's own choice */
};

struct watch *watch_start(struct watches *ws, const struct watch_spec *spec);
/* A stream that has one ERROR event; takes the Status. */
struct watch *watch_failed_take(struct watches *ws, json_t *status);
struct watch *watch_free(struct watch *w);

typedef void watch_wake_fn(void *ctx);
void watch_set_wake(struct watch *w, watch_wake_fn *fn, void *ctx);

#define WATCH_END   (-1) /* the stream is complete */
#define WATCH_ABORT (-2) /* the connection is to break */
/* Bytes; 0: nothing now, wake will be called; or one of the above. */
ssize_t watch_read(struct watch *w, char *buf, size_t max);

/* all of them */
void watches_notify(struct watches *ws, struct coll *c);
void watches_bookmark(struct watches *ws);
void watches_end(struct watches *ws, bool abort);
void watches_end_kind(struct watches *ws, const struct kind *k);
/* Put everything that is there into the buffers, whatever their size. */
void watches_flush(struct watches *ws);
size_t watches_count(const struct watches *ws);
unsigned long watches_sent(const struct watches *ws); /* events so far */
