/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct loop;

/*
 * HTTP requests on the loop: libcurl's multi interface, whose sockets and timer are sources of ours.
 * `done` is called exactly once, from the loop, never from inside http_send(); not at all after
 * http_cancel(). Requests of one client share its connections (HTTP/2 multiplexed where offered).
 * No redirect is ever followed; no proxy is ever used; only http and https are spoken.
 */
struct http_client;
struct http_call;

struct http_tls {
	const char *ca_file;		   /* PEM; NULL with ca_data NULL: the system's roots */
	const char *ca_data;		   /* PEM text; wins over ca_file */
	const char *cert_file, *cert_data; /* client certificate, PEM */
	const char *key_file, *key_data;
	const char *server_name; /* to verify and to send as SNI; NULL: the URL's host */
	bool insecure;		 /* kubeconfig's insecure-skip-tls-verify */
};

struct http_client_spec {
	const char *user_agent;
	struct http_tls tls; /* copied */
	bool http2;	     /* offer HTTP/2 by ALPN and multiplex */
	/* A dead peer is noticed in about this long: TCP keep-alive and TCP_USER_TIMEOUT. 0: off */
	unsigned dead_peer_msec;
	/*
	 * Bind the sockets to this local address, NULL for any. Left out of the environment's proxy
	 * settings in any case.
	 */
	const char *local_address;
};

struct http_reply {
	long status;
	const char *body; /* NUL-terminated; NULL when it was streamed to on_data */
	size_t body_len;
	/* The named response header or NULL; the first one when repeated; valid during `done`. */
	const char *(*header)(const struct http_reply *r, const char *name);
	void *impl;
};

/* A chunk of a 2xx body as it arrives. Non-zero ends the call with ERR_CANCELLED. */
typedef int http_data_fn(void *ctx, const char *p, size_t n);
/* Exactly one of reply and err is set. A status of 400 or more is a reply, not an error. */
typedef void http_done_fn(void *ctx, const struct http_reply *reply, const struct err *err);

struct http_request {
	const char *method; /* NULL: GET */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; NULL: none. Copied. */
	const char *body;
	size_t body_len;
	size_t body_max;       /* of the answer; over it: ERR_LIMIT. 0: 1 MiB */
	unsigned timeout_msec; /* for the whole exchange; 0: none (a watch) */
	unsigned connect_msec; /* 0: 5000 */
	/*
	 * A secret goes over it: it has a connection of its own, HTTP/1.1, which ends with it, so that
	 * no buffer of a connection that stays holds what was sent or received.
	 */
	bool is_secret;
	http_data_fn *on_data; /* NULL: the body is collected */
	http_done_fn *done;
	void *ctx; /* for on_data and done */
	/* Called when the status line and headers are in, before on_data; may be NULL. */
	void (*on_status)(void *ctx, long status);
};

struct http_client *http_client_new(struct loop *l, const struct http_client_spec *spec,
				    struct err *err);
/* Cancels what is under way, silently. */
struct http_client *http_client_free(struct http_client *c);
DEFINE_CLEANUP(struct http_client, http_client_free);

/* Everything in `req` is copied but ctx. NULL only for a request that could not even be formed. */
struct http_call *http_send(struct http_client *c, const struct http_request *req, struct err *err);
void http_cancel(struct http_call *call);
/* The head of the answer is here, and its end is not. Not to be asked after `done`. */
bool http_is_answering(const struct http_call *call);
/* Close all idle connections and use new ones from now on: after a credential or CA changed. */
void http_client_reconnect(struct http_client *c, const struct http_tls *tls_or_null);
