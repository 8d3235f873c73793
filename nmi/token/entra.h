/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/secret.h"
#include "lib/base/str.h"
#include "nmi/token/source.h"

#include <stdbool.h>
#include <stddef.h>

struct http_client;
struct loop;
struct metrics;

/*
 * Entra's v2 token endpoint: client credentials proven by a secret, or by an assertion (a JWT signed
 * with the application's certificate, or the service-account token of a pod). One POST a token; whoever
 * asks has the credential at hand and wipes it. Each copy made here is wiped.
 */
struct entra;
struct entra_call;

struct entra_spec {
	struct http_client *http;
	const char
		*authority; /* of identities that name none: "https://login.microsoftonline.com/" */
	unsigned timeout_msec;
	struct metrics *metrics;
};

/* NULL: the authority is none. */
struct entra *entra_new(struct loop *l, const struct entra_spec *spec, struct err *err);
struct entra *entra_free(struct entra *e);
DEFINE_CLEANUP(struct entra, entra_free);

/* What a federated credential has to say to match an assertion; for the hint when none does. */
struct entra_federation {
	const char *issuer, *subject, *audience;
};

/* Strings borrowed for the call. */
struct entra_ask {
	const char *url; /* of entra_url_for() */
	const char *tenant, *client_id, *resource;
	const char *
		credential; /* where it stands, for the hint when it is refused: "Secret ns/name"; or NULL */
	/* exactly one of the two */
	const struct secret *client_secret, *assertion;
	const struct entra_federation *federation; /* NULL: the assertion is not of that kind */
};

/*
 * The token endpoint of a tenant, on the heap, which is also the audience of a client assertion.
 * `ad_endpoint` is the identity's own, NULL or "" for the operator's. A secret goes where this points, so
 * only hosts of Entra's clouds, and the operator's, are taken.
 */
char *entra_url_for(const struct entra *e, const char *ad_endpoint, const char *tenant,
		    struct err *err);
/* `done` as token_source.fetch's. NULL only if out_fail was filled. */
struct entra_call *entra_fetch(struct entra *e, const struct entra_ask *ask, token_done_fn *done,
			       void *ctx, struct token_failure *out_fail);
void entra_cancel(struct entra_call *call);
bool entra_is_answering(const struct entra_call *call); /* as token_source.is_answering */

/* Pure. */

/* "https://host[:port][/]" without what follows the host; ERR_INPUT says what is wrong. On the heap. */
char *entra_authority_parse(const char *text, struct err *err);
/* A GUID or a domain name: nothing that could become a path. */
bool entra_is_tenant(const char *s);
/* Is this a login host of one of Entra's clouds? */
bool entra_is_known_host(const char *authority);
/* resource + "/.default", unless it ends so; a slash at its end is part of the audience. On the heap. */
char *entra_scope(const char *resource);
/* The form; into a buffer that is wiped when freed. */
void entra_form(const struct entra_ask *ask, struct buf *out);
/* The answer, into a token, or NULL with `out_fail` filled. */
struct token *entra_answer_parse(long status, struct str body, const char *retry_after,
				 const struct entra_ask *ask, struct wall now,
				 struct token_failure *out_fail);
