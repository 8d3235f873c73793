/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct jval;
struct kube_config;
struct loop;

/*
 * Requests to the API server, one connection (HTTP/2 where offered) for all. Adds the credential to
 * each request, re-reading a rotated token file; after a 401 the token and the CA are read anew.
 */
struct kube_client;
struct kube_call;

/* `status`: HTTP status, 0 with err set when there was no answer. `doc` is the parsed body or NULL. */
typedef void kube_done_fn(void *ctx, long status, const struct jval *doc, const struct err *err);

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
void kube_cancel(struct kube_call *call);

/* A path segment or a query value, percent-encoded, on the heap. */
char *kube_escape(const char *s);
