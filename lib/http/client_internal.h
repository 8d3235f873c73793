/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/buf.h"
#include "lib/http/client.h"
#include "lib/loop/loop.h"

#include <curl/curl.h>

/* What client.c (the multi handle and the loop) and easy.c (the options of one request) share. */

/* Our own copy; never changed once a request has seen it. */
struct tls_copy {
	char *ca_file, *ca_data;
	char *cert_file, *cert_data;
	char *key_file, *key_data;
	char *server_name;
	bool insecure;
};

/*
 * A multi handle with its connections. libcurl cannot be told to drop its idle connections, so
 * http_client_reconnect() starts a new pool, and the old one goes with its last request.
 */
struct pool {
	struct http_client *client;
	CURLM *multi;
	struct tls_copy tls;
	struct loop_timer timer;
	size_t n_calls;
	struct pool *prev, *next;
};

struct http_client {
	struct loop *loop;
	char *user_agent, *local_address;
	bool http2;
	unsigned dead_peer_msec;
	struct pool *pools; /* the first is the current one */
	struct http_call *running;
	struct http_call *todo; /* to be handed to libcurl, or cancelled and to be taken back */
	struct loop_defer pump;
	unsigned busy; /* inside one of our callbacks: freeing has to wait */
	bool zombie;   /* freed by its owner meanwhile */
};

enum call_state {
	CALL_QUEUED,	/* on todo; libcurl does not know it */
	CALL_RUNNING,	/* on running; in the multi handle */
	CALL_CANCELLED, /* on todo; libcurl may still know it, its owner does not */
	CALL_DONE,	/* on no list; inside its done callback */
};

struct http_call {
	enum call_state state;
	struct http_client *client;
	struct pool *pool;
	CURL *easy;
	bool in_multi;
	struct curl_slist *headers, *connect_to;
	char *body; /* of the request */
	size_t body_len;
	char *origin; /* scheme, host and port: for messages, which carry no path */
	struct buf in;
	size_t body_max;
	long status; /* 0 until the headers are in */
	http_data_fn *on_data;
	http_done_fn *done;
	void (*on_status)(void *ctx, long status);
	void *ctx;
	struct loop_timer deadline;
	struct err err; /* why we ended it ourselves; kind ERR_NONE: libcurl did */
	char why[CURL_ERROR_SIZE];
	struct http_call *prev, *next;
};

int easy_init(struct http_call *call, const struct http_request *req, struct err *err);
void easy_deinit(struct http_call *call);
