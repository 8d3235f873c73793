/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct jval;
struct knock;
struct kube_config;
struct loop;

/*
 * Requests to the API server, one connection (HTTP/2 where offered) for all. Adds the credential to
 * each request, re-reading a rotated token file; after a 401 the token and the CA are read anew.
 */
struct kube_client;
struct kube_call;

/*
 * `status`: HTTP status, 0 with err set when there was no answer. `doc` is the parsed body or NULL. A
 * 2xx body that is not JSON: status, and err of kind ERR_INPUT.
 */
typedef void kube_done_fn(void *ctx, long status, const struct jval *doc, const struct err *err);

/* `config` is copied. */
struct kube_client *kube_client_new(struct loop *l, const struct kube_config *config,
				    const char *user_agent, struct err *err);
struct kube_client *kube_client_free(struct kube_client *c);
DEFINE_CLEANUP(struct kube_client, kube_client_free);

/*
 * One request with a JSON answer. `path` starts with '/', is already escaped and carries its query.
 * A Status answer (4xx, 5xx) sets err: kind ERR_REFUSED for 4xx, ERR_UNAVAILABLE for 429 and 5xx,
 * err.http_status, and the server's message. `done`: exactly once, from the loop, unless cancelled.
 */
struct kube_call *kube_get(struct kube_client *c, const char *path, unsigned timeout_msec,
			   kube_done_fn *done, void *ctx);
struct kube_call *kube_post(struct kube_client *c, const char *path, const char *body,
			    size_t body_len, unsigned timeout_msec, kube_done_fn *done, void *ctx);

/* Of a GET of one object, or of a watch: its metadata and nothing else. And of a list. */
#define KUBE_ACCEPT_METADATA	  "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#define KUBE_ACCEPT_METADATA_LIST "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

struct kube_request {
	const char *method; /* NULL: GET */
	const char *path;
	const char *accept; /* NULL: the whole object, as JSON */
	const char *body;   /* JSON; NULL: none. Copied; the copy is wiped */
	size_t body_len;
	const char *content_type; /* NULL: application/json */
	unsigned timeout_msec;
	bool is_secret; /* as http_request's */
};
struct kube_call *kube_send(struct kube_client *c, const struct kube_request *req,
			    kube_done_fn *done, void *ctx);
void kube_cancel(struct kube_call *call);

/*
 * One GET whose 2xx body is handed on as it arrives; `doc` is then NULL. `open` (may be NULL): the
 * head of a 2xx answer is in. `data` returning non-zero ends the call with ERR_CANCELLED.
 */
struct kube_stream {
	const char *path;
	const char *accept; /* as kube_request's */
	unsigned timeout_msec;
	void (*open)(void *ctx);
	int (*data)(void *ctx, const char *p, size_t n);
	kube_done_fn *done;
	void *ctx;
};
struct kube_call *kube_stream(struct kube_client *c, const struct kube_stream *s);
/* Seconds of Retry-After, 0 without one; to be asked inside `done`. */
unsigned kube_call_retry_after(const struct kube_call *call);

/* Where those wait together that it answers badly. */
struct knock *kube_client_knock(struct kube_client *c);

/* A path segment or a query value, percent-encoded, on the heap. */
char *kube_escape(const char *s);
